#!/bin/sh
# Builds the image for this machine: sh .image/build.sh [NAME]
# With PIP_CONFIG_FILE set, packages come from the index that it names; with BASE set, Python comes from that image.
set -eu
cd "$(dirname "$0")/.."

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)
name=${1:-keyferry:$version}

command -v docker >/dev/null || {
  echo "docker is needed to build the image, and is not installed: https://docs.docker.com/get-docker/" >&2
  exit 2
}
docker buildx version >/dev/null 2>&1 || {
  echo "docker buildx is needed to build the image; it comes with Docker 23 and later" >&2
  exit 2
}

# A checkout without git, such as an archive of a release, has the defaults of the Dockerfile.
if revision=$(git rev-parse HEAD 2>/dev/null); then
  [ -z "$(git status --porcelain)" ] || revision=$revision-dirty
  set -- --build-arg "REVISION=$revision" --build-arg "SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)"
else
  set --
fi
[ -z "${SOURCE:-}" ] || set -- "$@" --build-arg "SOURCE=$SOURCE"
[ -z "${BASE:-}" ] || set -- "$@" --build-arg "BASE=$BASE"
[ -z "${PIP_CONFIG_FILE:-}" ] || set -- "$@" --secret "id=pip,src=$PIP_CONFIG_FILE"

docker buildx build --load --build-arg "VERSION=$version" "$@" --tag "$name" .
echo "Built $name"
