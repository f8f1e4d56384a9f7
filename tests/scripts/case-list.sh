#!/bin/bash
# devs: eth0 eth1 wlan0
# Each kind of link its own treatment; a table of classes in an array.
CLASSES=(
    "10 512 0"   # id, kbit, prio
    "20 1024 1"
    "30 256 5"
)
kind_of() {
    case $1 in
        eth[0-9]) echo wired ;;
        wlan*|wlp*) echo radio ;;
        *) echo other ;;
    esac
}
for dev in eth{0,1} wlan0; do
    case "$(kind_of $dev)" in
    wired)
        tc qdisc add dev $dev root handle 1: htb default 30
        total=0
        for row in "${CLASSES[@]}"; do
            read -r id kbit prio <<< "$row"
            (( total += kbit ))
        done
        tc class add dev $dev parent 1: classid 1:1 htb rate ${total}kbit
        for ((i = 0; i < ${#CLASSES[@]}; i++)); do
            set -- ${CLASSES[$i]}
            tc class add dev $dev parent 1:1 classid 1:$1 htb rate ${2}kbit ceil ${total}kbit prio $3
            [[ $3 -ge 5 ]] || tc qdisc add dev $dev parent 1:$1 handle $1: fq_codel
        done
        ;;
    radio)
        tc qdisc add dev $dev root handle 1: prio
        for band in {1..3}; do
            tc qdisc add dev $dev parent 1:$band handle $((band * 10)): pfifo limit $((band * 100))
        done
        ;;
    *)  echo "no treatment for $dev" ;;
    esac
done
