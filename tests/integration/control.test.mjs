// /join, /leave and /disconnect: at their place in the stream, on every hub, and beyond the life of a hub.
import assert from "node:assert/strict";

import { after, afterEach, before, test } from "../lib/bounded.mjs";
import { emit, get } from "../lib/deadline.mjs";
import { Person, endAll } from "./people.mjs";
import { post } from "./publisher.mjs";
import { Roomcast, isAlive, until } from "./roomcast.mjs";

let roomcast;

before(async () => {
	roomcast = await Roomcast.start({ hubs: 2 });
});
afterEach(endAll);
after(() => roomcast?.stop());

async function publish(call, body) {
	const answer = await post(roomcast, call, body);
	assert.equal(answer.status, 200, `${call}: ${JSON.stringify(answer.body)}`);
}

/** Several clients of a user, so that each hub very likely has one. */
const tabs = (userId, count = 6) => Promise.all(Array.from({ length: count }, () => Person.connected(roomcast, { userId })));
const emitTo = (room, n) => publish("emit", { event: "n", args: [n], rooms: [room] });

/** Everybody has got an event for everyone that was published just now, and so whatever was published before. */
let flushed = 0;
async function flush(people) {
	await publish("emit", { event: "flush", args: [++flushed] });
	await until("everybody got the last event", () => people.every((person) => person.events("flush").at(-1)?.[0] === flushed));
}
const numbers = (person) => person.events("n").map(([n]) => n);

test("a join followed by an emit always reaches, and a leave ends it there", async () => {
	const [mine, others] = [await tabs("joiner"), await tabs("bystander", 3)];
	for (let round = 0; round < 20; round++) {
		await publish("join", { userId: "joiner", rooms: ["secret", `room-${round}`] });
		await emitTo("secret", 2 * round);
		await publish("leave", { userId: "joiner", rooms: ["secret"] });
		await emitTo("secret", 2 * round + 1);
	}
	await flush([...mine, ...others]);
	for (const person of mine) assert.deepEqual(numbers(person), Array.from({ length: 20 }, (_, round) => 2 * round));
	for (const person of others) assert.deepEqual(numbers(person), []);
});

test("by Socket.IO id only that client, by room everybody in it", async () => {
	const people = await tabs("various", 4);
	const [first, ...rest] = people;
	await publish("join", { sid: first.socket.id, rooms: ["alone"] });
	await publish("join", { room: "user-various", rooms: ["together"] });
	await emitTo("alone", 1);
	await emitTo("together", 2);
	await publish("leave", { room: "alone", rooms: ["together"] });
	await emitTo("together", 3);
	await publish("leave", { room: "together", rooms: ["together"] }); /* the room that is walked */
	await emitTo("together", 4);
	await flush(people);
	assert.deepEqual(numbers(first), [1, 2]);
	for (const person of rest) assert.deepEqual(numbers(person), [2, 3]);
});

test("a grant holds for clients that connect later, until the leave; one's own room is not left", async () => {
	await publish("join", { userId: "granted", rooms: ["club"] });
	const early = await Person.connected(roomcast, { userId: "granted" });
	await emitTo("club", 1);
	await publish("leave", { userId: "granted", rooms: ["club", "user-granted"] });
	const late = await Person.connected(roomcast, { userId: "granted" });
	await emitTo("club", 2);
	await emitTo("user-granted", 3);
	await flush([early, late]);
	assert.deepEqual(numbers(early), [1, 3]);
	assert.deepEqual(numbers(late), [3]);
});

test("granted rooms count apart from those that a client may join by itself", async () => {
	const person = await Person.connected(roomcast, { userId: "collector" });
	for (let i = 0; i < 3; i++)
		await publish("join", { userId: "collector", rooms: Array.from({ length: 400 }, (_, n) => `granted-${i}-${n}`) });
	await flush([person]);
	const types = Array.from({ length: 1000 }, (_, n) => `Type${n}`);
	const ack = await emit(person.socket, "join-data-sync", types);
	assert.equal(ack.success, true);
	assert.equal(ack.rooms.length, 1000);
});

test("disconnect: what was published before arrives first, and the client does not come back by itself", async () => {
	const people = await tabs("parting", 4);
	for (let n = 0; n < 50; n++) await emitTo("user-parting", n);
	await publish("disconnect", { userId: "parting" });
	await until("all were told", () => people.every((person) => person.reasons.length));
	for (const person of people) {
		assert.deepEqual(person.reasons, ["io server disconnect"]);
		assert.equal(person.events("n").length, 50);
	}
	people[0].socket.connect(); // nothing keeps it out
	await until("connected again", () => people[0].socket.connected);
});

test("disconnect with close ends the transport too; by Socket.IO id only that client", async () => {
	const [polling, websocket, other] = await Promise.all(
		[{ transports: ["polling"] }, { transports: ["websocket"] }, {}].map((options) => Person.connected(roomcast, { userId: "closed", ...options })),
	);
	for (const person of [polling, websocket]) await publish("disconnect", { sid: person.socket.id, close: true });
	for (const person of [polling, websocket]) {
		await until("it was told", () => person.reasons.length);
		assert.deepEqual(person.reasons, ["io server disconnect"]);
		await until("the transport closes", () => person.socket.io.engine.readyState === "closed");
	}
	await flush([other]);
	assert.equal(other.socket.connected, true);
});

const refused = async (userId) => {
	const person = new Person(roomcast, { userId });
	await until("it is refused", () => person.errors.length);
	return person.errors[0];
};

test("a block keeps a user out until it is lifted or ends", async () => {
	const before = await tabs("blocked", 3);
	const other = await Person.connected(roomcast, { userId: "unblocked" });
	await publish("disconnect", { userId: "blocked", blockSeconds: 600 });
	await until("all are gone", () => before.every((person) => person.reasons.length));
	await flush([other]);
	for (let i = 0; i < 4; i++) {
		const error = await refused("blocked");
		assert.equal(error.message, "blocked");
		assert.ok(Math.abs(error.data.until - Date.now() - 600_000) < 60_000, JSON.stringify(error.data));
	}
	await publish("disconnect", { userId: "blocked", blockSeconds: 0 });
	await flush([other]);
	const again = await Person.connected(roomcast, { userId: "blocked" });
	await publish("disconnect", { userId: "blocked", blockSeconds: 0 }); // lifts nothing, disconnects nobody
	await flush([again]);
	assert.deepEqual(again.reasons, []);
	await publish("disconnect", { userId: "blocked", blockSeconds: 1 });
	await until("it is gone", () => again.reasons.length);
	await until("the block has ended", async () => (again.socket.connect(), again.socket.connected));
});

async function restart(name) {
	const old = roomcast.pid(name);
	process.kill(old, "SIGKILL");
	await until(`${name} runs again`, () => roomcast.pid(name) !== old && isAlive(roomcast.pid(name)));
}

const status = async () => (await get(`${roomcast.url}/api/socket`)).json();

test("grants and blocks outlive kill -9 of hubs and gateway", async () => {
	await publish("join", { userId: "kept", rooms: ["kept-room"] });
	await publish("join", { userId: "kept", rooms: ["dropped-room"] });
	await publish("leave", { userId: "kept", rooms: ["dropped-room"] });
	await publish("disconnect", { userId: "kept-out", blockSeconds: 600 });
	for (const names of [["hub-1", "hub-2"], ["gateway"], ["gateway", "hub-1", "hub-2"]]) {
		await Promise.all(names.map(restart));
		await until("the gateway knows both hubs", async () => {
			const answer = await post(roomcast, "emit", { event: "here", args: [] }).catch(() => undefined);
			return answer?.status === 200 && answer.body.hubs === 2;
		}, 60_000);
		const people = await tabs("kept", 4);
		await emitTo("kept-room", 1);
		await emitTo("dropped-room", 2);
		await flush(people);
		for (const person of people) assert.deepEqual(numbers(person), [1], `after ${names}`);
		for (let i = 0; i < 3; i++) assert.equal((await refused("kept-out")).message, "blocked");
		endAll();
	}
	const { standing } = await status();
	assert.ok(standing.grants >= 1 && standing.blocks >= 1, JSON.stringify(standing));
});
