# common.sh - what run and check both say and do. Sourced by bash; $top is the clone's directory.

# Directories where Debian keeps daemons, for users whose PATH lacks them.
PATH=$PATH:/usr/sbin:/sbin

say() { printf '%s\n' "$*"; }
note() { printf '%(%T)T  %s\n' -1 "$*"; }

complaints=2 # the descriptor where they go
fail() {
	printf '%s: %s\n' "${0##*/}" "$*" >&"$complaints"
	exit 1
}

# A shell that was started in the background without job control inherits SIGINT as ignored, and bash cannot trap
# what was ignored when it began: so it begins again, as the same process.
restore_signals() { # the script and its arguments
	case $(trap -p INT TERM) in
	*"-- '' "*) exec env --default-signal=INT,TERM "$BASH" "$@" ;;
	esac
}

# step LOG COMMAND...: runs it in the background in a process group of its own, so that a signal to this script can
# end all of it at once (end_step). Returns its status.
step_pid=
step() {
	local log=$1 status
	shift
	setsid -- "$@" </dev/null >>"$log" 2>&1 6>&- 7<&- 8<&- 9<&- &
	step_pid=$!
	wait "$step_pid"
	status=$?
	step_pid=
	return "$status"
}

end_step() {
	[[ -z $step_pid ]] || kill -TERM -- "-$step_pid" 2>/dev/null
	step_pid=
}

# must LOG SENTENCE COMMAND...: a step that has to succeed.
must() {
	local log=$1 sentence=$2
	shift 2
	step "$log" "$@" && return
	tail -n 25 "$log" >&2
	fail "$sentence (the whole log: $log)"
}
