#!/bin/sh
# devs: eth0 eth1
# What old scripts are full of: things done twice, parents that are not there, words that were never right.
tc qdisc del dev eth0 root
tc qdisc add dev eth0 root handle 1: htb default 10
tc qdisc add dev eth0 root handle 1: htb default 10
tc class add dev eth0 parent 1:1 classid 1:10 htb rate 1mbit
tc class add dev eth0 parent 1: classid 1:1 htb rate 2mbit
tc class add dev eth0 parent 1:1 classid 1:1 htb rate 2mbit
tc class add dev eth0 parent 1:1 classid 1:20 htb rate 1mbit ceil 2mbit
tc class add dev eth0 parent 2:1 classid 2:20 htb rate 1mbit ceil 2mbit
tc class add dev eth0 parent 1:1 classid 1:30 htb
tc class add dev eth0 parent 1:1 classid 1:40 htb rate fast
tc qdisc add dev eth0 parent 1:99 handle 99: sfq
tc qdisc add dev eth0 parent 1:20 handle 20: sfq perturb 10
tc qdisc add dev eth0 parent 1:20 handle 21: sfq perturb 10
tc qdisc add dev eth0 parent 20:1 handle 22: pfifo
tc filter add dev eth0 parent 1: protocol ip prio 1 u32 match ip dport 80 0xffff flowid 1:20
tc filter add dev eth0 parent 1: protocol ipv6 prio 1 u32 match ip6 dport 80 0xffff flowid 1:20
tc filter add dev eth0 parent 1: protocol ip prio 1 handle 3 fw flowid 1:20
tc filter add dev eth0 parent 9: protocol ip prio 1 u32 match ip dport 80 0xffff flowid 1:20
tc filter del dev eth0 parent 1: protocol ip prio 7
tc class del dev eth0 classid 1:20
tc class del dev eth0 classid 1:1
tc qdisc add dev eth1 root sfq
tc qdisc add dev eth1 root pfifo limit 40
tc qdisc add dev eth1 root pfifo limit 50
tc qdisc change dev eth1 root pfifo limit 60
true
