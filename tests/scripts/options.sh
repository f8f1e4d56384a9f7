#!/bin/bash
# devs: eth0
# args: -i eth0 -d 9000 -u 1000 -v
# A script with options.
set -e
VERBOSE=
while getopts "i:d:u:vh" opt; do
	case $opt in
	i) IFACE=$OPTARG ;;
	d) DOWN=$OPTARG ;;
	u) UP=$OPTARG ;;
	v) VERBOSE=yes ;;
	h|\?) echo "usage"; exit 1 ;;
	esac
done
shift $((OPTIND - 1))
[[ -n $IFACE && $UP =~ ^[0-9]+$ ]] || { echo "no link"; exit 1; }
run() {
	[[ $VERBOSE ]] && echo "+ $*"
	"$@"
}
declare -i BURST=$((UP * 1000 / 8 / 100))
run tc qdisc replace dev "$IFACE" root handle 1: tbf rate ${UP}kbit burst $(( BURST > 3000 ? BURST : 3000 )) limit 30000
run tc qdisc add dev "$IFACE" parent 1:1 handle 10: pfifo limit ${LIMIT:-50}
run tc qdisc change dev "$IFACE" parent 1:1 handle 10: pfifo limit 60
run tc qdisc add dev "$IFACE" clsact
if [ -n "$DOWN" ]; then
	run tc filter add dev "$IFACE" ingress protocol ip prio 7 u32 match ip src 198.51.100.0/24 flowid 1:1
	run tc filter replace dev "$IFACE" ingress protocol ip prio 7 handle 800::800 u32 match ip src 198.51.100.0/24 flowid 1:2
fi
