#!/bin/sh
# devs: eth0
# A careful script: it looks before it does, and some of what it looks at only the machine knows.
PATH=/sbin:/usr/sbin:/bin:/usr/bin:$PATH
command -v tc >/dev/null || exit 1
test -f /etc/default/no-such-shaper && . /etc/default/no-such-shaper
: ${DEV:=eth0} ${RATE:=4mbit}
tc -s -d qdisc show dev $DEV >/dev/null
if ! tc qdisc show dev "$DEV" | grep -q "handle 77"; then :; fi
tc qdisc del dev $DEV root >/dev/null 2>&1 || true
tc qdisc add dev $DEV root handle 1: htb default 2 && \
  tc class add dev $DEV parent 1: classid 1:1 htb rate $RATE && \
  tc class add dev $DEV parent 1:1 classid 1:2 htb rate 1mbit ceil $RATE || exit 1
if [ -e /sys/class/net/no-such-link ]; then
	tc class add dev $DEV parent 1:1 classid 1:66 htb rate 1mbit
fi
if ping -c 1 -W 1 192.0.2.77 >/dev/null 2>&1; then
	tc class add dev $DEV parent 1:1 classid 1:67 htb rate 1mbit
fi
case "$(cat /proc/no-such-file 2>/dev/null)" in
?*)	tc class add dev $DEV parent 1:1 classid 1:68 htb rate 1mbit ;;
esac
for DEV in eth0; do (
	tc class add dev $DEV parent 1:1 classid 1:3 htb rate 2mbit ceil $RATE; tc qdisc add dev $DEV parent 1:3 handle 3: bfifo limit 20kb
) done
[ "$RATE" = 4mbit ] && tc filter add dev $DEV parent 1: protocol ip prio 1 u32 match ip protocol 17 0xff flowid 1:3
[ "x$RATE" != x4mbit ] || [ -n "$DEV" -a -z "$NOTHING" ] && tc filter add dev $DEV parent 1: protocol ip prio 2 u32 match ip protocol 6 0xff flowid 1:2
unset NOTHING; trap 'echo bye' EXIT; umask 022; sleep 0
