#!/usr/bin/env bash
# How long not all replicas of a workload are ready after each of six failures, with Homeostat off, observing and acting: prints the
# table of docs/performance.md. About 13 minutes; the variables are those of hack/latency.sh.
set -euo pipefail
cd "$(dirname "$0")"
RUN=TestTimeToMend exec ./latency.sh
