// A rolling restart of all hubs under load: nothing is lost, and no client is turned away.
import assert from "node:assert/strict";

import { after, before, test } from "../lib/bounded.mjs";
import { Follower, ask, assertSequence, metrics } from "./follower.mjs";
import { Roomcast, isAlive, until } from "./roomcast.mjs";
import { post } from "./publisher.mjs";

const ROOMS = ["RollingA", "RollingB", "RollingC"];
const WINDOW_MS = 10_000;
const ways = [{ transports: ["websocket"] }, { transports: ["polling"] }, {}];

let roomcast;
const clients = [];

before(async () => {
	roomcast = await Roomcast.start({ hubs: 2, env: { ROOMCAST_DRAIN_WINDOW: `${WINDOW_MS}ms` } });
});

after(async () => {
	for (const client of clients) client.close();
	await roomcast?.stop();
});

/** Posts about 200 events a second, to the rooms and to everyone in turn; gives the last number of each when stopped. */
function load() {
	const last = { everyone: 0, ...Object.fromEntries(ROOMS.map((room) => [room, 0])) };
	let isOn = true;
	const streams = Object.keys(last);
	const done = (async () => {
		const start = Date.now();
		for (let i = 0; isOn; i++) {
			const stream = streams[i % streams.length], n = ++last[stream];
			const answer = stream === "everyone"
				? await post(roomcast, "emit", { event: "numbered", args: [n] })
				: await post(roomcast, "data-change", { entityType: stream, action: "CREATE", data: { id: n, n } });
			assert.equal(Math.floor(answer.status / 100), 2, JSON.stringify(answer.body));
			const ahead = i * 5 - (Date.now() - start);
			if (ahead > 0) await new Promise((resolve) => setTimeout(resolve, ahead));
		}
		return last;
	})();
	done.catch(() => {}); // told to whoever stops it
	return () => ((isOn = false), done);
}

/** As an operator would: SIGTERM, and on to the next hub when this one is ready again. */
async function restart(hub) {
	const pid = roomcast.pid(hub);
	process.kill(pid, "SIGTERM");
	await until(`${hub} has ended`, () => !isAlive(pid));
	await until(`${hub} is back`, async () => {
		const now = roomcast.pid(hub);
		return now && now !== pid && (await ask(roomcast, hub, "/readyz")).status === 200;
	}, 30_000);
}

test("all hubs are restarted one after the other, twice, under 200 events a second", async (t) => {
	const refusals = [];
	for (let i = 0; i < 18; i++) {
		const client = new Follower(roomcast.url, ROOMS, ways[i % 3]);
		/* A handshake that an end user sees refused; a poll or a WebSocket that is cut is another matter. */
		client.socket.io.on("reconnect_error", (error) => refusals.push(`${i}: ${error.message} ${error.description}`));
		clients.push(client);
	}
	await Promise.all(clients.map((client) => client.ready()));
	const stop = load();
	t.after(() => stop().catch(() => {}));
	await until("events flow", () => clients.every((client) => ROOMS.every((room) => client.got[room].length > 10)));
	for (let round = 0; round < 2; round++) for (const hub of ["hub-1", "hub-2"]) await restart(hub);
	const last = await stop();
	for (const [i, client] of clients.entries()) {
		for (const room of ROOMS) {
			await client.has(room, last[room]);
			assertSequence(client.got[room], 1, last[room], `client ${i}, ${room}`);
		}
		await until("everyone's", () => client.everyone.at(-1) === last.everyone);
		assertSequence(client.everyone, 1, last.everyone, `client ${i}, everyone`);
		assert.ok(client.acks.slice(1).every(({ recovered }) => recovered), `client ${i}: ${JSON.stringify(client.acks)}`);
		assert.ok(client.connects.length >= 2, `client ${i} was never moved`);
	}
	assert.deepEqual(refusals, []);
});

test("closings are spread over the window, handshakes get 503 meanwhile, known clients are served", async () => {
	const handshake = async () => (await ask(roomcast, "hub-1", "/api/socket/?EIO=4&transport=polling")).status;
	assert.equal(await handshake(), 200);
	const pid = roomcast.pid("hub-1"), here = await metrics(roomcast, "hub-1");
	assert.ok(here.clients > 3);
	process.kill(pid, "SIGTERM");
	await until("it drains", async () => (await handshake()) === 503);
	const counts = new Set();
	await until("it has ended", async () => {
		const { clients } = await metrics(roomcast, "hub-1");
		if (clients !== undefined && isAlive(pid)) counts.add(clients);
		return !isAlive(pid);
	}, 20_000);
	assert.ok(counts.size > 2, `clients left in steps: ${[...counts]}`);
	/* A second signal ends it at once. */
	await until("it is back", async () => roomcast.pid("hub-1") !== pid && (await handshake()) === 200, 30_000);
	const again = roomcast.pid("hub-1");
	await Promise.all(Array.from({ length: 150 }, handshake)); // one is closed in each 50 ms: that would take 7 s
	const begun = Date.now();
	process.kill(again, "SIGTERM");
	await until("it drains", async () => (await handshake()) === 503); // two signals that wait together are one
	process.kill(again, "SIGTERM");
	await until("it has ended", () => !isAlive(again));
	assert.ok(Date.now() - begun < 6000, `${Date.now() - begun} ms`);
});
