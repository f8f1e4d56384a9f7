#!/bin/sh
# devs: dsl0
# args: start
# Curves: voice has its delay, the rest its share.
DEV=dsl0
UP=640kbit

start_() {
    tc qdisc add dev $DEV root handle 1: hfsc default 14
    tc class add dev $DEV parent 1: classid 1:1 hfsc sc rate $UP ul rate $UP
    tc class add dev $DEV parent 1:1 classid 1:11 hfsc sc umax 1500b dmax 53ms rate 400kbit ul rate $UP # voice
    tc class add dev $DEV parent 1:1 classid 1:12 hfsc sc umax 1500b dmax 30ms rate 100kbit ul rate $UP # interactive
    tc class add dev $DEV parent 1:1 classid 1:13 hfsc ls m1 0 d 100ms m2 100kbit ul rate $UP
    tc class add dev $DEV parent 1:1 classid 1:14 hfsc ls rate 20kbit ul rate $UP
    for leaf in 11 12 13 14; do
        tc qdisc add dev $DEV parent 1:$leaf handle $leaf: sfq perturb 10 2>/dev/null || echo "no leaf $leaf"
    done
    tc filter add dev $DEV parent 1: protocol ip prio 1 u32 match ip tos 0xb8 0xfc flowid 1:11
    tc filter add dev $DEV parent 1: protocol ip prio 2 flower ip_proto udp dst_port 53 classid 1:12
}
if [ "$1" = "stop" ]; then tc qdisc del dev $DEV root; exit 0; fi
[ "${1:-start}" = start ] && start_
tc class change dev $DEV classid 1:14 hfsc ls rate 40kbit
