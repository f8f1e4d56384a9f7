#!/bin/sh
# devs: eth0 eth1
# args: start
#
# A gateway with an office behind it: functions, and a choice of what to do.

TC=/sbin/tc
WAN=eth0
LAN=eth1
UP=2000        # kbit, measured
DOWN=10000

rate() { # percent of a figure
    echo "$(( $1 * $2 / 100 ))kbit"
}

add_class() {
    dev=$1 id=$2 percent=$3 prio=$4 total=$5
    $TC class add dev $dev parent 1:1 classid 1:$id htb \
        rate $(rate $total $percent) ceil ${total}kbit prio $prio
    $TC qdisc add dev $dev parent 1:$id handle $id: fq_codel limit 1000
}

shape() {
    local dev="$1" total="$2"
    $TC qdisc add dev $dev root handle 1: htb default 40
    $TC class add dev $dev parent 1: classid 1:1 htb rate ${total}kbit
    add_class $dev 10 20 0 $total # voice
    add_class $dev 20 30 1 $total # office
    add_class $dev 30 30 2 $total # web
    add_class $dev 40 10 7 $total # the rest
}

marks() {
    prio=1
    for pair in 1:10 2:20 3:30; do
        mark=${pair%:*}
        class=${pair#*:}
        $TC filter add dev $1 parent 1: protocol ip prio $prio handle $mark fw flowid 1:$class
        prio=$((prio + 1))
    done
}

stop() {
    for dev in $WAN $LAN; do
        $TC qdisc del dev $dev root 2>/dev/null || :
    done
}

start() {
    stop
    shape $WAN $UP
    shape $LAN $DOWN
    marks $WAN
    marks $LAN
}

case "$1" in
    start)   start ;;
    stop)    stop ;;
    restart) stop; start ;;
    status)  for d in $WAN $LAN; do $TC -s class show dev $d; done ;;
    *)       echo "usage: $0 start|stop|restart|status" >&2; exit 64 ;;
esac
exit 0
