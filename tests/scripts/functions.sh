#!/bin/bash
# devs: eth0
# args: start eth0 12
# Classes by functions, with everything that bash has for them.

TC=${TC:-tc}
die() { echo "$0: $*" >&2; exit 1; }
function usage
{
  echo "usage: $0 start|stop DEV MBIT"
}

# leaf CLASS RATE CEIL PRIO
leaf () {
  local class=$1 rate=$2 ceil=$3
  shift 3
  $TC class add dev "$dev" parent 1:1 classid 1:$class htb rate "${rate}kbit" ceil ${ceil}kbit prio ${1:-3} || { die "class $class"; }
  [ $# -lt 2 ] || $TC qdisc add dev "$dev" parent 1:$class handle $class: ${@:2} || (echo no; exit 1) }

port() { $TC filter add dev $dev parent 1: protocol ip prio 5 u32 match ip $1 $2 0xffff flowid 1:$3; }

stop() { $TC qdisc del dev $dev root 2>/dev/null; :; }

start() {
  stop
  $TC qdisc add dev $dev root handle 1: htb default 30 || return 1
  $TC class add dev $dev parent 1: classid 1:1 htb rate ${mbit}mbit
  local kbit=$((mbit * 1000))
  leaf 10 $((kbit / 10)) $kbit 0 pfifo limit 20   # voice
  leaf 20 $((kbit * 5 / 10)) $kbit 1 tbf rate ${kbit}kbit burst 16kb limit 60kb
  leaf 30 $((kbit - kbit / 10 - kbit / 2)) $kbit
  local p
  for p in 5060 5061 {4569..4570}; do port dport $p 10; done
  for p in 80 443; do port sport $p 20; port dport $p 20; done
}

[ $# -ge 2 ] || { usage; exit 2; }
cmd=$1 dev=$2 mbit=${3-100}
case "$cmd" in
  start) start && echo "shaped at ${mbit} mbit" ;;
  stop|off) stop ;;
  restart) stop; start ;;
  *) usage; exit 2 ;;
esac
