#!/usr/bin/env bash
# Holds the dashboards against the types that Grafana publishes, strictly, and then shows that planted faults are found. What it needs is
# installed into the cache folder, 33 MB. Where there is no npm, or it cannot install, it says so and ends well; with
# DASHBOARDS=required it fails, with DASHBOARDS=off it does nothing.
set -euo pipefail
cd "$(dirname "$0")"
mode=${DASHBOARDS:-auto}
skip() {
  echo "SKIPPED: the dashboards were not checked against Grafana's types: $1" >&2
  if [ "$mode" = required ]; then exit 1; fi
  exit 0
}
if [ "$mode" = off ]; then skip "DASHBOARDS=off"; fi
command -v npm >/dev/null || skip "there is no npm"
dashboards=("$PWD"/../grafana/*.json)
folder=${XDG_CACHE_HOME:-$HOME/.cache}/homeostat/dashboards-check/$(cat package.json package-lock.json | sha256sum | cut -c1-16)
mkdir -p "$folder"
cp package.json package-lock.json tsconfig.json check.mjs "$folder"
cd "$folder"
if [ ! -x node_modules/.bin/tsc ] || [ ! -e node_modules/.complete ]; then
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2 || skip "npm cannot install @grafana/schema and typescript"
  touch node_modules/.complete
fi

node check.mjs "${dashboards[@]}"
node_modules/.bin/tsc -p .
echo "$((${#dashboards[@]})) dashboards have the types of @grafana/schema $(node -p "require('@grafana/schema/package.json').version")"

# A check that finds nothing is worth something only where it would have found something.
planted=0
plant() { # NAME, JavaScript that spoils the dashboard d
  mkdir -p planted
  node -e 'const d = JSON.parse(require("fs").readFileSync(process.argv[1])); const of = t => d.panels.find(p => p.type === t);
    eval(process.argv[2]); require("fs").writeFileSync("planted/spoilt.json", JSON.stringify(d))' "${dashboards[1]}" "$2"
  node check.mjs planted/spoilt.json
  if node_modules/.bin/tsc -p . >planted/found.txt; then echo "the planted fault was not found: $1" >&2; exit 1; fi
  planted=$((planted + 1))
}
plant "an unknown field of the dashboard" 'd.graphTooltipp = 1'
plant "a missing option" 'delete of("logs").options.showTime'
plant "an unknown interpolation" 'of("timeseries").fieldConfig.defaults.custom.lineInterpolation = "stepafter"'
plant "an unknown order of the tooltip" 'of("timeseries").options.tooltip.sort = "down"'
plant "an unknown setting of a state timeline" 'of("state-timeline").options.rowHeigth = 1'
plant "an unknown type of variable" 'd.templating.list[2].type = "quary"'
plant "a query without an id" 'delete of("stat").targets[0].refId'
rm -rf planted typed
echo "$planted planted faults were found"
