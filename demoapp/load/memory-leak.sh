#!/bin/sh
# Makes one replica leak memory and watches what becomes of it.
set -eu

usage() {
	cat <<USAGE
usage: ${0##*/} [-r RATE] [-s SIZE] [-w SECONDS] [-c] [URL]
       ${0##*/} -x [URL]

Asks the replica that answers at URL to leak memory, then asks every second who
answers, and says when the replica that leaks is gone and when it is back.
With a memory limit below SIZE it is killed on the way.

  URL         address of the service; default \$URL, else http://127.0.0.1:30080
  -r RATE     MiB per second; default 8
  -s SIZE     MiB at which the leak stops; default 512
  -w SECONDS  how long to watch, 0 to 86400; default 60
  -c          let a child process leak (/child-leak), so that it is the one killed
  -x          end the leaks of the replica that answers and free their memory
USAGE
}

. "$(dirname "$0")/common.sh"

rate=8 size=512 watch=60 endpoint=memory-leak stop=
while getopts r:s:w:cxh option; do
	case $option in
	r) rate=$OPTARG ;;
	s) size=$OPTARG ;;
	w) watch=$OPTARG ;;
	c) endpoint=child-leak ;;
	x) stop=1 ;;
	h) usage && exit 0 ;;
	*) fail "unknown option" ;;
	esac
done
shift $((OPTIND - 1))
[ $# -le 1 ] || fail "one URL, not $#"
number SECONDS "$watch" 0 86400
url=${1:-${URL:-http://127.0.0.1:30080}}
url=${url%/}

if [ -n "$stop" ]; then
	get "/memory-leak?stop=1"
	get "/child-leak?stop=1"
	exit 0
fi

echo "$url/$endpoint?rate=$rate&size=$size"
started=$(get "/$endpoint?rate=$rate&size=$size") || {
	[ -z "$started" ] || echo "$started" >&2
	exit 1
}
echo "$started"
replica=$(echo "$started" | sed 's/.*"hostname":"\([^"]*\)".*/\1/')

# Uptime going down is how a restart shows from outside.
start=$(date +%s)
last_uptime=0 missing=
while [ $(($(date +%s) - start)) -lt "$watch" ]; do
	sleep 1
	at=$(($(date +%s) - start))
	answer=$(curl -s -m 2 "$url/hostname") || answer=
	if [ -z "$answer" ]; then
		echo "${at}s  no answer"
		missing=1
		continue
	fi
	note=
	case $answer in
	"$replica "*)
		uptime=$(echo "$answer" | sed 's/.*uptime=\([0-9]*\)s.*/\1/')
		if [ "$uptime" -lt "$last_uptime" ]; then
			note="  <- restarted"
		elif [ -n "$missing" ]; then
			note="  <- answers again"
		fi
		last_uptime=$uptime missing=
		;;
	esac
	echo "${at}s  $answer$note"
done
