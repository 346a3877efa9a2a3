# build.sh - builds roomcast out of its tree. Needs common.sh; $top is the clone, $build the build directory.

# A tree that was configured in place cannot be built elsewhere as well.
default_build_directory() {
	if [[ -f $top/config.status ]]; then
		echo "$top"
	else
		echo "$top/build"
	fi
}

# npm_packages LOG FOLDER: exactly what its package-lock.json says.
npm_packages() {
	local log=$1 folder=$2
	[[ ! $folder/node_modules/.package-lock.json -nt $folder/package-lock.json ]] || return 0
	say "installing npm packages for ${folder#"$top"/}"
	must "$log" "npm could not install the packages of $folder" npm --prefix "$folder" ci --no-audit --no-fund
	touch "$folder/node_modules/.package-lock.json"
}

# prepare_build_system LOG: makes configure when it is missing.
prepare_build_system() {
	[[ ! -x $top/configure ]] || return 0
	say "preparing the build system (autoreconf)"
	must "$1" "autoreconf failed" autoreconf --install "$top"
}

# build_tree LOG [CONFIGURE-OPTION...]: make alone when the directory is configured already.
build_tree() {
	local log=$1
	shift
	prepare_build_system "$log"
	if [[ ! -f $build/config.status ]]; then
		say "configuring in $build"
		must "$log" "configure failed" env --chdir="$build" "$top/configure" "$@"
	fi
	[[ -f $build/hub/roomcast-hub ]] || say "building (a minute or so)"
	must "$log" "make failed" make -C "$build" "-j$(nproc)"
}

# One builder at a time in one clone; the lock is on the directory itself, so it leaves no file.
lock_tree() { exec 8<"$top" && flock 8; }
unlock_tree() { exec 8<&-; }
