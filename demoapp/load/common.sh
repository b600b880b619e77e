# What the load scripts share; they read it with the dot command.
# shellcheck shell=sh

# fail MESSAGE ends a script that was called the wrong way.
fail() {
	echo "${0##*/}: $1" >&2
	echo "Run ${0##*/} -h for the usage." >&2
	exit 2
}

# number NAME VALUE LOWEST HIGHEST fails unless VALUE is a whole number in the range.
number() {
	case $2 in
	'' | *[!0-9]* | ??????*) fail "$1 is '$2'; allowed: a whole number from $3 to $4" ;;
	esac
	if [ "$2" -lt "$3" ] || [ "$2" -gt "$4" ]; then
		fail "$1 is '$2'; allowed: a whole number from $3 to $4"
	fi
}

# get PATH asks $url and prints the body, also of a refusal, and fails unless the status is a success.
get() {
	reply=$(curl -sS -m 10 -w '\n%{http_code}' "$url$1") || return 1
	status=${reply##*
}
	printf '%s' "${reply%
*}"
	[ "$status" -lt 300 ]
}
