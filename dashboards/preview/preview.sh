#!/usr/bin/env bash
# preview.sh OUT: draws the dashboards with @grafana/ui in Chromium over the servers PROMETHEUS and LOKI, into OUT/NAME.png. Needs 500 MB
# of npm, which are installed once into the cache folder. `make dashboards-preview` calls it with a story that is told for it,
# `make demo-pictures` with that of the demo; shot.mjs says what the environment may have besides.
set -euo pipefail
out=$(realpath "$1")
cd "$(dirname "$0")"
here=$PWD
folder=${XDG_CACHE_HOME:-$HOME/.cache}/homeostat/dashboards-preview/$(cat package.json package-lock.json | sha256sum | cut -c1-16)
mkdir -p "$folder/dashboards"
cp package.json package-lock.json index.html *.js *.jsx *.mjs "$folder"
cp "$here"/../grafana/*.json "$folder/dashboards"
cd "$folder"
if [ ! -e node_modules/.complete ]; then
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2
  touch node_modules/.complete
fi
export PORT=${PORT:-14173}
node node_modules/vite/bin/vite.js build >build.log 2>&1 || { cat build.log >&2; exit 1; }
node node_modules/vite/bin/vite.js preview >preview.log 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null || true' EXIT
for _ in $(seq 50); do curl -fs -o /dev/null "http://127.0.0.1:$PORT/" && break; sleep 0.2; done
timeout 300 node shot.mjs "$PORT" "$out" overview autoscaling healing controller
