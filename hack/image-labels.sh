# Sourced. image_labels PROGRAM VERSION prints the labels of a program's image, one key=value per line, with the names of
# https://specs.opencontainers.org/image-spec/annotations/. Times and commits are the source's, so that the same source
# gives the same image.
image_labels() {
  local key=org.opencontainers.image
  echo "$key.title=$1"
  echo "$key.description=$1 of Everynode: DaemonSets whose pods the scheduler places"
  echo "$key.version=$2"
  echo "$key.source=https://github.com/everynode/everynode"
  echo "$key.licenses=Apache-2.0"
  if git rev-parse --quiet --verify HEAD >/dev/null 2>&1; then
    echo "$key.revision=$(git rev-parse HEAD)"
    echo "$key.created=$(TZ=UTC0 git log -1 --format=%cd --date=format-local:%Y-%m-%dT%H:%M:%SZ)"
  fi
}
