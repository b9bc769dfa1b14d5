#!/usr/bin/env bash
# Builds Kubernetes' own end-to-end suite (tools/conformance) from the module graph of tools/go.mod into
# bin/conformance-<version>/, and prints that folder. With the argument "image" the image that the suite's pods run is
# packed as well, as agnhost.tar. Existing files are not built again.
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CGO_ENABLED=0 GOFLAGS=-trimpath

version=$(awk '$1 == "k8s.io/kubernetes" && $2 ~ /^v/ { print $2; exit }' tools/go.mod)
out=$PWD/bin/conformance-$version
mkdir -p "$out"

# The packages are mostly those of the lab's components: build these first.
build_suite() {
  [[ $out/suite -nt tools/conformance/suite_test.go ]] && return
  echo "build-conformance: the suite (the first build takes minutes)" >&2
  go -C tools test -c -vet=off -ldflags '-s -w' -o "$out/.suite.partial" ./conformance
  mv "$out/.suite.partial" "$out/suite"
}

# static_busybox prints the path of a static busybox: BUSYBOX, the one on the PATH, or Debian's package, which is installed as root.
static_busybox() {
  local busybox
  busybox=$(command -v "${BUSYBOX:-busybox}") || true
  if is_static "$busybox"; then echo "$busybox"; return; fi
  if [[ -z ${BUSYBOX:-} && $EUID == 0 ]] && command -v apt-get >/dev/null; then
    echo "build-conformance: installing busybox-static" >&2
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends busybox-static; } >&2
    busybox=$(command -v busybox) || true
    if is_static "$busybox"; then echo "$busybox"; return; fi
  fi
  echo "build-conformance: needs a static busybox: as root, apt-get install busybox-static; or set BUSYBOX to its path" >&2
  return 1
}

is_static() { [[ -n $1 ]] && ! ldd "$1" >/dev/null 2>&1; }

# The suite names its image by registry and tag; the same program serves every tag. The image also contains the
# commands that the cases call: a shell and a few others, from a static busybox.
pack_agnhost() {
  [[ -s $out/agnhost.tar ]] && return
  local busybox root tool tags
  busybox=$(static_busybox)
  echo "build-conformance: agnhost" >&2
  go -C tools build -ldflags '-s -w' -o "$out/agnhost" k8s.io/kubernetes/test/images/agnhost
  go -C tools/images build -o ../../bin/images .
  root=$(mktemp -d)
  mkdir -p "$root/bin" "$root/var/tmp"
  cp "$busybox" "$root/bin/busybox"
  for tool in sh cat sleep touch; do ln -s busybox "$root/bin/$tool"; done
  tags=$("$out/suite" --list-images | grep /agnhost: | sort | paste -s -d ,)
  bin/images -files "$root" -user 0 -arg pause "$out/agnhost" "$tags" "$out/.agnhost.partial"
  rm -r "$root"
  mv "$out/.agnhost.partial" "$out/agnhost.tar"
}

build_suite
if [[ ${1:-} == image ]]; then pack_agnhost; fi
echo "$out"
