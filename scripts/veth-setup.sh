#!/bin/sh
# Two network namespaces with a veth pair between them, to try xrx on by hand.
#
#   scripts/veth-setup.sh up|down|status [options]
#     --ns-a NAME   sending namespace (xrx-a)      --ns-b NAME   receiving namespace (xrx-b)
#     --if-a NAME   its interface (a0)             --if-b NAME   its interface (b0)
#     --queues N    rx and tx queues of each end (1)
#     --mtu N       of both ends (1500)
#     --peer-xdp    a passing XDP program on the sending end, which then takes
#                   frames that a program redirects out of the receiving end
#
# Then:  ip netns exec xrx-b xrx run b0        ip netns exec xrx-a xrx gen a0
#
# The pair is silent (no ARP, neighbour discovery or router solicitation; static
# neighbours instead), and fills checksums in as a wire would (tx offloads off).
# up and down may be repeated: up brings what is there to the wanted state, down
# removes what is left. Exit code of status: 0 all is as up leaves it, 1 not.
# Needs root, iproute2 and ethtool. Exit code 2: asked wrongly.
set -eu

ns_a=xrx-a ns_b=xrx-b if_a=a0 if_b=b0 queues=1 mtu=1500 peer_xdp=no
mac_a=02:00:00:00:00:0a mac_b=02:00:00:00:00:0b
ip4_a=10.11.0.1 ip4_b=10.11.0.2 ip6_a=fd00:11::1 ip6_b=fd00:11::2
pass_object=$(dirname "$0")/../bpf/xrxpass_bpfel.o

die() { echo "veth-setup: $1" >&2; exit "${2:-1}"; }

need() { # command, Debian package
	command -v "$1" >/dev/null 2>&1 || PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null 2>&1 ||
		die "$1 is missing: apt-get install $2 (or your distribution's $2 package)"
}

# in_range N LEAST MOST
in_range() {
	case $1 in '' | *[!0-9]* | ??????*) return 1 ;; esac
	[ "$1" -ge "$2" ] && [ "$1" -le "$3" ]
}

parse() {
	while [ $# -gt 0 ]; do
		case $1 in
		--peer-xdp) peer_xdp=yes; shift; continue ;;
		--ns-a | --ns-b | --if-a | --if-b | --queues | --mtu) [ $# -ge 2 ] || die "$1 wants a value" 2 ;;
		*) die "unknown option $1 (see the head of $0)" 2 ;;
		esac
		case $1 in
		--ns-a) ns_a=$2 ;;
		--ns-b) ns_b=$2 ;;
		--if-a) if_a=$2 ;;
		--if-b) if_b=$2 ;;
		--queues) queues=$2 ;;
		--mtu) mtu=$2 ;;
		esac
		shift 2
	done
	in_range "$queues" 1 64 || die "--queues $queues: want 1 to 64" 2
	in_range "$mtu" 1280 65535 || die "--mtu $mtu: want 1280 to 65535" 2
	for name in "$ns_a" "$ns_b" "$if_a" "$if_b"; do
		case $name in '' | -* | . | .. | lo | */* | *[!A-Za-z0-9._-]*) die "name '$name': want letters, digits, dots and dashes" 2 ;; esac
	done
	for name in "$if_a" "$if_b"; do
		[ ${#name} -le 15 ] || die "interface name $name: at most 15 letters" 2
	done
	[ "$ns_a" != "$ns_b" ] || die "the two namespaces want different names" 2
}

has_ns() { ip netns list | grep -q "^$1\( \|\$\)"; }
has_if() { ip -n "$1" link show dev "$2" >/dev/null 2>&1; }

# setting NS NAME VALUE: writes /proc/sys/net/NAME in a namespace.
# shellcheck disable=SC2016 # the inner shell expands them
setting() { ip netns exec "$1" sh -c 'echo "$2" >"/proc/sys/net/$1"' sh "$2" "$3"; }

# queues_of NS IF: "tx rx"
queues_of() { ip -n "$1" -d link show dev "$2" | sed -n 's/.*numtxqueues \([0-9]*\).*numrxqueues \([0-9]*\).*/\1 \2/p'; }

configure() { # ns if mac ip4 ip6 peer-mac peer-ip4 peer-ip6
	ip -n "$1" link set dev "$2" mtu "$mtu" address "$3" arp off
	if [ -d /proc/sys/net/ipv6 ]; then
		setting "$1" "ipv6/conf/$2/addr_gen_mode" 1
		for name in accept_dad accept_ra router_solicitations; do
			setting "$1" "ipv6/conf/$2/$name" 0
		done
		ip -n "$1" address replace "$5/64" dev "$2" nodad
	fi
	ip -n "$1" address replace "$4/24" dev "$2"
	ip netns exec "$1" ethtool -K "$2" tx off tso off gso off >/dev/null 2>&1 ||
		die "ethtool could not switch the transmit offloads of $2 off"
	ip -n "$1" link set dev "$2" up
	ip -n "$1" neighbour replace "$7" lladdr "$6" nud permanent dev "$2"
	[ ! -d /proc/sys/net/ipv6 ] || ip -n "$1" neighbour replace "$8" lladdr "$6" nud permanent dev "$2"
}

is_up() { ip -n "$1" link show dev "$2" 2>/dev/null | grep -q 'state UP'; }

is_ready() { # ns if ip6
	is_up "$1" "$2" || return 1
	[ ! -d /proc/sys/net/ipv6 ] || ip -n "$1" -6 route show table local | grep -q "^local $3 "
}

wait_ready() { # the kernel notices the carrier, and makes IPv6 addresses its own, some time later: until then frames are lost
	tries=0
	until is_ready "$ns_a" "$if_a" "$ip6_a" && is_ready "$ns_b" "$if_b" "$ip6_b"; do
		tries=$((tries + 1))
		[ "$tries" -lt 60 ] || die "the pair is not ready after 3 s"
		sleep 0.05
	done
}

# made lists the namespaces that this run created, to be removed if it fails.
made=
undo() {
	code=$?
	if [ "$code" -ne 0 ]; then
		for ns in $made; do ip netns delete "$ns" || true; done
	fi
	exit "$code"
}

up() {
	if [ "$peer_xdp" = yes ] && [ ! -f "$pass_object" ]; then
		die "--peer-xdp: no $pass_object (make generate)"
	fi
	trap undo EXIT
	for ns in "$ns_a" "$ns_b"; do
		if ! has_ns "$ns"; then
			ip netns add "$ns"
			made="$made $ns"
		fi
	done
	if has_if "$ns_a" "$if_a" && has_if "$ns_b" "$if_b"; then
		[ "$(queues_of "$ns_a" "$if_a"), $(queues_of "$ns_b" "$if_b")" = "$queues $queues, $queues $queues" ] ||
			die "$if_a and $if_b are there with other numbers of queues: run down first"
	else
		ip -n "$ns_a" link add name "$if_a" numtxqueues "$queues" numrxqueues "$queues" type veth \
			peer name "$if_b" netns "$ns_b" numtxqueues "$queues" numrxqueues "$queues"
	fi
	configure "$ns_a" "$if_a" "$mac_a" "$ip4_a" "$ip6_a" "$mac_b" "$ip4_b" "$ip6_b"
	configure "$ns_b" "$if_b" "$mac_b" "$ip4_b" "$ip6_b" "$mac_a" "$ip4_a" "$ip6_a"
	wait_ready
	program
}

# peer_program: the name of the XDP program on the sending end, if any
peer_program() { ip -n "$ns_a" -d link show dev "$if_a" | sed -n 's/.*prog\/xdp.* name \([^ ]*\).*/\1/p'; }

program() { # brings the sending end's program to the wanted state; somebody else's is left alone
	case $peer_xdp,$(peer_program) in
	yes,xrx_pass | no,) ;;
	no,xrx_pass) ip -n "$ns_a" link set dev "$if_a" xdpdrv off ;;
	yes,)
		ip -n "$ns_a" link set dev "$if_a" xdpdrv object "$pass_object" section xdp.frags ||
			die "iproute2 could not load $pass_object (it needs libbpf: ip -V says whether it has it)"
		;;
	yes,*) die "$if_a has an XDP program of its own, $(peer_program): --peer-xdp would evict it" ;;
	esac
}

# A namespace that holds more than the pair is not ours alone to delete.
others() { ip -n "$1" -o link show | sed 's/^[0-9]*: //; s/[@:].*//' | grep -vxF -e lo -e "$if_a" -e "$if_b" | tr '\n' ' '; }

down() {
	for ns in "$ns_a" "$ns_b"; do
		if has_ns "$ns"; then
			found=$(others "$ns")
			[ -z "$found" ] || die "namespace $ns also holds $found: not deleted"
		fi
	done
	for ns in "$ns_a" "$ns_b"; do
		! has_ns "$ns" || ip netns delete "$ns"
	done
}

problem() { echo "  not right: $1"; result=1; }

status_end() { # ns if ip4 peer-mac peer-ip4
	if ! has_ns "$1"; then echo "$1: no such namespace"; result=1; return; fi
	if ! has_if "$1" "$2"; then echo "$1: no interface $2"; result=1; return; fi
	echo "$1: $2"
	ip -n "$1" -d link show dev "$2" | sed 's/^[0-9]*: /  /'
	ip -n "$1" -o address show dev "$2" | sed 's/^[0-9]*: [^ ]* */  address /; s/\\.*//'
	ip -n "$1" neighbour show dev "$2" | sed 's/^/  neighbour /'
	offloads=$(ip netns exec "$1" ethtool -k "$2" | grep -E '^(tx-checksumming|tcp-segmentation-offload|generic-segmentation-offload):' | tr '\n' ' ')
	echo "  $offloads"
	is_up "$1" "$2" || problem "$2 is not up"
	[ "$(queues_of "$1" "$2")" = "$queues $queues" ] || problem "queues are $(queues_of "$1" "$2"), not $queues $queues"
	ip -n "$1" link show dev "$2" | grep -q "mtu $mtu " || problem "the MTU is not $mtu"
	ip -n "$1" -o address show dev "$2" | grep -q " $3/" || problem "$3 is missing"
	ip -n "$1" neighbour show dev "$2" | grep -q "^$5 lladdr $4 PERMANENT" || problem "neighbour $5 is missing"
	case $offloads in *": on "*) problem "transmit offloads are on" ;; esac
}

status() {
	result=0
	status_end "$ns_a" "$if_a" "$ip4_a" "$mac_b" "$ip4_b"
	if [ "$peer_xdp" = yes ] && has_ns "$ns_a" && has_if "$ns_a" "$if_a"; then
		[ -n "$(peer_program)" ] || problem "$if_a has no XDP program"
	fi
	status_end "$ns_b" "$if_b" "$ip4_b" "$mac_a" "$ip4_a"
	return "$result"
}

[ $# -gt 0 ] || die "want up, down or status (see the head of $0)" 2
command=$1
shift
case $command in up | down | status) ;; *) die "unknown command $command: want up, down or status" 2 ;; esac
parse "$@"
PATH=$PATH:/usr/sbin:/sbin
need ip iproute2
need ethtool ethtool
[ "$(id -u)" -eq 0 ] || die "needs root: sudo $0 $command"
"$command"
