#!/bin/sh
# devs: eth0
# args: eth0 800 220
# Interactive traffic first on a slow line, in the manner of the wondershaper of 2002, but with htb.
# usage: wondershaper.sh DEV DOWNLINK UPLINK   (kbit)

DEV=$1
DOWNLINK=$2
UPLINK=$3
NOPRIOHOSTSRC=
NOPRIOPORTDST="25 6881"

if [ -z "$DEV" ]; then
    echo "usage: $0 DEV DOWNLINK UPLINK"
    exit 1
fi
if [ "$1" = "status" ]; then
    tc -s qdisc ls dev "$DEV"
    exit
fi

# clean existing down- and uplink qdiscs, hide errors
tc qdisc del dev $DEV root    2> /dev/null > /dev/null
tc qdisc del dev $DEV ingress 2> /dev/null > /dev/null

###### uplink
tc qdisc add dev $DEV root handle 1: htb default 20
# the line
tc class add dev $DEV parent 1: classid 1:1 htb rate ${UPLINK}kbit burst 6k
# interactive
tc class add dev $DEV parent 1:1 classid 1:10 htb rate ${UPLINK}kbit burst 6k prio 1
# bulk
tc class add dev $DEV parent 1:1 classid 1:20 htb rate $((9*$UPLINK/10))kbit burst 6k prio 2
# what must wait
tc class add dev $DEV parent 1:1 classid 1:30 htb rate $((8*$UPLINK/10))kbit burst 6k prio 2

# all get stochastic fairness
for c in 10 20 30; do
    tc qdisc add dev $DEV parent 1:$c handle $c: sfq perturb 10
done

# TOS minimum delay (ssh, not scp) in 1:10
tc filter add dev $DEV parent 1:0 protocol ip prio 10 u32 match ip tos 0x10 0xff flowid 1:10
# ICMP in the interactive class
tc filter add dev $DEV parent 1:0 protocol ip prio 11 u32 match ip protocol 1 0xff flowid 1:10
# small packets are probably ACKs
tc filter add dev $DEV parent 1: protocol ip prio 12 u32 \
    match ip protocol 6 0xff \
    match u8 0x05 0x0f at 0 \
    match u16 0x0000 0xffc0 at 2 \
    match u8 0x10 0xff at 33 \
    flowid 1:10
for a in $NOPRIOPORTDST; do
    tc filter add dev $DEV parent 1: protocol ip prio 14 u32 match ip dport $a 0xffff flowid 1:30
done
for a in $NOPRIOHOSTSRC; do
    tc filter add dev $DEV parent 1: protocol ip prio 16 u32 match ip src $a flowid 1:30
done
# the rest is bulk
tc filter add dev $DEV parent 1: protocol ip prio 18 u32 match ip dst 0.0.0.0/0 flowid 1:20

########## downlink: slow downloads down before the provider's queue does
tc qdisc add dev $DEV handle ffff: ingress
tc filter add dev $DEV parent ffff: protocol ip prio 50 u32 match ip src 0.0.0.0/0 \
    police rate ${DOWNLINK}kbit burst 10k drop flowid :1
