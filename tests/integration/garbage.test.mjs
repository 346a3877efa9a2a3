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

/** A masked frame; `length`: what the header says instead of the truth. */
function frame(first, payload = "", { length = Buffer.byteLength(payload), masked = true } = {}) {
	const body = Buffer.from(payload), mask = masked ? randomBytes(4) : Buffer.alloc(0), bit = masked ? 0x80 : 0;
	const long = Buffer.alloc(length < 126 ? 0 : length < 65536 ? 2 : 8);
	if (long.length === 2) long.writeUInt16BE(length);
	if (long.length === 8) long.writeBigUInt64BE(BigInt(length));
	const head = Buffer.from([first, bit | (long.length === 0 ? length : long.length === 2 ? 126 : 127)]);
	return Buffer.concat([head, long, mask, masked ? body.map((byte, i) => byte ^ mask[i % 4]) : body]);
}

/** A WebSocket to the hub without a library, its handshake and what stands behind it in one write. Collects whole frames as [first byte, payload]. */
async function raw(early = Buffer.alloc(0)) {
	const socket = connect({ path: roomcast.info.hubs[0].socket });
	const peer = { socket, frames: [], isOpen: false, isEnded: false, send: (...bytes) => socket.write(Buffer.concat(bytes)) };
	let rest = Buffer.alloc(0);
	socket.on("error", () => {}).on("close", () => (peer.isEnded = true)).on("end", () => (peer.isEnded = true)).on("data", (bytes) => {
		rest = Buffer.concat([rest, bytes]);
		const end = rest.indexOf("\r\n\r\n");
		if (!peer.isOpen && end >= 0) {
			assert.match(rest.toString("latin1", 0, end), /^HTTP\/1\.1 101 /);
			peer.isOpen = true;
			rest = rest.subarray(end + 4);
		}
		while (peer.isOpen && rest.length >= 2) {
			const bytes = [0, 2, 8][Math.max(0, rest[1] - 125)];
			if (rest.length < 2 + bytes) break;
			const length = bytes === 0 ? rest[1] : Number(bytes === 2 ? rest.readUInt16BE(2) : rest.readBigUInt64BE(2));
			if (rest.length < 2 + bytes + length) break;
			peer.frames.push([rest[0], rest.subarray(2 + bytes, 2 + bytes + length)]);
			rest = rest.subarray(2 + bytes + length);
		}
	});
	socket.write(Buffer.concat([Buffer.from("GET /api/socket/?EIO=4&transport=websocket HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"), early]));
	await until("the session is open", () => peer.frames[0]?.[1].toString().startsWith("0{"));
	return peer;
}

/** The code of the close frame, which is the last that comes; undefined without one. */
async function closeOf(peer, what) {
	await until(`the end: ${what}`, () => peer.isEnded);
	const [first, payload] = peer.frames.at(-1);
	return first === 0x88 ? (payload.length ? payload.readUInt16BE() : 0) : undefined;
}

const TEXT = 0x81, BINARY = 0x82, PING = 0x89, CLOSE = 0x88;
const code = (number, reason = "") => Buffer.concat([Buffer.from([number >> 8, number & 255]), Buffer.from(reason, "latin1")]);
const broken = [
	["a reserved bit", frame(TEXT | 0x40, "3"), 1002], ["a reserved opcode", frame(0x83, "3"), 1002], ["an unmasked frame", frame(TEXT, "3", { masked: false }), 1002],
	["a continuation of nothing", frame(0x80, "3"), 1002], ["a message inside another", Buffer.concat([frame(0x01, "3"), frame(TEXT, "3")]), 1002],
	["a long ping", frame(PING, "x".repeat(126)), 1002], ["a ping in fragments", frame(0x09, "x"), 1002],
	["a length in more bytes than it needs", Buffer.from([TEXT, 0xfe, 0, 1, 0, 0, 0, 0, 0x33]), 1002],
	["a message that is too long", frame(BINARY, "", { length: 1_000_001 }), 1009], ["a length of 63 bits", frame(BINARY, "", { length: 2 ** 53 - 1 }), 1009],
	["fragments that are too long", Buffer.concat([frame(0x02, "x".repeat(600_000)), frame(0x80, "x".repeat(400_001))]), 1009],
	["broken UTF-8", frame(TEXT, Buffer.from([0x34, 0xff])), 1007], ["broken UTF-8 in fragments", Buffer.concat([frame(0x01, Buffer.from([0x34, 0xe2])), frame(0x80, "x")]), 1007],
	["half a close code", frame(CLOSE, "x"), 1002], ["a close code that is not for the wire", frame(CLOSE, code(1006)), 1002],
	["a close reason that is no text", frame(CLOSE, code(1000, "\xff")), 1007],
	["a close", frame(CLOSE, code(1000, "bye")), 1000], ["a close without a code", frame(CLOSE), 0], ["a close for a restart", frame(CLOSE, code(1012)), 1012],
];

test("what breaks RFC 6455 is told what it broke, whether it comes early, late, or byte by byte", { timeout: 120_000 }, async () => {
	const before = await metric("websocket_broken_total");
	for (const [what, bytes, expected] of broken) {
		const early = await raw(bytes), late = await raw(), slow = await raw();
		late.send(bytes, frame(TEXT, "3"));
		for (const byte of bytes.length > 300 ? [bytes] : bytes) {
			slow.send(Buffer.from(typeof byte === "number" ? [byte] : byte));
			await new Promise(setImmediate);
		}
		for (const peer of [early, late, slow]) {
			assert.equal(await closeOf(peer, what), expected, what);
			peer.socket.destroy();
		}
	}
	assert.ok((await metric("websocket_broken_total")) >= before + 30);
	await assertUnharmed();
});

test("messages come out whole wherever they are cut", { timeout: 120_000 }, async () => {
	const bytes = Buffer.concat([frame(0x01, "4"), frame(PING, "between"), frame(0x00), frame(0x80, "0"), frame(TEXT, "40/nowhere,")]);
	for (let at = 1; at < bytes.length; at++) {
		const peer = await raw();
		peer.send(bytes.subarray(0, at));
		await new Promise(setImmediate);
		peer.send(bytes.subarray(at));
		await until(`all answers, cut at ${at}`, () => peer.frames.length >= 4);
		const [pongs, texts] = [peer.frames.filter(([first]) => first === 0x8a), peer.frames.filter(([first]) => first === TEXT)];
		assert.deepEqual(pongs.map(([, payload]) => payload.toString()), ["between"]);
		assert.match(texts[1][1].toString(), /^40\{/);
		assert.match(texts[2][1].toString(), /^44\/nowhere,/);
		peer.socket.destroy();
	}
});

test("frames without end, and ends without frames, harm nobody else", { timeout: 120_000 }, async () => {
	const floods = [
		frame(PING, "x".repeat(125)), frame(PING), frame(0x8a), frame(TEXT, "6"), Buffer.concat([frame(0x02), ...Array.from({ length: 50 }, () => frame(0x00))]),
		frame(BINARY, "", { length: 999_999 }),
	];
	for (const flood of floods) {
		const peers = await Promise.all(Array.from({ length: 5 }, () => raw()));
		for (const peer of peers) {
			peer.socket.pause(); // what the hub answers is not read
			peer.send(...Array.from({ length: 2000 }, () => flood));
		}
		await assertUnharmed();
		for (const peer of peers) peer.socket.destroy();
	}
	const early = await raw(Buffer.concat([...Array.from({ length: 3000 }, () => frame(TEXT, "6")), frame(TEXT, "40")]));
	await until("what stood behind 3,000 early frames is answered", () => early.frames.some(([, payload]) => payload.toString().startsWith("40{")));
	early.socket.end(); // half a close
	await until("the hub closes too", () => early.isEnded);
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
