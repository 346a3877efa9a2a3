// A hub that is stopped, or reads slowly, costs the gateway no memory and the other hubs no time; when it goes on it gets what it missed.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import { io } from "socket.io-client";

import { after, before, test } from "../lib/bounded.mjs";
import { halt } from "../lib/deadline.mjs";
import { Roomcast, until } from "./roomcast.mjs";

const LARGE = 100_000, SMALL = 300; // bytes of an event
const GROWTH_MAX = process.env.ASAN_OPTIONS ? 512 << 20 : 24 << 20; // the sanitizer keeps what was freed

const CLIENTS_MAX = 50; // until each hub has one

let roomcast;
const clients = [];

/** Resident bytes of a process. */
const memory = (name) => Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${roomcast.pid(name)}/status`, "utf8"))[1]) * 1024;

async function connect(port) {
	const client = io(`http://127.0.0.1:${port}`, { path: "/api/socket", transports: ["websocket"], query: { recovery: 1 } });
	clients.push(client);
	client.heard = [];
	client.on("filled", (n) => client.heard.push(n));
	await until("a client is connected", () => client.connected);
	return client;
}

before(async () => {
	roomcast = await Roomcast.start({ hubs: 2 });
	const at = new Set();
	// nginx spreads them: until each hub has one, known by the sid of its transport.
	while (at.size < 2) {
		assert.ok(clients.length < CLIENTS_MAX, `all clients are on ${[...at]}`);
		const client = await connect(roomcast.port);
		const hub = client.io.engine.id.split("~")[0];
		if (at.has(hub)) client.close();
		else client.hub = hub;
		at.add(hub);
	}
});

after(async () => {
	for (const client of clients) client.close();
	if (roomcast?.pid("hub-2")) process.kill(roomcast.pid("hub-2"), "SIGCONT");
	await roomcast?.stop();
});

/** Publishes count events of that size, from number first on, several at once; returns the numbers in the order of their ids. */
async function fill(first, count, size) {
	const filler = "x".repeat(size), accepted = [];
	let next = first;
	const publish = async () => {
		while (next < first + count) {
			const n = next++;
			const answer = await roomcast.publish("emit", { event: "filled", args: [n, filler] });
			assert.ok(answer.status < 300, JSON.stringify(answer.body));
			accepted.push([...answer.body.id.split(".").map(Number), n]);
		}
	};
	await Promise.all(Array.from({ length: 8 }, publish));
	return accepted.sort((a, b) => a[0] - b[0] || a[1] - b[1]).map(([, , n]) => n);
}

for (const [what, count, size] of [["large", 400, LARGE], ["small", 3000, SMALL]]) {
	test(`a stopped hub and ${what} events`, async (t) => {
		const [here, away] = [clients.find((client) => client.hub === "hub-1"), clients.find((client) => client.hub === "hub-2")];
		await fill(-50, 50, size); // what the gateway needs anyway
		await until("both are up to date", () => [here, away].every((client) => client.heard.includes(-1)));
		for (const client of [here, away]) client.heard.length = 0;
		const before = memory("gateway");
		let most = before;
		const watch = setInterval(() => (most = Math.max(most, memory("gateway"))), 20);
		t.after(() => {
			clearInterval(watch);
			process.kill(roomcast.pid("hub-2"), "SIGCONT");
		});
		await halt(roomcast.pid("hub-2"));
		const accepted = await fill(0, count, size);
		await until("the other hub's client has all", () => here.heard.length === count);
		clearInterval(watch);
		assert.deepEqual(here.heard, accepted);
		assert.ok(most - before < GROWTH_MAX, `the gateway grew by ${((most - before) / (1 << 20)).toFixed(1)} MiB`);
		console.log(`# ${what}: the gateway grew by ${((most - before) / (1 << 20)).toFixed(1)} MiB`);
		process.kill(roomcast.pid("hub-2"), "SIGCONT");
		await until("the stopped hub's client has all", () => away.heard.length >= count);
		assert.deepEqual(away.heard, accepted);
	});
}
