#!/usr/bin/env bash
# Records the corpus of real failures (internal/corpus/testdata) on a two-node lab made for it and taken down again.
#
#   ONLY=Regexp   only the variants KIND/NAME that match; all of them take about half an hour
#   PARALLEL=14   how many variants run side by side; those that do something to a node run one group after the other
#   KEEP=1        leave the lab
#   LAB_NAME      name of the lab that is made, default homeostat-corpus
#
# The lab has no metrics API, which some of the failures need to be away.
set -euo pipefail
cd "$(dirname "$0")/.."
make=${MAKE:-make}
export LAB_NAME=${LAB_NAME:-homeostat-corpus}
unset LAB_STATE KUBECONFIG

lab_down() {
  local code=$?
  if [ "${KEEP:-}" = 1 ]; then
    printf 'the lab is still up:\n  export KUBECONFIG=%s\n  LAB_NAME=%s bin/lab down\n' "${KUBECONFIG:-}" "$LAB_NAME"
  else
    bin/lab down || code=1
  fi
  exit "$code"
}

"$make" --no-print-directory images
mkdir -p dist
go build -o dist/corpus-record ./internal/corpus/record
trap lab_down EXIT
trap 'kill %% 2>/dev/null || true; exit 130' INT TERM
NODES=2 HPA=stock METRICS_SERVER=0 bin/lab up
KUBECONFIG=$(bin/lab kubeconfig)
export KUBECONFIG
bin/lab load dist/demoapp.tar
# In a job of its own, so that a signal to this script ends it first and the lab is taken down after it.
set -m
dist/corpus-record --lab bin/lab --kubectl "$(bin/lab build | tail -n 1)/kubectl" --only "${ONLY:-}" --parallel "${PARALLEL:-14}" &
set +m
wait %%
