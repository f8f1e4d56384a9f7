#!/bin/sh
# devs: eth0
# makes: ifb0
# What arrives is sent through ifb0 and shaped there.
modprobe ifb numifbs=1 2>/dev/null
ip link set dev ifb0 up

tc qdisc del dev eth0 ingress 2>/dev/null
tc qdisc del dev ifb0 root 2>/dev/null
tc qdisc add dev eth0 handle ffff: ingress
tc filter add dev eth0 parent ffff: protocol all prio 10 u32 match u32 0 0 \
    action mirred egress redirect dev ifb0

tc qdisc add dev ifb0 root handle 1: htb default 12
tc class add dev ifb0 parent 1: classid 1:1 htb rate 16mbit ceil 16mbit burst 32k cburst 32k
tc class add dev ifb0 parent 1:1 classid 1:11 htb rate 4mbit ceil 16mbit prio 0   # DNS and small things
tc class add dev ifb0 parent 1:1 classid 1:12 htb rate 12mbit ceil 16mbit prio 1  # downloads
tc qdisc add dev ifb0 parent 1:11 handle 11: pfifo limit 50
tc qdisc add dev ifb0 parent 1:12 handle 12: fq_codel target 10ms interval 120ms noecn quantum 300
tc filter add dev ifb0 parent 1: protocol ip prio 1 u32 match ip sport 53 0xffff flowid 1:11
tc filter add dev ifb0 parent 1: protocol ip prio 1 u32 match ip length 0x0 0xffc0 flowid 1:11 2>/dev/null
tc filter add dev ifb0 parent 1: protocol ipv6 prio 2 u32 match ip6 sport 53 0xffff flowid 1:11
