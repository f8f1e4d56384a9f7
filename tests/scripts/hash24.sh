#!/bin/sh
# devs: eth0
# A hash table of u32 for a whole /24: one step finds the host.
D=eth0
tc qdisc add dev $D root handle 1: htb default 1
tc class add dev $D parent 1: classid 1:1 htb rate 1gbit quantum 60000

tc filter add dev $D parent 1: prio 5 protocol ip u32
tc filter add dev $D parent 1: prio 5 handle 2: protocol ip u32 divisor 256

i=1
while [ $i -le 60 ]; do
    hex=$(printf "%x" $i)
    tc class add dev $D parent 1:1 classid 1:$((i + 1000)) htb rate $((i * 100))kbit quantum 1514
    tc filter add dev $D protocol ip parent 1: prio 5 u32 ht 2:$hex: \
        match ip src 192.0.2.$i flowid 1:$((i + 1000))
    i=$((i+1))
done

tc filter add dev $D protocol ip parent 1: prio 5 u32 ht 800:: \
    match ip src 192.0.2.0/24 hashkey mask 0x000000ff at 12 link 2:
