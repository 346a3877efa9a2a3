#!/bin/sh
# test_command_token.sh - `roomcast token`: what it prints, where its secret comes from, how it refuses.
roomcast=../../cli/roomcast
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
unset JWT_SECRET JWT_SECRET_FILE CREDENTIALS_DIRECTORY ROOMCAST_CONFIG
count=0

# expect <description> <wanted status> <wanted text in the output> command...
expect() {
	description=$1 status=$2 text=$3
	shift 3
	count=$((count + 1))
	output=$("$@" 2>&1)
	got=$?
	case $output in
	*"$text"*) [ "$got" = "$status" ] && { echo "ok $count - $description"; return; } ;;
	esac
	echo "not ok $count - $description"
	echo "# exit status $got: $output"
}

# What the token of these arguments says.
payload() {
	part=$("$roomcast" token "$@" | cut -d. -f2 | tr -- '-_' '+/') || return
	while [ $((${#part} % 4)) -ne 0 ]; do part="$part="; done
	echo "$part" | base64 -d
}

echo 1..11
header=eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.
printf 'from a file\n' > "$scratch/secret"
printf '[common]\njwt-secret = from the configuration\n[hub]\nname = a\n' > "$scratch/roomcast.conf"
expect "the secret from the environment" 0 $header env JWT_SECRET=s $roomcast token --user-id=42
expect "the secret from a file" 0 $header $roomcast token --user-id=42 --jwt-secret-file="$scratch/secret"
expect "the secret from the configuration" 0 $header $roomcast token --user-id=42 --config="$scratch/roomcast.conf"
JWT_SECRET=s; export JWT_SECRET
expect "the user's id" 0 '"userId":"42"' payload --user-id=42
expect "name and role" 0 '"role":"admin","userId":"42","username":"Ann"' payload --user-id=42 --username=Ann --role=admin
expect "without an end" 0 '{"iat":' payload --user-id=42 --expires=0
expect "no user" 2 "--user-id is missing" $roomcast token
expect "no secret" 2 "no secret to sign with" env -u JWT_SECRET $roomcast token --user-id=42
expect "a user id that is not UTF-8" 1 "is every text UTF-8?" $roomcast token "--user-id=$(printf '\377')"
expect "help" 0 "token " $roomcast --help
expect "an unknown command" 2 'no command "tokens"' $roomcast tokens
