// A client that was away misses nothing, and gets nothing twice: on the same hub, and on another.
import assert from "node:assert/strict";

import { after, afterEach, before, test } from "../lib/bounded.mjs";
import { Follower, Wire, ask, assertSequence, hubSocket, metrics } from "./follower.mjs";
import { emit, get, halt, heard } from "../lib/deadline.mjs";
import { Roomcast, until } from "./roomcast.mjs";
import { post, token } from "./publisher.mjs";

let roomcast;
const closed = [];

before(async () => {
	/* A client whose WebSocket dies between its probe and its `5` has paused polling, and does nothing until it misses a heartbeat. */
	roomcast = await Roomcast.start({ hubs: 2, env: { ROOMCAST_TOKEN_LEEWAY: "0", ROOMCAST_PING_INTERVAL: "1s", ROOMCAST_PING_TIMEOUT: "4s" } });
});

after(async () => {
	for (const thing of closed) thing.close();
	await roomcast?.stop();
});

const keep = (thing) => (closed.push(thing), thing);
const wireTo = async (hub) => keep(await Wire.to(hubSocket(roomcast, hub)));
const follow = (wire, types, options) => keep(new Follower(wire.url, types, options));
const websocket = { transports: ["websocket"] }, polling = { transports: ["polling"] };

/** How a connection is lost. Between two polls there may be nothing to cut. */
const lose = (client, how) => {
	const before = client.disconnects.length;
	return until("it lost its connection", () => client.disconnects.length > before || how());
};

/** Publishes n = from..to of a type, one after the other. */
async function publish(entityType, from, to, more = {}) {
	for (let n = from; n <= to; n++) {
		const answer = await post(roomcast, "data-change", { entityType, action: "UPDATE", data: { id: 1, n }, ...more });
		assert.equal(answer.status, 200, JSON.stringify(answer.body));
	}
}

const sources = new Set();
afterEach(async () => {
	await Promise.allSettled([...sources].map((source) => source.stop()));
	sources.clear();
});

/** Publishes about 200 events a second until stopped, at the latest at the test's end; returns how many they were. */
function publishing(entityType) {
	let n = 0, isOn = true;
	const done = (async () => {
		const start = Date.now();
		while (isOn) {
			await publish(entityType, n + 1, ++n);
			const ahead = n * 5 - (Date.now() - start);
			if (ahead > 0) await new Promise((resolve) => setTimeout(resolve, ahead));
		}
		return n;
	})();
	done.catch(() => {}); // told to whoever stops it
	const source = { stop: () => ((isOn = false), done), get count() { return n; } };
	sources.add(source);
	return source;
}

for (const [name, options] of [["WebSocket", websocket], ["polling", polling]]) {
	test(`same hub, ${name}: the session goes on and the missed events come, once and in order`, async () => {
		const type = `Same${name}`, wire = await wireTo("hub-1"), client = follow(wire, [type], options);
		await client.ready();
		assert.equal(client.connects[0].recovered ?? false, false);
		assert.equal(client.ack.recovered, false);
		await publish(type, 1, 5);
		await client.has(type, 5);
		wire.isDown = true;
		wire.cut();
		await until("it noticed", () => !client.isConnected);
		await publish(type, 6, 105); /* many times what one polling answer holds */
		wire.isDown = false;
		await client.ready(2);
		await publish(type, 106, 110);
		await client.has(type, 110);
		assertSequence(client.got[type], 1, 110);
		assert.equal(client.connects[1].recovered, true);
		assert.equal(client.connects[1].id, client.connects[0].id);
		assert.equal(client.ack.recovered, true);
	});
}

test("same hub, half-open: showing the pid closes the connection that held it", async () => {
	const wire = await wireTo("hub-1"), client = follow(wire, ["Half"], websocket);
	await client.ready();
	await publish("Half", 1, 3);
	await client.has("Half", 3);
	const before = await metrics(roomcast, "hub-1");
	await lose(client, () => wire.halfOpen());
	await publish("Half", 4, 10);
	await client.ready(2);
	await publish("Half", 11, 12);
	await client.has("Half", 12);
	assertSequence(client.got.Half, 1, 12);
	assert.equal(client.connects[1].recovered, true);
	const now = await metrics(roomcast, "hub-1");
	assert.equal(now.recovery_taken_over_total - before.recovery_taken_over_total, 1);
	assert.equal(now.recovery_resumed_total - before.recovery_resumed_total, 1);
});

test("same hub, over the other transport", async () => {
	const wire = await wireTo("hub-1"), client = follow(wire, ["Other"], websocket);
	await client.ready();
	await publish("Other", 1, 3);
	await client.has("Other", 3);
	for (const [i, transports] of [["polling"], ["websocket"], ["polling", "websocket"]].entries()) {
		client.socket.io.opts.transports = transports;
		await lose(client, () => wire.halfOpen());
		await publish("Other", 10 * i + 4, 10 * i + 13);
		await client.ready(2 + i);
		assert.equal(client.connects.at(-1).recovered, true);
	}
	await client.has("Other", 33);
	assertSequence(client.got.Other, 1, 33);
});

test("same hub, cut in the middle of an upgrade", async () => {
	const wire = await wireTo("hub-1"), client = follow(wire, ["Upgrade"], { transports: ["polling", "websocket"] });
	const source = publishing("Upgrade");
	await client.ready();
	for (let round = 0; round < 8; round++) {
		let isReached = false;
		client.socket.io.once("open", () => client.socket.io.engine.once(round % 2 ? "upgrading" : "upgrade", () => (isReached = true)));
		wire.cut();
		await until("it upgrades", () => {
			if (client.disconnects.length <= round) wire.cut(); /* between two polls there was nothing to cut */
			return isReached;
		}, 30_000);
	}
	wire.cut();
	const last = await source.stop();
	await client.has("Upgrade", last);
	assertSequence(client.got.Upgrade, client.got.Upgrade[0], last);
	assert.ok(client.connects.slice(1).every(({ recovered }) => recovered), JSON.stringify(client.connects));
});

test("same hub, cut again and again while events flow and while they are replayed", async () => {
	const wires = await Promise.all([wireTo("hub-1"), wireTo("hub-1"), wireTo("hub-1")]);
	const ways = [websocket, polling, {}];
	const clients = wires.map((wire, i) => follow(wire, ["Flow"], ways[i]));
	await Promise.all(clients.map((client) => client.ready()));
	const source = publishing("Flow");
	const deadline = Date.now() + 60_000;
	for (let round = 0; clients.some((client) => client.connects.length < 8); round++) {
		assert.ok(Date.now() < deadline, "cut often enough");
		await new Promise((resolve) => setTimeout(resolve, 20 + (round * 37) % 150));
		(round % 4 ? wires[round % 4 - 1].cut() : wires[0].halfOpen());
	}
	const last = await source.stop();
	for (const client of clients) {
		await client.has("Flow", last);
		assertSequence(client.got.Flow, 1, last);
		assert.ok(client.connects.slice(1).every(({ recovered }) => recovered), JSON.stringify(client.connects));
	}
});

for (const [name, options] of [["WebSocket", websocket], ["polling", polling]]) {
	test(`another hub, ${name}: a new session, behind, and the acknowledgement says recovered`, async () => {
		const type = `Moved${name}`, wire = await wireTo("hub-1");
		const client = follow(wire, [type], { ...options, token: token(roomcast, { userId: `mover-${name}` }) });
		await client.ready();
		await publish(type, 1, 5);
		await client.has(type, 5);
		wire.isDown = true;
		wire.cut();
		await publish(type, 6, 60);
		await post(roomcast, "emit", { event: "numbered", args: [1] });
		await publish(type, 61, 61, { excludeUserId: `mover-${name}` });
		wire.target = hubSocket(roomcast, "hub-2");
		wire.isDown = false;
		await client.ready(2);
		assert.equal(client.connects[1].recovered, false);
		assert.notEqual(client.connects[1].id, client.connects[0].id);
		assert.equal(client.ack.recovered, true);
		await publish(type, 62, 70);
		await client.has(type, 70);
		assertSequence(client.got[type].filter((n) => n < 61), 1, 60);
		assertSequence(client.got[type].filter((n) => n > 60), 62, 70);
		assert.deepEqual(client.everyone, [1]);
		/* and back again */
		wire.target = hubSocket(roomcast, "hub-1");
		wire.cut();
		await publish(type, 71, 80);
		await client.has(type, 80);
		assertSequence(client.got[type].filter((n) => n > 60), 62, 80);
		assert.equal(client.ack.recovered, true);
	});
}

test("a hub killed: its clients go on at the other, and come back, without a gap", async () => {
	const wires = [await wireTo("hub-1"), await wireTo("hub-1")];
	const clients = wires.map((wire, i) => follow(wire, ["Killed"], i ? polling : websocket));
	await Promise.all(clients.map((client) => client.ready()));
	const source = publishing("Killed");
	const pid = roomcast.pid("hub-1");
	await until("events flow", () => clients.every((client) => client.got.Killed.length > 50));
	for (const wire of wires) wire.target = hubSocket(roomcast, "hub-2");
	process.kill(pid, "SIGKILL");
	await Promise.all(clients.map((client) => client.ready(2)));
	await until("hub-1 is back", async () => {
		const now = roomcast.pid("hub-1");
		return now && now !== pid && (await ask(roomcast, "hub-1", "/readyz")).status === 200;
	}, 30_000);
	for (const wire of wires) wire.target = hubSocket(roomcast, "hub-1");
	for (const wire of wires) wire.cut();
	await Promise.all(clients.map((client) => client.ready(3)));
	const last = await source.stop();
	for (const client of clients) {
		await client.has("Killed", last);
		assertSequence(client.got.Killed, 1, last);
		assert.ok(client.acks.slice(1).every(({ recovered }) => recovered), JSON.stringify(client.acks));
	}
});

test("a restarted hub knows what its clients missed meanwhile", async () => {
	const wire = await wireTo("hub-1"), client = follow(wire, ["Restarted"], websocket);
	await client.ready();
	await publish("Restarted", 1, 10);
	await client.has("Restarted", 10);
	process.kill(roomcast.pid("hub-1"), "SIGKILL");
	await publish("Restarted", 11, 20);
	await client.ready(2);
	assert.equal(client.connects[1].recovered, false);
	assert.equal(client.ack.recovered, true);
	await publish("Restarted", 21, 25);
	await client.has("Restarted", 25);
	assertSequence(client.got.Restarted, 1, 25);
});

test("a hub that is behind its client gives nothing twice", async () => {
	const wire = await wireTo("hub-1"), client = follow(wire, ["Behind"], websocket);
	await client.ready();
	await publish("Behind", 1, 5);
	await client.has("Behind", 5);
	const pid = roomcast.pid("hub-2");
	try {
		await halt(pid);
		await publish("Behind", 6, 50);
		await client.has("Behind", 50);
		wire.target = hubSocket(roomcast, "hub-2");
		wire.cut();
		await until("it is on its way to the other hub", () => !client.isConnected && wire.pairs.size > 0);
	} finally {
		process.kill(pid, "SIGCONT");
	}
	await client.ready(2);
	assert.equal(client.ack.recovered, true);
	await publish("Behind", 51, 60);
	await client.has("Behind", 60);
	assertSequence(client.got.Behind, 1, 60);
});

test("somebody else on the same page gets nothing of the first user's", async () => {
	for (const hub of ["hub-1", "hub-2"]) {
		const wire = await wireTo("hub-1");
		let user = `first-${hub}`;
		const client = follow(wire, ["Shared"], { ...websocket, token: () => token(roomcast, { userId: user }) });
		const notes = [];
		client.socket.on("notification", ({ title }) => notes.push(title));
		await client.ready();
		await post(roomcast, "notification", { userId: user, notification: { title: "one", message: "m" } });
		await until("the first is told", () => notes.length === 1);
		const before = await metrics(roomcast, hub);
		client.socket.disconnect();
		await post(roomcast, "notification", { userId: user, notification: { title: "secret", message: "m" } });
		user = `second-${hub}`;
		wire.target = hubSocket(roomcast, hub);
		client.socket.connect();
		await client.ready(2);
		assert.equal(client.connects[1].recovered ?? false, false);
		assert.equal(client.ack.recovered, false);
		await post(roomcast, "notification", { userId: user, notification: { title: "two", message: "m" } });
		await until("the second is told", () => notes.includes("two"));
		assert.deepEqual(notes, ["one", "two"]);
		assert.equal((await metrics(roomcast, hub)).recovery_pids_of_others_total - before.recovery_pids_of_others_total, 1);
	}
});

test("one's own disconnect() and connect(): what happened in between comes", async () => {
	const wire = await wireTo("hub-1"), client = follow(wire, ["Own"], websocket);
	await client.ready();
	await publish("Own", 1, 2);
	await client.has("Own", 2);
	client.socket.disconnect();
	await publish("Own", 3, 5);
	client.socket.connect();
	await client.ready(2);
	assert.equal(client.ack.recovered, true);
	await client.has("Own", 5);
	assertSequence(client.got.Own, 1, 5);
});

test("pids and offsets that nobody gave are ignored, counted, and do no harm", async () => {
	const wire = await wireTo("hub-1"), honest = follow(wire, ["Forged"], websocket);
	await honest.ready();
	await publish("Forged", 1, 2);
	await honest.has("Forged", 2);
	const pid = honest.socket._pid, offset = honest.socket._lastOffset;
	const [epoch, seq] = offset.split(".");
	const changed = pid.slice(0, 30) + (pid[30] === "A" ? "B" : "A") + pid.slice(31);
	const cases = [
		[{ pid: changed, offset }, "recovery_pids_forged_total"],
		[{ pid: pid.slice(0, -4), offset }, "recovery_pids_malformed_total"],
		[{ pid: pid.slice(0, 20), offset }, "recovery_pids_malformed_total"],
		[{ pid: "A".repeat(100_000), offset }, "recovery_pids_malformed_total"],
		[{ pid: 17, offset }, "recovery_pids_malformed_total"],
		[{ pid: { a: 1 } }, "recovery_pids_malformed_total"],
		[{ pid, offset: "yesterday" }, "recovery_offsets_malformed_total"],
		[{ pid, offset: `${epoch}.${seq}x` }, "recovery_offsets_malformed_total"],
		[{ pid, offset: "9".repeat(50_000) }, "recovery_offsets_malformed_total"],
		[{ pid, offset: [offset] }, "recovery_offsets_malformed_total"],
		[{ pid, offset: `${epoch}.99999999` }, "recovery_offsets_unknown_total"],
		[{ pid, offset: `${Number(epoch) + 1000}.5` }, "recovery_offsets_unknown_total"],
	];
	for (const [i, [auth, counter]] of cases.entries()) {
		const before = await metrics(roomcast, "hub-1");
		const client = follow(wire, [`Forged${i}`], { ...websocket, auth });
		await client.ready();
		assert.equal(client.connects[0].recovered ?? false, false);
		assert.equal(client.ack.recovered, false, JSON.stringify(auth).slice(0, 100));
		assert.ok(client.socket._pid && client.socket._pid !== pid);
		const now = await metrics(roomcast, "hub-1");
		assert.equal(now[counter] - before[counter], 1, `${counter} for ${JSON.stringify(auth).slice(0, 100)}`);
		await publish(`Forged${i}`, 1, 2); /* nothing new is swallowed */
		await client.has(`Forged${i}`, 2);
		assertSequence(client.got[`Forged${i}`], 1, 2);
		client.close();
	}
});

test("recovery is a property of the connection", async () => {
	const wire = await wireTo("hub-1");
	const browser = { extraHeaders: { "User-Agent": "Mozilla/5.0 (X11; Linux x86_64)" } };
	const cases = [
		[{ query: {} }, false], [{ query: { recovery: "0" } }, false], [{ query: { recovery: "1" } }, true],
		[{ query: {}, auth: { recovery: true } }, true], [{ query: { recovery: "1" }, auth: { recovery: 0 } }, false],
		[{ query: {}, ...browser }, true], [{ query: { recovery: "0" }, ...browser }, false],
	];
	for (const transports of [["websocket"], ["polling"]]) {
		for (const [i, [options, isOn]] of cases.entries()) {
			const client = follow(wire, ["Property"], { transports, ...options });
			const lengths = [], quiet = `quiet ${transports} ${i}`;
			for (const event of ["data-change", "pong", "loud", quiet]) client.socket.on(event, (...args) => lengths.push([event, args.length]));
			await client.ready();
			const what = `${transports} ${i}`;
			assert.equal(client.socket._pid !== undefined, isOn, what);
			client.socket.emit("ping");
			await until("pong", () => lengths.length === 1);
			await publish("Property", 1, 1);
			await post(roomcast, "emit", { event: "loud", args: [] });
			await until("all arrived", () => lengths.length === 3);
			await until("a volatile event found it ready", async () => {
				await post(roomcast, "emit", { event: quiet, args: [], volatile: true });
				return lengths.length > 3;
			});
			assert.deepEqual(lengths.slice(0, 4).map(([event, count]) => [event, count - (isOn ? 1 : 0)]), [["pong", 1], ["data-change", 1], ["loud", 0], [quiet, 0]], what);
			if (isOn) assert.match(client.socket._lastOffset, /^\d+\.\d+$/);
			client.close();
		}
	}
});

test("an offset on what is not journaled never covers what was not given", async () => {
	const wire = await wireTo("hub-1"), client = follow(wire, ["Covered"], websocket);
	await client.ready();
	await publish("Covered", 1, 3);
	await client.has("Covered", 3);
	client.close();
	await publish("Covered", 4, 6);
	wire.target = hubSocket(roomcast, "hub-2");
	client.types = []; /* it joins late, but asks at once */
	client.socket.connect();
	await until("it is connected", () => client.isConnected);
	const offset = client.socket._lastOffset;
	const pong = heard(client.socket, "pong");
	client.socket.emit("ping");
	await pong;
	assert.equal(client.socket._lastOffset, offset);
	const ack = await emit(client.socket, "join-data-sync", ["Covered"]);
	assert.equal(ack.recovered, true);
	await client.has("Covered", 6);
	assertSequence(client.got.Covered, 1, 6);
	/* A room joined after the walk is live at once, and its past is not told. */
	await publish("Late", 1, 2);
	const late = await emit(client.socket, "join-data-sync", ["Late"]);
	assert.equal(late.recovered, false);
});

test("where `except` cannot be judged, the event is withheld and the room is not called recovered", async () => {
	const wire = await wireTo("hub-1"), client = follow(wire, ["Except"], websocket);
	await client.ready();
	await publish("Except", 1, 2);
	await client.has("Except", 2);
	client.close();
	await post(roomcast, "emit", { event: "numbered", args: [7], rooms: ["sync-Except"], except: ["sync-Whatever"] });
	await publish("Except", 3, 4);
	wire.target = hubSocket(roomcast, "hub-2");
	client.socket.connect();
	await client.ready(2);
	assert.equal(client.ack.recovered, false);
	await client.has("Except", 4);
	assert.deepEqual(client.everyone, []);
	assertSequence(client.got.Except, 1, 4);
});

test("a token that expires closes the transport; the client comes back with a new one and goes on", async () => {
	const wire = await wireTo("hub-1");
	let tokens = 0;
	const client = follow(wire, ["Expiring"], {
		...websocket, token: () => token(roomcast, { userId: "expiring", exp: Math.floor(Date.now() / 1000) + (tokens++ ? 3600 : 2) }),
	});
	const source = publishing("Expiring");
	await client.ready();
	await client.ready(2);
	const last = await source.stop();
	await client.has("Expiring", last);
	assertSequence(client.got.Expiring, client.got.Expiring[0], last);
	assert.equal(tokens, 2);
	assert.equal(client.connects[1].recovered, true);
	assert.notEqual(client.disconnects[0], "io server disconnect");
	assert.ok((await metrics(roomcast, "hub-1")).tokens_expired_total >= 1);
});

/* A hub that has patience with clients that do not read, and so do not answer pings. */
let patient;
before(async () => {
	patient = await Roomcast.start({ env: { ROOMCAST_MAX_UNSENT: "256k", ROOMCAST_COALESCE_TYPES: "Nothing,Coalesced", ROOMCAST_COALESCE_MAX: "200" } });
});
after(() => patient?.stop());

test("a slow client is cut, and walked as fast as it takes", async () => {
	const wire = keep(await Wire.to(hubSocket(patient, "hub-1"))), client = follow(wire, ["Slow"], websocket);
	await client.ready();
	const padding = "x".repeat(20_000);
	const publishLarge = async (from, to) => {
		for (let n = from; n <= to; n++) {
			const answer = await post(patient, "data-change", { entityType: "Slow", action: "UPDATE", data: { id: 1, n, padding } });
			assert.equal(answer.status, 200, JSON.stringify(answer.body));
		}
	};
	await publishLarge(1, 3);
	await client.has("Slow", 3);
	const before = await metrics(patient, "hub-1");
	wire.freeze();
	await publishLarge(4, 700); /* 14 MB: more than the kernel keeps, many times the hub's bound */
	const after = await metrics(patient, "hub-1");
	assert.equal(after['closed_total{reason="too slow"}'] - before['closed_total{reason="too slow"}'], 1);
	wire.thaw();
	await client.ready(2);
	await client.has("Slow", 700);
	assertSequence(client.got.Slow, 1, 700);
	assert.equal((await metrics(patient, "hub-1"))['closed_total{reason="too slow"}'], after['closed_total{reason="too slow"}']);
	assert.equal(client.connects[1].recovered, true);
});

test("coalesce: updates that a newer one replaced need not be given, creations and deletions always", async () => {
	const wire = keep(await Wire.to(hubSocket(patient, "hub-1"))), client = follow(wire, ["Coalesced"], websocket);
	const got = [], padding = "x".repeat(8_000);
	client.socket.on("data-change", ({ action, data }) => got.push([action, data.id, data.n]));
	await client.ready();
	let n = 0;
	const change = async (action, id, more = {}) => {
		const answer = await post(patient, "data-change", { entityType: "Coalesced", action, data: { id, n: ++n, padding }, ...more });
		assert.equal(answer.status, 200, JSON.stringify(answer.body));
	};
	const updates = async (count) => {
		for (let i = 0; i < count; i++) await change("UPDATE", 1 + (i % 3));
	};
	await updates(6);
	await until("while it keeps up it gets everything", () => got.length === 6);
	const before = await metrics(patient, "hub-1");
	wire.freeze();
	await updates(1500); /* 12 MB */
	await change("DELETE", 2);
	await change("CREATE", 2);
	await updates(30);
	wire.thaw();
	const last = n;
	await until("the last arrived", () => got.at(-1)?.[2] === last, 30_000);
	const now = await metrics(patient, "hub-1");
	assert.equal(now['closed_total{reason="too slow"}'], before['closed_total{reason="too slow"}']);
	assert.equal(client.connects.length, 1);
	assert.ok(got.length < last - 300, `${got.length} of ${last}`);
	assert.ok(got.every(([, , number], i) => i === 0 || number > got[i - 1][2]), "in order");
	assert.deepEqual(got.filter(([action]) => action !== "UPDATE").map(([action, id]) => [action, id]), [["DELETE", 2], ["CREATE", 2]]);
	const gone = got.findIndex(([action]) => action === "DELETE");
	assert.ok(got.slice(gone - 3, gone).some(([, id]) => id === 2), "what was before the deletion was not replaced by what came after it");
	for (const id of [1, 2, 3]) assert.equal(got.findLast((each) => each[1] === id)[2], last - 3 + id);
	/* The same in a walk; and an update that leaves somebody out does not stand for one that is for all. */
	wire.isDown = true;
	wire.cut();
	await until("it noticed", () => !client.isConnected);
	await updates(30);
	await change("UPDATE", 4, { excludeUserId: "nobody" });
	await change("UPDATE", 4);
	await change("UPDATE", 4, { excludeUserId: "nobody" });
	got.length = 0;
	wire.isDown = false;
	await client.ready(2);
	await until("the last arrived", () => got.at(-1)?.[2] === n);
	assert.deepEqual(got.map(([, id, number]) => [id, n - number]), [[1, 5], [2, 4], [3, 3], [4, 1], [4, 0]]);
	assert.ok((await metrics(patient, "hub-1")).walks_replaced_total - now.walks_replaced_total >= 27);
});

test("control events reach sessions of clients that are away", async () => {
	const wire = await wireTo("hub-1"), client = follow(wire, ["Away"], { ...websocket, token: token(roomcast, { userId: "away" }) });
	await client.ready();
	await publish("Away", 1, 1);
	await client.has("Away", 1);
	wire.isDown = true;
	wire.cut();
	await until("it noticed", () => !client.isConnected);
	await post(roomcast, "emit", { event: "numbered", args: [1], rooms: ["vip"] });
	assert.equal((await post(roomcast, "join?confirm=1", { sid: client.connects[0].id, rooms: ["vip"] })).status, 200);
	await post(roomcast, "emit", { event: "numbered", args: [2], rooms: ["vip"] });
	wire.isDown = false;
	await client.ready(2);
	assert.equal(client.connects[1].recovered, true);
	await post(roomcast, "emit", { event: "numbered", args: [3], rooms: ["vip"] });
	await until("it is in the room", () => client.everyone.includes(3));
	assert.deepEqual(client.everyone, [2, 3]);
	wire.isDown = true;
	wire.cut();
	await until("it noticed", () => !client.isConnected);
	assert.equal((await post(roomcast, "disconnect?confirm=1", { userId: "away" })).status, 200);
	wire.isDown = false;
	await client.ready(3);
	assert.equal(client.connects[2].recovered ?? false, false);
	assert.notEqual(client.connects[2].id, client.connects[0].id);
});

test("what a room had for a client before it was taken out of it comes, whether it was away then or on a broken connection", async () => {
	const wire = await wireTo("hub-1"), client = follow(wire, ["Out"], websocket);
	await client.ready();
	const sid = client.connects[0].id;
	assert.equal((await post(roomcast, "join?confirm=1", { sid, rooms: ["out-a", "out-b"] })).status, 200);
	const numbered = (n, room) => post(roomcast, "emit", { event: "numbered", args: [n], rooms: [room] });
	await numbered(1, "out-a");
	await until("it is in the room", () => client.everyone.length === 1);
	wire.isDown = true;
	wire.halfOpen();
	await numbered(2, "out-a");
	assert.equal((await post(roomcast, "leave?confirm=1", { sid, rooms: ["out-a"] })).status, 200);
	await numbered(3, "out-a");
	await numbered(4, "out-b");
	wire.cut();
	await until("the hub noticed", async () => (await metrics(roomcast, "hub-1")).stored_sessions > 0);
	await numbered(5, "out-b");
	assert.equal((await post(roomcast, "leave?confirm=1", { sid, rooms: ["out-b"] })).status, 200);
	await numbered(6, "out-b");
	wire.isDown = false;
	await client.ready(2);
	assert.equal(client.connects[1].id, sid);
	await numbered(7, "out-a");
	await numbered(8, "out-b");
	await publish("Out", 1, 1);
	await client.has("Out", 1);
	assert.deepEqual(client.everyone, [1, 2, 4, 5]);
});

test("the status tells the history's figures", async () => {
	const status = await (await get(`${roomcast.url}/api/socket`)).json();
	assert.ok(status.history.events > 100);
	assert.ok(status.history.bytes > status.history.events * 100);
	assert.ok(status.history.rooms > 0);
	assert.deepEqual(Object.keys(status.history.bounds), ["ageMs", "events", "bytes"]);
	assert.equal(typeof status.storedSessions, "number");
});
