#!/usr/bin/env bash
# Packages the chart of a release, whose images are in a registry, and renders it for users without helm.
#
#   hack/release-chart.sh VERSION REPOSITORY DIRECTORY
#
# REPOSITORY is the repository of the images, such as registry.example.com/everynode. DIRECTORY then contains everynode-<version>.tgz,
# install.yaml and install-selfmanaged.yaml.
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

die() { echo "release-chart: $*" >&2; exit 1; }

(($# == 3)) || { echo "usage: hack/release-chart.sh VERSION REPOSITORY DIRECTORY" >&2; exit 2; }
version=$1 repository=$2 out=$3
[[ $repository == */everynode ]] || die "the chart asks for REGISTRY/everynode/everynode-controller and so on: $repository has to end in /everynode"

# A chart's version is a semantic version; a version that is not a release tag sorts before all that are.
chart_version=${version#v}
if [[ ! $chart_version =~ ^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?$ ]]; then
  chart_version=0.0.0-g${version//[^0-9A-Za-z-]/-}
fi

helm() { go tool -modfile=tools/helm/go.mod helm "$@"; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r deploy/chart/everynode "$work"
grep -q '^  registry: ""$' "$work/everynode/values.yaml" || die "values.yaml has no images.registry to set"
sed -i "s|^  registry: \"\"\$|  registry: ${repository%/everynode}|" "$work/everynode/values.yaml"
mkdir -p "$out"
helm package "$work/everynode" --version "$chart_version" --app-version "$version" --destination "$out" >/dev/null

# render FILE SOURCE
render() {
  helm template everynode "$out/everynode-$chart_version.tgz" --namespace everynode-system --include-crds \
    --set "namespace.create=true,certificates.source=$2" >"$out/$1"
}
render install.yaml cert-manager
render install-selfmanaged.yaml self-managed
