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

. "$(dirname "$0")/common.sh"

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
interrupted=
trap 'interrupted=1' INT TERM

# Appends one line: the status and the replica, which is the header that demoapp sets. An answer that
# breaks off counts as none.
request() {
	reply=$(curl -s -i -m "$timeout" "$url$path") || reply=
	code=${reply#HTTP/* }
	code=${code%%[!0-9]*}
	replica=-
	case $reply in
	*[Xx]-[Hh]ostname:*)
		replica=${reply#*[Xx]-[Hh]ostname: }
		replica=${replica%%[!A-Za-z0-9._-]*}
		;;
	esac
	echo "${code:-000} $replica" >>"$answers/second"
}

# Shows and forgets the answers so far, and adds them to the total.
show() {
	: >>"$answers/second"
	mv "$answers/second" "$answers/shown"
	cat "$answers/shown" >>"$answers/all"
	[ -s "$answers/shown" ] || return 0
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
# Seconds are all that every date tells; so start with a full one.
before=$(date +%s)
while [ "$(date +%s)" -eq "$before" ]; do
	sleep 0.05
done
start=$((before + 1))
second=0 sent=0
while [ "$second" -lt "$duration" ] && [ -z "$interrupted" ]; do
	if [ "$sent" -lt $(((second + 1) * rate)) ]; then
		request &
		sent=$((sent + 1))
	fi
	sleep "$pause"
	now=$(($(date +%s) - start))
	if [ "$now" -gt "$second" ]; then
		second=$now
		# Starting processes takes time too: what it cost is made up for here.
		while [ "$sent" -lt $((second * rate)) ] && [ "$sent" -lt $((duration * rate)) ]; do
			request &
			sent=$((sent + 1))
		done
		show "${second}s"
	fi
done
# Those on their way may still be answered.
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
