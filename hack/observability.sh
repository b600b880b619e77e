#!/usr/bin/env bash
# Prometheus, Alertmanager and Loki beside the demo's lab, as `make demo OBSERVABILITY=1` has them.
#
#   hack/observability.sh check     whether what it needs is on this machine; builds Loki the first time (7 to 15 minutes)
#   hack/observability.sh up        starts them and the lab's log shipper; what runs already goes on, and where one of them does not
#                                   start, none stays
#   hack/observability.sh runs      whether they do: exit code 0
#   hack/observability.sh scraped   waits until Prometheus reads Homeostat's pods and the kubelets
#   hack/observability.sh where     says where they are and what to look at
#   hack/observability.sh queries   runs every query of the dashboards and every expression of the rules on them
#   hack/observability.sh pictures DIR   draws the dashboards over them (500 MB of npm)
#   hack/observability.sh down      ends them and removes what they stored
#
#   LAB_NAME                                           the lab, default homeostat-lab
#   PROMETHEUS_PORT, ALERTMANAGER_PORT, LOKI_PORT      ports of 127.0.0.1; default 9090, 9093 and 3100, or free ones
#
# They are processes in the network of the lab's first node, which has no way out and none in: there pods reach them at the node's
# address, and a relay listens for the user on 127.0.0.1. Their files are in the demo's state folder.
# Exit codes: 0, 1 something failed, 2 wrong call, 3 a program is not on this machine.
set -euo pipefail
cd "$(dirname "$0")/.."

LAB=$PWD/bin/lab
export LAB_NAME=${LAB_NAME:-homeostat-lab}
DIR=${XDG_STATE_HOME:-$HOME/.local/state}/homeostat/demo/observability-$LAB_NAME
NODE=10.88.0.1 # of the lab's first node; hack/demo/observability has it too
PROGRAMS=(targets relay alertmanager prometheus loki)
INTERRUPTED= # while they start

say() { printf '%s\n' "$*"; }

fail() { # CODE MESSAGE
  say "observability: $2" >&2
  exit "$1"
}

# program prints the path of the first of these that is installed.
program() {
  local name
  for name in "$@"; do
    command -v "$name" && return
  done
  return 1
}

check() {
  local missing=()
  program prometheus >/dev/null || missing+=(prometheus)
  program prometheus-alertmanager alertmanager >/dev/null || missing+=(prometheus-alertmanager)
  program curl >/dev/null || missing+=(curl)
  if [ ${#missing[@]} -gt 0 ]; then
    fail 3 "${missing[*]} not found on this machine: apt-get install --no-install-recommends ${missing[*]}"
  fi
  runs || ports_of_a_run >/dev/null
  hack/loki.sh >/dev/null || fail 1 "Loki could not be built (hack/loki.sh)"
}

# started_at prints when the process began, in the kernel's ticks: a recycled process id has another.
started_at() { awk '{print $22}' "/proc/$1/stat" 2>/dev/null; }

# pid_of NAME prints the id of the program, if it still runs.
pid_of() {
  local pid at
  [ -s "$DIR/$1.pid" ] || return 1
  read -r pid at <"$DIR/$1.pid"
  [ -n "$at" ] && [ "$(started_at "$pid")" = "$at" ] && echo "$pid"
}

# runs: whether all of them do.
runs() {
  local name
  for name in "${PROGRAMS[@]}"; do
    pid_of "$name" >/dev/null || return 1
  done
}

# start NAME COMMAND...: in the background, its id and beginning in NAME.pid, what it says in NAME.log.
start() {
  local name=$1
  shift
  pid_of "$name" >/dev/null && return
  rm -f "$DIR/$name.pid"
  # exec keeps the process id, so that it is the program's own. What the quotes hold is for the other shell.
  # shellcheck disable=SC2016
  local note='echo "$$ $(awk "{print \$22}" /proc/$$/stat)" >"$0.new"; mv "$0.new" "$0"; exec "$@"'
  case $name in
    relay | targets) exec setsid bash -c "$note" "$DIR/$name.pid" "$@" ;;
    *) exec setsid "$LAB" enter bash -c "$note" "$DIR/$name.pid" "$@" ;;
  esac </dev/null >>"$DIR/$name.log" 2>&1 &
  disown
  # Until its id is known nobody could end it.
  local child=$! deadline=$((SECONDS + 20))
  until [ -s "$DIR/$name.pid" ]; do
    if ! kill -0 "$child" 2>/dev/null || [ $SECONDS -ge $deadline ]; then
      [ -z "$INTERRUPTED" ] || break
      tail -n 5 "$DIR/$name.log" >&2 || true
      fail 1 "$name does not start"
    fi
    sleep 0.02 || true
  done
  [ -z "$INTERRUPTED" ] || fail 130 "interrupted"
}

# ready NAME URL waits until the page answers, and says what the program said where it does not.
ready() {
  local deadline=$((SECONDS + 60))
  until curl -fs -o /dev/null --max-time 5 "$2"; do
    [ -z "$INTERRUPTED" ] || fail 130 "interrupted"
    if [ $SECONDS -ge $deadline ] || ! pid_of "$1" >/dev/null || ! pid_of relay >/dev/null; then
      tail -qn 5 "$DIR/$1.log" "$DIR/relay.log" >&2
      fail 1 "$1 does not answer at $2"
    fi
    sleep 0.2 || true
  done
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# port VARIABLE DEFAULT prints the port that the variable asks for, which must be free, or the default, or a free one.
port() {
  local asked=${!1:-}
  if [ -n "$asked" ]; then
    if ! [[ $asked =~ ^[1-9][0-9]{0,4}$ ]] || [ "$asked" -gt 65535 ]; then
      fail 2 "$1: \"$asked\" is not allowed: a port, 1 to 65535"
    fi
    ! listens "$asked" || fail 1 "$1: port $asked of 127.0.0.1 is taken by another program: choose another one"
    echo "$asked"
    return
  fi
  local p=$2
  while listens "$p"; do
    p=$((20000 + RANDOM % 10000))
  done
  echo "$p"
}

# ports_of_a_run prints the three ports of a run that begins.
ports_of_a_run() {
  local prometheus alertmanager loki
  prometheus=$(port PROMETHEUS_PORT 9090)
  alertmanager=$(port ALERTMANAGER_PORT 9093)
  loki=$(port LOKI_PORT 3100)
  if [ "$prometheus" = "$alertmanager" ] || [ "$prometheus" = "$loki" ] || [ "$alertmanager" = "$loki" ]; then
    fail 2 "PROMETHEUS_PORT, ALERTMANAGER_PORT and LOKI_PORT must differ: $prometheus, $alertmanager and $loki"
  fi
  echo "$prometheus $alertmanager $loki"
}

# ports sets the ports of a run, those that were chosen before if there were any.
ports() {
  local chosen
  if [ ! -s "$DIR/ports" ]; then
    chosen=$(ports_of_a_run)
    echo "$chosen" >"$DIR/ports"
  fi
  addresses
}

addresses() {
  local p a l
  read -r p a l <"$DIR/ports"
  PROMETHEUS=http://127.0.0.1:$p
  ALERTMANAGER=http://127.0.0.1:$a
  LOKI=http://127.0.0.1:$l
}

# secrets writes the client's certificate of the lab's kubeconfig into files, for the kubelets.
secrets() {
  local field
  mkdir -p "$DIR/secrets"
  for field in ca.crt=clusters[0].cluster.certificate-authority-data client.crt=users[0].user.client-certificate-data \
    client.key=users[0].user.client-key-data; do
    "$LAB" kubectl config view --raw -o "jsonpath={.${field#*=}}" | base64 -d >"$DIR/secrets/${field%%=*}"
  done
}

# targets writes the lists of what Prometheus scrapes, anew with each change of Homeostat's pods.
targets() {
  list kubelets nodes -o 'jsonpath={range .items[*]}{.status.addresses[?(@.type=="InternalIP")].address}:10250{"\n"}{end}'
  while "$LAB" kubeconfig >/dev/null 2>&1; do # a watch ends with the API server, and now and then by itself
    "$LAB" kubectl -n homeostat-system get pods -l app.kubernetes.io/name=homeostat --watch --no-headers -o name 2>/dev/null |
      while read -r _; do
        list homeostat -n homeostat-system pods -l app.kubernetes.io/name=homeostat --field-selector status.phase=Running \
          -o 'jsonpath={range .items[*]}{.status.podIP}:8080{"\n"}{end}'
      done
    sleep 1
  done
}

# list NAME KUBECTL-GET-ARGUMENT... writes a list of targets as a whole; what cannot be asked for stays as it was.
list() {
  local name=$1 found
  shift
  found=$("$LAB" kubectl get "$@") || return 0
  awk 'BEGIN {printf "[{\"targets\": ["} NF {printf "%s\"%s\"", sep, $1; sep = ", "} END {print "]}]"}' <<<"$found" >"$DIR/targets/$name.new"
  mv "$DIR/targets/$name.new" "$DIR/targets/$name.json"
}

up() {
  "$LAB" kubeconfig >/dev/null 2>&1 || fail 1 "it is for the lab only, and there is none: make demo OBSERVABILITY=1"
  if [ -d "$DIR" ] && ! runs; then # of another lab, or of a run that was cut off
    down >/dev/null
  fi
  if [ ! -d "$DIR" ]; then
    if grep -q '^log-shipper ' <<<"$("$LAB" status 2>/dev/null || true)"; then
      fail 1 "the lab $LAB_NAME sends its logs to a Loki already: LAB_NAME=$LAB_NAME bin/lab up --loki off first"
    fi
    trap '[ $? = 0 ] || down >/dev/null' EXIT
  fi
  trap 'INTERRUPTED=yes' INT TERM
  umask 077
  mkdir -p "$DIR/targets" # which Prometheus watches from its start
  ports
  secrets
  local loki
  loki=$(hack/loki.sh)
  sed "/^#/d; s|@RULES@|$PWD/alerts/rules/homeostat.yaml|; s|@DIR@|$DIR|g" \
    hack/demo/observability/prometheus.yml >"$DIR/prometheus.yml"
  start loki env LOKI_DIR="$DIR/loki" LOKI_HTTP_PORT=3100 LOKI_GRPC_PORT=9095 \
    "$loki" -config.file=hack/loki/loki.yaml -config.expand-env=true -server.http-listen-address=0.0.0.0
  start alertmanager "$(program prometheus-alertmanager alertmanager)" --config.file=alerts/alertmanager.yaml --storage.path="$DIR/alertmanager" \
    --web.listen-address=0.0.0.0:9093 --web.external-url="$ALERTMANAGER" --cluster.listen-address= --log.level=warn
  start prometheus "$(program prometheus)" --config.file="$DIR/prometheus.yml" --storage.tsdb.path="$DIR/prometheus" \
    --web.listen-address=0.0.0.0:9090 --web.external-url="$PROMETHEUS" --log.level=warn
  start targets "$PWD/hack/observability.sh" targets
  start relay "$LAB" forward "$LAB_NAME" "${PROMETHEUS#http://}=$NODE:9090" "${ALERTMANAGER#http://}=$NODE:9093" "${LOKI#http://}=$NODE:3100"
  ready loki "$LOKI/ready"
  ready alertmanager "$ALERTMANAGER/-/ready"
  ready prometheus "$PROMETHEUS/-/ready"
  "$LAB" up --loki "$LOKI" >/dev/null
  say "Prometheus, Alertmanager and Loki run beside the lab, and its logs go to Loki."
  say "There is no kube-state-metrics: what the dashboards take from it (requests, ready pods) stays empty."
}

# scraped waits until Prometheus has read a replica of Homeostat and a kubelet.
scraped() {
  running
  local deadline=$((SECONDS + 60)) job
  for job in homeostat cadvisor; do
    until curl -fsG --max-time 5 "$PROMETHEUS/api/v1/query" --data-urlencode "query=up{job=\"$job\"} == 1" | grep -q '"value"'; do
      [ $SECONDS -lt $deadline ] || fail 1 "Prometheus does not read the job $job: see $PROMETHEUS/targets"
      sleep 1
    done
  done
}

where() {
  running
  cat <<TEXT

Prometheus    $PROMETHEUS/alerts    the rules of alerts/rules; what fires now
              $PROMETHEUS/graph?g0.expr=ALERTS%7Balertname%3D~%22Homeostat.%2A%22%7D&g0.tab=0&g0.range_input=15m
                                        which alerts the story has fired, and when
Alertmanager  $ALERTMANAGER/#/alerts    what fires now, of the rules and of Homeostat itself; nothing once all is healed
Loki          curl -sG $LOKI/loki/api/v1/query_range --data-urlencode 'query={app="homeostat", kind="incident"}'
                                        what Homeostat wrote; {namespace="demo"} is the log of the demo app
              bin/homeostat timeline --id ID -n demo --loki $LOKI
                                        all about one incident, ID as \`bin/homeostat incidents -n demo\` has it

  make demo-queries       runs every query of the dashboards and of the rules on these programs
  make demo-pictures      draws the dashboards over them, without Grafana
  To see an alert fire, have a replica leak: curl '$(demo_app)/memory-leak?rate=4&size=512'
TEXT
}

demo_app() { "$LAB" status | sed -n 's/^NodePort *30080 at //p'; }

running() {
  runs || fail 1 "nothing runs beside the lab $LAB_NAME: make demo OBSERVABILITY=1"
  addresses
}

queries() {
  running
  DASHBOARDS_PROMETHEUS=$PROMETHEUS DASHBOARDS_LOKI=$LOKI go test -count=1 -v -run '^TestAfterTheDemo' ./dashboards
}

pictures() { # FOLDER
  running
  mkdir -p "$1"
  DASHBOARDS=required DASHBOARDS_PREVIEW=$(realpath "$1") DASHBOARDS_PROMETHEUS=$PROMETHEUS DASHBOARDS_LOKI=$LOKI \
    go test -count=1 -v -timeout 20m -run '^TestPreview$' ./dashboards
}

# stop SIGNAL PID: also what it has started, where it leads a group.
stop() { kill "-$1" -- "-$2" 2>/dev/null || kill "-$1" "$2" 2>/dev/null || true; }

down() {
  [ -d "$DIR" ] || return 0
  if "$LAB" kubeconfig >/dev/null 2>&1; then
    "$LAB" up --loki off >/dev/null || say "observability: the lab's log shipper could not be ended" >&2
  fi
  local name pid tries
  for name in "${PROGRAMS[@]}"; do
    pid=$(pid_of "$name") || continue
    stop TERM "$pid"
    for tries in $(seq 100); do
      pid_of "$name" >/dev/null || break
      [ "$tries" -lt 80 ] || stop KILL "$pid"
      sleep 0.1
    done
  done
  rm -rf "$DIR"
  say "Prometheus, Alertmanager and Loki have ended, and their files are removed."
}

case ${1:-} in
  check | up | runs | targets | scraped | where | queries | down) "$1" ;;
  pictures)
    [ -n "${2:-}" ] || fail 2 "usage: hack/observability.sh pictures DIR"
    pictures "$2"
    ;;
  *)
    sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2
    exit 2
    ;;
esac
