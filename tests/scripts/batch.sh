#!/bin/sh
# devs: eth0 eth1
# Batches: a here-document, a pipe, and a file that is written first.
R=10
tc -batch - <<BATCH
# the office's line
qdisc add dev eth0 root handle 1: htb default 2
class add dev eth0 parent 1: classid 1:1 htb rate ${R}mbit
class add dev eth0 parent 1:1 classid 1:2 htb rate $((R/2))mbit ceil ${R}mbit   # everybody
BATCH
echo "class add dev eth0 parent 1:1 classid 1:3 htb rate 1mbit ceil ${R}mbit" | tc -b -

FILE=$(mktemp)
for n in 1 2 3 4 5 6 7 8; do
    echo "qdisc add dev eth0 parent 1:$((n + 15)) handle 1$n: sfq perturb 10" >> $FILE.late
    printf 'class add dev eth0 parent 1:1 classid 1:%x htb rate %dkbit\n' $((n + 15)) $((n * 50)) >> $FILE
done
tc -batch $FILE
rm -f $FILE $FILE.late

while read port class; do
    [ -n "$port" ] || continue
    tc filter add dev eth0 parent 1: protocol ip prio 10 u32 match ip dport $port 0xffff flowid $class
done <<'LIST'
22 1:2
25 1:3

80 1:12
LIST
{ echo qdisc add dev eth1 root handle 5: red limit 400kb min 30kb max 90kb avpkt 1000 burst 55 bandwidth 10mbit probability 0.02 ecn
  echo "qdisc add dev eth1 parent 5:1 handle 6: bfifo limit 100kb"; } | tc -b -
