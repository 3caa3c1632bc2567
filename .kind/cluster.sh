#!/bin/sh
# A cluster on this machine to try Keyferry in: sh .kind/cluster.sh up|demo|down
# CLUSTER is its name, IMAGE the name of the image that is built. The kubeconfig of the user is left as it is.
set -eu
cd "$(dirname "$0")/.."

cluster=${CLUSTER:-keyferry}
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)
image=${IMAGE:-keyferry}
case ${image##*/} in
  *:*) ;;
  *) image=$image:$version ;;
esac
KUBECONFIG=$PWD/.demo/kind-$cluster.kubeconfig
export KUBECONFIG

say() {
  printf '\n== %s\n' "$*"
}

need() {
  for program in "$@"; do
    command -v "$program" >/dev/null || {
      case $program in
        docker) where=https://docs.docker.com/get-docker/ ;;
        kind) where=https://kind.sigs.k8s.io/docs/user/quick-start/ ;;
        kubectl) where=https://kubernetes.io/docs/tasks/tools/ ;;
        helm) where=https://helm.sh/docs/intro/install/ ;;
      esac
      echo "$program is needed and is not installed: $where" >&2
      exit 2
    }
  done
  docker info >/dev/null 2>&1 || {
    echo "docker is installed, and no Docker daemon answers: start it" >&2
    exit 2
  }
}

exists() {
  kind get clusters 2>/dev/null | grep -qxF "$cluster"
}

up() {
  mkdir -p .demo
  if exists; then
    say "The cluster $cluster is there"
    kind export kubeconfig --name "$cluster" --kubeconfig "$KUBECONFIG"
  else
    say "Making the cluster $cluster"
    kind create cluster --name "$cluster" --config kind-config.yaml --kubeconfig "$KUBECONFIG" --wait 180s
  fi
}

# What to look at where a step of the demo did not come true. The cluster stays, to be looked at.
failed() {
  {
    echo
    echo "This did not work: $1. What the cluster says:"
    kubectl get pods --namespace keyferry --output wide || true
    kubectl logs --namespace keyferry deployment/keyferry --tail 30 || true
    kubectl describe secretstore/playground externalsecret/database --namespace default || true
    echo
    echo "The cluster is still there: export KUBECONFIG=$KUBECONFIG"
  } >&2
  exit 1
}

demo() {
  up

  say "Building $image and putting it into the cluster"
  sh .image/build.sh "$image"
  kind load docker-image "$image" --name "$cluster"

  say "Installing the chart"
  # The id makes a new Pod where the image is another one under the same name. The image is never pulled: it is here.
  helm upgrade --install keyferry charts/keyferry --namespace keyferry --create-namespace --kubeconfig "$KUBECONFIG" \
    --set "image.repository=${image%:*}" --set-string "image.tag=${image##*:}" --set image.pullPolicy=Never \
    --set-string "podAnnotations.image-id=$(docker image inspect --format '{{.Id}}' "$image")" \
    --wait --timeout 180s || failed "installing the chart"

  say "Applying docs/examples/quickstart.yaml"
  kubectl wait --for=condition=Established --timeout=60s --filename crds/ || failed "waiting for the CRDs"
  kubectl apply --filename docs/examples/quickstart.yaml || failed "applying the quickstart"
  kubectl wait --for=condition=Ready --timeout=60s --namespace default externalsecret/database ||
    failed "waiting for the ExternalSecret"

  say "The Secret that came of it, and its keys"
  kubectl get secretstore,externalsecret,secret/database --namespace default
  # shellcheck disable=SC2016 # the variables are kubectl's
  kubectl get secret/database --namespace default \
    --output 'go-template={{range $key, $value := .data}}{{printf "  %s\n" $key}}{{end}}'

  say "To look around"
  cat <<END
  export KUBECONFIG=$KUBECONFIG
  kubectl describe externalsecret database
  kubectl logs --namespace keyferry deployment/keyferry

Edit or delete the Secret, and see it repaired; docs/quickstart.md has more to try.
make kind-down removes the cluster.
END
}

down() {
  if exists; then
    kind delete cluster --name "$cluster" --kubeconfig "$KUBECONFIG"
  else
    echo "There is no cluster $cluster"
  fi
  rm -f "$KUBECONFIG"
}

case ${1:-} in
  up)
    need docker kind kubectl
    up
    say "To use it: export KUBECONFIG=$KUBECONFIG"
    ;;
  demo)
    need docker kind kubectl helm
    demo
    ;;
  down)
    need docker kind
    down
    ;;
  *)
    echo "Say: sh .kind/cluster.sh up|demo|down" >&2
    exit 2
    ;;
esac
