# supervise.sh - starts daemons, starts them again when they die, and ends them all. Needs common.sh.
#
# A daemon NAME is what the function daemon_NAME executes (for hub-2: daemon_hub hub-2). It runs in $data, leads a
# process group of its own, is without root's rights, and gets SIGTERM if this script is killed. Its pid stands in
# $state/NAME.pid, its output goes to $logs/NAME.log. Times are in microseconds.

# Bash itself tells on standard error of each child that a signal killed; supervise_quietly sends that to a log.
declare -A pid_of=() start_again_at=()
daemons=() # in the order of their start
restart_delay=1000000
stop_deadline=30000000 # sanitizers look for leaks at the end, which takes a while

supervise_quietly() {
	exec 6>&2 2>>"$logs/run.log"
	complaints=6
}

set_now() { now=${EPOCHREALTIME/[.,]/}; }

# Waits without a process: nobody ever writes to descriptor 7.
open_pause() { exec 7<> <(:); }
pause() { read -r -t "$1" -u 7; }

# write_file PATH [MODE]: standard input becomes the file, whole or not at all.
write_file() {
	local path=$1 mode=${2:-644}
	(umask 077 && cat >"$path.new") && chmod "$mode" "$path.new" && mv -f "$path.new" "$path"
}

# $unprivileged is the command that executes a daemon; $daemon_user is empty when there are no rights to give up.
choose_user() {
	local number
	unprivileged=(setsid -- setpriv --pdeathsig TERM --no-new-privs)
	daemon_user='' as_daemon_user=()
	[[ $EUID -eq 0 ]] || return 0
	# A user id of this state directory's own, from the range that systemd gives to services without a name: nothing
	# is added to the machine, and the daemons of two copies cannot touch each other.
	number=$(cksum <<<"$state")
	daemon_user=$((61184 + ${number%% *} % 4000))
	as_daemon_user=(setpriv --reuid "$daemon_user" --regid "$daemon_user" --clear-groups)
	"${as_daemon_user[@]}" true 2>/dev/null ||
		fail "started as root, but on this machine root cannot become an unprivileged user (setpriv failed)"
	unprivileged+=("${as_daemon_user[@]:1}")
}

# A zombie is dead although bash may not have noticed yet, and a child is ours: /proc knows both.
is_alive() {
	local line
	[[ -n ${pid_of[$1]:-} ]] && { read -r line <"/proc/${pid_of[$1]}/stat"; } 2>/dev/null &&
		[[ ${line##*) } == [!ZX]" $$ "* ]]
}

start_daemon() {
	local name=$1
	(
		cd "$data" || exit
		umask 077
		"daemon_${name%%-*}" "$name"
	) </dev/null >>"$logs/$name.log" 2>&1 6>&- 7<&- 8<&- 9<&- &
	pid_of[$name]=$!
	write_file "$state/$name.pid" <<<"$!"
}

# bury NAME: collects what a dead daemon left, processes of its own included (nginx's workers), and says in $cause how
# it ended.
bury() {
	local pid=${pid_of[$1]} status
	wait "$pid"
	status=$?
	kill -KILL -- "-$pid" 2>/dev/null
	pid_of[$1]=
	cause="exit status $status"
	[[ $status -le 128 ]] || cause="signal $((status - 128))"
}

# Looks at each daemon once; called again and again.
tend_daemons() {
	local name
	set_now
	for name in "${daemons[@]}"; do
		if [[ -z ${pid_of[$name]} ]]; then
			[[ $now -lt ${start_again_at[$name]} ]] || start_daemon "$name"
		elif ! is_alive "$name"; then
			bury "$name"
			start_again_at[$name]=$((now + restart_delay))
			note "$name ended ($cause) and is started again"
		fi
	done
}

any_is_alive() {
	local name
	for name in "${daemons[@]}"; do
		is_alive "$name" && return 0 # in a trap a bare return gives the status from before the trap
	done
	return 1
}

# Ends everything; by force what is still there at the deadline, or at a second signal.
stop_daemons() {
	local name deadline
	trap 'stop_deadline=0' INT TERM HUP
	for name in "${daemons[@]}"; do
		is_alive "$name" && kill -TERM "${pid_of[$name]}" 2>/dev/null
	done
	set_now
	deadline=$((now + stop_deadline))
	while any_is_alive && [[ $now -lt $deadline && $stop_deadline -gt 0 ]]; do
		pause 0.05
		set_now
	done
	for name in "${daemons[@]}"; do
		! is_alive "$name" || note "$name did not end and was killed"
		[[ -z ${pid_of[$name]} ]] || kill -KILL -- "-${pid_of[$name]}" 2>/dev/null
		rm -f "$state/$name.pid"
	done
}
