#!/usr/bin/env bash
# Homeostat beside Kubernetes' own HorizontalPodAutoscaler and metrics-server, on a lab made for it and taken down again.
#
#   hack/beside.sh failures   three failures that the native controller takes for little load: asserts who goes wrong,
#                             records the curves and draws docs/img/beside-l*.svg from them (about 7 minutes)
#   hack/beside.sh reaction   seconds from a step of load to the first write and to enough ready replicas: ten runs of
#                             each, a table and reaction.json (about 11 minutes)
#
#   RESULTS=dir    folder of what is recorded, default docs/data
#   DRAW=0         record only
#   KEEP=1         leave the lab and what is in it
#   RUN=Regexp     only the tests that match
#   LAB_NAME       name of the lab that is made, default homeostat-beside; two runs side by side need two
#   BIN=dir        take lab, homeostat.tar and demoapp.tar from there instead of building them
#   REACTION_RUNS, REACTION_AT_ONCE   how many runs, and how many of them side by side: 10 and 2
#   HOUSEKEEPING   how often the kubelet measures: 10s
#
# The lab is quicker than a cluster in much; what matters here gets Kubernetes' defaults: the kubelet measures every 10 s,
# metrics-server reads every 15 s, the native controller decides every 15 s. Of the failures the period in which a new
# replica's CPU is taken with care lasts one minute instead of five, for both, so that they need not wait for it to end.
set -euo pipefail
cd "$(dirname "$0")/.."
make=${MAKE:-make}
bin=${BIN:-}
export LAB_NAME=${LAB_NAME:-homeostat-beside}
unset LAB_STATE KUBECONFIG
mkdir -p "${RESULTS:=docs/data}"
RESULTS=$(cd "$RESULTS" && pwd)
export RESULTS

case ${1:-} in
  failures)
    run=${RUN:-IsNotLittle}
    export CPU_INITIALIZATION_PERIOD=1m REACTION_RUNS=0
    ;;
  reaction)
    run=${RUN:-TestReaction}
    export CPU_INITIALIZATION_PERIOD=5m REACTION_RUNS=${REACTION_RUNS:-10}
    ;;
  *)
    sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2
    exit 2
    ;;
esac

if [ -z "$bin" ]; then
  "$make" --no-print-directory images
  bin=$PWD/dist
  lab=$PWD/bin/lab
else
  lab=$bin/lab
fi

state=${HOME:-~}/.local/state/homeostat/lab/$LAB_NAME

lab_down() {
  local code=$?
  if [ "${KEEP:-}" = 1 ]; then
    printf 'the lab is still up:\n  export KUBECONFIG=%s\n  LAB_NAME=%s %s down\n' "${KUBECONFIG:-}" "$LAB_NAME" "$lab"
  else
    "$lab" down || code=1
  fi
  exit "$code"
}

again() { # [--mounts] COMPONENT FLAG...: starts it anew with these flags behind its own; of two of a kind the last counts
  local enter=() component pid argv
  [ "$1" != --mounts ] || { enter=(--mounts); shift; }
  component=$1
  shift
  pid=$(sed -n 's/.*"pid":\([0-9]*\).*/\1/p' "$state/pids/$component.json")
  mapfile -d '' -t argv <"/proc/$pid/cmdline"
  "$lab" stop "$component"
  # It ends with the lab, like everything in the lab's network.
  setsid "$lab" enter "${enter[@]}" "${argv[@]}" "$@" >>"$state/logs/$component.log" 2>&1 </dev/null &
  disown
  echo "$component runs with $*"
}

trap lab_down EXIT
trap 'kill %% 2>/dev/null || true; exit 130' INT TERM
# All replicas must find room by their requests.
NODES=1 HPA=stock METRICS_SERVER=1 LAB_RESERVED_CPU=50m "$lab" up
KUBECONFIG=$("$lab" kubeconfig)
export KUBECONFIG
again --mounts kubelet-node1 --housekeeping-interval="${HOUSEKEEPING:-10s}"
again metrics-server --metric-resolution=15s --kubelet-request-timeout=10s
again kube-controller-manager --horizontal-pod-autoscaler-sync-period=15s \
  --horizontal-pod-autoscaler-cpu-initialization-period="$CPU_INITIALIZATION_PERIOD" \
  --horizontal-pod-autoscaler-initial-readiness-delay=30s --horizontal-pod-autoscaler-downscale-stabilization=5m
"$lab" load "$bin/homeostat.tar" "$bin/demoapp.tar"
KUBECTL=$("$lab" build | tail -n 1)/kubectl
export KUBECTL BESIDE=1

code=0
# In a job of its own, so that a signal to this script ends it at once and the lab is taken down.
set -m
go test -tags e2e -count=1 -timeout 40m -parallel 16 -v -run "$run" ./e2e/beside 2>&1 |
  awk '!/^=== (RUN|PAUSE|CONT|NAME) /{print; fflush()}' &
set +m
wait %% || code=1
if [ "$1" = failures ] && [ "${DRAW:-1}" = 1 ]; then
  hack/curves.py "$RESULTS"/beside-l?.json docs/img || code=1
fi
exit "$code"
