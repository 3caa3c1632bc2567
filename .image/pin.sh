#!/bin/sh
# Writes the digest that the base image's tag has today into the Dockerfile: sh .image/pin.sh
set -eu
cd "$(dirname "$0")/.."

command -v docker >/dev/null || {
  echo "docker is needed to ask the registry, and is not installed: https://docs.docker.com/get-docker/" >&2
  exit 2
}
tag=$(sed -n 's/^ARG BASE=\([^@]*\)@.*$/\1/p' Dockerfile)
digest=$(docker buildx imagetools inspect "$tag" --format '{{.Manifest.Digest}}')
printf '%s\n' "$digest" | grep -Eqx 'sha256:[0-9a-f]{64}' || {
  echo "The registry gave no digest for $tag: \"$digest\"" >&2
  exit 1
}
# Not sed -i, which GNU and BSD write differently.
sed "s|^ARG BASE=.*|ARG BASE=$tag@$digest|" Dockerfile >Dockerfile.pinned
mv Dockerfile.pinned Dockerfile
echo "The base is $tag@$digest"
