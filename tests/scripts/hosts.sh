#!/bin/sh
# devs: eth0
# A class for each of forty hosts of a hostel, numbered by the last octet of the address.
set -e
DEV=eth0
NET=10.20.30
RATE=${RATE:-256}
CEIL=$(expr $RATE \* 8)

tc qdisc add dev $DEV root handle 1: htb default 9999 r2q 20
tc class add dev $DEV parent 1: classid 1:1 htb rate 100mbit ceil 100mbit

for i in $(seq 10 49); do
    id=$(printf '%x' $((0x100 + i)))
    # one of the hosts
    tc class add dev $DEV parent 1:1 classid 1:$id htb rate ${RATE}kbit ceil ${CEIL}kbit
    tc qdisc add dev $DEV parent 1:$id handle $id: sfq perturb 10
    tc filter add dev $DEV parent 1: protocol ip prio 5 u32 match ip dst $NET.$i/32 flowid 1:$id
done
# who is not on the list
tc class add dev $DEV parent 1:1 classid 1:9999 htb rate 64kbit ceil 128kbit prio 7
