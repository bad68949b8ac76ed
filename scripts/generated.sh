#!/usr/bin/env bash
# Compiles the BPF sources again and fails if the committed objects or their Go files differ.
set -euo pipefail
cd "$(dirname "$0")/.."
mapfile -t files < <(git ls-files '*_bpfel.o' '*_bpfel.go' '*_bpfeb.o' '*_bpfeb.go')
before=$(sha256sum "${files[@]}")
"${GO:-go}" generate ./bpf ./internal/...
after=$(sha256sum "${files[@]}")
if [ "$before" != "$after" ]; then
	diff <(echo "$before") <(echo "$after") || true
	echo 'the committed BPF objects are not what their sources compile to: run make generate with clang 14 and commit'
	exit 1
fi
echo 'ok  BPF objects are up to date'
