# Sourced. Reads the go.mod of k8s.io/kubernetes at VERSION (v1.X.Y).

# kubernetes_gomod VERSION prints its path.
kubernetes_gomod() {
  local upstream
  upstream=$(go mod download -json "k8s.io/kubernetes@$1" | sed -n 's/^\t"GoMod": "\(.*\)",$/\1/p')
  [[ -s $upstream ]] || { echo "k8s.io/kubernetes@$1 cannot be downloaded: is the version published?" >&2; return 1; }
  echo "$upstream"
}

# kubernetes_modules VERSION prints the staging modules, which are in relative "replace" lines.
kubernetes_modules() {
  local upstream
  upstream=$(kubernetes_gomod "$1") || return
  awk '/=> \.\/staging\// { print $1 }' "$upstream"
}

# kubernetes_godebug VERSION prints its "godebug" line, which only applies in the main module.
kubernetes_godebug() {
  local upstream
  upstream=$(kubernetes_gomod "$1") || return
  awk '$1 == "godebug"' "$upstream"
}
