#!/bin/sh
# devs: ppp0
# Three bands by TOS, as the kernel's own default, with a fair queue in each and a bucket for the last.
D=ppp0
ip link set dev $D txqueuelen 30
tc qdisc add dev $D root handle 1: prio bands 3 priomap 1 2 2 2 1 2 0 0 1 1 1 1 1 1 1 1
tc qdisc add dev $D parent 1:1 handle 10: pfifo limit 20
tc qdisc add dev $D parent 1:2 handle 20: sfq perturb 10 quantum 1500
tc qdisc add dev $D parent 1:3 handle 30: tbf rate 20kbit buffer 1600 limit 3000
tc filter add dev $D parent 1: protocol ip prio 1 u32 match ip dport 53 0xffff flowid 1:1
tc filter add dev $D parent 1: protocol ip prio 1 u32 match ip tos 0x10 0xfc flowid 1:1
tc filter add dev $D parent 1: protocol ip prio 2 u32 match ip sport 20 0xffff flowid 1:3
tc filter add dev $D parent 1: protocol ip prio 3 handle 0x20/0xff fw classid 1:3
