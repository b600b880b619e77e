#!/usr/bin/env bash
# What the controller uses on a lab that does nothing: memory and CPU of its leader over a minute, from the kubelet's own numbers.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${SECONDS_TO_WATCH:-60}
kubectl() { bin/lab kubectl "$@"; }
usage() { # NODE: pod, cumulative CPU seconds, working set bytes of each controller
  kubectl get --raw "/api/v1/nodes/$1/proxy/metrics/resource" |
    sed -nE 's/^container_(cpu_usage_seconds_total|memory_working_set_bytes)\{container="homeostat",namespace="homeostat-system",pod="([^"]*)"\} ([^ ]*) ([0-9]*)$/\2 \1 \3 \4/p' | sort
}
node=$(kubectl get nodes -o jsonpath='{.items[0].metadata.name}')
leader=$(kubectl -n homeostat-system get lease homeostat -o jsonpath='{.spec.holderIdentity}')
before=$(usage "$node")
sleep "$seconds"
after=$(usage "$node")
printf 'leader %s\n' "$leader"
join <(echo "$before" | awk '$2 ~ /cpu/ {print $1, $3, $4}') <(echo "$after" | awk '$2 ~ /cpu/ {print $1, $3, $4}') |
  awk '$5 > $3 {printf "%s cpu %.1f millicores over %.0f s\n", $1, ($4 - $2) / (($5 - $3) / 1000) * 1000, ($5 - $3) / 1000}'
echo "$after" | awk '$2 ~ /memory/ {printf "%s memory %.1f MiB (working set)\n", $1, $3 / 1048576}'
for pod in $(echo "$after" | awk '{print $1}' | uniq); do
  kubectl get --raw "/api/v1/namespaces/homeostat-system/pods/$pod:8080/proxy/metrics" |
    awk -v pod="$pod" '$1 == "process_resident_memory_bytes" {printf "%s memory %.1f MiB (resident set of the process, with the binary'"'"'s mapped pages)\n", pod, $2 / 1048576}'
done
kubectl get pods -A --no-headers | awk 'END {printf "pods in the lab: %d\n", NR}'
