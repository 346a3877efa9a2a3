// What the whole system promises while nothing fails: a POST reaches every client that it is for, once and in order.
import assert from "node:assert/strict";

import { io } from "socket.io-client";
import { io as io3 } from "socket.io-client-3";

import { after, before, test } from "../lib/bounded.mjs";
import { emit, get, heard, within } from "../lib/deadline.mjs";
import { Roomcast, until } from "./roomcast.mjs";
import { post, token } from "./publisher.mjs";

let roomcast;
const sockets = [];

before(async () => {
	roomcast = await Roomcast.start({ hubs: 2 });
});

after(async () => {
	for (const socket of sockets) socket.disconnect();
	await roomcast?.stop();
});

async function connect(options = {}, connectWith = io) {
	const socket = connectWith(roomcast.url, { path: "/api/socket", forceNew: true, reconnection: false, ...options });
	sockets.push(socket);
	await within("a client is connected", new Promise((resolve, reject) => socket.on("connect", resolve).on("connect_error", reject)));
	return socket;
}

const user = (id, more = {}) => ({ auth: { token: token(roomcast, { userId: id, username: `name of ${id}`, ...more }) } });

test("20 clients of mixed transports and versions get 1,000 events in order, none missing, none twice", async () => {
	const ways = [
		[{ transports: ["websocket"] }, io], [{ transports: ["polling"] }, io], [{}, io],
		[{ transports: ["websocket"] }, io3], [{ transports: ["polling", "websocket"] }, io3],
	];
	const clients = await Promise.all(Array.from({ length: 20 }, (_, i) => connect(...ways[i % ways.length])));
	const got = clients.map(() => []);
	for (const [i, client] of clients.entries()) {
		client.on("data-change", (event) => got[i].push(event.data.n));
		const ack = await emit(client, "join-data-sync", ["Numbered"]);
		assert.deepEqual(ack.rooms, ["sync-Numbered"]);
		assert.equal(ack.success, true);
	}
	for (let n = 0; n < 1000; n++) {
		const answer = await post(roomcast, "data-change", { entityType: "Numbered", action: "UPDATE", data: { id: 1, n } });
		assert.equal(answer.status, 200, JSON.stringify(answer.body));
		assert.equal(answer.body.hubs, 2);
	}
	await until("everybody has everything", () => got.every((numbers) => numbers.length >= 1000), 60_000);
	const expected = Array.from({ length: 1000 }, (_, n) => n);
	for (const numbers of got) assert.deepEqual(numbers, expected);
});

test("the publisher's bytes arrive as they were written", async () => {
	const data = '{"b":12345678901234567890,"a":1.10,"slash":"\\/","e":"\\u00e9","nested":{"z":1e2,"y":[ 1 , 2 ]}}';
	const client = await connect({ transports: ["websocket"] });
	await emit(client, "join-data-sync", ["Raw"]);
	const packet = within("the packet", new Promise((resolve) => {
		client.io.engine.on("data", (text) => typeof text === "string" && text.includes("data-change") && resolve(text));
	}));
	const answer = await post(roomcast, "data-change", `{"entityType":"Raw","action":"CREATE","data":${data}}`);
	assert.equal(answer.status, 200, JSON.stringify(answer.body));
	assert.ok((await packet).includes(`"data":${data}`));
});

test("notifications reach their user on every hub, and nobody else", async () => {
	const tabs = await Promise.all([connect(user("7")), connect(user("7")), connect(user("7")), connect(user(7))]);
	const other = await connect(user("8"));
	const strangers = [];
	other.on("notification", (notification) => strangers.push(notification));
	const received = Promise.all(tabs.map((tab) => heard(tab, "notification")));
	const answer = await post(roomcast, "notification", { userId: 7, notification: { title: "T", message: "M", link: "/x" } });
	assert.equal(answer.status, 200, JSON.stringify(answer.body));
	for (const [notification] of await received) {
		assert.equal(notification.title, "T");
		assert.equal(notification.type, "info");
		assert.equal(notification.link, "/x");
		assert.match(notification.timestamp, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
	}
	const flushed = heard(other, "system-notification");
	await post(roomcast, "system-notification", { title: "A", message: "B", type: "warning" });
	assert.equal((await flushed)[0].type, "warning");
	assert.deepEqual(strangers, []);
});

test("excludeUserId leaves out one user's tabs", async () => {
	const me = await connect(user("me")), you = await connect(user("you"));
	const mine = [];
	me.on("data-change", (event) => mine.push(event.data));
	await emit(me, "join-data-sync", ["Excluded"]);
	await emit(you, "join-data-sync", ["Excluded"]);
	const received = heard(you, "data-change");
	await post(roomcast, "data-change", { entityType: "Excluded", action: "DELETE", data: 1, excludeUserId: "me" });
	assert.equal((await received)[0].data, 1);
	const last = heard(me, "data-change");
	await post(roomcast, "data-change", { entityType: "Excluded", action: "DELETE", data: 2 });
	await last;
	assert.deepEqual(mine, [2]);
});

test("emit: any event, any arguments, rooms and except by name and by socket id", async () => {
	const [a, b, c] = await Promise.all([connect(user("ea")), connect(user("eb")), connect(user("ec"))]);
	const got = { a: [], b: [], c: [] };
	for (const [name, socket] of Object.entries({ a, b, c })) socket.on("custom", (...args) => got[name].push(args));
	await post(roomcast, "emit", { event: "custom", args: [1, "two", { three: [3] }], rooms: ["user-ea", b.id] });
	await post(roomcast, "emit", { event: "custom", args: ["all"], except: [b.id, "user-ea"] });
	await post(roomcast, "emit", { event: "custom", args: ["end"] });
	await until("the last arrived", () => Object.values(got).every((list) => list.at(-1)?.[0] === "end"));
	assert.deepEqual(got.a, [[1, "two", { three: [3] }], ["end"]]);
	assert.deepEqual(got.b, [[1, "two", { three: [3] }], ["end"]]);
	assert.deepEqual(got.c, [["all"], ["end"]]);
});

test("user:activity crosses hubs, identity from the token wins, the sender and anonymous clients get nothing", async () => {
	const sender = await connect(user("sender"));
	const others = await Promise.all(Array.from({ length: 6 }, (_, i) => connect(user(`other${i}`))));
	const anonymous = await connect();
	const wrong = [];
	sender.on("user:activity", (activity) => wrong.push(activity));
	anonymous.on("user:activity", (activity) => wrong.push(activity));
	const counts = others.map(() => 0);
	others.forEach((socket, i) => socket.on("user:activity", () => counts[i]++));
	const received = Promise.all(others.map((socket) => heard(socket, "user:activity")));
	const ack = await emit(sender, "user:activity", { page: "/board", userId: "somebody else", timestamp: "never" });
	assert.equal(ack.success, true);
	for (const [activity] of await received) {
		assert.equal(activity.page, "/board");
		assert.equal(activity.userId, "sender");
		assert.equal(activity.username, "name of sender");
		assert.notEqual(activity.timestamp, "never");
	}
	const denied = await emit(anonymous, "user:activity", {});
	assert.equal(denied.success, false);
	const end = Promise.all([...others, sender, anonymous].map((socket) => heard(socket, "end")));
	await post(roomcast, "emit", { event: "end", args: [] });
	await end;
	assert.deepEqual(wrong, []);
	assert.deepEqual(counts, counts.map(() => 1));
});

test("rooms of others and odd arguments do no harm", async () => {
	const client = await connect(user("42"));
	assert.equal((await emit(client, "join-user-room", "42")).success, true);
	assert.equal((await emit(client, "join-user-room", 42)).success, true);
	assert.equal((await emit(client, "join-user-room", "43")).success, false);
	assert.equal((await emit(client, "join-user-room", { toString: 1 })).success, false);
	assert.equal((await emit(client, "join-data-sync", 5)).success, false);
	assert.equal((await emit(client, "join-data-sync", null)).success, false);
	const mixed = await emit(client, "join-data-sync", ["Good", "", "a\u0001b", "x".repeat(129), 7, null, ["Nested"]]);
	assert.deepEqual(mixed.rooms, ["sync-Good"]);
	assert.equal(mixed.denied.length, 6);
	assert.equal(mixed.success, false);
	assert.deepEqual((await emit(client, "leave-data-sync", ["Good", "Never joined"])).success, true);
	client.emit("no such event", { a: 1 }, Buffer.from([1, 2, 3]));
	client.emit("join-data-sync");
	client.emit("user:activity", "text");
	const pong = heard(client, "pong");
	client.emit("ping");
	assert.match((await pong)[0].timestamp, /Z$/);
	assert.equal(client.connected, true);
});

test("the status counts the clients of all hubs", async () => {
	const probe = async () => (await (await get(`${roomcast.url}/api/socket`)).json()).connectedClients;
	for (const socket of sockets.splice(0)) socket.disconnect();
	await until("all have left", async () => (await probe()) === 0);
	await Promise.all(Array.from({ length: 6 }, () => connect({ transports: ["websocket"] })));
	await until("all are counted, whichever hub is asked", async () => {
		const answers = await Promise.all(Array.from({ length: 6 }, probe));
		return answers.every((count) => count === 6);
	});
	const status = await (await get(`${roomcast.url}/api/socket/`)).json();
	assert.equal(status.success, true);
	assert.equal(status.message, "Socket.IO server status");
	assert.equal(status.available, true);
	assert.equal(status.path, "/api/socket");
});
