#!/usr/bin/env bash
# Builds a release into DIR (default dist): for amd64 and arm64 a static binary, a tarball with all that belongs to it and
# an SBOM of what is inside the binary; SHA256SUMS of them all. The same commit gives the same bytes.
#   scripts/release.sh VERSION [DIR]
set -euo pipefail
version=${1:?which version, like v1.2.3}
[[ $version =~ ^v[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]+)?$ ]] || {
	echo "release.sh: $version: want a version like v1.2.3 or v1.2.3-rc.1" >&2
	exit 2
}
dir=$(realpath -m "${2:-$(dirname "$0")/../dist}")
cd "$(dirname "$0")/.."
GO=${GO:-go}
# All times are the commit's: reproducible-builds.org/specs/source-date-epoch. Outside a repository, say it.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH CGO_ENABLED=0 GOOS=linux GOFLAGS="-trimpath -buildvcs=false -mod=readonly" GOAMD64=v1 GOARM64=v8.0 TZ=UTC LC_ALL=C
commit=$(git rev-parse HEAD 2>/dev/null || echo unknown)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -rf "$dir"
mkdir -p "$dir"
flags="-s -w -buildid= -X main.version=$version -X main.commit=$commit"
runs=$work/xrx # for this machine: it writes the manual pages
env -u GOOS "$GO" build -ldflags "$flags" -o "$runs" ./cmd/xrx
sbom=$work/cyclonedx-gomod
env -u GOOS GOFLAGS=-trimpath "$GO" -C packaging/tools build -o "$sbom" github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod

for arch in amd64 arm64; do
	name=xrx_${version}_linux_$arch
	GOARCH=$arch "$GO" build -ldflags "$flags" -o "$work/$arch/xrx" ./cmd/xrx
	bash scripts/package.sh "$work/$arch/xrx" "$work/$name" "$runs"
	tar -C "$work" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --format=ustar -cf - "$name" | gzip -9n >"$dir/$name.tar.gz"
	"$sbom" bin -json -std -noserial -notimestamp -version "$version" -output "$dir/$name.cdx.json" "$work/$arch/xrx"
done
(cd "$dir" && sha256sum ./*.tar.gz ./*.cdx.json | sed 's|\./||' >SHA256SUMS)
cat "$dir/SHA256SUMS"
