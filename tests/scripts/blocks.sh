#!/bin/sh
# devs: eth0 eth1
# One list of filters for two links, with chains and a template.
for dev in eth0 eth1; do
	tc qdisc add dev $dev ingress_block 21 clsact
done
tc chain add block 21 chain 4 proto ip flower dst_mac ff:ff:ff:ff:ff:ff src_ip 0.0.0.0/32 ip_proto tcp 2>/dev/null || \
	tc chain add block 21 chain 4 proto ip flower src_ip 0.0.0.0/24
tc filter add block 21 prio 1 protocol ip flower src_ip 192.0.2.0/24 action goto chain 4
tc filter add block 21 prio 2 protocol ip flower ip_proto udp dst_port 53 action pass
tc filter add block 21 prio 9 protocol all matchall action drop
