#!/usr/bin/env bash
# End-to-end tests (package e2e) on a real Kubernetes: the cluster of KUBECONFIG, or a lab made for them and taken down again.
#
#   E2E=auto      the default: where no lab can run, say so loudly and go on
#   E2E=required  fail there
#   E2E=off       leave them out
#   KEEP=1        leave the lab and what is in it
#   RUN=Regexp    only the tests that match, and nothing beside the native HPA
#   BESIDE=0      nothing beside the native HPA (hack/beside.sh), which takes seven minutes
#   E2E_LAB_NAME  name of the lab that is made, default homeostat-e2e; two runs side by side need two
set -euo pipefail
cd "$(dirname "$0")/.."
mode=${E2E:-auto}
make=${MAKE:-make}
began=$SECONDS
trap 'kill %% 2>/dev/null || true; exit 130' INT TERM

box() { # TITLE, then lines from stdin
  printf '\n%s\n%s\n' "$(printf '=%.0s' {1..100})" "$1"
  sed 's/^/  /'
  printf '%s\n\n' "$(printf '=%.0s' {1..100})"
}

case $mode in
  off)
    echo "end-to-end tests: left out (E2E=off)"
    exit 0
    ;;
  auto | required) ;;
  *)
    echo "e2e.sh: E2E: \"$mode\" is not allowed: auto, required or off" >&2
    exit 2
    ;;
esac

lab_up() { # brings the lab up, or ends the script where none is possible
  "$make" --no-print-directory bin/lab
  # One run at a time: the lab has a fixed name, so that a run that was killed leaves nothing that the next one would not find.
  # Nobody else's lab has it. The lab's own processes must not hold the lock.
  if [ "$(id -u)" = 0 ] && command -v flock >/dev/null; then
    exec 9>"${TMPDIR:-/tmp}/$LAB_NAME.lock"
    flock -n 9 || { echo "e2e.sh: the end-to-end tests run already on this machine" >&2; exit 1; }
  fi
  local said code=0
  trap lab_down EXIT
  # Homeostat is the autoscaler under test, so Kubernetes' own does not run. Not tee /dev/stderr: that would empty a log that
  # standard error goes to.
  said=$(NODES=2 HPA=none METRICS_SERVER=0 bin/lab up 9>&- 2>&1 | tee >(cat >&2)) || code=$?
  if [ "$code" = 3 ]; then
    trap - EXIT
    box "SKIPPED: end-to-end tests: no Kubernetes can run here" <<<"$said"
    if [ "$mode" = required ]; then
      echo "e2e.sh: they are required (E2E=required)" >&2
      exit 1
    fi
    exit 0
  fi
  [ "$code" = 0 ] || exit 1
  KUBECONFIG=$(bin/lab kubeconfig)
  export KUBECONFIG
}

lab_down() {
  local code=$?
  if [ "${KEEP:-}" = 1 ]; then
    printf 'the lab is still up:\n  export KUBECONFIG=%s\n  LAB_NAME=%s bin/lab down\n' "${KUBECONFIG:-}" "$LAB_NAME"
  else
    bin/lab down 9>&- || code=1
  fi
  exit "$code"
}

if [ -n "${KUBECONFIG:-}" ]; then
  box "end-to-end tests on the cluster of KUBECONFIG=$KUBECONFIG" <<'TEXT'
Its nodes must have the images localhost/homeostat:dev and localhost/demoapp:dev; `make images` writes them to
dist/, for `kind load image-archive`, `docker load` or `ctr images import`. Homeostat is installed into the namespace
homeostat-system and removed again.
TEXT
  [ -x bin/homeostat ] || "$make" --no-print-directory build
else
  export LAB_NAME=${E2E_LAB_NAME:-homeostat-e2e}
  unset LAB_STATE
  lab_up
  "$make" --no-print-directory images
  bin/lab load dist/homeostat.tar dist/demoapp.tar 9>&-
  export E2E_LAB=$PWD/bin/lab
  # The tests run kubectl with the lab's KUBECONFIG; the lab brings its own.
  KUBECTL=$(bin/lab build 9>&- | tail -n 1)/kubectl
  export KUBECTL
fi

results() { # leaves one line for each test, and what those that failed say
  awk '!/^=== (RUN|PAUSE|CONT|NAME) /{print; fflush()}'
}

code=0
# In a job of its own, so that a signal to this script ends it at once and the lab is taken down.
set -m
go test -tags e2e -count=1 -timeout 40m -parallel 8 -v ${RUN:+-run "$RUN"} ./e2e 2>&1 9>&- | results &
set +m
wait %% || code=1
if [ -n "${E2E_LAB:-}" ] && [ -z "${RUN:-}" ]; then
  echo "the lab itself, by a lab of its own: nothing is left behind, also after a crash"
  (cd lab && env -u KUBECONFIG -u LAB_NAME go test -tags lab -count=1 -timeout 10m -v ./test 2>&1 9>&-) | results || code=1
fi
if [ -n "${E2E_LAB:-}" ] && [ -z "${RUN:-}" ] && [ "${BESIDE:-1}" = 1 ]; then
  echo "beside the native HPA, on a lab of its own: three failures that it takes for little load"
  results=$(mktemp -d)
  (env -u KUBECONFIG -u KUBECTL LAB_NAME="$LAB_NAME-beside" RESULTS="$results" DRAW=0 hack/beside.sh failures 2>&1 9>&-) | results || code=1
  rm -rf "$results"
fi
printf 'end-to-end tests: %s after %d s\n' "$([ "$code" = 0 ] && echo passed || echo FAILED)" $((SECONDS - began))
exit "$code"
