#!/usr/bin/env bash
# A QEMU guest whose network card does real AF_XDP zero-copy, to run xrx in. No hardware, no KVM, nothing installed but
# QEMU itself, and that only by root. The guest has two cards that are wired to each other: eth0 to receive on, eth1
# to send from.
#
#   scripts/zc-vm.sh [options] [PROGRAM [ARGS...]]
#
#   PROGRAM           what runs in the guest; its exit status is this command's:
#                       test   the tests of internal/zcvm (the default); ARGS like -test.v -test.run GRO
#                       xrx    the xrx command of this tree, like: xrx run eth0 --bind zerocopy --duration 5s
#                       PATH   a static Linux binary for x86-64 of your own
#   --gen 'ARGS'      run xrx gen eth1 ARGS beside it; the frames are for eth0
#   --nic KIND        virtio (default) or igb: zero-copy. e1000e, vmxnet3: cards without, to see what xrx makes of them
#   --queues N        receive queues of eth0 (1); with virtio more than one needs root, or user namespaces
#   --shell           a shell in the guest, with what programs this machine has to look around
#   --timeout SEC     end the guest after so long (500; a shell: never)
#   --keep-logs       keep the kernel's log and the initramfs, and say where
#   --cached          fetch and install nothing: exit code 77 where something is missing, and say what
#   --fetch           fetch what is missing, run nothing
#
# Kernel packages come from a Debian suite through this machine's own apt configuration (mirror, proxies), with lists
# and a cache of their own; signatures are checked, nothing is installed. They stay in
#   XRX_ZC_CACHE (~/.cache/xrx/zcvm)      remove it to fetch newer ones; XRX_ZC_SUITE (trixie-backports) is the suite
#
# Exit codes of its own: 2 asked wrongly, 77 not possible here (the reason is on standard error), 124 the guest did not
# end in time, 125 the guest did not come up.
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
cache=${XRX_ZC_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/xrx/zcvm}
suite=${XRX_ZC_SUITE:-trixie-backports}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
go=${GO:-go}
nic=virtio queues=1 gen='' shell=no limit=500 limited=no keep=no cached=no fetch=no
mac0=52:54:00:00:00:01 mac1=52:54:00:00:00:02

say() { echo "zc-vm: $*" >&2; }
die() { # exit code, reason
	say "$2"
	exit "$1"
}

parse() {
	while [ $# -gt 0 ]; do
		case $1 in
		--nic | --queues | --gen | --timeout) [ $# -ge 2 ] || die 2 "$1 wants a value" ;;
		esac
		case $1 in
		--nic) nic=$2 && shift 2 ;;
		--queues) queues=$2 && shift 2 ;;
		--gen) gen=$2 && shift 2 ;;
		--timeout) limit=$2 limited=yes && shift 2 ;;
		--shell) shell=yes && shift ;;
		--keep-logs) keep=yes && shift ;;
		--cached) cached=yes && shift ;;
		--fetch) fetch=yes && shift ;;
		-h | --help) sed -n '2,/^set /s/^# \{0,1\}//p' "$0" && exit 0 ;;
		--) shift && break ;;
		-*) die 2 "unknown option $1 (see: $0 --help)" ;;
		*) break ;;
		esac
	done
	case $nic in virtio | igb | e1000e | vmxnet3) ;; *) die 2 "--nic $nic: want virtio, igb, e1000e or vmxnet3" ;; esac
	case $queues in [1-8]) ;; *) die 2 "--queues $queues: want 1 to 8" ;; esac
	case $limit in '' | *[!0-9]*) die 2 "--timeout $limit: want seconds" ;; esac
	program=("$@")
	[ $# -gt 0 ] || program=(test)
}

# missing REASON: what can't be had without fetching or installing
missing() { [ "$cached" = no ] || die 77 "$1, and --cached fetches and installs nothing"; }

need() { # command, Debian package
	command -v "$1" >/dev/null || PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null || install_package "$1" "$2"
}

install_package() { # what for, package
	missing "$1 is missing (package $2)"
	command -v apt-get >/dev/null || die 77 "$1 is missing and there is no apt-get here: install $2 of your distribution"
	[ "$(id -u)" = 0 ] || die 77 "$1 is missing: sudo apt-get install $2"
	say "$1 is missing: installing $2"
	temperature=cold
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$2" >&2 ||
		die 77 "could not install $2: is this machine offline? Try: apt-get update, apt-get install $2"
}

# apt through the machine's configuration, but for sources, lists, cache and hooks, which are those of the folder $1
private_apt() { # folder, suite...
	local folder=$1 mirror s
	shift
	[ -e "$keyring" ] || install_package "the keyring of Debian's archive" debian-archive-keyring
	mkdir -p "$folder/lists/partial" "$folder/archives/partial"
	# shellcheck disable=SC2016 # apt-get expands it
	mirror=${XRX_DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Label: Debian' 2>/dev/null | sort -u | head -1)}
	[ -n "$mirror" ] || die 77 "apt knows no Debian mirror here (run apt-get update; on other distributions name one in XRX_DEBIAN_MIRROR)"
	for s; do
		echo "deb [arch=amd64 signed-by=$keyring] $mirror $s main"
	done >"$folder/sources"
	cat >"$folder/conf" <<-END
		#clear APT::Update::Pre-Invoke;
		#clear APT::Update::Post-Invoke;
		#clear APT::Update::Post-Invoke-Success;
		#clear APT::Default-Release;
		APT::Architecture "amd64";
		APT::Architectures "amd64";
		APT::Sandbox::User "$(id -un)";
		APT::Get::AllowUnauthenticated "false";
		Acquire::AllowInsecureRepositories "false";
		Acquire::Languages "none";
		Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
		Acquire::Retries "2";
		Dir::Etc::sourcelist "$folder/sources";
		Dir::Etc::sourceparts "/dev/null";
		Dir::State::lists "$folder/lists";
		Dir::State::status "/dev/null";
		Dir::Cache "$folder";
		Dir::Cache::archives "$folder/archives";
	END
	apt-get -qq -c "$folder/conf" update >&2 || die 77 "no list of packages from $mirror ($*): is this machine offline?"
}

unpack() { # folder of private_apt, where to, package...
	local folder=$1 to=$2 p
	shift 2
	for p; do
		(cd "$folder/archives" && apt-get -qq -c "$folder/conf" download "$p" >&2) || die 77 "could not fetch $p: is this machine offline, or the mirror in the middle of an update?"
		dpkg -x "$folder"/archives/*.deb "$to"
		rm -f "$folder"/archives/*.deb
	done
}

# kernel: $kernel becomes the folder with vmlinuz, the modules of the card, and the version
kernel() {
	local flavour=amd64 want=$nic tmp version p
	case $nic in virtio) flavour=cloud-amd64 want=virtio_net ;; esac
	kernel=$cache/$suite-$flavour
	if [ ! -e "$kernel/version" ]; then
		missing "no kernel in $kernel"
		for p in apt-get apt-cache dpkg; do
			command -v "$p" >/dev/null || die 77 "fetching a kernel needs $p: Debian or Ubuntu"
		done
		say "fetching the newest kernel of $suite ($flavour)"
		temperature=cold
		mkdir -p "$cache"
		tmp=$(mktemp -d "$cache/fetch.XXXXXX")
		leftovers+=("$tmp")
		private_apt "$tmp" "$suite"
		version=$(apt-cache -c "$tmp/conf" show "linux-image-$flavour" 2>/dev/null | sed -n 's/^Depends:.* linux-image-\([0-9][^ ,]*\).*/\1/p' | sort -V | tail -1)
		[ -n "$version" ] || die 77 "$suite has no linux-image-$flavour"
		for p in image binary modules; do # one package before Linux 7, three since
			if apt-cache -c "$tmp/conf" show "linux-$p-$version" >/dev/null 2>&1; then
				unpack "$tmp" "$tmp/root" "linux-$p-$version"
			fi
		done
		mkdir "$tmp/kernel"
		find "$tmp/root" -name 'vmlinuz*' -type f -exec mv {} "$tmp/kernel/vmlinuz" \;
		[ -e "$tmp/kernel/vmlinuz" ] || die 77 "the packages of linux-image-$version hold no kernel"
		# Of the modules only drivers and what they stand on are kept.
		mkdir "$tmp/kernel/modules"
		find "$tmp/root" -name '*.ko*' \( -path '*/drivers/net/*' -o -path '*/drivers/i2c/*' -o -path '*/drivers/dca/*' -o -path '*/net/core/*' -o -path '*/drivers/ptp/*' \) \
			-exec mv -t "$tmp/kernel/modules" {} +
		echo "$version" >"$tmp/kernel/version"
		mv -T "$tmp/kernel" "$kernel" 2>/dev/null || [ -e "$kernel/version" ] # somebody else was faster
		rm -rf "$tmp"
	fi
	[ -d "$kernel/nic-$nic" ] || ordered "$want"
}

# ordered NAME: the folder nic-$nic of the kernel gets a driver's module, those that it depends on in front, unpacked
ordered() {
	local to
	to=$(mktemp -d "$kernel/nic.XXXXXX")
	leftovers+=("$to")
	order=0
	add_module "$1" "$to"
	[ "$order" -gt 0 ] || die 77 "kernel $(cat "$kernel/version") has no module $1"
	chmod 755 "$to"
	mv -T "$to" "$kernel/nic-$nic" 2>/dev/null || [ -d "$kernel/nic-$nic" ]
}

add_module() { # name, folder
	local file plain name
	file=$(find "$kernel/modules" -name "${1//[-_]/[-_]}.ko*" | head -1)
	[ -n "$file" ] || return 0 # part of the kernel itself
	plain=$(mktemp "$2/new.XXXXXX")
	case $file in
	*.xz) xz -dc "$file" >"$plain" ;;
	*.zst) zstd -qdc "$file" >"$plain" ;;
	*) cat "$file" >"$plain" ;;
	esac
	while IFS= read -r name; do
		add_module "$name" "$2"
	done < <(tr '\0' '\n' <"$plain" | sed -n 's/^depends=//p' | tr ',' '\n' | sed '/^$/d')
	mv "$plain" "$2/$(printf '%02d' "$order")-$1.ko"
	order=$((order + 1))
}

# emulator: $qemu becomes the command; igb came with QEMU 8
emulator() {
	local major tmp found=$cache/qemu
	need qemu-system-x86_64 qemu-system-x86
	qemu=(qemu-system-x86_64)
	major=$(qemu-system-x86_64 --version | sed -n '1s/.*version \([0-9]*\).*/\1/p')
	if [ "$nic" != igb ] || [ "${major:-0}" -ge 8 ]; then
		return
	fi
	if [ ! -e "$found/ok" ]; then
		missing "--nic igb needs QEMU 8 or newer, this is ${major:-unknown}"
		say "QEMU $major has no igb: fetching a newer one (it is not installed)"
		temperature=cold
		mkdir -p "$cache"
		tmp=$(mktemp -d "$cache/fetch.XXXXXX")
		leftovers+=("$tmp")
		private_apt "$tmp" "$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)-backports"
		unpack "$tmp" "$tmp/root" qemu-system-x86 qemu-system-data seabios
		mkdir "$tmp/qemu"
		mv "$tmp/root/usr/bin/qemu-system-x86_64" "$tmp/root/usr/share/qemu" "$tmp/root/usr/share/seabios" "$tmp/qemu/"
		"$tmp/qemu/qemu-system-x86_64" --version >/dev/null || die 77 "the QEMU of backports does not run with this machine's libraries; install QEMU 8 or newer"
		touch "$tmp/qemu/ok"
		mv -T "$tmp/qemu" "$found" 2>/dev/null || [ -e "$found/ok" ]
		rm -rf "$tmp"
	fi
	qemu=("$found/qemu-system-x86_64" -L "$found/qemu" -L "$found/seabios")
}

# Everything in the guest is x86-64, whatever this machine is.
build() { (cd "$here" && GOOS=linux GOARCH=amd64 CGO_ENABLED=0 "$go" "$@"); }

# initramfs: $dir/initramfs from the guest's init, modules, xrx and the program
initramfs() {
	local entries m
	(cd "$here" && CGO_ENABLED=0 "$go" build -o "$dir/pack" ./internal/zcvm/pack)
	build build -trimpath -ldflags='-s -w' -o "$dir/init" ./internal/zcvm/guest
	build build -trimpath -ldflags='-s -w' -o "$dir/xrx" ./cmd/xrx
	entries=("init=$dir/init" "bin/xrx=$dir/xrx" run/args="$dir/args" run/env="$dir/env" proc= sys= dev= tmp= sys/fs/bpf=)
	if [ "$shell" = yes ]; then
		tools
		program=(/bin/bash --norc -i)
	fi
	case ${program[0]} in
	test)
		build test -c -trimpath -ldflags='-s -w' -o "$dir/test" ./internal/zcvm
		entries+=("bin/zcvm.test=$dir/test")
		program=(/bin/zcvm.test "-test.timeout=$((limit > 20 ? limit - 15 : limit))s" "${program[@]:1}")
		;;
	xrx) program[0]=/bin/xrx ;;
	/bin/bash) ;;
	*)
		[ -f "${program[0]}" ] || die 2 "${program[0]}: no such file (want test, xrx, or a binary)"
		entries+=("bin/program=${program[0]}")
		program[0]=/bin/program
		;;
	esac
	for m in "$kernel/nic-$nic"/*.ko; do
		entries+=("modules/${m##*/}=$m")
	done
	printf '%s\0' "${program[@]}" >"$dir/args"
	environment >"$dir/env"
	if [ -n "$gen" ]; then
		# shellcheck disable=SC2086 # its words
		printf '%s\0' /bin/xrx gen eth1 --dst-mac "$mac0" $gen >"$dir/gen"
		entries+=("run/gen=$dir/gen")
	fi
	"$dir/pack" "$dir/initramfs" "${entries[@]}"
}

# The program's environment: the interfaces, what may not be skipped, and every XRX_ variable of this command's own.
environment() {
	case $nic in
	virtio | igb) printf '%s\0' XRX_ZC_IFACE=eth0 XRX_REQUIRE=root,afxdp,zc ;;
	*) printf '%s\0' XRX_FALLBACK_IFACE=eth0 XRX_REQUIRE=root,afxdp ;;
	esac
	printf '%s\0' XRX_ZC_PEER=eth1 "XRX_ZC_NIC=$nic" "XRX_ZC_QUEUES=$queues" XRX_ZC_COMMAND=/bin/xrx
	[ "$shell" = no ] || printf '%s\0' XRX_ZC_SHELL=1 "PS1=guest# "
	env -0 | grep -z '^XRX_LONG=' || true
}

# tools adds this machine's own programs for looking around, with the libraries that they load.
tools() {
	local name file lib
	for name in bash cat cp dmesg ethtool find free grep head ip ip6tables kill less ls mkdir more mount perf ping ps rm sed sleep sort ss stat sysctl tail tc tcpdump timeout top uname wc bpftool strace; do
		file=$(PATH=$PATH:/usr/sbin:/sbin command -v "$name" || true)
		case $file in /*) ;; *) continue ;; esac
		entries+=("bin/$name=$(readlink -f "$file")")
		while IFS= read -r lib; do
			case " ${entries[*]} " in *" ${lib#/}="*) ;; *) entries+=("${lib#/}=$(readlink -f "$lib")") ;; esac
		done < <(ldd "$file" 2>/dev/null | grep -o '/[^ ]*')
	done
	case " ${entries[*]} " in *" bin/bash="*) ;; *) die 77 "no bash here to put into the guest" ;; esac
	[ "$(uname -m)" = x86_64 ] || die 77 "--shell takes this machine's own programs, and they are not for x86-64"
}

# boot runs the guest and leaves its exit status in $dir/status.
boot() {
	local devices net=() wrap=() processors=2 watcher code=0
	case $nic in
	virtio)
		# Zero-copy wants a device that does DMA as real ones do; the other one is there to send. With the usual 256
		# receive descriptors QEMU finds none free now and then, and then lets later frames overtake earlier ones.
		devices=(-device "virtio-net-pci,netdev=n0,iommu_platform=on,disable-legacy=on,rx_queue_size=1024,mac=$mac0" -device "virtio-net-pci,netdev=n1,mac=$mac1")
		[ "$queues" = 1 ] || devices[1]+=",mq=on,vectors=$((2 * queues + 2))"
		;;
	igb)
		devices=(-device 'pcie-root-port,id=p0,chassis=1,slot=1' -device 'pcie-root-port,id=p1,chassis=2,slot=2'
			-device "igb,bus=p0,netdev=n0,romfile=,mac=$mac0" -device "igb,bus=p1,netdev=n1,romfile=,mac=$mac1")
		;;
	*) devices=(-device "$nic,netdev=n0,mac=$mac0" -device "$nic,netdev=n1,mac=$mac1") ;;
	esac
	net=(-netdev 'hubport,id=n0,hubid=0' -netdev 'hubport,id=n1,hubid=0')
	if [ "$nic" = virtio ] && [ "$queues" -gt 1 ]; then # QEMU's own hub has one queue
		net=(-netdev "tap,id=n0,ifname=t0,queues=$queues,script=no,downscript=no" -netdev "tap,id=n1,ifname=t1,script=no,downscript=no")
		wrap=("${namespace[@]}" bash -c "$taps" bash)
	fi
	[ "$queues" -le 2 ] || processors=$queues
	[ "$shell" = no ] || [ "$limited" = yes ] || limit=1000000
	rm -f "$dir/status" "$dir/pid"
	watch &
	watcher=$!
	# shellcheck disable=SC2016 # bash -c expands it
	timeout --foreground -k 5 "$limit" "${wrap[@]}" bash -c 'echo $$ >"$0" && exec "$@"' "$dir/pid" "${qemu[@]}" -accel tcg,thread=multi -M q35 -cpu max -smp "$processors" -m 768 \
		-nodefaults -no-user-config -display none -monitor none -no-reboot \
		-chardev "stdio,id=c0,signal=$([ "$shell" = yes ] && echo off || echo on)" -serial chardev:c0 \
		-serial "file:$dir/kernel.log" -serial "file:$dir/status" \
		-kernel "$kernel/vmlinuz" -initrd "$dir/initramfs" -append 'console=ttyS1 loglevel=6 panic=-1 no_timer_check mitigations=off nokaslr cryptomgr.notests' \
		"${net[@]}" "${devices[@]}" 2>"$dir/qemu.log" || code=$?
	kill "$watcher" 2>/dev/null || true
	wait "$watcher" || true
	return "$code"
}

# watch ends a guest that stands still while booting. QEMU then ends well, as when the guest's kernel gives up.
watch() {
	local end=$((SECONDS + 120))
	while [ "$SECONDS" -lt "$end" ]; do
		sleep 1
		! grep -qs up "$dir/status" || return 0
	done
	kill "$(cat "$dir/pid")" || true
}

# In a network namespace of its own, which goes with QEMU: two taps on a bridge.
# shellcheck disable=SC2016 # bash -c expands them
taps='set -e
PATH=$PATH:/usr/sbin:/sbin
for which in default all; do # this machine says nothing on the wire
	{ echo 1 >/proc/sys/net/ipv6/conf/$which/disable_ipv6; } 2>/dev/null || true
done
ip link add br0 type bridge mcast_snooping 0
ip tuntap add t0 mode tap multi_queue
ip tuntap add t1 mode tap
for name in t0 t1; do
	ip link set "$name" master br0
	ip link set "$name" up txqueuelen 10000
done
ip link set br0 up
exec "$@"'

# separate: $namespace becomes the command that runs another one in a network namespace where it may have taps.
separate() {
	if [ "$nic" != virtio ] || [ "$queues" = 1 ]; then
		return
	fi
	need unshare util-linux
	need ip iproute2
	namespace=(unshare --net)
	[ "$(id -u)" = 0 ] || namespace=(unshare --user --map-root-user --net)
	"${namespace[@]}" bash -c "$taps" bash true ||
		die 77 "--queues $queues with virtio needs taps in a network namespace: root or user namespaces, and /dev/net/tun (modprobe tun); --nic igb has queues without them"
}

leftovers=() namespace=()
# shellcheck disable=SC2317 # by trap
finish() {
	local code=$?
	for f in "${leftovers[@]}"; do rm -rf "$f"; done
	exit "$code"
}

seconds() { printf '%d.%d' $(($1 / 1000000)) $(($1 % 1000000 / 100000)); }
now() { echo "${EPOCHREALTIME/[.,]/}"; }

main() {
	local began booted temperature=warm code try status
	parse "$@"
	began=$(now)
	trap finish EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	command -v "$go" >/dev/null || die 77 "no Go here: https://go.dev/dl"
	need xz xz-utils
	emulator
	separate
	kernel=
	kernel
	[ "$fetch" = no ] || exit 0
	dir=$(mktemp -d)
	if [ "$keep" = yes ]; then
		say "logs stay in $dir"
	else
		leftovers+=("$dir")
	fi
	initramfs
	booted=$(now)
	say "kernel $(cat "$kernel/version"), $nic, $queues queue$([ "$queues" = 1 ] || echo s), $("${qemu[@]}" --version | sed -n '1s/ (.*//p'); ready after $(seconds $((booted - began))) s"
	for try in 1 2; do
		code=0
		if [ "$shell" = yes ]; then
			boot || code=$?
		else
			boot </dev/null || code=$?
		fi
		# A kernel on a slow emulator now and then finds its timers wrong and gives up before there is a first process.
		if [ "$try" = 2 ] || [ "$code" != 0 ] || grep -qs up "$dir/status"; then
			break
		fi
		say "the guest's kernel gave up while booting: once more"
	done
	status=$(sed -n 's/^exit \([0-9]*\).*/\1/p' "$dir/status" 2>/dev/null || true)
	say "guest ran $(seconds $(($(now) - booted))) s, all in all $(seconds $(($(now) - began))) s ($temperature)"
	if [ -n "$status" ]; then
		exit "$status"
	fi
	say "the guest said no exit status; what QEMU said, and the end of the guest's kernel log:"
	cat "$dir/qemu.log" >&2
	tail -n 30 "$dir/kernel.log" >&2 2>/dev/null || true
	[ "$code" != 124 ] || die 124 "the guest did not end within $limit s"
	die 125 "the guest did not come up (QEMU: exit code $code)"
}

main "$@"
