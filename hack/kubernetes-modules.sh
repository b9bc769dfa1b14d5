# Sourced. kubernetes_modules VERSION prints the staging modules of k8s.io/kubernetes at VERSION (v1.X.Y),
# as its own go.mod lists them in relative "replace" lines.
kubernetes_modules() {
  local upstream
  upstream=$(go mod download -json "k8s.io/kubernetes@$1" | sed -n 's/^\t"GoMod": "\(.*\)",$/\1/p')
  [[ -s $upstream ]] || { echo "k8s.io/kubernetes@$1 cannot be downloaded: is the version published?" >&2; return 1; }
  awk '/=> \.\/staging\// { print $1 }' "$upstream"
}
