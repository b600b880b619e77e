#!/usr/bin/env bash
# Builds the Loki of hack/loki/go.mod once into the cache folder, on one core with low priority, and prints the path of the binary. The
# first time takes 7 to 15 minutes and 4 GB of disk. The tests of internal/logs/loki find it there.
set -euo pipefail
cd "$(dirname "$0")/loki"
version=$(awk '$2 == "github.com/grafana/loki/v3" {print $3} $1 == "github.com/grafana/loki/v3" {print $2}' go.mod)
folder=${XDG_CACHE_HOME:-$HOME/.cache}/homeostat/loki/$version
if [ ! -x "$folder/loki" ]; then
  mkdir -p "$folder"
  echo "building Loki $version into $folder: this first time it takes 7 to 15 minutes and 4 GB of disk" >&2
  trap 'rm -f "$folder/loki.$$"' EXIT # where it is interrupted
  CGO_ENABLED=0 GOMAXPROCS=1 nice -n 15 go build -p 1 -buildvcs=false -trimpath -ldflags='-s -w' -o "$folder/loki.$$" github.com/grafana/loki/v3/cmd/loki
  mv "$folder/loki.$$" "$folder/loki"
fi
echo "$folder/loki"
