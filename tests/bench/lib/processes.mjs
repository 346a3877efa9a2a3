// Starting, pinning and ending processes, and what /proc says about them.
import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, readdirSync } from "node:fs";
import { connect } from "node:net";
import { availableParallelism } from "node:os";
import { createInterface } from "node:readline";
import { join } from "node:path";

import { all, end, until, watch } from "../../lib/deadline.mjs";

/** The server has one core, the generator and whoever publishes the other. */
const cores = availableParallelism() > 1 ? { server: "0", generator: "1" } : { server: "0", generator: "0" };

const pinned = (core, command) => ["taskset", ["--cpu-list", cores[core], ...command]];

export const accepts = (port) =>
	new Promise((resolve) => {
		const socket = connect(port, "127.0.0.1")
			.on("connect", () => resolve(socket.destroy() && true))
			.on("error", () => resolve(false));
	});

/** A daemon on the server's core. */
export class Daemon {
	static #running = new Set();

	/** What is left of measurements that failed. */
	static async stopAll() {
		for (const child of generators) child.kill("SIGKILL");
		await all([...Daemon.#running].map((daemon) => daemon.stop()));
	}

	constructor(command, { env = {}, log, directory, core = "server" }) {
		const output = openSync(log, "a");
		const [program, args] = pinned(core, command);
		this.log = log;
		this.child = spawn(program, args, { cwd: directory, env: { ...process.env, ...env }, stdio: ["ignore", output, output] });
		watch(this.child, () => readFileSync(log, "utf8"));
		Daemon.#running.add(this);
		this.child.closed.then(() => {
			this.hasEnded = true;
			Daemon.#running.delete(this);
		});
		closeSync(output);
	}

	async accepts(port) {
		await until(`${this.child.spawnargs.at(-1)} accepts on ${port}`, () => {
			if (this.hasEnded) throw new Error(`a server ended at its start: ${readFileSync(this.log, "utf8").slice(-500)}`);
			return accepts(port);
		});
	}

	async stop() {
		await end(this.child);
	}

	/** Its own pid and those of its children, such as nginx's workers. */
	get pids() {
		return [this.child.pid, ...children(this.child.pid)];
	}
}

function children(pid) {
	const found = [];
	for (const entry of readdirSync("/proc")) {
		if (!/^\d+$/.test(entry)) continue;
		try {
			const parent = Number(readFileSync(`/proc/${entry}/stat`, "utf8").replace(/^.*\) /s, "").split(" ")[1]);
			if (parent === pid) found.push(Number(entry));
		} catch {
			// it ended meanwhile
		}
	}
	return found;
}

const generators = new Set();

/** Runs a program of tests/bench on the generator's core; gives the JSON objects that it prints. between(object) sees each as it comes. */
export async function generate(tools, name, args, { env = {}, between = async () => {} } = {}) {
	const [program, options] = pinned("generator", [join(tools, name), ...args]);
	const child = spawn(program, options, { env: { ...process.env, ...env }, stdio: ["pipe", "pipe", "pipe"] });
	let complaints = "";
	child.stderr.setEncoding("utf8").on("data", (text) => (complaints += text));
	child.stdin.on("error", () => {});
	watch(child, () => complaints);
	generators.add(child);
	child.closed.then(() => generators.delete(child));
	const found = [];
	try {
		for await (const line of createInterface({ input: child.stdout })) {
			found.push(JSON.parse(line));
			await between(found.at(-1));
			child.stdin.write("\n");
		}
	} catch (error) {
		child.kill("SIGKILL");
		throw error;
	}
	const { code: status } = await child.ended;
	if (status !== 0) throw new Error(`${name} ${args.join(" ")}: ${complaints.trim() || `status ${status}`}`);
	return found;
}

/** Clients and a measurement, see load --help: gives { ready, measured }. */
export async function load(tools, options, { steps, env } = {}) {
	const args = Object.entries(options).map(([name, value]) => value === true ? `--${name}` : `--${name}=${value}`);
	if (steps) args.push("--steps");
	const [ready, measured] = await generate(tools, "load", args, { between: steps, env });
	if (measured.missing || measured.surplus)
		throw new Error(`load ${args.join(" ")}: ${measured.missing} deliveries missing, ${measured.surplus} too many`);
	return { ready, measured };
}

const kilobytes = (text, name) => Number(text.match(new RegExp(`^${name}:\\s+(\\d+)`, "m"))?.[1] ?? 0);

/** Kilobytes of some processes together; pss counts shared pages once. */
export function memory(pids) {
	const sum = { rss: 0, pss: 0 };
	for (const pid of pids) {
		const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
		sum.rss += kilobytes(rollup, "Rss");
		sum.pss += kilobytes(rollup, "Pss");
	}
	return sum;
}

/** Kilobytes that the kernel itself holds: its slabs, and the pages of TCP's buffers. Of both ends of every connection. */
export function kernelMemory() {
	const pages = Number(readFileSync("/proc/net/sockstat", "utf8").match(/^TCP:.* mem (\d+)/m)?.[1] ?? 0);
	return kilobytes(readFileSync("/proc/meminfo", "utf8"), "Slab") + pages * 4;
}
