#!/bin/sh
# devs: eth0
# Equal turns: drr below, qfq beside, and numbers that the kernel chooses.
tc qdisc add dev eth0 root handle 1: prio bands 2 priomap 1 1 1 1 1 1 0 0 1 1 1 1 1 1 1 1
tc qdisc add dev eth0 parent 1:1 handle 10: drr
tc qdisc add dev eth0 parent 1:2 handle 20: qfq
for c in 1 2 3; do
    tc class add dev eth0 parent 10: classid 10:$c drr quantum $((c * 500 + 1000))
    tc class add dev eth0 parent 20: classid 20:$c qfq weight $((c * 2)) maxpkt 2048
done
tc qdisc add dev eth0 parent 10:3 handle 13: pfifo limit 77
tc filter add dev eth0 parent 10: protocol all prio 1 matchall flowid 10:1
tc filter add dev eth0 parent 20: protocol ip u32 match ip protocol 6 0xff flowid 20:1
tc filter add dev eth0 parent 20: protocol ip u32 match ip protocol 17 0xff flowid 20:2
tc filter add dev eth0 parent 20: protocol all u32 match u32 0 0 flowid 20:3
tc class change dev eth0 classid 10:2 drr quantum 3000
