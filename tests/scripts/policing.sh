#!/bin/sh
# devs: eth0
# Policers on the way in, in both of tc's grammars.
tc qdisc replace dev eth0 ingress
tc filter add dev eth0 parent ffff: protocol ip prio 1 u32 match ip protocol 17 0xff \
    police rate 5mbit burst 64k mtu 64kb drop flowid :1
tc filter add dev eth0 parent ffff: protocol ip prio 2 u32 match ip src 198.51.100.0/24 \
    action police rate 1mbit burst 20k conform-exceed drop/pass
tc filter add dev eth0 parent ffff: protocol ip prio 3 u32 match ip dport 23 0xffff action drop
tc filter add dev eth0 parent ffff: protocol ipv6 prio 4 u32 match ip6 src 2001:db8::/32 action pass
tc filter add dev eth0 parent ffff: protocol all prio 100 matchall action police rate 50mbit burst 500k mtu 64kb conform-exceed drop
