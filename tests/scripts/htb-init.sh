#!/bin/sh
# devs: eth1
# What htb.init makes of a folder of class files, as one list of commands.
/bin/true
/sbin/tc qdisc del dev eth1 root >/dev/null 2>&1
/sbin/tc qdisc add dev eth1 root handle 1 htb default 30 r2q 5

# eth1-2.root
/sbin/tc class add dev eth1 parent 1: classid 1:2 htb rate 5Mbit ceil 5Mbit burst 15k
# eth1-2:10.www
/sbin/tc class add dev eth1 parent 1:2 classid 1:10 htb rate 3Mbit ceil 5Mbit burst 15k prio 2
/sbin/tc qdisc add dev eth1 parent 1:10 handle 10 sfq perturb 10
/sbin/tc filter add dev eth1 parent 1:0 protocol ip prio 100 u32 match ip sport 80 0xffff match ip src 192.0.2.0/24 classid 1:10
# eth1-2:20.smtp
/sbin/tc class add dev eth1 parent 1:2 classid 1:20 htb rate 1.5Mbit ceil 5Mbit burst 15k prio 3
/sbin/tc qdisc add dev eth1 parent 1:20 handle 20 sfq perturb 10
/sbin/tc filter add dev eth1 parent 1:0 protocol ip prio 100 u32 match ip dport 25 0xffff classid 1:20
/sbin/tc filter add dev eth1 parent 1:0 protocol ip prio 100 u32 match ip sport 25 0xffff classid 1:20
# eth1-2:30.dfl
/sbin/tc class add dev eth1 parent 1:2 classid 1:30 htb rate 512Kbit ceil 5Mbit burst 15k prio 4
/sbin/tc qdisc add dev eth1 parent 1:30 handle 30 sfq perturb 10
