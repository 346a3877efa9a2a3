// One contract behind every web server: what is answered, also when the gateway is away and when front ends are killed.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, chownSync, copyFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

import { io } from "socket.io-client";

import { after, before, describe, test } from "../lib/bounded.mjs";
import { all, end, halt, until, watch } from "../lib/deadline.mjs";
import { freePort } from "../lib/port.mjs";
import { top } from "../integration/roomcast.mjs";
import { frontEnds, servers } from "./servers.mjs";

const build = process.env.ROOMCAST_BUILD || join(top, "build");
const key = "webserver-key-0123456789";
const json = { Authorization: `Bearer ${key}`, "Content-Type": "application/json" };
const isRoot = process.getuid() === 0;
const nobody = 65534;
const BOUND_MS = 8000; // of an answer when nobody is there: what the front end promises, and what a busy machine adds
const ANSWER_MS = 60_000;

/** Everything of one web server: it, a gateway, a hub, in a directory of their own; nothing of it runs as root. */
class Site {
	constructor(server) {
		this.server = server;
		this.dir = mkdtempSync(join(tmpdir(), "roomcast-web-"));
		chmodSync(this.dir, 0o755);
		this.program = join(this.dir, "roomcast-gateway");
		copyFileSync(join(build, "fcgi-gateway/roomcast-gateway"), this.program);
		this.hubProgram = join(this.dir, "roomcast-hub");
		copyFileSync(join(build, "hub/roomcast-hub"), this.hubProgram);
		cpSync(join(top, "examples/errors"), join(this.dir, "errors"), { recursive: true });
		cpSync(join(top, "examples/lighttpd/errors"), join(this.dir, "lighttpd-errors"), { recursive: true });
		for (const name of ["www", "state", "fcgid"]) mkdirSync(join(this.dir, name));
		if (isRoot) for (const name of ["", "www", "state", "fcgid"]) chownSync(join(this.dir, name), nobody, nobody);
		this.running = [];
		this.clients = [];
	}

	launch(program, args, env = {}) {
		const child = spawn(program, args, {
			cwd: this.dir, stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, ...env }, ...(isRoot && { uid: nobody, gid: nobody }),
		});
		child.log = "";
		child.stderr.setEncoding("utf8").on("data", (text) => (child.log += text));
		this.running.push(child);
		return watch(child, () => child.log);
	}

	startGateway() {
		this.gateway = this.launch(this.program, [`--listen=${this.dir}/gateway.sock`, `--state-dir=${this.dir}/state`, `--events=ipc://${this.dir}/events.sock`,
			`--line=ipc://${this.dir}/line.sock`], { ROOMCAST_API_KEY: key });
		return until("the gateway has started", () => {
			assert.equal(this.gateway.exitCode, null, this.gateway.log);
			return this.gateway.log.includes("msg=started");
		});
	}

	async stopGateway(signal = "SIGTERM") {
		return end(this.gateway, signal);
	}

	async start() {
		this.port = await freePort();
		const args = this.server.write(this);
		await this.startGateway();
		this.web = this.launch(this.server.program, args);
		await until("the web server answers", () => this.call("GET", "/status", json).then((r) => r.status === 200, () => {
			assert.equal(this.web.exitCode, null, this.web.log);
			return false;
		}));
	}

	async startHub() {
		this.hubPort = await freePort();
		this.hub = this.launch(this.hubProgram, [`--listen=127.0.0.1:${this.hubPort}`, `--line=ipc://${this.dir}/line.sock`, "--name=hub-1"],
			{ NODE_ENV: "development" });
		await until("the hub is here", async () => (await this.call("GET", "/status", json)).json?.hubs.length === 1);
	}

	async stop() {
		for (const client of this.clients) client.close();
		try {
			for (const child of this.running.reverse()) await end(child);
			await until("no front end is left", () => frontEnds(this.program, []).length === 0);
		} finally {
			await all(this.running.map((child) => end(child, "SIGKILL")));
			for (const pid of frontEnds(this.program, [])) process.kill(pid, "SIGKILL");
			rmSync(this.dir, { recursive: true, force: true });
		}
	}

	/** A client of the hub's that has connected. */
	async client() {
		const client = io(`http://127.0.0.1:${this.hubPort}`, { path: "/api/socket", transports: ["websocket"] });
		this.clients.push(client);
		await until("the client is connected", () => client.connected);
		return client;
	}

	call(method, path, headers = {}, body) {
		return new Promise((resolve, reject) => {
			const began = Date.now();
			const req = request({ port: this.port, host: "127.0.0.1", method, path: `/api/broadcast${path}`, headers, agent: false, signal: AbortSignal.timeout(ANSWER_MS) }, (res) => {
				let text = "";
				res.setEncoding("utf8").on("data", (part) => (text += part)).on("error", reject).on("end", () => {
					let parsed;
					try { parsed = JSON.parse(text); } catch { /* judged by whoever asks */ }
					resolve({ status: res.statusCode, headers: res.headers, text, json: parsed, ms: Date.now() - began });
				});
			});
			req.on("error", reject);
			req.end(body);
		});
	}

	post(path, body, headers = {}) {
		return this.call("POST", path, { ...json, ...headers }, typeof body === "string" || Buffer.isBuffer(body) ? body : JSON.stringify(body));
	}

	/** All that the web server and the programs wrote, for whoever looks at a failure. */
	get logs() {
		const text = (name) => {
			try { return readFileSync(join(this.dir, name), "utf8"); } catch { return ""; }
		};
		return [this.web.log, text("apache.log"), text("nginx.log"), text("lighttpd.log"), this.gateway.log].join("\n").slice(-4000);
	}
}

const emit = (n) => ({ event: "numbered", args: [n] });

const refusals = [
	{ name: "a broken body", call: ["/emit", '{"event":"x","args":['], status: 400, code: "malformed_json" },
	{ name: "no key", call: ["/emit", emit(1), { Authorization: "" }], status: 401, code: "unauthorized" },
	{ name: "a wrong key", call: ["/emit", emit(1), { Authorization: "Bearer wrong" }], status: 401, code: "unauthorized" },
	{ name: "an unknown call", call: ["/nothing", emit(1)], status: 404, code: "not_found" },
	{ name: "another content type", call: ["/emit", emit(1), { "Content-Type": "text/plain" }], status: 415, code: "unsupported_media_type" },
	{ name: "a missing field", call: ["/data-change", { entityType: "a" }], status: 422, code: "invalid_field" },
	{ name: "a reserved event", call: ["/emit", { event: "connect", args: [] }], status: 422, code: "reserved_event" },
	{ name: "a body past the gateway's bound", call: ["/emit", `{"event":"x","args":["${"a".repeat(1 << 20)}"]}`], status: 413, code: "too_large" },
];

for (const [name, server] of Object.entries(servers)) {
	describe(name, () => {
		const site = new Site(server);
		before(() => site.start());
		after(() => site.stop());

		const assertAnswer = (answer, status, code) => {
			assert.equal(answer.status, status, `${answer.text}\n${site.logs}`);
			assert.match(answer.headers["content-type"], /^application\/json/);
			assert.equal(answer.json?.code, code, answer.text);
			assert.equal(answer.json.success, false);
		};

		test("a publish is stored, and its bytes arrive as they were sent", async () => {
			await site.startHub();
			const client = await site.client();
			const heard = [];
			client.on("exact", (...args) => heard.push(args));
			const answer = await site.post("/emit?some=query", '{"event":"exact","args":["\\u00e9 ü",1.10,{"b":1,"a":null}]}');
			assert.equal(answer.status, 200, `${answer.text}\n${site.logs}`);
			assert.match(answer.json.id, /^\d+\.\d+$/);
			await until("the event", () => heard.length === 1);
			assert.deepEqual(heard[0].slice(0, 3), ["é ü", 1.1, { b: 1, a: null }]);
		});

		test("a body near the bound, a trailing slash, GET /status", async () => {
			const answer = await site.post("/emit/", `{"event":"x","args":["${"a".repeat((1 << 20) - 100)}"]}`);
			assert.equal(answer.status, 200, `${answer.text.slice(0, 300)}\n${site.logs}`);
			const status = await site.call("GET", "/status", json);
			assert.equal(status.status, 200);
			assert.equal(status.json.hubs[0].name, "hub-1");
		});

		for (const { name: what, call, status, code } of refusals) {
			test(`${what}: ${status} ${code}`, async () => assertAnswer(await site.post(...call), status, code));
		}

		test("another method: 405 says which is allowed", async () => {
			const answer = await site.call("GET", "/emit", json);
			assertAnswer(answer, 405, "method_not_allowed");
			assert.equal(answer.headers.allow, "POST");
		});

		test("a body in chunks is taken, or asked for with its length", async () => {
			const answer = await site.call("POST", "/emit", { ...json, "Transfer-Encoding": "chunked" }, JSON.stringify(emit(0)));
			if (answer.status !== 411) assert.equal(answer.status, 200, `${answer.text}\n${site.logs}`);
		});

		test("arguments in the query are no options", async () => {
			const answer = await site.call("POST", "/emit?--help+--line+ipc:///nowhere", json, JSON.stringify(emit(0)));
			assert.equal(answer.status, 200, `${answer.text}\n${site.logs}`);
		});

		test("an Idempotency-Key reaches the gateway", async () => {
			const first = await site.post("/emit", emit(0), { "Idempotency-Key": "once" });
			const second = await site.post("/emit", emit(0), { "Idempotency-Key": "once" });
			assert.equal(second.json.id, first.json.id);
			assert.equal(second.json.repeated, true);
		});

		const testFrontEnds = server.killEvery ? test : () => {}; // the others have none
		testFrontEnds("front ends that are killed at any moment make nothing twice", async () => {
			const client = await site.client();
			const heard = [];
			client.on("numbered", (n) => heard.push(n));
			let isOver = false, kills = 0, repeats = 0;
			const kill = async (every) => {
				while (!isOver) {
					for (const pid of frontEnds(site.program, [site.gateway.pid])) {
						try { process.kill(pid, "SIGKILL"); kills++; } catch { /* it had ended */ }
					}
					await pause(Math.random() * every);
				}
			};
			const publish = async (n) => {
				for (let tries = 0; ; tries++) {
					assert.ok(tries < 500, `event ${n} never got through\n${site.logs}`);
					const answer = await site.post("/emit", emit(n), { "Idempotency-Key": `kill-${n}` }).catch(() => undefined);
					if (answer?.status === 200) return;
					repeats++;
				}
			};
			// Front ends that need longer, under sanitizers or on a busy machine, live longer: else no request would ever get through.
			const lives = [];
			for (let n = 0; n < 5; n++) lives.push((await site.post("/emit", emit(-10 - n))).ms);
			const killing = kill(Math.max(server.killEvery, 3 * Math.max(...lives)));
			const expected = [], until_ms = Date.now() + 60_000;
			const publisher = async (from) => {
				for (let n = from; n < from + 50 || ((kills < 20 || repeats < 5) && Date.now() < until_ms); n++) {
					expected.push(n);
					await publish(n);
				}
			};
			try {
				await Promise.all([publisher(10_000), publisher(20_000), publisher(30_000)]);
			} finally {
				isOver = true;
				await killing;
			}
			await until("all have arrived", () => heard.filter((n) => n > 0).length >= expected.length);
			await site.post("/emit", emit(-1));
			await until("the last has arrived", () => heard.includes(-1));
			assert.deepEqual(heard.filter((n) => n > 0).sort((a, b) => a - b), expected.sort((a, b) => a - b));
			assert.ok(kills >= 20 && repeats >= 5, `${kills} kills, ${repeats} repeats`);
		});

		test("the gateway is away: 503 in a bounded time, and it comes back", async () => {
			await site.stopGateway();
			const answer = await site.post("/emit", emit(-2));
			assertAnswer(answer, 503, server.cannotTellOutcome ? "outcome_unknown" : "unavailable");
			assert.ok(answer.ms < BOUND_MS, `${answer.ms} ms`);
			await site.startGateway();
			await until("it is taken again", async () => (await site.post("/emit", emit(-3))).status < 300);
		});

		test("the gateway dies in the middle: the outcome is unknown, in a bounded time", async () => {
			await halt(site.gateway.pid);
			// Connected before it stopped, so the request leaves; what has no connection yet is refused and says so.
			const pending = site.post("/emit", emit(-4), { "Idempotency-Key": "middle" });
			await pause(300);
			await site.stopGateway("SIGKILL");
			const answer = await pending;
			assert.ok([503, 504, 500].includes(answer.status), `${answer.status} ${answer.text}`);
			assert.match(answer.headers["content-type"], /^application\/json/);
			assert.ok(["unavailable", "outcome_unknown"].includes(answer.json.code), answer.text);
			await site.startGateway();
			await until("it is taken again", async () => (await site.post("/emit", emit(-4), { "Idempotency-Key": "middle" })).status < 300);
		});
	});
}
