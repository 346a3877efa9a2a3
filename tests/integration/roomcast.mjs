// Starts a whole roomcast through ./run for a test, with a state directory and a port of its own.
import { execFile, spawn } from "node:child_process";
import { existsSync, lstatSync, mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export const top = join(dirname(fileURLToPath(import.meta.url)), "../..");

const START_MS = 600_000; // the first start may have to build

/** Waits until check() gives something true, and returns it. The deadline is for a condition, never a pause that hopes. */
export async function until(what, check, deadline_ms = 15_000) {
	const end = Date.now() + deadline_ms;
	for (;;) {
		const result = await check();
		if (result) return result;
		if (Date.now() > end) throw new Error(`not within ${deadline_ms} ms: ${what}`);
		await new Promise((resolve) => setTimeout(resolve, 25));
	}
}

/** A port that nobody listens on now. */
export function freePort() {
	return new Promise((resolve, reject) => {
		const server = createServer().on("error", reject);
		server.listen(0, "127.0.0.1", () => {
			const { port } = server.address();
			server.close(() => resolve(port));
		});
	});
}

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
		roomcast.exited = new Promise((resolve) => roomcast.process.on("close", (code, signal) => resolve({ code, signal })));
		roomcast.exited.then(() => (roomcast.hasExited = true));
		return roomcast;
	}

	/** Starts it and waits until it is ready. */
	static async start(options) {
		const roomcast = await Roomcast.spawn(options);
		await roomcast.ready();
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
		const response = await fetch(`${this.url}/api/broadcast/${call}`, {
			method: "POST", body: typeof body === "string" ? body : JSON.stringify(body),
			headers: { Authorization: `Bearer ${this.info.apiKey}`, "Content-Type": "application/json", ...headers },
		});
		return { status: response.status, type: response.headers.get("content-type"), body: await response.json() };
	}

	/** Ends it as Ctrl-C would, and gives how it ended. Its state directory goes away unless keep is set. */
	async stop({ signal = "SIGTERM", keep = false } = {}) {
		if (!this.hasExited) this.process.kill(signal);
		const end = await this.exited;
		if (!keep) this.forget();
		return end;
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
