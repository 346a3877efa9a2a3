# packages.sh - the Debian packages that roomcast needs, and how they get here. Needs common.sh.

build_packages=(
	gcc libc6-dev make autoconf automake pkg-config
	libuv1-dev libhttp-parser-dev libzmq3-dev
	libjson-c-dev libjwt-dev libssl-dev libinih-dev uthash-dev libsystemd-dev libsqlite3-dev libpq-dev
)
run_packages=(nginx python3 curl ca-certificates)
check_packages=(
	libcmocka-dev clang libclang-rt-14-dev libfcgi-dev
	apache2 libapache2-mod-fcgid lighttpd postgresql systemd iproute2
	chromium python3-socketio python3-aiohttp python3-requests python3-websocket python3-zmq
	python3-django python3-psycopg2 php-cli php-pgsql php-illuminate-database
)

node_version_is_enough() {
	local version
	version=$(node --version 2>/dev/null) || return
	version=${version#v}
	[[ ${version%%.*} -ge 18 ]]
}

# Any node and npm will do that are new enough, wherever they came from; else Debian's.
missing_node_packages() {
	command -v node >/dev/null || echo nodejs
	command -v npm >/dev/null || echo npm
}

# Any nginx will do, whichever of Debian's packages it came from.
missing_packages() {
	local name
	local -A installed=()
	while read -r name; do
		installed[${name%%:*}]=1
	done < <(dpkg-query --show --showformat='${db:Status-Abbrev} ${Package}\n' 2>/dev/null | sed -n 's/^.i  *//p')
	! command -v nginx >/dev/null || installed[nginx]=1
	for name; do
		[[ -n ${installed[$name]:-} ]] || echo "$name"
	done
	missing_node_packages
}

# What root has to do, as one program. Debian starts a service as soon as its package is installed: the system's
# nginx would take port 80 although only its program is wanted here. policy-rc.d is Debian's own word against
# that; it stands there only for as long as the installation takes, and services that were not here before are not started
# at the next boot either.
as_root_install='
set -e
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap "rm -f $policy" EXIT
	trap "exit 1" HUP INT TERM
	printf "#!/bin/sh\nexit 101\n" >"$policy"
	chmod 755 "$policy"
fi
new=
for service in nginx apache2 lighttpd postgresql; do
	[ -e "/etc/init.d/$service" ] || [ -e "/lib/systemd/system/$service.service" ] || [ -e "/etc/systemd/system/$service.service" ] ||
		new="$new $service.service"
done
apt-get -q update
apt-get -q -y -o DPkg::Lock::Timeout=120 --no-install-recommends install "$@"
for service in $new; do
	! command -v systemctl >/dev/null || systemctl --quiet disable "$service" 2>/dev/null || true
done
'

# install_packages LOG NAME...: not interrupted by signals, because a half-done dpkg is worse than a late end.
install_packages() {
	local log=$1 missing
	shift
	if command -v node >/dev/null && ! node_version_is_enough; then
		fail "the node on this machine is $(node --version 2>&1), but 18 or newer is needed"
	fi
	mapfile -t missing < <(missing_packages "$@")
	[[ ${#missing[@]} -gt 0 ]] || return 0
	[[ -r /etc/debian_version ]] || fail "only Debian's packages are known here; please install: ${missing[*]}"
	say "installing Debian packages: ${missing[*]}"
	local root=()
	if [[ $EUID -ne 0 ]]; then
		command -v sudo >/dev/null ||
			fail "these Debian packages are missing, and neither root nor sudo is here to install them: ${missing[*]}"
		root=(sudo)
	fi
	"${root[@]}" sh -c "$as_root_install" install-packages "${missing[@]}" </dev/null >>"$log" 2>&1 7<&- 8<&- 9<&- || {
		tail -n 25 "$log" >&2
		fail "apt-get could not install what is missing (the whole log: $log)"
	}
}
