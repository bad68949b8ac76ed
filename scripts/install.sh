#!/bin/sh
# Installs xrx from the folder that this script is in, or with --uninstall removes what it installs.
#   PREFIX=/usr/local DESTDIR= ./install.sh [--uninstall]
# It starts no service and touches no configuration: /etc/xrx is yours.
set -eu
from=$(dirname "$0")
prefix=${PREFIX:-/usr/local}
to=${DESTDIR-}$prefix
case ${1-} in '' | --uninstall) ;; *)
	echo "install.sh: unknown argument $1: want --uninstall or nothing" >&2
	exit 2
	;;
esac
case $prefix in /*) ;; *)
	echo "install.sh: PREFIX=$prefix: want a full path, like /usr/local" >&2
	exit 2
	;;
esac
# systemd looks in /usr/lib, /usr/local/lib and /etc: elsewhere, link the unit (systemctl link).
bash=$to/share/bash-completion/completions/xrx zsh=$to/share/zsh/site-functions/_xrx fish=$to/share/fish/vendor_completions.d/xrx.fish
unit=$to/lib/systemd/system/xrx@.service licence=$to/share/doc/xrx/LICENSE manual=$to/share/doc/xrx/INSTALL.md example=$to/share/doc/xrx/kubernetes.yaml

if [ "${1-}" = --uninstall ]; then
	rm -f "$to/bin/xrx" "$bash" "$zsh" "$fish" "$unit" "$licence" "$manual" "$example" "$to/share/man/man1/xrx.1" "$to"/share/man/man1/xrx-*.1
	rmdir "$to/share/doc/xrx" 2>/dev/null || true
	exit
fi
put() { # mode, file, where to
	mkdir -p "$(dirname "$3")"
	install -m "$1" "$2" "$3"
}
[ -x "$from/xrx" ] || {
	echo "install.sh: no xrx in $from: run it from an unpacked release, or make package" >&2
	exit 1
}
put 755 "$from/xrx" "$to/bin/xrx"
for page in "$from"/man/*.1; do put 644 "$page" "$to/share/man/man1/${page##*/}"; done
put 644 "$from/completions/xrx.bash" "$bash"
put 644 "$from/completions/_xrx" "$zsh"
put 644 "$from/completions/xrx.fish" "$fish"
put 644 "$from/LICENSE" "$licence"
put 644 "$from/INSTALL.md" "$manual"
put 644 "$from/kubernetes/xrx.yaml" "$example"
put 644 "$from/systemd/xrx@.service" "$unit"
sed "s|^ExecStart=/usr/local/bin/xrx |ExecStart=$prefix/bin/xrx |" "$from/systemd/xrx@.service" >"$unit"
