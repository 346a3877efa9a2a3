// A gateway that is started while its journal cannot be written, because the disk is full or read-only, or the file damaged: publishes are
// refused with the reason, hubs are served from what can be read, and all goes on by itself when it can be written again.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, openSync, readSync, rmSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";

import { io } from "socket.io-client";

import { Disk } from "../faults/disk.mjs";
import { after, before, test } from "../lib/bounded.mjs";
import { get, until } from "../lib/deadline.mjs";
import { freePort } from "../lib/port.mjs";
import { GatewaySite, build } from "./gateway.mjs";

const disk = Disk.open("12m");
const clients = [];
let site, hub, watcher;
let published = 0;

async function startHub(name) {
	const port = await freePort();
	const child = site.spawn(join(build, "hub/roomcast-hub"), [`--name=${name}`, `--listen=127.0.0.1:${port}`, `--line=ipc://${site.dir}/line.sock`],
		{ NODE_ENV: "development" });
	child.url = `http://127.0.0.1:${port}`;
	return child;
}

const isReady = async (hub) => (await get(`${hub.url}/readyz`).catch(() => undefined))?.status === 200;

function connect(hub) {
	const client = io(hub.url, { path: "/api/socket", query: { recovery: "1" }, transports: ["websocket"], reconnectionDelay: 100 });
	client.numbers = [];
	client.drops = 0;
	client.on("numbered", (n) => client.numbers.push(n));
	client.on("disconnect", () => client.drops++);
	clients.push(client);
	return client;
}

const emit = (n) => site.post("/emit", { event: "numbered", args: [n] }, { "Idempotency-Key": `number-${n}` });

/** Each until it is accepted. */
async function publish(count) {
	for (const end = published + count; published < end; published++)
		await until(`event ${published} is accepted`, async () => (await emit(published).catch(() => ({}))).json?.success);
}

const all = () => Array.from({ length: published }, (_, n) => n);
const hasAll = (client) => until("a client has everything", () => client.numbers.length >= published)
	.then(() => assert.deepEqual(client.numbers, all()), (err) => assert.fail(`${err.message}: ${client.numbers.length} of ${published}`));

/** The gateway is killed, what is around it changes, and it is started again. */
async function restart(change, signal = "SIGKILL") {
	site.gateway.kill(signal);
	await site.gateway.ended;
	change();
	await site.startGateway();
}

async function assertServesReadOnly(state, reason) {
	const refusal = await emit(published);
	assert.equal(refusal.status, 503, refusal.text);
	assert.equal(refusal.json.code, "unavailable");
	assert.match(refusal.json.error, reason);
	const status = await until("the hub that runs is followed again", async () => {
		const status = await site.status();
		return status.hubs.some(({ name }) => name === "first") && status;
	});
	assert.equal(status.role, "unavailable");
	assert.equal(status.journal.state, state);
	assert.match(status.journal.reason, reason);
	assert.equal(watcher.drops, 0);
}

/** A hub that is started now has the history, and gives a client of the other hub what it missed. */
async function assertNewHubHasHistory(name, moved) {
	const second = await startHub(name);
	await until("the new hub is ready", () => isReady(second));
	const history = await until("the hub says what history it has", () => /history is here" events=(\d+)/.exec(second.text));
	assert.equal(Number(history[1]), published);
	assert.doesNotMatch(second.text, /ready without the gateway/);
	moved.io.uri = second.url;
	moved.connect();
	await hasAll(moved);
	assert.ok(moved.recovered || moved.numbers.length === published);
	return second;
}

async function assertGoesOn(epoch) {
	await publish(20);
	const status = await site.status();
	assert.equal(status.role, "active");
	assert.ok(status.epoch > epoch);
	assert.equal(watcher.drops, 0);
	for (const client of clients.filter(({ connected }) => connected)) await hasAll(client);
}

if (disk) before(async () => {
	site = await GatewaySite.open({ extra: [`--state-dir=${disk.path}/state`] });
	hub = await startHub("first");
	await until("the hub is ready", () => isReady(hub));
	watcher = connect(hub);
	await until("a client is connected", () => watcher.connected);
});

after(async () => {
	for (const client of clients) client.close();
	try {
		await site?.close();
	} finally {
		disk?.close();
	}
});

const remount = (mode) => execFileSync("mount", ["-o", `remount,${mode}`, disk.path], { stdio: "pipe", timeout: 30_000 });
const onDisk = (name, run) => test(name, (t) => (disk ? run(t) : t.skip("nobody may mount here")));

/** Full to the last byte: what SQLite's connections share has no room left either. */
function fillAfterKill() {
	rmSync(`${disk.path}/state/journal.sqlite-shm`);
	assert.ok(statSync(`${disk.path}/state/journal.sqlite-wal`).size > 0);
	disk.fill();
}

const faults = [
	["the disk is full, after a kill -9", "SIGKILL", fillAfterKill, () => disk.free(), /full|disk/],
	["the disk is full, after an orderly end", "SIGTERM", () => disk.fill(), () => disk.free(), /full|disk/],
	["the disk is read-only, after a kill -9", "SIGKILL", () => remount("ro"), () => remount("rw"), /readonly|cannot be written|Read-only/],
	["the disk is read-only, after an orderly end", "SIGTERM", () => remount("ro"), () => remount("rw"), /readonly|cannot be written|Read-only/],
];
for (const [i, [name, signal, spoil, mend, reason]] of faults.entries()) {
	onDisk(`${name}: hubs are served from what can be read, and publishing goes on when it can be written`, async () => {
		await publish(20);
		const moved = connect(hub);
		await until("another client is connected", () => moved.connected);
		moved.numbers = all();
		await publish(1);
		await hasAll(moved);
		moved.disconnect();
		await publish(20); // which it misses
		const { epoch } = await site.status();
		await restart(spoil, signal);
		try {
			await assertServesReadOnly("reading", reason);
			await assertNewHubHasHistory(`new-${i}`, moved);
			await restart(() => {}, "SIGKILL"); // once more, with nothing left to be given up
			await assertServesReadOnly("reading", reason);
			const page = await site.get("/events");
			assert.ok(page.status === 200 && page.json.events.length, page.text);
		} finally {
			mend();
		}
		await assertGoesOn(epoch);
	});
}

onDisk("the disk fills up under a gateway that runs: publishes are refused, and go on by themselves", async () => {
	await publish(5);
	const { epoch } = await site.status();
	disk.fill();
	try {
		const large = "x".repeat(300_000);
		await until("the disk is felt", async () => (await site.post("/emit", { event: "large", args: [large] })).status === 503);
		assert.ok((await site.status()).hubs.some(({ name }) => name === "first"));
	} finally {
		disk.free();
	}
	await publish(20);
	assert.ok((await site.status()).epoch >= epoch);
	for (const client of clients.filter(({ connected }) => connected)) await hasAll(client);
});

onDisk("the file is damaged: the error names it, hubs and clients stay, and a mended file is taken up", async () => {
	await publish(5);
	const { epoch } = await site.status();
	const path = `${disk.path}/state/journal.sqlite`, header = Buffer.alloc(100);
	const file = openSync(path, "r+");
	try {
		await restart(() => {
			readSync(file, header, 0, header.length, 0);
			writeSync(file, Buffer.alloc(header.length, "?"), 0, header.length, 0);
			for (const name of ["-wal", "-shm"]) rmSync(path + name, { force: true }); // or SQLite takes the header from there
		}, "SIGTERM");
		await assertServesReadOnly("reading", new RegExp(`${path}.*not a database`));
		const [other] = [connect(hub)];
		await until("a client is let in", () => other.connected);
		other.close();
	} finally {
		writeSync(file, header, 0, header.length, 0);
		closeSync(file);
	}
	await assertGoesOn(epoch);
});
