#!/bin/sh
# Sends ordinary traffic with curl and shows which replicas answer.
set -eu

usage() {
	cat <<USAGE
usage: ${0##*/} [-r RATE] [-d SECONDS] [-p PATH] [-t TIMEOUT] [URL]

Sends GET requests to URL, each over a connection of its own as separate users
would, and prints each second how many were answered, by which replica, and how
many failed. Exits with 1 if any request failed.

  URL         address of the service; default \$URL, else http://127.0.0.1:30080
  -r RATE     requests per second, 1 to 200; default 10
  -d SECONDS  how long, 1 to 86400; default 30
  -p PATH     what to request; default /hostname
  -t TIMEOUT  seconds to wait for an answer, 1 to 600; default 5

demoapp load does the same faster and measures latency.
USAGE
}

fail() {
	echo "${0##*/}: $1" >&2
	echo "Run ${0##*/} -h for the usage." >&2
	exit 2
}

# number NAME VALUE LOWEST HIGHEST
number() {
	case $2 in
	'' | *[!0-9]* | ??????*) fail "$1 is '$2'; allowed: a whole number from $3 to $4" ;;
	esac
	if [ "$2" -lt "$3" ] || [ "$2" -gt "$4" ]; then
		fail "$1 is '$2'; allowed: a whole number from $3 to $4"
	fi
}

rate=10 duration=30 path=/hostname timeout=5
while getopts r:d:p:t:h option; do
	case $option in
	r) rate=$OPTARG ;;
	d) duration=$OPTARG ;;
	p) path=$OPTARG ;;
	t) timeout=$OPTARG ;;
	h) usage && exit 0 ;;
	*) fail "unknown option" ;;
	esac
done
shift $((OPTIND - 1))
[ $# -le 1 ] || fail "one URL, not $#"
number RATE "$rate" 1 200
number SECONDS "$duration" 1 86400
number TIMEOUT "$timeout" 1 600
url=${1:-${URL:-http://127.0.0.1:30080}}
url=${url%/}

answers=$(mktemp -d)
trap 'rm -rf "$answers"' EXIT
trap 'exit 130' INT TERM

# One line for each answer: its status and the replica, which is the header that demoapp sets.
request() {
	curl -s -o /dev/null -m "$timeout" -w '%{http_code}\n' -D "$answers/head.$1" "$url$path" >"$answers/code.$1" || true
	read -r code <"$answers/code.$1" || code=000
	replica=$(tr -d '\r' <"$answers/head.$1" 2>/dev/null | awk 'tolower($1) == "x-hostname:" { print $2 }') || true
	echo "$code ${replica:--}" >>"$answers/second"
	rm -f "$answers/code.$1" "$answers/head.$1"
}

# Shows and forgets the answers so far, and adds them to the total.
show() {
	: >>"$answers/second"
	mv "$answers/second" "$answers/shown"
	cat "$answers/shown" >>"$answers/all"
	awk -v at="$1" '
		$1 >= 200 && $1 < 400 { ok++; by[$2]++; next }
		{ failed++; why[$1 == "000" ? "no answer" : "status " $1]++ }
		END {
			printf "%6s  answered %4d  failed %4d ", at, ok, failed
			for (name in by) printf "  %s %d", name, by[name]
			for (name in why) printf "  (%s: %d)", name, why[name]
			printf "\n"
		}' "$answers/shown"
}

echo "GET $url$path at $rate/s for $duration s"
: >"$answers/all"
pause=$(awk -v rate="$rate" 'BEGIN { printf "%.4f", 1 / rate }')
start=$(date +%s)
second=0 n=0
while [ $(($(date +%s) - start)) -lt "$duration" ]; do
	request "$n" &
	n=$((n + 1))
	sleep "$pause"
	now=$(($(date +%s) - start))
	if [ "$now" -gt "$second" ]; then
		second=$now
		show "${second}s"
	fi
done
wait
show end
awk '
	$1 >= 200 && $1 < 400 { by[$2]++; ok++; next }
	{ failed++ }
	END {
		printf "\n%d requests, %d answered, %d failed\n", NR, ok, failed
		for (name in by) printf "  %-32s %6d\n", name, by[name]
		exit failed > 0
	}' "$answers/all"
