#!/usr/bin/env bash
# `make demo` and `make demo-down`: Homeostat and the demo app on a real Kubernetes, and the story on it.
#   hack/demo.sh up     deploys to the cluster of KUBECONFIG, or to a lab that is made for it, and plays the story
#   hack/demo.sh down   removes what up made; what was there before stays
#
#   OBSERVABILITY=1     with up, on a lab: Prometheus, Alertmanager and Loki beside it (hack/observability.sh); where that is
#                       interrupted, what it has started ends
# Exit codes: 0, 1 something failed or did not happen, 2 wrong call, 3 a lab, or what OBSERVABILITY=1 needs, is not possible on this
# machine.
set -euo pipefail
cd "$(dirname "$0")/.."

LAB=bin/lab
IMAGES=(dist/homeostat.tar dist/demoapp.tar)
STATE=${XDG_STATE_HOME:-$HOME/.local/state}/homeostat/demo
MARKER=$STATE/made-${LAB_NAME:-homeostat-lab}
MADE_BY=homeostat.dev/made-by # annotation of the namespaces that up has made
ON_LAB=
STARTED_LAB=
STARTED_BESIDE=
OBSERVABILITY=${OBSERVABILITY:-0}
BESIDE=hack/observability.sh

say() { printf '%s\n' "$*"; }

# is_lab: whether KUBECONFIG is the lab's. Its own kubectl knows no other cluster.
is_lab() { [ -n "$ON_LAB" ] || [ "${KUBECONFIG:-}" -ef "$("$LAB" kubeconfig 2>/dev/null)" ]; }

k() {
  if [ -z "$ON_LAB" ] && command -v kubectl >/dev/null; then
    kubectl "$@"
  elif [ -x "$LAB" ] && is_lab; then
    "$LAB" kubectl "$@"
  else
    say "kubectl is needed and not on the PATH" >&2
    return 1
  fi
}

other_ways() {
  say ""
  say "Without a lab there are two other ways:"
  say "  go run ./cmd/homeostat demo            the same story on processes of this machine, without root"
  say "  KUBECONFIG=~/.kube/config make demo    the same story on any cluster, a kind one for instance"
}

# lab_up sets KUBECONFIG and URL to those of the lab, which it starts if need be.
lab_up() {
  ON_LAB=yes
  make --no-print-directory $LAB
  local code=0
  if "$LAB" kubeconfig >/dev/null 2>&1; then
    "$LAB" up || code=$?
  else
    mkdir -p "$STATE"
    : >"$MARKER"
    STARTED_LAB=yes
    HPA=${HPA:-none} "$LAB" up || code=$?
  fi
  if [ "$code" = 3 ]; then
    rm -f "$MARKER"
    other_ways
  fi
  [ "$code" = 0 ] || exit "$code"
  KUBECONFIG=$("$LAB" kubeconfig)
  export KUBECONFIG
  if [ -e "$MARKER" ] && [ ! -s "$MARKER" ]; then
    cksum <"$KUBECONFIG" >"$MARKER"
  fi
  URL=$("$LAB" status | sed -n 's/^NodePort *30080 at //p')
}

# made_lab: whether up has made the lab that is there, not one of that name before it. An empty marker is of an up that did not
# get to its end.
made_lab() {
  [ -e "$MARKER" ] || return 1
  [ -s "$MARKER" ] || return 0
  local path
  path=$("$LAB" kubeconfig 2>/dev/null) && cksum <"$path" | cmp -s - "$MARKER"
}

# images_in brings the images to the nodes, or says how.
images_in() {
  make --no-print-directory images
  if [ -n "$ON_LAB" ]; then
    "$LAB" load "${IMAGES[@]}"
    return
  fi
  local context
  context=$(k config current-context)
  if [[ $context == kind-* ]] && command -v kind >/dev/null; then
    local archive
    for archive in "${IMAGES[@]}"; do
      kind load image-archive "$archive" --name "${context#kind-}"
    done
    return
  fi
  image_hint
}

image_hint() {
  say "The nodes need the images localhost/homeostat:dev and localhost/demoapp:dev:"
  say "  kind load image-archive ${IMAGES[0]}; kind load image-archive ${IMAGES[1]}     kind"
  say "  ctr -n k8s.io images import FILE                                         a node with containerd"
  say "deploy/README.md says how to use a registry."
}

answers() { k version >/dev/null || { say "the cluster of KUBECONFIG=$KUBECONFIG does not answer"; exit 1; }; }

there() { k get "$@" >/dev/null 2>&1; }

# ours NAMESPACE: whether up has made it.
ours() { [ "$(k get namespace "$1" -o "jsonpath={.metadata.annotations.${MADE_BY//./\\.}}" 2>/dev/null)" = demo ]; }

# rolled_out NAMESPACE NAME: waits, and explains what keeps the pods from starting.
rolled_out() {
  k -n "$1" rollout status "deployment/$2" --timeout=120s && return
  say ""
  say "The pods of $1/$2 do not start:"
  k -n "$1" get pods -o 'jsonpath={range .items[*].status.containerStatuses[*].state.waiting}{"  "}{.reason}{": "}{.message}{"\n"}{end}'
  image_hint
  exit 1
}

# deploy NAMESPACE NAME KUSTOMIZATION
deploy() {
  local existed=
  if there -n "$1" deployment "$2"; then
    existed=yes
  fi
  if ! there namespace "$1"; then
    k create namespace "$1"
    k annotate namespace "$1" "$MADE_BY=demo" >/dev/null
  fi
  k apply -k "$3" 2> >(grep -v 'kubectl.kubernetes.io/last-applied-configuration' >&2)
  if [ -n "$existed" ]; then # the tag is the same, the image may be another one
    k -n "$1" rollout restart "deployment/$2"
  fi
}

# wanted checks OBSERVABILITY before anything is made.
wanted() {
  case $OBSERVABILITY in
    0) return ;;
    1) ;;
    *)
      say "OBSERVABILITY: \"$OBSERVABILITY\" is not allowed: 0 or 1" >&2
      exit 2
      ;;
  esac
  if [ -n "${KUBECONFIG:-}" ]; then
    say "OBSERVABILITY=1 is for the lab only, and KUBECONFIG names another cluster: unset KUBECONFIG, or use that cluster's own stack (deploy/monitoring)." >&2
    exit 2
  fi
  "$BESIDE" check
}

# interrupted ends what this run has started.
interrupted() {
  trap '' INT TERM
  say ""
  say "Interrupted."
  [ -z "$STARTED_BESIDE" ] || "$BESIDE" down
  if [ -n "$STARTED_LAB" ]; then
    "$LAB" down
    rm -f "$MARKER"
  else
    say "  make demo-down   removes what is in the cluster"
  fi
  exit 130
}

up() {
  URL=
  wanted
  [ "$OBSERVABILITY" = 0 ] || trap interrupted INT TERM
  if [ -z "${KUBECONFIG:-}" ]; then
    lab_up
  fi
  answers
  [ -n "$ON_LAB" ] || say "On the cluster of KUBECONFIG=$KUBECONFIG, context $(k config current-context)."
  local base=deploy/base
  if [ "$OBSERVABILITY" = 1 ]; then
    "$BESIDE" runs || STARTED_BESIDE=yes
    "$BESIDE" up
    base=hack/demo/observability
  fi
  images_in
  if there namespace homeostat-system && ! ours homeostat-system; then
    say "Homeostat is installed already: it is used as it is."
    [ "$OBSERVABILITY" = 0 ] || say "It sends to Loki and Alertmanager only what its own configuration says."
  else
    deploy homeostat-system homeostat "$base"
  fi
  k wait --for=condition=Established --timeout=60s \
    crd/autoscalers.homeostat.dev crd/healingpolicies.homeostat.dev crd/incidents.homeostat.dev
  # A fresh start: incidents of the last hour make the next ones stay open longer, and a policy keeps its spent budget. Of the demo app
  # alone: the namespace may be there already, with others in it.
  k -n demo delete incidents -l homeostat.dev/workload-name=web --ignore-not-found
  k -n demo delete healingpolicies web --ignore-not-found
  deploy demo web hack/demo
  rolled_out homeostat-system homeostat
  rolled_out demo web
  [ "$OBSERVABILITY" = 0 ] || "$BESIDE" scraped

  local code=0
  say ""
  bin/homeostat demo --kubernetes ${URL:+--url "$URL"} || code=$?
  say ""
  say "  export KUBECONFIG=$KUBECONFIG"
  if [ -n "$ON_LAB" ] && ! command -v kubectl >/dev/null; then
    say "  kubectl is here: $LAB kubectl"
  fi
  say "  make demo-down   removes it all"
  [ "$OBSERVABILITY" = 0 ] || "$BESIDE" where
  exit "$code"
}

down() {
  if [ -z "${KUBECONFIG:-}" ]; then
    ON_LAB=yes
    make --no-print-directory $LAB
    "$BESIDE" down
    if made_lab; then
      "$LAB" down
      rm -f "$MARKER"
      return
    fi
    rm -f "$MARKER"
    if ! KUBECONFIG=$("$LAB" kubeconfig 2>/dev/null); then
      say "There is no lab, so nothing of the demo is left on one. On another cluster: KUBECONFIG=... make demo-down"
      return
    fi
    export KUBECONFIG
    say "The lab was there before the demo and stays: make lab-down ends it."
  fi
  answers # or nothing would be removed, without a word
  if ours demo; then
    k delete namespace demo
  elif there namespace demo; then
    say "Namespace demo was there before the demo and stays."
  fi
  if ours homeostat-system; then
    k delete -k deploy/base --ignore-not-found
  elif there namespace homeostat-system; then
    say "Homeostat was installed before the demo and stays."
  fi
}

case ${1:-} in
  up) up ;;
  down) down ;;
  *)
    say "usage: hack/demo.sh up|down" >&2
    exit 2
    ;;
esac
