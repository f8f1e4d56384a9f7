#!/bin/bash
# devs: eth0
# Numbers by every means: expr, let, seq, printf, loops that count.
IF=eth0
LINE=10240		# kbit
N=5
tc qdisc add dev $IF root handle 1:0 htb default 0xff
tc class add dev $IF parent 1:0 classid 1:1 htb rate ${LINE}kbit
share=`expr $LINE / $N`
i=0
while [ $i -lt $N ]
do
	id=`printf '%x' $((16 + i))`
	tc class add dev $IF parent 1:1 classid 1:$id htb rate ${share}kbit ceil ${LINE}kbit prio $((i % 3))
	let i=i+1
done
for n in $(seq 1 2 9); do
	tc filter add dev $IF parent 1: protocol ip prio 1 u32 match ip src 10.0.0.$n flowid 1:$(printf %x $((15 + (n + 1) / 2)))
done
for ((k = 0; k < 3; k++)); do
	tc filter add dev $IF parent 1: protocol ip prio $((k * 10 + 5)) u32 match ip dst 10.1.$k.0/24 flowid 1:1$k
done
(( left = LINE - share * N, left += 8 ))
if (( left > 0 )); then
	tc class add dev $IF parent 1:1 classid 1:ff htb rate $(( left ))kbit ceil $[ LINE / 2 ]kbit
fi
declare -a RATES=(100 200 300)
declare -A WHO=([guests]=10.2.0.0/16 [office]=10.3.0.0/16)
for k in "${!RATES[@]}"; do
	tc class add dev $IF parent 1:1 classid 1:$((k + 40)) htb rate ${RATES[$k]}kbit
done
tc filter add dev $IF parent 1: protocol ip prio 40 u32 match ip src ${WHO[guests]} flowid 1:40
tc filter add dev $IF parent 1: protocol ip prio 40 u32 match ip src ${WHO[office]} flowid 1:41
echo "${#RATES[@]} more classes"
