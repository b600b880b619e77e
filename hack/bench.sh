#!/usr/bin/env bash
# Prints the figures of docs/performance.md: the Go benchmarks, and where a lab runs, what the controller uses on it.
set -euo pipefail
cd "$(dirname "$0")/.."
go test -run '^$' -bench . -benchmem -count "${COUNT:-3}" ./hpa ./healing ./metrics/... ./platform/...
# Beside the controller of Kubernetes; the first build of it takes some minutes.
(cd hpa/differential && go test -run '^$' -bench Decision -count "${COUNT:-3}" .)
if [ -x bin/lab ] && bin/lab status >/dev/null 2>&1; then
  hack/idle.sh
else
  echo "no lab runs, so the controller's memory and CPU were not measured: make lab-up, make demo, then make bench"
fi
