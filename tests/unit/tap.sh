#!/bin/sh
# tap.sh PROGRAM - runs a cmocka program, for five minutes at most; what it skips is not a failure, although cmocka prints it as one.
status=$(mktemp) || exit
trap 'rm -f "$status"' EXIT
{ timeout --kill-after=10 300 "$@"; echo $? >"$status"; } | sed -u 's/^not ok \([0-9]* # SKIP\)/ok \1/'
read -r code <"$status"
exit "$code"
