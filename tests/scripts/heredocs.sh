#!/bin/sh
# devs: eth0
# Lists for `tc -batch`, by here-documents and pipes.
DEV=eth0
UP=8
tc -batch - <<EOF
qdisc add dev $DEV root handle 1: htb default 40
# the whole line
class add dev $DEV parent 1: classid 1:1 htb rate ${UP}mbit
class add dev $DEV parent 1:1 classid 1:10 htb rate $((UP * 100))kbit ceil ${UP}mbit # names and times
EOF
cat <<'EOF' | tc -force -b -
class add dev eth0 parent 1:1 classid 1:20 htb rate 2mbit ceil 8mbit

class add dev eth0 parent 1:1 \
	classid 1:40 htb rate 1mbit ceil 8mbit
qdisc add dev eth0 parent 1:20 pfifo limit 77
EOF
{
	for port in 53 123; do
		echo "filter add dev $DEV parent 1: protocol ip prio 3 u32 match ip dport $port 0xffff flowid 1:10"
	done
	printf 'filter add dev %s parent 1: protocol ip prio 4 u32 match ip tos 0x%02x 0xfc flowid 1:%d\n' $DEV 8 20
} | tc -b -
while IFS=: read -r net class; do
	[ -z "$net" ] && continue
	tc filter add dev $DEV parent 1: protocol ip prio 9 u32 match ip dst $net flowid 1:$class
done <<-LIST
	192.0.2.0/25:20
	192.0.2.128/25:40

	198.51.100.0/24:20
	LIST
