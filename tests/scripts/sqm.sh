#!/bin/sh
# devs: eth0 ifb4eth0
# In the manner of sqm-scripts: three tiers out, one in, settings above and the work below.
IFACE=eth0
DEV=ifb4${IFACE}
UPLINK=9000
DOWNLINK=45000
[ -z "$TC" ] && TC=tc
[ -z "$QDISC" ] && QDISC=fq_codel
[ -z "$ETARGET" ] && ETARGET=15ms
[ -z "$LLAM" ] && LLAM="tc_stab"
STABSTRING=""

sqm_log() { logger -t sqm "$1"; }

get_stab_string() {
    if [ "$LLAM" = "tc_stab" ]; then
        STABSTRING="stab mtu 2047 tsize 512 mpu 68 overhead 40 linklayer atm"
    fi
    echo ${STABSTRING}
}

get_mtu() { echo 1500; }

get_htb_quantum() {
    CUR_QUANTUM=$(( $2 * 1000 / 8 / 1000 ))
    [ $CUR_QUANTUM -lt $(get_mtu $1) ] && CUR_QUANTUM=$(get_mtu $1)
    echo quantum $CUR_QUANTUM
}

egress() {
    CEIL=$UPLINK
    PRIO_RATE=$(expr $CEIL / 3)
    BE_RATE=$(expr $CEIL / 6)
    BK_RATE=$(expr $CEIL / 6)
    BE_CEIL=$(expr $CEIL - 16)
    LQ="$(get_htb_quantum $IFACE $CEIL)"

    $TC qdisc del dev $IFACE root 2> /dev/null
    $TC qdisc add dev $IFACE root handle 1: $(get_stab_string) htb default 12
    $TC class add dev $IFACE parent 1: classid 1:1 htb $LQ rate ${CEIL}kbit ceil ${CEIL}kbit
    # priority
    $TC class add dev $IFACE parent 1:1 classid 1:11 htb $LQ rate 128kbit ceil ${PRIO_RATE}kbit prio 1
    # best effort
    $TC class add dev $IFACE parent 1:1 classid 1:12 htb $LQ rate ${BE_RATE}kbit ceil ${BE_CEIL}kbit prio 2
    # background
    $TC class add dev $IFACE parent 1:1 classid 1:13 htb $LQ rate ${BK_RATE}kbit ceil ${BE_CEIL}kbit prio 3

    for i in 1 2 3; do
        $TC qdisc add dev $IFACE parent 1:1$i handle 1${i}0: $QDISC limit 1001 target $ETARGET
    done
    $TC filter add dev $IFACE parent 1:0 protocol ip prio 3 u32 match ip tos 0xb8 0xfc flowid 1:11
    $TC filter add dev $IFACE parent 1:0 protocol ip prio 5 u32 match ip tos 0x20 0xfc flowid 1:13
    $TC filter add dev $IFACE parent 1:0 protocol all prio 999 u32 match ip protocol 0 0x00 flowid 1:12
}

ingress() {
    sqm_log "ingress"
    $TC qdisc del dev $IFACE handle ffff: ingress 2> /dev/null
    $TC qdisc add dev $IFACE handle ffff: ingress
    $TC qdisc del dev $DEV root 2> /dev/null
    $TC qdisc add dev $DEV root handle 1: htb default 10
    $TC class add dev $DEV parent 1: classid 1:1 htb rate ${DOWNLINK}kbit ceil ${DOWNLINK}kbit
    $TC class add dev $DEV parent 1:1 classid 1:10 htb rate ${DOWNLINK}kbit ceil ${DOWNLINK}kbit prio 0
    $TC qdisc add dev $DEV parent 1:10 handle 110: $QDISC limit 1001 ecn flows 512
    ip link set dev $DEV up
    $TC filter add dev $IFACE parent ffff: protocol all prio 10 u32 match u32 0 0 flowid 1:1 \
        action mirred egress redirect dev $DEV
}

[ "$UPLINK" -ne 0 ] && egress
if [ "$DOWNLINK" -ne 0 ]; then
    ingress
fi
exit 0
