// Garbage on every socket that a stranger or a broken neighbour can reach: it is dropped, told, counted, and nothing else happens.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { request } from "node:http";
import { connect } from "node:net";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { io } from "socket.io-client";
import WebSocket from "ws";

import { after, before, test } from "../lib/bounded.mjs";
import { heard, within } from "../lib/deadline.mjs";
import { Roomcast, until } from "./roomcast.mjs";
import { post } from "./publisher.mjs";

let roomcast;
let witness;
let hub;
let gateway;

const pid = (name) => readFileSync(join(roomcast.state, `${name}.pid`), "utf8");

before(async () => {
	roomcast = await Roomcast.start({ hubs: 1 });
	witness = io(roomcast.url, { path: "/api/socket", transports: ["websocket"], reconnection: false });
	await until("connected", () => witness.connected);
	[hub, gateway] = [pid("hub-1"), pid("gateway")];
});

after(async () => {
	witness?.disconnect();
	await roomcast?.stop();
});

/** The system took no harm: the same processes, the same connection, and an event goes through. */
async function assertUnharmed() {
	const seen = heard(witness, "unharmed");
	const answer = await post(roomcast, "emit", { event: "unharmed", args: [] });
	assert.equal(answer.status, 200, JSON.stringify(answer.body));
	await seen;
	assert.equal(pid("hub-1"), hub);
	assert.equal(pid("gateway"), gateway);
}

/** Writes bytes to a unix socket, and waits until the other side closes, or cuts after a while. */
function throwAt(path, bytes, wait_ms = 300) {
	return new Promise((resolve) => {
		const socket = connect({ path });
		const timer = setTimeout(() => socket.destroy(), wait_ms);
		socket.on("connect", () => socket.write(bytes)).on("error", () => {}).on("data", () => {});
		socket.on("close", () => {
			clearTimeout(timer);
			resolve();
		});
	});
}

function metrics() {
	return new Promise((resolve, reject) => {
		request({ socketPath: roomcast.info.hubs[0].socket, path: "/metrics", signal: AbortSignal.timeout(30_000) }, (response) => {
			let text = "";
			response.setEncoding("utf8").on("data", (piece) => (text += piece));
			response.on("error", reject).on("end", () => resolve(text));
		}).on("error", reject).end();
	});
}

const metric = async (name) => Number(new RegExp(`^roomcast_hub_${name} (\\d+)$`, "m").exec(await metrics())?.[1]);

const pieces = [
	Buffer.alloc(0), Buffer.from("\0"), Buffer.from("\r\n\r\n\r\n"), randomBytes(10), randomBytes(5000), randomBytes(200_000),
	Buffer.from("GET"), Buffer.from("GET / HTTP/9.9\r\n\r\n"), Buffer.from("POST /api/socket HTTP/1.1\r\nContent-Length: -1\r\n\r\n"),
	Buffer.from("GET /api/socket/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
	Buffer.from(`GET /${"a".repeat(100_000)} HTTP/1.1\r\nHost: x\r\n\r\n`),
];

test("garbage on the hub's HTTP socket", async () => {
	const before = await metric("http_malformed_total");
	for (const bytes of pieces) await throwAt(roomcast.info.hubs[0].socket, bytes);
	assert.ok((await metric("http_malformed_total")) > before);
	await assertUnharmed();
});

test("garbage on the gateway's FastCGI socket", async () => {
	for (const bytes of [...pieces, Buffer.from([1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0])]) await throwAt(roomcast.info.gateway.socket, bytes);
	await assertUnharmed();
});

test("many idle and half-open FastCGI connections do not starve others", async (t) => {
	const idle = Array.from({ length: 40 }, (_, i) => {
		const socket = connect({ path: roomcast.info.gateway.socket });
		socket.on("error", () => {});
		if (i % 2) socket.on("connect", () => socket.write(Buffer.from([1, 1, 0, 1, 0, 8, 0, 0])));
		return socket;
	});
	t.after(() => idle.forEach((socket) => socket.destroy()));
	await assertUnharmed();
});

test("garbage between gateway and hubs", async () => {
	const data = join(roomcast.info.gateway.socket, "..");
	for (const name of ["line.sock", "events.sock"]) {
		for (const bytes of pieces) await throwAt(join(data, name), bytes);
		// a ZMTP greeting with nonsense behind it
		const greeting = Buffer.alloc(64);
		greeting.set([0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0], 0);
		greeting.write("NULL", 12);
		await throwAt(join(data, name), Buffer.concat([greeting, randomBytes(1000)]));
	}
	await assertUnharmed();
});

test("garbage in WebSocket and Socket.IO frames closes that connection only", async () => {
	const url = `${roomcast.url.replace("http", "ws")}/api/socket/?EIO=4&transport=websocket`;
	const frames = ["9", "x", "4", "4x", "40{", "40[]", "42", "42[", "42[]", '42["connect"]', "43", "451-[\"a\"]", "44{}", "2", "b!!!", "4".repeat(300_000),
		`42["a",${"[".repeat(100_000)}`, randomBytes(100), Buffer.alloc(0)];
	for (const frame of frames) {
		const socket = new WebSocket(url);
		await within("the handshake", new Promise((resolve, reject) => socket.once("message", resolve).once("error", reject)));
		socket.on("error", () => {});
		socket.send(frame);
		await until(`closed after ${String(frame).slice(0, 20)}`, () => socket.readyState === WebSocket.CLOSED);
	}
	await assertUnharmed();
});

test("every line of the metrics is one that Prometheus takes, each name once", async () => {
	const seen = new Set();
	for (const line of (await metrics()).trimEnd().split("\n")) {
		assert.match(line, /^(# (HELP|TYPE) roomcast_hub_[a-z_]+ .+|roomcast_hub_[a-z_]+(\{reason="[a-z ]+"\})? \d+)$/);
		assert.ok(!seen.has(line.replace(/ \d+$/, "")), line);
		seen.add(line.replace(/ \d+$/, ""));
	}
	assert.ok(seen.size > 100);
});
