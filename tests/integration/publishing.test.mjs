// What publishers are promised: keys, versions, batches, confirmation, control calls, the log, scoped keys; also across a kill -9 of the gateway.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";

import { after, before, test } from "../lib/bounded.mjs";
import { build, GatewaySite } from "./gateway.mjs";
import { halt, until } from "../lib/deadline.mjs";

let site, tap;
const keys = {};

before(async () => {
	site = await GatewaySite.open();
	const file = join(site.dir, "keys.ini");
	const keygen = (...args) => execFileSync(join(build, "cli/roomcast"), ["keygen", `--file=${file}`, ...args], { encoding: "utf8", timeout: 60_000 }).trim();
	keys.invoices = keygen("--name=invoices", "--calls=data-change,join,events", "--types=Invoice");
	keys.slow = keygen("--name=slow", "--calls=publish", "--rate=1", "--burst=3");
	await site.killGateway();
	site.extra = [`--api-keys-file=${file}`];
	await site.startGateway();
	tap = await site.tap("tap");
});
after(() => site?.close());

let entity = 0;
const newEntity = () => `entity-${++entity}`;
const change = (id, more = {}, data = {}) => ({ entityType: "Item", action: "UPDATE", data: { id, ...data }, ...more });
const keyed = (key) => ({ "Idempotency-Key": key });
const as = (key) => ({ Authorization: `Bearer ${key}` });
const place = (event) => `${event.epoch}.${event.seq}`;
const published = (id) => until(`${id} is published`, () => tap.published().find((event) => place(event) === id));
/** All that is stored is published. */
const settled = async () => {
	const { epoch, lastSeq } = await site.status();
	if (lastSeq) await published(`${epoch}.${lastSeq}`);
};
const publishedWith = (text) => tap.published().filter((event) => event.body.includes(text));

/** Started again after a kill -9; the tap is welcomed by the new one. */
async function restart() {
	await site.killGateway();
	await site.startGateway();
	await until("the tap is there", async () => (await site.status()).hubs.length === 1);
}

test("a key: the first result again, nothing published twice, another request refused", async () => {
	const id = newEntity();
	const first = await site.post("/data-change", change(id), keyed("k-1"));
	assert.equal(first.status, 200, first.text);
	assert.deepEqual({ ...first.json, id: "" }, { success: true, id: "", version: 1, hubs: 1 });
	const again = await site.post("/data-change", change(id), keyed("k-1"));
	assert.deepEqual(again.json, { ...first.json, repeated: true });
	const other = await site.post("/data-change", change(id, {}, { n: 1 }), keyed("k-1"));
	assert.deepEqual([other.status, other.json.code], [422, "idempotency_mismatch"]);
	await settled();
	assert.equal(publishedWith(id).length, 1);

	// The same bytes mean something else to another call, and somebody else's key is another key.
	const body = { userId: "u-1", rooms: ["a"] };
	assert.equal((await site.post("/join", body, keyed("k-2"))).status, 200);
	assert.equal((await site.post("/leave", body, keyed("k-2"))).json.code, "idempotency_mismatch");
	const theirs = await site.post("/join", body, { ...keyed("k-2"), ...as(keys.invoices) });
	assert.equal(theirs.json.repeated, undefined);

	// What was refused is not remembered.
	assert.equal((await site.post("/data-change", { ...change(id), action: "?" }, keyed("k-3"))).status, 422);
	assert.equal((await site.post("/data-change", change(id, { ifVersion: 77 }), keyed("k-3"))).status, 409);
	assert.equal((await site.post("/data-change", change(id), keyed("k-3"))).json.version, 2);
});

test("keys that cannot be", async () => {
	for (const key of ["a b", "x".repeat(256), "\u00e9"]) {
		const answer = await site.post("/emit", { event: "e" }, keyed(key));
		assert.deepEqual([answer.status, answer.json.code], [422, "invalid_field"], key);
		assert.match(answer.json.error, /^Idempotency-Key: /);
	}
	assert.equal((await site.post("/emit", { event: "e" }, keyed("x".repeat(255)))).status, 200);
	const volatile = await site.post("/emit", { event: "e", volatile: true }, keyed("v"));
	assert.match(volatile.json.error, /^Idempotency-Key: .*volatile/);
});

test("a key outlives a kill -9 of the gateway", async () => {
	const id = newEntity();
	const first = await site.post("/data-change", change(id), keyed("k-killed"));
	await restart();
	const again = await site.post("/data-change", change(id), keyed("k-killed"));
	assert.deepEqual([again.status, again.json.id, again.json.version, again.json.repeated], [200, first.json.id, 1, true]);
	const next = await site.post("/data-change", change(id));
	assert.equal(next.json.version, 2);
	assert.notEqual(next.json.id.split(".")[0], first.json.id.split(".")[0]);
});

test("two requests with one key at once: one is published", async () => {
	for (let i = 0; i < 20; i++) {
		const id = newEntity();
		const answers = await Promise.all([0, 1, 2].map(() => site.post("/data-change", change(id), keyed(`twice-${i}`))));
		assert.deepEqual(answers.map((answer) => answer.json.id), Array(3).fill(answers[0].json.id));
		assert.equal(answers.filter((answer) => answer.json.repeated).length, 2);
		await settled();
		assert.equal(publishedWith(`"${id}"`).length, 1);
	}
});

test("of 20 writers at once exactly one wins each version", async () => {
	const id = newEntity();
	for (let version = 0; version < 5; version++) {
		const answers = await Promise.all(Array.from({ length: 20 }, (_, writer) => site.post("/data-change", change(id, { ifVersion: version }, { writer }))));
		const [winner, ...more] = answers.filter((answer) => answer.status === 200);
		assert.equal(more.length, 0);
		assert.equal(winner.json.version, version + 1);
		await settled();
		const [{ body }, ...none] = publishedWith(`"${id}"`).filter((event) => event.body.endsWith(`,"version":${version + 1}}`));
		assert.equal(none.length, 0);
		for (const loser of answers.filter((answer) => answer !== winner)) {
			assert.equal(loser.status, 409);
			assert.deepEqual(Object.keys(loser.json), ["success", "error", "code", "serverVersion", "serverData"]);
			assert.deepEqual([loser.json.code, loser.json.serverVersion], ["version_conflict", version + 1]);
			assert.ok(body.includes(`"data":${JSON.stringify(loser.json.serverData)}`));
		}
	}
});

test("versions: what data says, else the one before and one; the server's data byte for byte", async () => {
	const id = newEntity();
	const post = (body) => site.post("/data-change", body);
	assert.equal((await post(change(id))).json.version, 1);
	assert.equal((await post(change(id, {}, { version: 41 }))).json.version, 41);
	assert.equal((await post(change(id))).json.version, 42);
	const data = `{"id":"${id}", "n":1.10,"s":"\\u00e9\\/"}`;
	assert.equal((await post(`{"entityType":"Item","action":"UPDATE","ifVersion":42,"data":${data}}`)).json.version, 43);
	const conflict = await post(change(id, { ifVersion: 42 }));
	assert.ok(conflict.text.endsWith(`"serverVersion":43,"serverData":${data}}`), conflict.text);
	// The newest event decides, also when its version is a smaller one.
	assert.equal((await post(change(id, {}, { version: 5 }))).json.version, 5);
	assert.equal((await post(change(id, { ifVersion: 43 }))).json.serverVersion, 5);
	assert.equal((await post({ ...change(id), action: "DELETE" })).json.version, 6);
	const deleted = await post(change(id, { ifVersion: 5 }));
	assert.deepEqual([deleted.json.serverVersion, deleted.json.serverData], [6, null]);
	const unknown = await post(change(newEntity(), { ifVersion: 3 }));
	assert.deepEqual([unknown.status, unknown.json.serverVersion, unknown.json.serverData], [409, 0, null]);
	for (const body of [change({}, { ifVersion: 1 }), change(id, { ifVersion: "6" }), change(id, { ifVersion: 6 }, { version: 6 })])
		assert.equal((await post(body)).json.code, "invalid_field", JSON.stringify(body));
	await restart();
	assert.equal((await post(change(id, { ifVersion: 6 }))).json.version, 7);
	// Types and ids are told apart, and a number is not told from its text.
	assert.equal((await post({ ...change(id), entityType: "Other" })).json.version, 1);
	await post(change(`7-${id}`));
	assert.equal((await post(change("123456"))).json.version, 1);
	assert.equal((await post(change(123456))).json.version, 2);
});

test("a batch is stored whole or not at all", async () => {
	const [a, b] = [newEntity(), newEntity()];
	const item = (id, more) => ({ type: "data-change", ...change(id, more) });
	const before = (await site.status()).lastSeq;
	const conflict = await site.post("/batch", { events: [item(a), item(b), item(a, { ifVersion: 1 }), item(b, { ifVersion: 9 })] });
	assert.deepEqual([conflict.status, conflict.json.code, conflict.json.index, conflict.json.serverVersion], [409, "version_conflict", 3, 1]);
	assert.match(conflict.json.error, /^events\[3\]/);
	const invalid = await site.post("/batch", { events: [item(a), { type: "emit", event: "" }] });
	assert.match(invalid.json.error, /^events\[1\]\.event: /);
	assert.equal((await site.status()).lastSeq, before);

	const events = [item(a), { type: "emit", event: "x", args: [1], rooms: ["r"] }, { type: "system-notification", title: "T", message: "M" },
		{ type: "join", userId: 7, rooms: ["r"] }, item(a, { ifVersion: 1 })];
	const stored = await site.post("/batch", { events }, keyed("batch"));
	assert.equal(stored.status, 200, stored.text);
	assert.equal(stored.json.ids.length, 5);
	assert.equal(stored.json.id, stored.json.ids[4]);
	assert.deepEqual(stored.json.versions, [1, null, null, null, 2]);
	const seqs = stored.json.ids.map((id) => Number(id.split(".")[1]));
	assert.deepEqual(seqs, seqs.map((_, i) => seqs[0] + i));
	assert.deepEqual((await site.post("/batch", { events }, keyed("batch"))).json, { ...stored.json, repeated: true });
	await published(stored.json.id);
	const kinds = tap.published().filter((event) => stored.json.ids.includes(place(event))).map((event) => event.kind);
	assert.deepEqual(kinds, ["event", "event", "event", "control", "event"]);
	const many = await site.post("/batch", { events: Array(1000).fill({ type: "emit", event: "many" }) });
	assert.equal(many.json.ids.length, 1000);
});

test("control calls are events in the log", async () => {
	const calls = [
		["/join", { userId: 7, rooms: ["a", "b"] }, { operation: 1, user: "7", sid: "", room: "", rooms: ["a", "b"], close: 0, untilMs: 0 }],
		["/leave", { sid: "x", rooms: ["a"] }, { operation: 2, user: "", sid: "x", room: "", rooms: ["a"], close: 0, untilMs: 0 }],
		["/disconnect", { room: "r", close: true }, { operation: 3, user: "", sid: "", room: "r", rooms: [], close: 1, untilMs: 0 }],
		["/disconnect", { userId: "u", blockSeconds: 0 }, { operation: 3, user: "u", sid: "", room: "", rooms: [], close: 0, untilMs: 1 }],
	];
	for (const [path, body, expected] of calls) {
		const answer = await site.post(path, body);
		assert.equal(answer.status, 200, answer.text);
		const event = await published(answer.json.id);
		assert.equal(event.kind, "control");
		for (const [name, value] of Object.entries(expected)) assert.deepEqual(event[name], value, `${path} ${name}`);
	}
	const block = await site.post("/disconnect", { userId: "u", blockSeconds: 60 });
	const event = await published(block.json.id);
	assert.equal(event.untilMs, event.timeMs + 60000);
});

const pages = async (query, limit) => {
	const events = [];
	for (let next = "0.0", more = true; more;) {
		const { status, json } = await site.get(`/events?after=${next}&limit=${limit}${query}`);
		assert.equal(status, 200);
		assert.equal(json.complete, true);
		events.push(...json.events);
		({ next, more } = json);
	}
	return events;
};

test("the log, page by page", async () => {
	const id = newEntity();
	await site.post("/data-change", `{"entityType":"A type/é&","action":"CREATE","userId":3,"data":{"id":"${id}","n":1.10}}`);
	await site.post("/data-change", { entityType: "A type/é&", action: "DELETE", data: { id }, excludeUserId: "x" });
	await site.post("/data-change", { entityType: "A type/é&", action: "CREATE", data: { id: "other" } });
	const all = await pages("", 1000);
	for (const limit of [7, 100]) assert.deepEqual(await pages("", limit), all);
	const places = all.map((event) => event.id.split(".").map(Number));
	for (let i = 1; i < places.length; i++) assert.ok(places[i - 1][0] < places[i][0] || (places[i - 1][0] === places[i][0] && places[i - 1][1] + 1 === places[i][1]));
	const { epoch, lastSeq } = await site.status();
	assert.equal(all.at(-1).id, `${epoch}.${lastSeq}`);

	const type = encodeURIComponent("A type/é&");
	assert.equal((await pages(`&entityType=${type}`, 2)).length, 3);
	const mine = await pages(`&entityType=${type}&entityId=${id}`, 1);
	assert.deepEqual(mine.map(({ id: _, time, args, ...rest }) => rest), [
		{ event: "data-change", entityType: "A type/é&", entityId: id, action: "CREATE", version: 1, userId: "3", rooms: ["sync-A type/é&"] },
		{ event: "data-change", entityType: "A type/é&", entityId: id, action: "DELETE", version: 2, excludeUserId: "x", rooms: ["sync-A type/é&"] },
	]);
	assert.equal(mine[0].args[0].timestamp, mine[0].time);
	const { text } = await site.get(`/events?entityType=${type}&entityId=${id}&limit=1`);
	assert.ok(text.includes(`"data":{"id":"${id}","n":1.10}`), text);
	assert.ok(all.some((event) => event.control === "join" && event.targetUserId === "7"));
	await restart();
	assert.deepEqual(await pages("", 1000), all);
	const bad = await site.get("/events?after=yesterday");
	assert.deepEqual([bad.status, bad.json.code], [422, "invalid_field"]);
	assert.equal((await site.get(`/events?after=${epoch}.${lastSeq + 1}`)).json.complete, false);
});

test("keys with scopes and limits", async () => {
	const invoice = { entityType: "Invoice", action: "CREATE", data: { id: 1 } };
	const mine = as(keys.invoices);
	assert.equal((await site.post("/data-change", invoice, mine)).status, 200);
	const refused = [
		[await site.post("/data-change", { ...invoice, entityType: "Order" }, mine), /not for the entity type Order/],
		[await site.post("/emit", { event: "e" }, mine), /may not call \/emit/],
		[await site.post("/disconnect", { userId: 1 }, mine), /may not call \/disconnect/],
		[await site.post("/join", { userId: 1, rooms: ["sync-Order"] }, mine), /not for the entity type Order/],
		[await site.post("/batch", { events: [{ type: "data-change", ...invoice }, { type: "emit", event: "e" }] }, mine), /^events\[1\]: .*may not call \/emit/],
		[await site.get("/events", mine), /give entityType/],
		[await site.get("/events?entityType=Order", mine), /not for the entity type Order/],
		[await site.get("/status", mine), /may not call \/status/],
	];
	for (const [answer, reason] of refused) {
		assert.deepEqual([answer.status, answer.json.code], [403, "forbidden"], answer.text);
		assert.match(answer.json.error, reason);
	}
	assert.ok((await site.get("/events?entityType=Invoice", mine)).json.events.length >= 1);

	const batch = await site.post("/batch", { events: Array(3).fill({ type: "emit", event: "e" }) }, as(keys.slow));
	assert.equal(batch.status, 200, batch.text);
	const limited = await site.post("/emit", { event: "e" }, as(keys.slow));
	assert.deepEqual([limited.status, limited.json.code, limited.headers["retry-after"]], [429, "rate_limited", "1"]);
	await until("it may again", async () => (await site.post("/emit", { event: "e" }, as(keys.slow))).status === 200);
});

test("confirmation names who has it, and who has not", async () => {
	const silent = await site.post("/emit?confirm=1", { event: "e" });
	assert.deepEqual([silent.status, silent.json.confirmed, silent.json.confirmedBy, silent.json.notConfirmedBy], [200, false, [], ["tap"]]);
	assert.ok(silent.json.reason);

	// Of eight threads two may wait; the others are answered at once.
	const answers = await Promise.all(Array.from({ length: 6 }, () => site.post("/emit?confirm=1", { event: "e" })));
	const refused = answers.filter((answer) => /too many/.test(answer.json.reason));
	assert.ok(refused.length >= 1 && answers.length - refused.length >= 2, JSON.stringify(answers.map((answer) => answer.json)));
	assert.ok(answers.every((answer) => answer.status === 200 && answer.json.confirmed === false));

	await tap.stop();
	const hubs = [await site.hub("hub-1"), await site.hub("hub-2")];
	await until("the tap is gone", async () => (await site.status()).hubs.length === 2);
	const confirm = () => site.post("/data-change?confirm=1", change("confirmed"), keyed("confirmed")).then(({ json }) => json);
	const confirmed = await until("both hubs have caught up and confirm", async () => {
		const json = await confirm();
		return json.confirmed && json;
	});
	assert.deepEqual([...confirmed.confirmedBy].sort(), ["hub-1", "hub-2"]);
	assert.deepEqual(confirmed.notConfirmedBy, []);
	const repeated = await confirm();
	assert.deepEqual([repeated.id, repeated.repeated, repeated.confirmed], [confirmed.id, true, true]);

	await halt(hubs[1].pid);
	const half = await site.post("/emit?confirm=1", { event: "e" });
	hubs[1].kill("SIGCONT");
	assert.deepEqual([half.json.confirmed, half.json.confirmedBy, half.json.notConfirmedBy], [false, ["hub-1"], ["hub-2"]]);

	const volatile = await site.post("/emit?confirm=1", { event: "e", volatile: true });
	assert.deepEqual([volatile.status, volatile.json.confirmed], [200, false]);
	assert.equal((await site.post("/emit?confirm=maybe", { event: "e" })).json.code, "invalid_field");
	for (const hub of hubs) hub.kill("SIGTERM");
	await until("no hub is live", async () => (await site.status()).hubs.length === 0);
	const queued = await site.post("/emit?confirm=1", { event: "e" });
	assert.deepEqual([queued.status, queued.json.queued, queued.json.confirmed, queued.json.reason], [202, true, false, "no hub is live"]);
});

test("status: the role, the journal, and hubs that were there and are silent", async () => {
	const own = await GatewaySite.open();
	try {
		const [tap, hub] = [await own.tap("tap"), await own.hub("hub-s")];
		await until("both are live", async () => (await own.status()).hubs.length === 2);
		assert.deepEqual((await own.status()).silentHubs, []);
		assert.equal((await own.post("/data-change", change("of its own"))).status, 200);
		hub.kill("SIGKILL");
		await tap.stop();
		const status = await until("nobody is live", async () => {
			const now = await own.status();
			return now.hubs.length === 0 && now;
		});
		assert.deepEqual([status.role, status.journal.kind, status.journal.state, status.journal.reason], ["active", "sqlite", "active", undefined]);
		assert.deepEqual(status.silentHubs.map((silent) => silent.name).sort(), ["hub-s", "tap"]);
		assert.ok(status.silentHubs.every((silent) => silent.lastReportSeconds >= 0));
		assert.deepEqual([status.journal.stored, status.journal.groups], [1, 1]);
	} finally {
		await own.close();
	}
});

test("a second gateway on the same journal hands on, and takes over", async () => {
	const second = site.spawnSecond();
	await until("it stands by", () => second.text.includes("msg=started") && second.text.includes("role=standby"));
	const post = (body, headers) => site.call("POST", "/second/data-change", { ...site.json, ...headers }, JSON.stringify(body));
	const id = newEntity();
	const handedOn = await until("it has found the first", async () => {
		const answer = await post(change(id), keyed("handed-on"));
		return answer.json?.success && answer;
	});
	const { epoch } = await site.status();
	assert.equal(handedOn.json.id.split(".")[0], String(epoch));
	assert.equal((await site.post("/data-change", change(id), keyed("handed-on"))).json.repeated, true);
	const wrong = await site.call("POST", "/second/data-change", { ...site.json, Authorization: "Bearer wrong" }, "{}");
	assert.deepEqual([wrong.status, wrong.json.code], [401, "unauthorized"]);

	await site.killGateway();
	const repeated = await until("it has taken over", async () => {
		const answer = await post(change(id), keyed("handed-on"));
		if (answer.status !== 202) assert.ok([503, 504].includes(answer.status), answer.text);
		return answer.json?.success && answer;
	});
	assert.deepEqual([repeated.json.id, repeated.json.repeated], [handedOn.json.id, true]);
	const next = await post(change(id));
	assert.equal(next.json.version, 2);
	assert.ok(Number(next.json.id.split(".")[0]) > epoch);

	await site.startGateway();
	const back = await until("the first hands on now", async () => {
		const answer = await site.post("/data-change", change(id), keyed("handed-back"));
		return answer.json?.success && answer;
	});
	assert.equal(back.json.id.split(".")[0], next.json.id.split(".")[0]);
	second.kill("SIGTERM");
	assert.equal((await second.ended).code, 0);
	await until("the first is active again", async () => (await site.status().catch(() => ({}))).role === "active");
});
