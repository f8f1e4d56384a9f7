#!/bin/sh
# devs: eth0
# A line that is changed while it stands: classes move, rates change, leaves are replaced, filters go.
D=eth0
tc qdisc add dev $D root handle 1: htb default 20
tc class add dev $D parent 1: classid 1:1 htb rate 5mbit
tc class add dev $D parent 1:1 classid 1:10 htb rate 1mbit ceil 5mbit
tc class add dev $D parent 1:1 classid 1:20 htb rate 2mbit ceil 5mbit
tc class add dev $D parent 1:1 classid 1:30 htb rate 2mbit ceil 5mbit
tc qdisc add dev $D parent 1:10 handle 10: pfifo limit 10
tc qdisc add dev $D parent 1:20 handle 20: sfq
tc qdisc add dev $D parent 1:30 handle 30: red limit 200kb avpkt 1000 bandwidth 2mbit
tc filter add dev $D parent 1: protocol ip prio 1 u32 match ip dport 1 0xffff flowid 1:10
tc filter add dev $D parent 1: protocol ip prio 1 u32 match ip dport 2 0xffff flowid 1:20
tc filter add dev $D parent 1: protocol ip prio 1 u32 match ip dport 3 0xffff flowid 1:30
tc filter add dev $D parent 1: protocol ip prio 2 handle 7 fw flowid 1:30

# business grew
tc class change dev $D parent 1: classid 1:1 htb rate 8mbit ceil 8mbit
tc class replace dev $D parent 1:1 classid 1:10 htb rate 2mbit ceil 8mbit prio 1
tc qdisc replace dev $D parent 1:10 handle 11: fq_codel
tc qdisc change dev $D parent 1:20 sfq perturb 5 limit 100
tc qdisc replace dev $D parent 1:30 handle 30: red limit 300kb avpkt 1000 bandwidth 2mbit
# 1:30 goes: the filters first
tc filter del dev $D parent 1: protocol ip prio 2
tc filter del dev $D parent 1: protocol ip prio 1 handle 800::802 u32
tc class del dev $D classid 1:30
# and 1:20 is divided
tc class add dev $D parent 1:20 classid 1:21 htb rate 1mbit ceil 2mbit
tc class add dev $D parent 1:20 classid 1:22 htb rate 1mbit ceil 2mbit
tc qdisc add dev $D parent 1:21 handle 21: fq_codel flows 64 quantum 300
tc filter replace dev $D parent 1: protocol ip prio 1 handle 800::801 u32 match ip dport 2 0xffff flowid 1:21
tc filter add dev $D parent 1: protocol ip prio 1 u32 match ip dport 4 0xffff flowid 1:22
