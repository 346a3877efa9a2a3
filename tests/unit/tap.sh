#!/bin/sh
# tap.sh PROGRAM - runs a cmocka program; what it skips is not a failure, although cmocka prints it as one.
status=$(mktemp) || exit
trap 'rm -f "$status"' EXIT
{ "$@"; echo $? >"$status"; } | sed -u 's/^not ok \([0-9]* # SKIP\)/ok \1/'
read -r code <"$status"
exit "$code"
