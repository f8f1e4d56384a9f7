#!/bin/sh
# devs: eth0 eth1
# Actions that several filters share, and lines that change their mind.
tc actions add action police rate 3mbit burst 40k conform-exceed drop/pass index 5
tc qdisc add dev eth0 root handle 1: prio bands 4 priomap 1 2 2 2 1 2 0 0 1 1 1 1 1 1 1 3
tc qdisc add dev eth0 parent 1:2 handle 20: red limit 200kb avpkt 1000 min 20kb max 60kb bandwidth 4mbit ecn
tc qdisc add dev eth0 parent 1:3 handle 30: netem delay 20ms 4ms loss 0.5%
tc qdisc add dev eth1 root handle 40: hfsc default 2
tc class add dev eth1 parent 40: classid 40:1 hfsc sc umax 1500b dmax 20ms rate 1mbit ul rate 3mbit
tc class add dev eth1 parent 40: classid 40:2 hfsc ls m1 2mbit d 10ms m2 1mbit
tc filter add dev eth0 parent 1: prio 1 protocol ip u32 match ip dport 25 0xffff action police index 5 flowid 1:3
tc filter add dev eth0 parent 1: prio 1 protocol ip u32 match ip dport 119 0xffff action police index 5 flowid 1:3
tc filter add dev eth0 parent 1: prio 2 handle 0x21 fw flowid 1:1
tc filter add dev eth1 parent 40: prio 3 protocol ip flower ip_proto icmp classid 40:1
tc filter add dev eth1 parent 40:1 prio 4 protocol ip flower ip_proto udp action skbedit priority 1:2
tc qdisc change dev eth0 parent 1:3 handle 30: netem delay 30ms
tc class change dev eth1 parent 40: classid 40:2 hfsc ls rate 2mbit
tc filter del dev eth0 parent 1: prio 2 handle 0x21 fw
tc filter change dev eth1 parent 40: prio 3 protocol ip handle 1 flower ip_proto tcp classid 40:2
