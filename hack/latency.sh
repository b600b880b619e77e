#!/usr/bin/env bash
# How long it takes from a container's death to the incident that has its log, beside a plain watch on pods and `kubectl get pods
# --watch`: prints the table of docs/performance.md. On the cluster of KUBECONFIG, or on a lab made for it and taken down again.
#
#   LATENCY_DEATHS  number of deaths, default 50
#   RUN=Regexp      which measurement of e2e/latency, default this one; hack/mttr.sh runs the other
#   LAB_NAME        name of the lab that is made, default homeostat-latency
set -euo pipefail
cd "$(dirname "$0")/.."
make=${MAKE:-make}
run=${RUN:-TestFromADeathToItsIncident}

lab_down() {
  local code=$?
  bin/lab down || code=1
  exit "$code"
}

if [ -z "${KUBECONFIG:-}" ]; then
  export LAB_NAME=${LAB_NAME:-homeostat-latency}
  unset LAB_STATE
  "$make" --no-print-directory images
  trap lab_down EXIT
  trap 'kill %% 2>/dev/null || true; exit 130' INT TERM
  NODES=2 HPA=none METRICS_SERVER=0 bin/lab up
  KUBECONFIG=$(bin/lab kubeconfig)
  KUBECTL=$(bin/lab build | tail -n 1)/kubectl
  export KUBECONFIG KUBECTL
  bin/lab load dist/homeostat.tar dist/demoapp.tar
fi
# In a job of its own, so that a signal to this script ends it at once and the lab is taken down.
set -m
go test -tags e2e -count=1 -timeout 30m -parallel 32 -v -run "$run" ./e2e/latency 2>&1 | awk '!/^=== (RUN|PAUSE|CONT|NAME) /{print; fflush()}' &
set +m
wait %%
