#!/bin/bash
# devs: veth0 veth1
# A link to test with: a satellite's delay, and bursts that a slow modem would cut.
set -eu
delay=300ms
loss=0.5%

for dev in veth0 veth1; do
    tc qdisc replace dev "$dev" root handle 1: tbf rate 2mbit burst 16kb latency 400ms
    tc qdisc add dev "$dev" parent 1:1 handle 10: netem delay "$delay" 20ms loss "$loss" limit 2000
done
# the way back is worse
tc qdisc change dev veth1 parent 1:1 handle 10: netem delay 350ms 50ms 25% loss 2% duplicate 0.1% reorder 5% 50%
