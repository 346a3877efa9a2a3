#!/bin/bash
# postgres.sh - a private PostgreSQL server for tests, on a unix socket alone.
#
#   postgres.sh start DIR      makes a cluster in DIR if there is none, starts it, prints a libpq connection string
#   postgres.sh stop DIR [MODE]   fast (as unless said), smart, or immediate: without a shutdown checkpoint, as after a crash
#   postgres.sh restart DIR [MODE]
#   postgres.sh remove DIR     stops it and removes DIR
#
# DIR must be short enough for a socket's path. Root starts the server as the user postgres, because PostgreSQL refuses root.
# POSTGRES_OPTIONS: more options of the server, such as "-c fsync=off". POSTGRES_OWNER: a process; when it ends without a word, the server
# is removed all the same. Ends with 77 where PostgreSQL is not installed.
set -eu -o pipefail

usage() {
	sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
	exit 2
}

[[ $# -ge 2 ]] || usage
action=$1 dir=$2 mode=${3:-fast}

programs=$(find /usr/lib/postgresql/*/bin -name initdb -printf '%h\n' 2>/dev/null | sort -V | tail -n 1)
[[ -n $programs ]] || programs=$(dirname "$(command -v initdb 2>/dev/null || echo /nowhere/initdb)")
[[ -x $programs/initdb && -x $programs/pg_ctl ]] || { echo "PostgreSQL is not installed" >&2; exit 77; }

as_owner=()
if [[ $EUID -eq 0 ]]; then
	as_owner=(setpriv --reuid=postgres --regid=postgres --clear-groups env HOME="$dir")
fi

# What it starts must not keep the caller's pipes open.
ctl() {
	(cd "$dir" && "${as_owner[@]}" "$programs/pg_ctl" -D "$dir/data" -s -w -t 60 "$@" </dev/null >>"$dir/ctl.log" 2>&1 7<&- 8<&- 9<&-) ||
		{ tail -n 5 "$dir/ctl.log" "$dir/server.log" >&2; exit 1; }
}

make_cluster() {
	mkdir -p "$dir"
	[[ $EUID -ne 0 ]] || chown postgres "$dir"
	chmod 755 "$dir" # whoever the programs run as reaches the socket
	(cd "$dir" && "${as_owner[@]}" "$programs/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >"$dir/initdb.log" 2>&1) ||
		{ tail -n 5 "$dir/initdb.log" >&2; exit 1; }
}

watch_owner() {
	setsid bash -c 'while kill -0 "$1" 2>/dev/null; do sleep 0.5; [[ -e $2 ]] || exit 0; done; exec "$0" remove "$2"' "$0" "$POSTGRES_OWNER" "$dir" \
		</dev/null >/dev/null 2>&1 7<&- 8<&- 9<&- &
	echo $! >"$dir/watcher"
}

# Who removes it before its owner ends may be the watcher itself.
end_watcher() {
	local watcher
	watcher=$(cat "$dir/watcher" 2>/dev/null) || return 0
	[[ $watcher -eq $$ ]] || kill -KILL -- "-$watcher" 2>/dev/null || true
}

start() {
	if [[ ! -e $dir/data/PG_VERSION ]]; then
		make_cluster
		[[ -z ${POSTGRES_OWNER:-} ]] || watch_owner
	fi
	ctl -l "$dir/server.log" -o "-k '$dir' -c listen_addresses= -c shared_buffers=16MB -c max_connections=40 ${POSTGRES_OPTIONS:-}" start
	echo "host=$dir user=postgres dbname=postgres"
}

case $action in
start) start ;;
stop) ctl -m "$mode" stop ;;
restart)
	ctl -m "$mode" stop
	start
	;;
remove)
	end_watcher
	[[ ! -e $dir/data/postmaster.pid ]] || ctl -m immediate stop
	rm -rf "$dir"
	;;
*) usage ;;
esac
