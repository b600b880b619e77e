#!/usr/bin/env bash
# Fails where a generated file is stale, the modules are not tidy, or the code is not formatted. It changes nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
# A copy, so that what is wrong is shown and not mended.
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$copy"
(
  cd "$copy"
  git init -q . && git add -A && git -c user.name=verify -c user.email=verify@localhost commit -qm before
  go generate ./...
  go mod tidy
  (cd lab && go mod tidy)
  (cd deploy/stack/check && go mod tidy)
  (cd hpa/differential && go mod tidy)
  go tool -modfile=go.tools.mod golangci-lint fmt ./...
  git diff --exit-code || { echo "generated files, modules or formatting are stale: make update, go mod tidy" >&2; exit 1; }
)
echo "generated files, modules and formatting are up to date"
