#!/usr/bin/env bash
# Runs every test tier that this machine can run and says what it skipped and why. Called by `make test`.
#   GO    the go command              EXEC   go test's -exec argument ("-exec sudo" where the user is not root)
set -uo pipefail
cd "$(dirname "$0")/.." || exit
GO=${GO:-go}
log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT
failed=() skipped=()
export GOFLAGS="${GOFLAGS-} -pgo=off" # the command's profile would have every dependency compiled twice

# zc promises the zero-copy guest, the last tier; tests outside of it find it where XRX_ZC_IFACE names a real card.
promised=,${XRX_REQUIRE-},
if [ -z "${XRX_ZC_IFACE-}" ]; then
	XRX_REQUIRE=${promised//,zc,/,}
	XRX_REQUIRE=${XRX_REQUIRE#,}
	export XRX_REQUIRE=${XRX_REQUIRE%,}
fi

# tier NAME COMMAND...: runs one tier, shows its output, remembers whether it failed and what its tests skipped.
tier() {
	local name=$1 began=$SECONDS
	shift
	printf '\n== %s\n' "$name"
	if "$@" >"$log/out" 2>&1; then
		grep -E '^(ok|FAIL|---|panic|zc-vm: .* all in all)|coverage' "$log/out" | grep -vE '^--- (PASS|SKIP)'
		printf '== %s: passed in %d s\n' "$name" $((SECONDS - began))
	else
		cat "$log/out"
		failed+=("$name: $(sed -n 's/^ *--- FAIL: \([^ ]*\).*/\1/p; s/^FAIL[[:space:]]\{1,\}\([^[:space:]]*\).*/\1/p' "$log/out" | paste -sd' ')")
		printf '== %s: FAILED after %d s\n' "$name" $((SECONDS - began))
	fi
	# -v prints "=== RUN Test", then the reason that it gave, file:line: in front, and "--- SKIP: Test" later.
	while IFS= read -r line; do skipped+=("$name: $line"); done < <(awk '
		/^=== (RUN|CONT|NAME) / { test = $3 }
		/^ *[a-z0-9_]+_test\.go:[0-9]+: |^ *require\.go:[0-9]+: / { sub(/^ *[a-z0-9_]+\.go:[0-9]+: /, ""); reason[test] = $0 }
		/--- SKIP: / { sub(/^ *--- SKIP: /, ""); print $1 " (" reason[$1] ")" }' "$log/out" | grep -vE '\(needs (zc:|a card without|two receive queues)')
}

skip() { skipped+=("$1 ($2)"); }

# The tests that need root get it from EXEC; everything else ignores it. One package at a time: tests that hold the
# receiver to a second, or feed it at full rate, should not share the processors with each other.
# Compiling may be done for several packages at a time, so that comes first. Ten minutes, go's own limit for a package, is
# twice what the longest takes under the race detector on a machine that is not quick: too near.
gotest() { eval "$GO test $EXEC -p 1 -v -count=1 -timeout 30m $*"; }
race() { "$GO" build -race ./... && gotest -race -short ./...; }

pure=(./umem ./fillring ./gro ./stats ./match ./metrics ./own ./steer ./txring ./consume/... ./internal/backlog ./internal/capture ./internal/csum
	./internal/decode ./internal/fakekernel ./internal/frames ./internal/headers ./internal/ring ./internal/steering ./internal/tune)

tier 'vet' "$GO" vet ./...
tier 'unit and veth' gotest ./...
if [ "$(uname -m)" = x86_64 ] || [ "$(uname -m)" = aarch64 ]; then
	if command -v gcc >/dev/null; then
		tier 'race' race
	else
		skip 'race' 'the race detector needs cgo and gcc: apt-get install gcc'
	fi
fi
tier 'fuzz, seconds' bash scripts/fuzz.sh "${FUZZTIME:-5000x}"
tier 'arm64 builds' env GOARCH=arm64 "$GO" vet ./...
if command -v qemu-aarch64-static >/dev/null; then
	tier 'arm64 pure tests' env -u XRX_REQUIRE GOARCH=arm64 CGO_ENABLED=0 "$GO" test -short -v -count=1 -exec qemu-aarch64-static "${pure[@]}"
else
	skip 'arm64 pure tests' 'no qemu-aarch64-static: apt-get install qemu-user-static'
fi
if command -v clang-14 >/dev/null && [ -e /usr/include/bpf/bpf_helpers.h ]; then
	tier 'BPF objects are what their sources say' bash scripts/generated.sh
else
	skip 'BPF objects are what their sources say' 'needs clang 14 and libbpf headers: apt-get install clang-14 llvm libbpf-dev'
fi

if why=$(timeout 300 "$GO" -C packaging/manifest list -test -deps . 2>&1); then # downloads what the test is built of
	tier 'Kubernetes manifest' "$GO" -C packaging/manifest test -v -count=1 .
else
	skip 'Kubernetes manifest' "the types of the Kubernetes API can't be downloaded: ${why##*$'\n'}"
fi

# The tests of internal/zcvm, which need a card with zero-copy, run in a guest that has one: always where it is promised,
# else where that takes no download.
guest() { # name, arguments of zc-vm.sh...
	local name=$1 why
	shift
	if why=$(GO=$GO timeout 600 bash scripts/zc-vm.sh ${without_downloads:+"$without_downloads"} --fetch "$@" 2>&1); then
		tier "$name" env "GO=$GO" timeout 600 bash scripts/zc-vm.sh --cached "$@"
	elif { [ $? = 77 ] && [[ $name == *'two queues' ]]; } || [ -n "$without_downloads" ]; then # no taps: no two queues
		skip "$name" "${why##*zc-vm: }: make test-zc"
	else
		printf '%s\n' "$why"
		failed+=("$name")
	fi
}
case $promised in *,zc,*) without_downloads='' ;; *) without_downloads=--cached ;; esac
guest 'zero-copy guest' test -test.v
guest 'zero-copy guest, two queues' --queues 2 test -test.v -test.run Queues
skip 'zero-copy guest, other cards' "make test-zc ZC='--nic igb', and e1000e or vmxnet3, which have no zero-copy"

# Lines "tier: Test (reason)": what one tier skipped for one reason is told together, subtests by their number.
together() {
	awk '
		match($0, /: Test[^ ]* \(/) {
			test = substr($0, RSTART + 2, RLENGTH - 4)
			why = substr($0, 1, RSTART + 1) substr($0, RSTART + RLENGTH, length($0) - RSTART - RLENGTH)
			part = sub(/\/.*/, "", test)
			if (!(why in tests)) told[++n] = why
			if (!((why, test) in parts)) tests[why] = tests[why] " " test
			parts[why, test] += part
			next
		}
		{ told[++n] = $0 }
		END {
			for (i = 1; i <= n; i++) {
				print "  " told[i]
				m = split(tests[told[i]], names, " ")
				line = ""
				for (j = 1; j <= m; j++) {
					p = parts[told[i], names[j]]
					name = names[j] (p ? " (" p (p > 1 ? " parts)" : " part)") : "") (j < m ? "," : "")
					if (line != "" && length(line name) > 110) { print "     " line; line = "" }
					line = line " " name
				}
				if (line != "") print "     " line
			}
		}'
}

printf '\n'
if [ ${#skipped[@]} -gt 0 ]; then
	echo 'Skipped:'
	printf '%s\n' "${skipped[@]}" | together
else
	echo 'Nothing was skipped.'
fi
if [ ${#failed[@]} -gt 0 ]; then
	printf 'FAILED: %s\n' "${failed[@]}"
	exit 1
fi
echo 'All tiers passed.'
