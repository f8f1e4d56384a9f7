#!/bin/sh
# devs: eth0
# makes: ifb0
# What arrives on eth0 is shaped on a device that the script makes itself.
ip link add ifb0 type ifb 2>/dev/null
ip link set ifb0 up
ip link set dev ifb0 txqueuelen 100
TC="/sbin/tc"
[ -x $TC ] || TC=tc
$TC qdisc del dev eth0 ingress 2>/dev/null
$TC qdisc add dev eth0 handle ffff: ingress
$TC filter add dev eth0 parent ffff: protocol ip u32 match u32 0 0 action mirred egress redirect dev ifb0
$TC qdisc add dev ifb0 root handle 2: htb default 20
$TC class add dev ifb0 parent 2: classid 2:1 htb rate 20mbit
$TC class add dev ifb0 parent 2:1 classid 2:10 htb rate 5mbit ceil 20mbit prio 0 # answers to names
$TC class add dev ifb0 parent 2:1 classid 2:20 htb rate 15mbit ceil 20mbit prio 1
$TC filter add dev ifb0 parent 2: protocol ip prio 1 u32 match ip sport 53 0xffff flowid 2:10
