# What the scripts of the variants can call. NS is the variant's namespace.
set -euo pipefail

# pod APP [N]: name of the N-th pod with the label app=APP that is not being deleted, by name.
pod() {
  kubectl -n "$NS" get pods -l "app=$1" --sort-by=.metadata.name \
    -o go-template='{{range .items}}{{if not .metadata.deletionTimestamp}}{{.metadata.name}}{{"\n"}}{{end}}{{end}}' | sed -n "${2:-1}p"
}

# settled: waits until every Deployment and StatefulSet is ready.
settled() {
  local what
  for what in $(kubectl -n "$NS" get deployments,statefulsets -o name); do
    kubectl -n "$NS" rollout status "$what" --timeout=150s >/dev/null
  done
}

# call POD PATH: asks the pod's own HTTP server, port 8080, which may be a moment late.
call() {
  local try
  for try in 1 2 3 4 5 6 7 8; do
    kubectl get --raw "/api/v1/namespaces/$NS/pods/$1:8080/proxy$2" >/dev/null && return 0
    sleep 1
  done
  return 1
}

# id POD [CONTAINER]: the ID of a pod's container, by default its first.
id() {
  kubectl -n "$NS" get pod "$1" -o go-template='{{range .status.containerStatuses}}{{.name}} {{.containerID}}{{"\n"}}{{end}}' |
    awk -v want="${2:-}" 'want == "" || $1 == want {sub(".*//", "", $2); print $2; exit}'
}

node_of() { kubectl -n "$NS" get pod "$1" -o 'jsonpath={.spec.nodeName}'; }

# on NODE COMMAND...: runs a command on a node, which sees the node's own folders.
on() { local node=$1; shift; lab enter --node "$node" --mounts "$@"; }

# kill9 POD [CONTAINER]: SIGKILL for the container's first process, from outside.
kill9() { on "$(node_of "$1")" ctr -n k8s.io tasks kill -s SIGKILL "$(id "$1" "${2:-}")"; }

# forget POD: the runtime loses the container, as after a crash of its machine.
forget() {
  local node id
  node=$(node_of "$1")
  id=$(id "$1")
  on "$node" ctr -n k8s.io tasks kill -s SIGKILL "$id" || true
  sleep 1
  on "$node" ctr -n k8s.io tasks rm -f "$id" >/dev/null 2>&1 || true
  on "$node" ctr -n k8s.io containers rm "$id"
}

# node_event NODE REASON MESSAGE: an event about a node, as the kubelet writes it.
node_event() {
  kubectl create -f - >/dev/null <<YAML
apiVersion: v1
kind: Event
metadata: {generateName: $1., namespace: default}
involvedObject: {kind: Node, name: $1, uid: $1, apiVersion: v1}
type: Warning
reason: $2
message: "$3"
count: 1
firstTimestamp: $(date -u +%Y-%m-%dT%H:%M:%SZ)
lastTimestamp: $(date -u +%Y-%m-%dT%H:%M:%SZ)
source: {component: kubelet, host: $1}
reportingComponent: kubelet
YAML
}

# status KIND NAME PATCH: a merge patch of the object's status, as its controller would write it.
status() { kubectl -n "$NS" patch "$1" "$2" --subresource=status --type=merge -p "$3" >/dev/null; }

# lab_file FOLDER FILE: path of a file of the lab's state.
lab_file() { echo "${LAB_STATE:-$HOME/.local/state/homeostat/lab/$LAB_NAME}/$1/$2"; }

# kubelet_threshold NODE SIGNAL VALUE: restarts the kubelet with another threshold of eviction.
kubelet_threshold() {
  local file
  file=$(lab_file etc "kubelet-$1.yaml")
  cp -n "$file" "$file.before" || true
  sed -i "s|^  $2: .*|  $2: \"$3\"|" "$file"
  lab stop "kubelet-$1" >/dev/null && lab start "kubelet-$1" >/dev/null
}

# kubelet_soft_threshold NODE SIGNAL VALUE: the same with a soft threshold, which takes nothing from what pods may have.
kubelet_soft_threshold() {
  local file
  file=$(lab_file etc "kubelet-$1.yaml")
  cp -n "$file" "$file.before" || true
  printf 'evictionSoft: {%s: "%s"}\nevictionSoftGracePeriod: {%s: 2s}\nevictionMaxPodGracePeriod: 1\n' "$2" "$3" "$2" >>"$file"
  lab stop "kubelet-$1" >/dev/null && lab start "kubelet-$1" >/dev/null
}

# kubelet_restore NODE: ends what these did.
kubelet_restore() {
  local file
  file=$(lab_file etc "kubelet-$1.yaml")
  [ ! -f "$file.before" ] || mv "$file.before" "$file"
  lab stop "kubelet-$1" >/dev/null && lab start "kubelet-$1" >/dev/null
}

# kubelet_static_cpu NODE: restarts the kubelet with a static CPU manager; kubelet_default_cpu NODE ends that.
kubelet_static_cpu() {
  local file
  file=$(lab_file etc "kubelet-$1.yaml")
  cp -n "$file" "$file.before" || true
  echo 'cpuManagerPolicy: static' >>"$file"
  lab stop "kubelet-$1" >/dev/null
  on "$1" rm -f /var/lib/kubelet/cpu_manager_state
  lab start "kubelet-$1" >/dev/null
}
kubelet_default_cpu() {
  lab stop "kubelet-$1" >/dev/null
  on "$1" rm -f /var/lib/kubelet/cpu_manager_state
  kubelet_restore "$1"
}
