#!/usr/bin/env bash
# Lays out what a release tarball has and what make install installs: the binary, its manual pages and completions, the
# systemd unit, the Kubernetes example, the licence and the installer.
#   scripts/package.sh BINARY DIR [RUNS]    RUNS: the same version, for this machine; default BINARY
set -euo pipefail
binary=$1 dir=$2 runs=${3:-$1}
runs=$(realpath "$runs")
cd "$(dirname "$0")/.."
rm -rf "$dir"
mkdir -p "$dir/completions"
install -m 755 "$binary" "$dir/xrx"
install -m 755 scripts/install.sh "$dir/install.sh"
"$runs" man "$dir/man"
"$runs" completion bash >"$dir/completions/xrx.bash"
"$runs" completion zsh >"$dir/completions/_xrx"
"$runs" completion fish >"$dir/completions/xrx.fish"
"$runs" completion powershell >"$dir/completions/xrx.ps1"
cp -r packaging/systemd packaging/kubernetes "$dir"
cp LICENSE docs/INSTALL.md "$dir"
chmod -R u=rwX,go=rX "$dir" # whatever the umask
