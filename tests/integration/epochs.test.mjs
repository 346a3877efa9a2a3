// Gateways that begin a new epoch, with the same journal, an older copy of it, or none, and daemons that are stopped for a while: no hub and no
// client takes a new event for one that it has seen.
import assert from "node:assert/strict";
import { chownSync, cpSync, mkdirSync, readdirSync, realpathSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";

import { after, before, test } from "../lib/bounded.mjs";
import { get, halt } from "../lib/deadline.mjs";
import { Follower, Wire, nginxOf } from "./follower.mjs";
import { Person, endAll } from "./people.mjs";
import { post } from "./publisher.mjs";
import { Roomcast, isAlive, until } from "./roomcast.mjs";

let roomcast;
let people; // connected all the time

before(async () => {
	roomcast = await Roomcast.start({ hubs: 2 });
	const ways = [{ transports: ["websocket"] }, { transports: ["polling"] }, {}];
	people = await Promise.all(Array.from({ length: 9 }, (_, i) => Person.connected(roomcast, ways[i % 3], ["Thing"])));
});
after(async () => {
	endAll();
	await roomcast?.stop();
});

const numbers = (person) => person.events("data-change").map(([event]) => event.data.n);
const hubStatus = async () => (await get(`${roomcast.url}/api/socket`)).json();

/** Publishes numbers from `from` on, each until it is accepted for certain; returns the next. */
async function publish(from, count) {
	for (let n = from; n < from + count; n++) {
		await until(`event ${n} is accepted`, async () => {
			const body = { entityType: "Thing", action: "UPDATE", data: { n } };
			const answer = await post(roomcast, "data-change", body, { "Idempotency-Key": `number-${n}` }).catch(() => undefined);
			return answer && (answer.status === 200 || answer.status === 202);
		}, 30_000);
	}
	return from + count;
}

async function assertAllGot(end) {
	await until(`everybody has ${end} events`, () => people.every((person) => person.events("data-change").length >= end), 60_000)
		.catch((error) => assert.fail(`${error.message}; they have ${people.map((person) => person.events("data-change").length)}`));
	const expected = Array.from({ length: end }, (_, n) => n);
	for (const person of people) {
		assert.deepEqual(numbers(person), expected);
		assert.deepEqual(person.reasons, []); // clients stay
	}
}

async function restarted(name, old) {
	await until(`${name} runs again`, () => roomcast.pid(name) !== old && isAlive(roomcast.pid(name)), 30_000);
}

const data = () => realpathSync(join(roomcast.state, "data"));
const isJournal = (file) => file.startsWith("journal.sqlite");

/** Stops the gateway, does something to its files, and lets it start with what is there then. */
async function swapJournal(change) {
	const gateway = roomcast.pid("gateway");
	await halt(gateway); // it keeps what it has open; nothing is written meanwhile
	try {
		change();
	} finally {
		process.kill(gateway, "SIGKILL");
	}
	await restarted("gateway", gateway);
}

function copyJournal(to) {
	mkdirSync(to, { recursive: true });
	for (const file of readdirSync(data()).filter(isJournal)) cpSync(join(data(), file), join(to, file));
}

const removeJournal = () => readdirSync(data()).filter(isJournal).forEach((file) => rmSync(join(data(), file)));

function restoreJournal(from) {
	const { uid, gid } = statSync(data());
	removeJournal();
	for (const file of readdirSync(from)) {
		cpSync(join(from, file), join(data(), file));
		chownSync(join(data(), file), uid, gid);
	}
}

let next = 0;

test("a gateway that is killed and started again: the stream goes on", async () => {
	next = await publish(next, 50);
	for (let round = 0; round < 3; round++) {
		const gateway = roomcast.pid("gateway");
		process.kill(gateway, "SIGKILL");
		next = await publish(next, 50);
		await restarted("gateway", gateway);
	}
	await assertAllGot(next);
});

test("an older copy of the journal under running hubs and clients swallows no new event", async () => {
	const copy = join(roomcast.state, "copy");
	const gateway = roomcast.pid("gateway");
	await halt(gateway);
	copyJournal(copy);
	process.kill(gateway, "SIGCONT");
	next = await publish(next, 100);
	await assertAllGot(next);
	await swapJournal(() => restoreJournal(copy));
	next = await publish(next, 100);
	await assertAllGot(next);
	assert.ok((await hubStatus()).line.breaks >= 1);

	/* So old that it does not know the epoch that the hubs follow: the same copy once more. */
	await swapJournal(() => restoreJournal(copy));
	next = await publish(next, 100);
	await assertAllGot(next);
});

test("clients that were away while the journal became an older copy of itself miss nothing unless they are told", async () => {
	const copy = join(roomcast.state, "copy-away");
	const wire = await Wire.to(nginxOf(roomcast));
	const away = async (from, to) => {
		for (let n = from; n <= to; n++) {
			await until(`${n} is accepted`, async () => {
				const body = { entityType: "Away", action: "UPDATE", data: { n } };
				const answer = await post(roomcast, "data-change", body, { "Idempotency-Key": `away-${n}` }).catch(() => undefined);
				return answer && (answer.status === 200 || answer.status === 202);
			}, 30_000);
		}
	};
	const followers = Array.from({ length: 6 }, (_, i) => new Follower(wire.url, ["Away"], { transports: [["websocket"], ["polling"]][i % 2] }));
	try {
		await Promise.all(followers.map((follower) => follower.ready()));
		await away(1, 5);
		const gateway = roomcast.pid("gateway");
		await halt(gateway);
		copyJournal(copy);
		process.kill(gateway, "SIGCONT");
		await away(6, 10); // which the copy does not know
		await until("they have all", () => followers.every((follower) => follower.got.Away.length === 10));
		wire.isDown = true;
		wire.cut();
		await until("they are away", () => followers.every((follower) => !follower.isConnected));
		await swapJournal(() => restoreJournal(copy));
		await away(11, 15);
		wire.isDown = false;
		await Promise.all(followers.map((follower) => follower.ready(2)));
		await away(16, 20);
		await until("they have the last", () => followers.every((follower) => follower.got.Away.at(-1) === 20), 30_000);
		for (const { got, ack } of followers) {
			const missed = Array.from({ length: 20 }, (_, n) => n + 1).filter((n) => !got.Away.includes(n));
			assert.deepEqual(got.Away, [...new Set(got.Away)].sort((a, b) => a - b), "in order, none twice");
			assert.ok(missed.every((n) => n >= 11 && n <= 15), `missed ${missed}`);
			assert.ok(missed.length === 0 || ack.recovered === false, `missed ${missed}, and was not told`);
		}
	} finally {
		for (const follower of followers) follower.close();
		wire.close();
	}
});

test("a gateway that lost its journal begins anew, and is followed", async () => {
	await swapJournal(removeJournal);
	next = await publish(next, 100);
	await assertAllGot(next);
});

test("a hub that is started again after all that loads its window and goes on", async () => {
	const hub = roomcast.pid("hub-1");
	process.kill(hub, "SIGKILL");
	await restarted("hub-1", hub);
	await until("both hubs are there", async () => {
		const answer = await post(roomcast, "emit", { event: "here", args: [] }).catch(() => undefined);
		return answer?.status === 200 && answer.body.hubs === 2;
	}, 30_000);
	/* Its clients came back by themselves, as new ones: replace them. */
	const stayed = people.filter((person) => !person.reasons.length);
	assert.ok(stayed.length < people.length, "no client was on the hub");
	people = stayed;
	const newcomers = await Promise.all(Array.from({ length: 6 }, () => Person.connected(roomcast, {}, ["Thing"])));
	const begin = next;
	next = await publish(next, 100);
	await assertAllGot(next);
	const expected = Array.from({ length: 100 }, (_, n) => begin + n);
	await until("the newcomers have everything", () => newcomers.every((person) => person.events("data-change").length >= 100));
	for (const person of newcomers) assert.deepEqual(numbers(person), expected);
});

for (const name of ["hub-1", "hub-2", "gateway"]) {
	test(`${name} is stopped for a while`, async () => {
		const pid = roomcast.pid(name);
		let isOver = false;
		const publishing = (async () => {
			while (!isOver) next = await publish(next, 10);
		})();
		try {
			await halt(pid);
			/* A hub is missed by the gateway; a gateway that is stopped answers nobody. */
			await until("it is missed", async () => {
				const status = await fetch(`${roomcast.url}/api/broadcast/status`, {
					headers: { Authorization: `Bearer ${roomcast.info.apiKey}` }, signal: AbortSignal.timeout(3000),
				}).then((response) => response.json(), () => undefined);
				return name === "gateway" ? !status : status?.hubs?.length === 1;
			}, 30_000);
		} finally {
			process.kill(pid, "SIGCONT");
			isOver = true;
			await publishing;
		}
		await assertAllGot(next);
	});
}
