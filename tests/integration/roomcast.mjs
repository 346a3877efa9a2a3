// Starts a whole roomcast through ./run for a test, with a state directory and a port of its own.
import { execFile, spawn } from "node:child_process";
import { existsSync, lstatSync, mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { descendants, end, get, portrait, until, watch } from "../lib/deadline.mjs";
import { freePort } from "../lib/port.mjs";

export { freePort, until };

export const top = join(dirname(fileURLToPath(import.meta.url)), "../..");

const START_MS = 220_000; // a start may have to build
const STOP_MS = 60_000;
const LATE_MS = 15_000; // after which a daemon that does not end is looked at; ./run ends it by force later

export const newState = () => join(mkdtempSync(join(tmpdir(), "roomcast-test-")), "state");

export const isAlive = (pid) => {
	try {
		// A zombie that nobody has collected yet is dead.
		return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
	} catch {
		return false;
	}
};

export class Roomcast {
	/** Starts ./run; options: state, port, hubs, env, shell (a command line that starts it instead). Not ready yet. */
	static async spawn({ state = newState(), port, hubs = 1, env = {}, shell } = {}) {
		const roomcast = new Roomcast();
		roomcast.state = state;
		roomcast.port = port ?? (await freePort());
		roomcast.output = "";
		const [program, args] = shell ? ["/bin/bash", ["-c", shell]] : [join(top, "run"), []];
		roomcast.process = spawn(program, args, {
			cwd: top, stdio: ["ignore", "pipe", "pipe"],
			env: { ...process.env, PORT: String(roomcast.port), HUBS: String(hubs), ROOMCAST_STATE: state, ...env },
		});
		for (const stream of [roomcast.process.stdout, roomcast.process.stderr]) {
			stream.setEncoding("utf8").on("data", (text) => (roomcast.output += text));
		}
		watch(roomcast.process, () => roomcast.output);
		roomcast.process.closed.then(() => (roomcast.hasExited = true));
		return roomcast;
	}

	/** How it ended. */
	get exited() {
		return this.process.ended;
	}

	/** Starts it, and waits until it is ready; what does not become that is ended. */
	static async start(options) {
		const roomcast = await Roomcast.spawn(options);
		try {
			await roomcast.ready();
		} catch (error) {
			await roomcast.stop().catch(() => {});
			throw error;
		}
		return roomcast;
	}

	async ready() {
		await until("./run is ready", () => {
			if (this.hasExited) throw new Error(`./run ended: ${this.output}`);
			return existsSync(join(this.state, "run.json")) && this.output.includes("curl ");
		}, START_MS);
		this.info = JSON.parse(readFileSync(join(this.state, "run.json"), "utf8"));
		this.url = this.info.url;
	}

	/** The pid that stands in NAME.pid, or 0. */
	pid(name) {
		try {
			return Number(readFileSync(join(this.state, `${name}.pid`), "utf8"));
		} catch {
			return 0;
		}
	}

	log(name) {
		return readFileSync(join(this.state, "log", `${name}.log`), "utf8");
	}

	async publish(call, body, headers = {}) {
		const response = await get(`${this.url}/api/broadcast/${call}`, {
			method: "POST", body: typeof body === "string" ? body : JSON.stringify(body),
			headers: { Authorization: `Bearer ${this.info.apiKey}`, "Content-Type": "application/json", ...headers },
		});
		return { status: response.status, type: response.headers.get("content-type"), body: await response.json() };
	}

	/** Ends it as Ctrl-C would, and gives how it ended. Its state directory goes away unless keep is set. A daemon that had to be
	 * ended by force is an error. */
	async stop({ signal = "SIGTERM", keep = false } = {}) {
		let seen = "";
		const look = setTimeout(() => (seen = descendants(this.process.pid).map(portrait).join("\n")), LATE_MS);
		try {
			const how = await end(this.process, signal, STOP_MS);
			const [, forced] = this.output.match(/(\S+) did not end and was killed/) ?? [];
			if (forced) throw new Error(`${forced} did not end\n${seen}\n${this.output.slice(-1000)}\n${this.log(forced).slice(-4000)}`);
			return how;
		} finally {
			clearTimeout(look);
			if (!keep) this.forget();
		}
	}

	forget() {
		const data = join(this.state, "data");
		if (existsSync(data)) rmSync(realdir(data), { recursive: true, force: true });
		const [made] = this.state.match(/^.*\/roomcast-test-[^/]+/) ?? [];
		if (made) rmSync(made, { recursive: true, force: true }); // only what newState made
	}
}

// As root the data may lie elsewhere, behind a link.
const realdir = (path) => (lstatSync(path).isSymbolicLink() ? dirname(realpathSync(path)) : path);

const execute = promisify(execFile);

/** Runs a line as somebody who pasted it into a shell. */
export const paste = (line) => execute("/bin/bash", ["-c", line], { encoding: "utf8", timeout: 20_000 });
