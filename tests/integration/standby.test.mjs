// Two gateways on one PostgreSQL journal, behind one nginx upstream: the one that is killed is followed by the other, in a new epoch, and
// nothing that was accepted is lost, while publishers, hubs and clients go on.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

import { io } from "socket.io-client";

import { after, afterEach, before, test } from "../lib/bounded.mjs";
import { all, end, halt, until, watch } from "../lib/deadline.mjs";
import { freePort } from "../lib/port.mjs";
import { top } from "./roomcast.mjs";

const build = process.env.ROOMCAST_BUILD || join(top, "build");
const postgres = join(top, "tests/tools/postgres.sh");
const key = "standby-key-0123456789";
const json = { Authorization: `Bearer ${key}`, "Content-Type": "application/json" };
const TAKEOVER_MS = 30_000; // of a busy machine; a quiet one needs about two seconds
const SILENCE_MS = 40_000;  // the server waits eight seconds
const REFUSAL_MS = 10_000;  // an answer while nobody is active

const REFUSALS_MAX = 500;   // in a row, of a publisher that is to end
const PROGRAM_MS = 120_000; // of one that ends by itself

const dir = mkdtempSync(join(tmpdir(), "rc-standby-"));
const database = mkdtempSync(join(tmpdir(), "rcpg-"));
const running = new Set();
const gateways = {};
let connection, port;

function launch(program, args, env = {}) {
	const child = spawn(program, args, { cwd: dir, stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, ...env } });
	child.log = "";
	child.stderr.setEncoding("utf8").on("data", (text) => (child.log += text));
	running.add(child);
	watch(child, () => child.log).closed.then(() => running.delete(child));
	return child;
}

async function startGateway(name) {
	mkdirSync(join(dir, `state-${name}`), { recursive: true });
	const gateway = launch(join(build, "fcgi-gateway/roomcast-gateway"), [
		`--listen=${dir}/gateway-${name}.sock`, "--journal=postgres", `--state-dir=${dir}/state-${name}`, `--events=ipc://${dir}/events-${name}.sock`,
		`--line=ipc://${dir}/line-${name}.sock`,
	], { ROOMCAST_API_KEY: key, ROOMCAST_JOURNAL_CONNECTION: connection });
	gateways[name] = gateway;
	await until(`gateway ${name} has started`, () => {
		assert.equal(gateway.exitCode, null, gateway.log);
		return gateway.log.includes("msg=started");
	});
}

async function startHub(number) {
	const listen = await freePort();
	const hub = launch(join(build, "hub/roomcast-hub"), [
		`--listen=127.0.0.1:${listen}`, `--line=ipc://${dir}/line-a.sock,ipc://${dir}/line-b.sock`, `--name=hub-${number}`,
	], { NODE_ENV: "development" });
	hub.port = listen;
	return hub;
}

/** The example, with two gateways in its upstream. */
function nginxConfig() {
	const example = (name) => readFileSync(join(top, "examples/nginx", name), "utf8");
	const one = /server unix:\/run\/roomcast\/gateway\.sock([^;]*);/;
	const http = example("roomcast-http.conf").replace(one, (_, options) => ["a", "b"].map((name) => `server unix:${dir}/gateway-${name}.sock${options};`).join("\n\t"));
	assert.ok(http.includes("gateway-b.sock"));
	return `
${process.getuid() === 0 ? "user root;" : ""}
daemon off;
worker_processes 1;
pid ${dir}/nginx.pid;
error_log ${dir}/nginx.log;
events { }
http {
	access_log off;
	client_body_temp_path ${dir}/body;
	proxy_temp_path ${dir}/proxy;
	fastcgi_temp_path ${dir}/fastcgi;
	uwsgi_temp_path ${dir}/uwsgi;
	scgi_temp_path ${dir}/scgi;
	${http.replaceAll("/run/roomcast", dir)}
	server {
		listen 127.0.0.1:${port};
		${example("roomcast-server.conf").replaceAll("/run/roomcast", dir)}
	}
}
`;
}

const agent = new Agent({ keepAlive: true });
after(() => agent.destroy());

function call(method, path, headers = {}, body, patience = 60_000) {
	return new Promise((resolve, reject) => {
		const began = Date.now();
		const req = request({ port, host: "127.0.0.1", method, path: `/api/broadcast${path}`, headers, agent, signal: AbortSignal.timeout(patience) }, (res) => {
			let text = "";
			res.setEncoding("utf8").on("data", (part) => (text += part)).on("error", reject).on("end", () => {
				let parsed;
				try { parsed = JSON.parse(text); } catch { /* judged by whoever asks */ }
				resolve({ status: res.statusCode, text, json: parsed, ms: Date.now() - began });
			});
		});
		req.on("error", reject);
		req.end(body);
	});
}

const status = async () => (await call("GET", "/status", json)).json;

const publishers = new Set();
afterEach(async () => {
	await Promise.allSettled([...publishers].map((publisher) => publisher.stop()));
	publishers.clear();
});

/** Posts numbered events with keys, until stopped or at the latest at the test's end, each until it is accepted; records the ids, and what else was answered. */
class Publisher {
	/** patience: of one try, in ms. */
	constructor(name, patience) {
		this.name = name;
		this.patience = patience;
		this.accepted = []; // [epoch, seq, n]
		this.refusals = [];
		this.next = 0;
		this.isOver = false;
		publishers.add(this);
		this.done = this.run();
		this.done.catch(() => {}); // told to whoever stops it
	}

	async run() {
		while (!this.isOver) {
			const n = this.next++;
			const body = JSON.stringify({ event: "numbered", args: [this.name, n] });
			for (;;) {
				const answer = await call("POST", "/emit", { ...json, "Idempotency-Key": `${this.name}-${n}` }, body, this.patience)
					.catch((err) => (err.name === "AbortError" ? { text: "nothing in time" } : Promise.reject(err)));
				if (answer.json?.success) {
					this.accepted.push([...answer.json.id.split(".").map(Number), n]);
					break;
				}
				this.refusals.push(answer);
				if (this.isOver && this.refusals.length > REFUSALS_MAX) throw new Error(`${this.name}-${n} is never accepted: ${answer.text}`);
				await pause(20);
			}
			await pause(2);
		}
	}

	stop() {
		this.isOver = true;
		return this.done;
	}
}

async function connect(hub) {
	const client = io(`http://127.0.0.1:${hub.port}`, { path: "/api/socket", transports: ["websocket"] });
	clients.push(client);
	client.heard = [];
	client.drops = 0;
	client.on("numbered", (name, n) => client.heard.push(`${name}-${n}`));
	client.on("disconnect", () => client.drops++);
	await until("a client is connected", () => client.connected);
}

const hubs = [], clients = [];

before(async () => {
	try {
		connection = execFileSync(postgres, ["start", database], { timeout: PROGRAM_MS, encoding: "utf8", env: { ...process.env, POSTGRES_OWNER: String(process.pid) } }).trim();
	} catch (error) {
		if (error.status === 77) return; // not installed
		throw error;
	}
	port = await freePort();
	await startGateway("a");
	await startGateway("b");
	writeFileSync(join(dir, "nginx.conf"), nginxConfig());
	launch("nginx", ["-p", dir, "-e", join(dir, "nginx.log"), "-c", join(dir, "nginx.conf")]);
	hubs.push(await startHub(1), await startHub(2));
	await until("both hubs follow", async () => (await status().catch(() => undefined))?.hubs?.length === 2);
	for (const hub of [...hubs, ...hubs]) await connect(hub);
});

after(async () => {
	for (const client of clients) client.close();
	try {
		await all([...running].map((child) => end(child)));
	} finally {
		execFileSync(postgres, ["remove", database], { timeout: PROGRAM_MS });
		rmSync(dir, { recursive: true, force: true });
	}
});

const testWithPostgres = (name, run) => test(name, (t) => (connection ? run(t) : t.skip("PostgreSQL is not installed")));

testWithPostgres("the first is active, the second hands on what it gets", async () => {
	const first = await status();
	for (let n = 0; n < 20; n++) {
		const answer = await call("POST", "/emit", json, JSON.stringify({ event: "warm", args: [n] }));
		assert.equal(answer.status, 200, answer.text);
		assert.equal(Number(answer.json.id.split(".")[0]), first.epoch); // one order, whichever gateway nginx asked
	}
	assert.ok((await status()).line.forwarded >= 10, "nginx asks both in turn");
	assert.match(gateways.a.log, /role=active/);
	assert.match(gateways.b.log, /role=standby/);
	// What is refused is refused by the active one, and looks no different.
	for (const _ of [1, 2]) assert.equal((await call("POST", "/emit", { ...json, Authorization: "Bearer wrong" }, "{}")).status, 401);
});

for (const [killed, heir] of [["a", "b"], ["b", "a"]]) {
	testWithPostgres(`kill -9 of ${killed}: ${heir} takes over in a new epoch, nothing is lost`, async () => {
		const before = await status();
		for (const client of clients) client.heard.length = 0;
		const publishers = ["p", "q", "r"].map((name) => new Publisher(`${killed}${name}`));
		await until("publishing is under way", () => publishers.every((publisher) => publisher.accepted.length > 50));
		const counts = publishers.map((publisher) => publisher.accepted.length);
		const killedAt = Date.now();
		await end(gateways[killed], "SIGKILL");
		await until("publishes are accepted again", () => publishers.every((publisher, i) => publisher.accepted.length > counts[i] + 5), TAKEOVER_MS);
		console.log(`# ${heir} accepted again ${Date.now() - killedAt} ms after ${killed} was killed`);
		const now = await until("both hubs follow the heir", async () => {
			const figures = await status();
			return figures.hubs?.length === 2 && figures;
		});
		console.log(`# both hubs followed ${heir} ${Date.now() - killedAt} ms after ${killed} was killed`);
		assert.ok(now.epoch > before.epoch);
		await until("publishing went on for a while", () => publishers.every((publisher, i) => publisher.accepted.length > counts[i] + 50));
		await Promise.all(publishers.map((publisher) => publisher.stop()));

		const refusals = publishers.flatMap((publisher) => publisher.refusals);
		for (const { status: code, json: answer, ms, text } of refusals) {
			assert.ok((code === 503 && ["unavailable", "overloaded"].includes(answer.code)) || (code === 504 && answer.code === "outcome_unknown"), text);
			assert.ok(ms < REFUSAL_MS, `${ms} ms for ${text}`);
		}
		const accepted = publishers.flatMap((publisher) => publisher.accepted.map(([epoch, seq, n]) => ({ epoch, seq, name: `${publisher.name}-${n}` })))
			.sort((a, b) => a.epoch - b.epoch || a.seq - b.seq).map(({ name }) => name);
		for (const [i, client] of clients.entries()) {
			await until(`client ${i} has all`, () => client.heard.length >= accepted.length);
			assert.deepEqual(client.heard, accepted); // each once, in the order of the ids
			assert.equal(client.drops, 0);
		}
		await startGateway(killed);
		assert.match(gateways[killed].log, /role=standby/);
	});
}

testWithPostgres("an active gateway that is stopped loses the lock, and is a standby when it goes on", async () => {
	const before = await status();
	for (const client of clients) client.heard.length = 0;
	const publishers = ["p", "q", "r"].map((name) => new Publisher(`stopped-${name}`, 1000));
	await until("publishing is under way", () => publishers.every((publisher) => publisher.accepted.length > 50));
	const counts = publishers.map((publisher) => publisher.accepted.length), stoppedAt = Date.now();
	gateways.a.kill("SIGSTOP"); // in the middle of whatever it does
	try {
		await until("publishes are accepted again", () => publishers.every((publisher, i) => publisher.accepted.length > counts[i] + 2), SILENCE_MS);
		console.log(`# b accepted again ${Date.now() - stoppedAt} ms after a was stopped`);
	} finally {
		gateways.a.kill("SIGCONT");
	}
	await until("a knows that it is not the one", () => /journal is lost/.test(gateways.a.log));
	const then = publishers.map((publisher) => publisher.accepted.length);
	await until("publishing went on for a while, by both", () => publishers.every((publisher, i) => publisher.accepted.length > then[i] + 50), TAKEOVER_MS);
	await Promise.all(publishers.map((publisher) => publisher.stop()));
	const now = await until("both hubs follow b", async () => {
		const figures = await status(); // of whichever gateway nginx asks
		return figures.role === "active" && figures.hubs?.length === 2 && figures;
	});
	assert.ok(now.epoch > before.epoch);
	const accepted = publishers.flatMap((publisher) => publisher.accepted.map(([epoch, seq, n]) => ({ epoch, seq, name: `${publisher.name}-${n}` })))
		.sort((a, b) => a.epoch - b.epoch || a.seq - b.seq).map(({ name }) => name);
	for (const [i, client] of clients.entries()) {
		await until(`client ${i} has all`, () => client.heard.length >= accepted.length);
		assert.deepEqual(client.heard, accepted); // what a had not stored when it was stopped, it published nowhere
		assert.equal(client.drops, 0);
	}
	assert.doesNotMatch(gateways.b.log, /journal is lost/);
	gateways.b.kill("SIGTERM");
	await gateways.b.ended;
	await until("a is active again", async () => (await call("POST", "/emit", json, JSON.stringify({ event: "warm", args: [] }))).status === 200);
	await startGateway("b");
});

testWithPostgres("an active gateway that is stopped, and goes on, begins with nothing that was given up", async () => {
	const stopped = gateways.a; // active since b was killed
	for (const client of clients) client.heard.length = 0;
	await halt(stopped.pid);
	// nginx gives half of them to the standby, whose line to the stopped one is cut after two seconds: not stored, or unknown, and told soon.
	let answered = 0;
	const pending = Array.from({ length: 6 }, (_, n) => call("POST", "/emit", json, JSON.stringify({ event: "numbered", args: ["stopped", n] })).finally(() => answered++));
	await until("the standby has answered what it got", () => answered >= 3, REFUSAL_MS);
	stopped.kill("SIGCONT");
	const answers = await Promise.all(pending);
	for (const answer of answers) assert.ok([200, 503, 504].includes(answer.status), answer.text);
	await until("publishes are accepted again", async () => (await call("POST", "/emit", json, JSON.stringify({ event: "numbered", args: ["after", 0] }))).status === 200);
	await until("all clients have the last", () => clients.every((client) => client.heard.includes("after-0")));
	for (const client of clients) {
		for (const [n, answer] of answers.entries()) {
			const times = client.heard.filter((name) => name === `stopped-${n}`).length;
			if (answer.status === 503) assert.equal(times, 0, `event ${n} was certainly not stored`);
			else assert.ok(times <= 1 && (answer.status !== 200 || times === 1));
		}
	}
});
