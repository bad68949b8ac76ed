#!/usr/bin/env bash
# fuzz.sh TIME: runs every fuzz target of the module for TIME (60s, or 5000x inputs) each and says how many executions that were.
set -euo pipefail
cd "$(dirname "$0")/.."
GO=${GO:-go} time=${1:-60s}
found=0
while IFS=: read -r file line; do
	name=$(sed -E 's/^func (Fuzz[A-Za-z0-9_]+).*/\1/' <<<"$line")
	dir=./$(dirname "$file")
	found=$((found + 1))
	# Shrinking an interesting input has no bound by default and would eat the whole time.
	out=$("$GO" test "$dir" -run '^$' -fuzz "^$name\$" -fuzztime "$time" -fuzzminimizetime 10x 2>&1) || {
		# When the time is over in the middle of an input, go test now and then calls that a failure; a real one names
		# the input that it wrote.
		if grep -q 'Failing input' <<<"$out" || ! grep -q 'context deadline exceeded' <<<"$out"; then
			echo "$out"
			exit 1
		fi
	}
	printf 'ok  %s %s: %s\n' "$dir" "$name" "$(grep -oE 'execs: [0-9]+' <<<"$out" | tail -1)"
done < <(git ls-files '*_test.go' | xargs grep -E '^func Fuzz' /dev/null)
[ "$found" -gt 0 ] || { echo 'no fuzz targets found'; exit 1; }
