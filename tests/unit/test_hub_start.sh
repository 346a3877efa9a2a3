#!/bin/sh
# test_hub_start.sh - roomcast-hub: what it refuses to start with, and how it ends.
hub=../../hub/roomcast-hub
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
unset JWT_SECRET JWT_SECRET_FILE CREDENTIALS_DIRECTORY ROOMCAST_CONFIG NODE_ENV NEXT_PUBLIC_APP_URL
count=0

# report <status, 0 for good> <description>
report() {
	count=$((count + 1))
	[ "$1" -eq 0 ] && echo "ok $count - $2" && return
	echo "not ok $count - $2"
	sed 's/^/# /' "$scratch/output"
}

# refused <description> <wanted text> arguments... : exit status 1, and one line that says why.
refused() {
	description=$1 text=$2
	shift 2
	timeout 20 "$hub" "$@" >"$scratch/output" 2>&1
	[ $? -eq 1 ] && [ "$(wc -l <"$scratch/output")" -eq 1 ] && grep -qF -- "$text" "$scratch/output"
	report $? "$description"
}

# Ends with status 0 on as many SIGTERMs as are given, at any distance.
ends_with() {
	rm -f "$scratch/output"
	"$hub" --listen="unix:$scratch/hub.sock" --line="ipc://$scratch/line.sock" --drain-window="$2" 2>"$scratch/output" &
	pid=$!
	tries=0
	until grep -q msg=started "$scratch/output" || [ $((tries += 1)) -gt 200 ]; do sleep 0.05; done
	sent=0
	while [ $sent -lt "$1" ] && kill -TERM $pid 2>/dev/null; do sent=$((sent + 1)); done
	wait $pid
	report $? "$1 SIGTERM, draining for $2: status 0"
}

echo 1..9
refused "production needs a secret" "JWT_SECRET"
refused "so does any other NODE_ENV" "JWT_SECRET" --node-env=test
refused "an unknown option" "unknown option --nonsense" --nonsense=1
export JWT_SECRET=secret
refused "a path without /" "path \"api\"" --path=api
refused "an origin that is none" "origins" --origins=nonsense
mkdir "$scratch/directory"
refused "a socket where a directory is" "cannot start" --listen="unix:$scratch/directory" --line="ipc://$scratch/line.sock"
ends_with 1 1s
ends_with 2 1s
ends_with 500 1s
