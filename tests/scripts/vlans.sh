#!/bin/sh
# devs: trunk0
# Tenants on a trunk, told apart by their tags; flower where it reads best.
D=trunk0
tc qdisc add dev $D root handle 1: htb default fff
tc class add dev $D parent 1: classid 1:1 htb rate 950mbit ceil 950mbit quantum 60000
n=2
for tag in 100 200 300 400; do
    tc class add dev $D parent 1:1 classid 1:$n htb rate 200mbit ceil 500mbit quantum 40000 prio 2
    tc qdisc add dev $D parent 1:$n handle $((n + 100)): fq_codel
    tc filter add dev $D parent 1: protocol 802.1Q prio 10 flower vlan_id $tag classid 1:$n
    n=$((n+1))
done
tc class add dev $D parent 1:1 classid 1:fff htb rate 10mbit ceil 100mbit prio 7  # strangers
tc filter add dev $D parent 1: protocol ip prio 20 flower ip_proto tcp dst_port 22 src_ip 192.0.2.0/24 classid 1:2
tc filter add dev $D parent 1: protocol ipv6 prio 30 flower dst_ip 2001:db8:1::/48 classid 1:3
tc qdisc add dev $D clsact
tc filter add dev $D ingress protocol ip prio 1 flower ip_proto icmp action drop
tc filter add dev $D egress protocol all prio 5 matchall action pass
