// What the figures were measured on: the machine, its system, and the versions of the servers.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { bunProgram, hasNchan } from "./servers.mjs";

const bench = join(dirname(fileURLToPath(import.meta.url)), "..");

/** The first match in what a program prints; null when it is not there. */
function ask(program, args, pattern) {
	try {
		return execFileSync("sh", ["-c", '"$0" "$@" 2>&1', program, ...args], { encoding: "utf8" }).match(pattern)?.[1] ?? null;
	} catch {
		return null;
	}
}

/** Of the first of the folders that is there: npm puts a package beside or below the one that wants it. */
function npmVersion(...folders) {
	const found = folders.map((folder) => join(bench, "node_modules", folder, "package.json")).find((file) => existsSync(file));
	return found ? JSON.parse(readFileSync(found, "utf8")).version : "?";
}

const debianVersion = (name) => ask("dpkg-query", ["-W", "-f=${Version}", name], /^(\d\S*)$/);

function debian() {
	const name = readFileSync("/etc/os-release", "utf8").match(/^PRETTY_NAME="(.*)"/m)?.[1] ?? "an unknown system";
	try {
		return `${name}, ${readFileSync("/etc/debian_version", "utf8").trim()}`;
	} catch {
		return name;
	}
}

/** { hardware, system, peers: { name: version } }; versions of what is installed. */
export function describeMachine(build) {
	const versions = {
		roomcast: build && ask(join(build, "hub/roomcast-hub"), ["--version"], /(\d[\w.-]*)/),
		"socket.io": `${npmVersion("socket.io")} with ws ${npmVersion("engine.io/node_modules/ws", "ws")} on node ${process.versions.node}`,
		bun: bunProgram() && ask(bunProgram(), ["--version"], /(\d\S*)/),
		nginx: ask("nginx", ["-v"], /nginx\/(\S+)/),
		Nchan: hasNchan() ? debianVersion("libnginx-mod-nchan") : null,
		ZeroMQ: debianVersion("libzmq5"),
	};
	return {
		hardware: `${cpus().length} x ${cpus()[0].model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB`,
		system: `${debian()}, Linux ${release()}`,
		versions: Object.fromEntries(Object.entries(versions).filter(([, version]) => version)),
	};
}

export const machineText = ({ hardware, system, versions }) =>
	`${hardware}, ${system}; ${Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(", ")}`;
