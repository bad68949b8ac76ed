#!/bin/bash
# forward.sh [XRX]: xrx forward beside the kernel's bridge and router, over veth pairs in namespaces of its own:
#
#   A: a0 <--> m0 :M: m1 <--> c0 :C
#
# What is counted is what arrives at c0, and processor time of the whole machine from /proc/stat. Needs root, iproute2, iperf3.
set -eu
xrx=${1:-bin/xrx} secs=${SECS:-3} id=xrxfwd$RANDOM
A=$id-a M=$id-m C=$id-c
cleanup() { for n in $A $M $C; do ip netns pids $n 2>/dev/null | xargs -r kill 2>/dev/null || :; ip netns del $n 2>/dev/null || :; done; }
trap cleanup EXIT
for n in $A $M $C; do ip netns add $n; ip -n $n link set lo up; done
ip -n $M link add m0 type veth peer name a0 netns $A
ip -n $M link add m1 type veth peer name c0 netns $C
for l in "$A a0" "$M m0" "$M m1" "$C c0"; do set -- $l
  ip netns exec $1 sysctl -qw net.ipv6.conf.$2.disable_ipv6=1; ip -n $1 link set $2 up; done
ip -n $A addr add 10.77.0.1/24 dev a0; ip -n $C addr add 10.77.0.2/24 dev c0
ip -n $C link set c0 address 02:00:00:00:00:0c
mac() { ip netns exec $1 cat /sys/class/net/$2/address; }
ip -n $A neigh add 10.77.0.2 lladdr $(mac $C c0) dev a0; ip -n $C neigh add 10.77.0.1 lladdr $(mac $A a0) dev c0
rx() { ip -n $C -j -s link show c0 | sed 's/.*"rx":{"bytes":\([0-9]*\),"packets":\([0-9]*\).*/\2/'; }
busy() { awk '/^cpu /{print $2+$3+$4+$6+$7+$8+$9}' /proc/stat; } # in 1/100 s
round() { # NAME SIZE DSTMAC DST
  local r0 b0 r1 b1
  ip netns exec $A "$xrx" gen a0 --engine packet --size $2 --flows 64 --dst $4 --dst-mac $3 --duration $((secs + 2))s --cpu 0 >/dev/null 2>&1 & local g=$!
  sleep 1; r0=$(rx); b0=$(busy); sleep $secs; r1=$(rx); b1=$(busy); wait $g
  awk -v n=$((r1 - r0)) -v b=$((b1 - b0)) -v s=$secs -v name="$1" -v size=$2 'BEGIN{printf "%-30s %5d B  %8.0f pps  %6.0f ns of processor a packet\n", name, size, n/s, b*1e7/(n?n:1)}'
}
tcp() {
  ip netns exec $C iperf3 -s -1 >/dev/null 2>&1 & local s=$!
  sleep 0.3; printf '%-30s TCP      %s Gbit/s\n' "$1" "$(ip netns exec $A iperf3 -c $2 -t $secs -J | grep -A20 sum_received | sed -n 's/.*bits_per_second":[[:space:]]*\([0-9]*\).*/\1/p' | awk '{printf "%.2f", $1/1e9}')"; wait $s || :
}
for opt in "--gro off" "--gro on"; do
  ip netns exec $M "$xrx" forward m0 m1 --cpu 1,1 --interval 0 $opt >/tmp/$id.log 2>&1 & f=$!
  until grep -q 'from m1 to m0' /tmp/$id.log; do sleep 0.05; done; sleep 0.3
  for size in 64 1514; do round "xrx forward $opt" $size $(mac $C c0) 10.77.0.2; done
  tcp "xrx forward $opt" 10.77.0.2
  kill -INT $f; wait $f || :; [ -n "${VERBOSE:-}" ] && cat /tmp/$id.log; rm -f /tmp/$id.log
done
ip -n $M link add br0 type bridge; ip -n $M link set m0 master br0; ip -n $M link set m1 master br0; ip -n $M link set br0 up
sleep 0.5
for size in 64 1514; do round "bridge" $size $(mac $C c0) 10.77.0.2; done
tcp "bridge" 10.77.0.2
ip -n $M link del br0
ip -n $M addr add 10.77.0.3/24 dev m0; ip -n $M addr add 10.78.0.1/24 dev m1; ip netns exec $M sysctl -qw net.ipv4.ip_forward=1
ip -n $A route add 10.78.0.0/24 via 10.77.0.3; ip -n $A neigh add 10.77.0.3 lladdr $(mac $M m0) dev a0
ip -n $C addr flush dev c0; ip -n $C addr add 10.78.0.2/24 dev c0; ip -n $C route add default via 10.78.0.1
ip -n $M neigh add 10.78.0.2 lladdr $(mac $C c0) dev m1; ip -n $M neigh replace 10.77.0.1 lladdr $(mac $A a0) dev m0
for size in 64 1514; do round "ip forward" $size $(mac $M m0) 10.78.0.2; done
tcp "ip forward" 10.78.0.2
