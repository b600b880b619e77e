#!/bin/sh
# Loads the CPU of a service with curl: by requests that cost CPU, or in one replica.
set -eu

usage() {
	cat <<USAGE
usage: ${0##*/} [-r RATE] [-m MS] [-d SECONDS] [URL]
       ${0##*/} -b MILLICORES [-d SECONDS] [URL]
       ${0##*/} -x [URL]

Sends requests that each burn MS milliseconds of CPU time in the replica that
answers. The load is RATE x MS millicores in all, and spreads over the replicas
as their number changes: what an autoscaler is for.

  URL            address of the service; default \$URL, else http://127.0.0.1:30080
  -r RATE        requests per second, 1 to 200; default 10
  -m MS          CPU time of each request, 1 to 10000; default 20
  -d SECONDS     how long, 1 to 3600; default 120
  -b MILLICORES  burn this much in the one replica that answers instead
  -x             end the background load of the replica that answers
USAGE
}

. "$(dirname "$0")/common.sh"

rate=10 ms=20 duration=120 background='' stop=''
while getopts r:m:d:b:xh option; do
	case $option in
	r) rate=$OPTARG ;;
	m) ms=$OPTARG ;;
	d) duration=$OPTARG ;;
	b) background=$OPTARG ;;
	x) stop=1 ;;
	h) usage && exit 0 ;;
	*) fail "unknown option" ;;
	esac
done
shift $((OPTIND - 1))
[ $# -le 1 ] || fail "one URL, not $#"
number RATE "$rate" 1 200
number MS "$ms" 1 10000
number SECONDS "$duration" 1 3600
url=${1:-${URL:-http://127.0.0.1:30080}}
url=${url%/}

if [ -n "$stop" ]; then
	get "/cpu-load?stop=1"
	exit
fi
if [ -n "$background" ]; then
	number MILLICORES "$background" 1 64000
	get "/cpu-load?millicores=$background&seconds=$duration"
	exit
fi
echo "load: $rate requests/s x $ms ms = $((rate * ms)) millicores in all"
# A replica that is short of CPU answers late; that is not a failure here.
exec "$(dirname "$0")/traffic.sh" -r "$rate" -d "$duration" -t 30 -p "/cpu-load?ms=$ms" "$url"
