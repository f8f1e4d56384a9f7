#!/bin/sh
# devs: eth0
# Filters at each level of a tree, a leaf's too, where nobody asks them.
D=eth0
tc qdisc add dev $D root handle 1: htb default 12
tc class add dev $D parent 1: classid 1:1 htb rate 10mbit
tc class add dev $D parent 1:1 classid 1:10 htb rate 6mbit ceil 10mbit
tc class add dev $D parent 1:10 classid 1:11 htb rate 2mbit ceil 6mbit
tc class add dev $D parent 1:10 classid 1:12 htb rate 4mbit ceil 6mbit
tc qdisc add dev $D parent 1:11 handle 11: htb default 1
tc class add dev $D parent 11: classid 11:1 htb rate 1mbit
tc class add dev $D parent 11: classid 11:2 htb rate 1mbit
tc filter add dev $D parent 1: protocol ip prio 1 u32 match ip dst 10.0.0.0/8 flowid 1:10
tc filter add dev $D parent 1:10 protocol ip prio 1 u32 match ip dst 10.1.0.0/16 flowid 1:11
tc filter add dev $D parent 1:12 protocol ip prio 3 u32 match ip dst 10.2.0.0/16 flowid 1:12
tc filter add dev $D parent 11: protocol ip prio 2 u32 match ip dst 10.1.2.0/24 flowid 11:2
tc filter add dev $D parent 11:2 protocol ip prio 4 u32 match ip dst 10.1.2.3 flowid 11:2
