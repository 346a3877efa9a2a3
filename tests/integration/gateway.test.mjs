// The gateway behind a real nginx: what is answered, what is published byte for byte, what broken peers can do (nothing).
import assert from "node:assert/strict";
import { existsSync, statSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { after, before, test } from "../lib/bounded.mjs";
import { build, GatewaySite } from "./gateway.mjs";
import { heard, until, within } from "../lib/deadline.mjs";

let site;
before(async () => (site = await GatewaySite.open()));
after(() => site?.close());

const call = (...args) => site.call(...args);
const post = (...args) => site.post(...args);
const status = () => site.status();
const tap = (name) => site.tap(name);

const change = (data) => `{"entityType":"equipment","action":"UPDATE","data":${data}}`;

test("bad requests are answered as JSON with a stable word", async () => {
	const { json, key } = site;
	const text = { ...json, "Content-Type": "text/plain" };
	const cases = [
		["POST", "/emit", { "Content-Type": "application/json" }, "{}", 401, "unauthorized"],
		["POST", "/emit", { ...json, Authorization: "Bearer wrong" }, "{}", 401, "unauthorized"],
		["POST", "/emit", { ...json, Authorization: `Basic ${key}` }, "{}", 401, "unauthorized"],
		["POST", "/nothing", json, "{}", 404, "not_found"],
		["POST", "", json, "{}", 404, "not_found"],
		["GET", "/emit", json, undefined, 405, "method_not_allowed"],
		["PUT", "/data-change/", json, "{}", 405, "method_not_allowed"],
		["POST", "/status", json, "{}", 405, "method_not_allowed"],
		["POST", "/emit", text, "{}", 415, "unsupported_media_type"],
		["POST", "/emit", { ...json, "Content-Type": "application/json; charset=iso-8859-1" }, "{}", 415, "unsupported_media_type"],
		["POST", "/emit", { ...json, "Content-Length": "0" }, "", 400, "malformed_json"],
		["POST", "/emit", json, "{", 400, "malformed_json"],
		["POST", "/emit", json, '{"event":"e","args":[NaN]}', 400, "malformed_json"],
		["POST", "/emit", json, '{"event":"e","args":[1.]}', 400, "malformed_json"],
		["POST", "/emit", json, '{"event":"e","args":["\x1e"]}', 400, "malformed_json"],
		["POST", "/emit", json, '{"event":"e","args":["\n"]}', 400, "malformed_json"],
		["POST", "/emit", json, '{"event":"e","args":["\\ud800"]}', 400, "malformed_json"],
		["POST", "/emit", json, Buffer.from([0x22, 0xc0, 0xaf, 0x22]), 400, "malformed_json"],
		["POST", "/emit", json, `{"event":"e","args":${"[".repeat(200)}${"]".repeat(200)}}`, 400, "malformed_json"],
		["POST", "/emit", json, '{"event":"e"}{}', 400, "malformed_json"],
		["POST", "/emit", json, '{"event":"e"}\0', 400, "malformed_json"],
		["POST", "/emit", json, "[]", 422, "invalid_field"],
		["POST", "/emit", json, '{"event":"disconnect"}', 422, "reserved_event"],
		["POST", "/data-change", json, '{"entityType":"e","action":"REMOVE","data":1}', 422, "invalid_field"],
		["POST", "/notification", json, '{"notification":{"title":"a","message":"b"}}', 422, "invalid_field"],
		["POST", "/system-notification", json, '{"title":"a"}', 422, "invalid_field"],
		["POST", "/emit", json, Buffer.alloc(2 << 20, 0x20), 413, "too_large"],
	];
	for (const [method, path, headers, body, expected, code] of cases) {
		const answer = await call(method, `/api/broadcast${path}`, headers, body);
		const what = `${method} ${path} ${String(body).slice(0, 60)} -> ${answer.status} ${answer.text.slice(0, 200)}`;
		assert.equal(answer.status, expected, what);
		assert.equal(answer.headers["content-type"], "application/json", what);
		assert.deepEqual(Object.keys(answer.json), ["success", "error", "code"], what);
		assert.equal(answer.json.success, false, what);
		assert.equal(answer.json.code, code, what);
		if (expected === 401) assert.match(answer.headers["www-authenticate"], /^Bearer/);
		if (expected === 405) assert.ok(answer.headers.allow, what);
		if (code === "malformed_json") assert.match(answer.json.error, /byte \d+|empty/, what);
	}
	assert.ok((await status()).requests.refused.malformed_json >= 10);
});

test("a stranger's path forges nothing in the log", async () => {
	await until("the path is in the log", async () => {
		await call("POST", "/api/broadcast/looked%20level=error%20msg=%22forged%22", {}, "{}");
		return site.gateway.text.includes("path=/looked");
	});
	assert.doesNotMatch(site.gateway.text, /level=error|forged/);
});

test("a POST that announces no body at all", async () => {
	const answer = await within("an answer", new Promise((resolve) => {
		let text = "";
		const socket = connect(site.port, "127.0.0.1", () => socket.write(`POST /api/broadcast/emit HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer ${site.key}\r\n\r\n`));
		socket.on("data", (part) => (text += part)).on("close", () => resolve(text));
	}));
	assert.match(answer, /^HTTP\/1.1 411 .*length_required/s);
});

test("without hubs a publish is queued; with them it says how many", async () => {
	const alone = await post("/data-change", change("1"));
	assert.equal(alone.status, 202);
	assert.deepEqual({ ...alone.json, id: "" }, { success: true, id: "", hubs: 0, queued: true });
	assert.match(alone.json.id, /^\d+\.\d+$/);
	const hub = await tap("hub-1");
	const heard = await post("/data-change", change("2"));
	assert.equal(heard.status, 200);
	assert.equal(heard.json.hubs, 1);
	const [epoch, seq] = heard.json.id.split(".").map(Number);
	const event = await until("the event", () => hub.messages("event").find((message) => message.seq === seq));
	assert.equal(event.epoch, epoch);
	await hub.stop();
});

test("the publisher's bytes arrive as they were sent", async () => {
	const hub = await tap("hub-bytes");
	const data = '{"z": 12345678901234567890,\n "a":1.10,"s":"\\/\\u00e9é\\u2028","n":{"b":[ 1 , 2 ],"version":1},"version":9007199254740993}';
	const answer = await post("/data-change", `{"entityType":"equipment","excludeUserId":42,"data":${data},"action":"UPDATE"}`);
	assert.equal(answer.status, 200);
	const event = await until("the event", () => hub.messages("event").at(-1));
	assert.match(event.body, /"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","version":9007199254740993}$/);
	assert.ok(event.body.startsWith(`"data-change",{"entityType":"equipment","action":"UPDATE","data":${data},"timestamp":"`), event.body);
	assert.deepEqual(event.rooms, ["sync-equipment"]);
	assert.equal(event.excludeUser, "42");

	await post("/notification", '{"userIds":[7,"u"],"notification":{"x":1.0,"message":"m","title":"t"}}');
	await post("/system-notification", '{"title":"t","message":"m","type":"warning","more":[ ]}');
	await post("/emit", '{"event":"e","args":[ 1.0 ,{"b" : 1}],"rooms":["r"],"except":["x"]}');
	await post("/emit", '{"event":"v","volatile":true}');
	await until("all of them", () => hub.messages("event").length === 4 && hub.messages("volatile").length === 1);
	const [, notification, system, emit] = hub.messages("event");
	assert.deepEqual(notification.rooms, ["user-7", "user-u"]);
	assert.ok(notification.body.startsWith('"notification",{"x":1.0,"message":"m","title":"t","type":"info","timestamp":"'));
	assert.deepEqual([system.rooms, system.audience], [[], 1]);
	assert.ok(system.body.startsWith('"system-notification",{"title":"t","message":"m","type":"warning","more":[ ],"timestamp":"'));
	assert.deepEqual([emit.body, emit.rooms, emit.except], ['"e",1.0,{"b" : 1}', ["r"], ["x"]]);
	assert.deepEqual([hub.messages("volatile")[0].body, hub.messages("volatile")[0].droppable], ['"v"', 1]);
	await hub.stop();
});

test("paths as web servers give them", async () => {
	for (const path of ["/api/broadcast/status/", "/api/broadcast/status?x=1", "/plain/status", "/split/status"])
		assert.equal((await call("GET", path, site.json)).status, 200, path);
	assert.equal((await call("GET", "/api/broadcasting/status", site.json)).status, 404);
});

test("many at once: one order without holes", async () => {
	const hub = await tap("hub-many");
	const answers = await Promise.all(Array.from({ length: 400 }, (_, i) => post("/data-change", change(String(i)))));
	const ids = new Set(answers.map((answer) => answer.json.id));
	assert.equal(ids.size, 400);
	await until("all events", () => hub.messages("event").length === 400);
	const seqs = hub.messages("event").map((event) => event.seq);
	seqs.forEach((seq, i) => assert.equal(seq, seqs[0] + i));
	const stamps = hub.messages("event").map((event) => /"timestamp":"([^"]+)"/.exec(event.body)[1]);
	assert.deepEqual(stamps, [...stamps].sort());
	await hub.stop();
});

test("hubs: counts, repairs, relays, names", async () => {
	const one = await tap("hub-a");
	const two = await tap("hub-b");
	one.say("clients 3");
	await until("both hear the counts", () => [one, two].every((hub) => hub.messages("heartbeat").some((beat) => beat.clients === 3 && beat.hubs.includes("hub-a=3"))));
	const figures = await until("the report", async () => (await status()).hubs.find((hub) => hub.name === "hub-a" && hub.clients === 3));
	assert.ok(figures.lastReportSeconds < 3);

	const { epoch, lastSeq } = await status();
	one.say(`ask ${epoch} ${lastSeq - 4} ${lastSeq}`);
	await until("the repair", () => one.messages("event").filter((event) => event.by === "line").length === 5);
	one.say(`ask ${epoch - 1} 5 9`);
	const gone = await until("gone", () => one.messages("gone")[0]);
	assert.deepEqual([gone.epoch, gone.firstSeq], [epoch, 1]);

	for (const counter of [1, 1, 2]) one.say(`relay ${counter} "user:activity",${counter}`);
	await until("the relayed", () => two.messages("volatile").length >= 2);
	assert.deepEqual(two.messages("volatile").map((message) => [message.hub, message.counter, message.body]), [["hub-a", 1, '"user:activity",1'], ["hub-a", 2, '"user:activity",2']]);

	const rival = site.spawn(join(build, "tests/tools/line_tap"), ["hub-a", `ipc://${site.dir}/line.sock`]);
	const refused = JSON.parse((await heard(createInterface({ input: rival.stdout }), "line"))[0]);
	assert.equal(refused.kind, "refusal");
	one.child.kill("SIGKILL"); // its connection is gone: the name is free at once
	await until("the rival is welcome", async () => (await status()).hubs.some((hub) => hub.name === "hub-a" && hub.clients === 0));

	two.say("raw garbage");
	two.say("raw RC");
	await until("garbage is counted", async () => (await status()).line.malformedMessages >= 2);
	for (const endpoint of ["line.sock", "events.sock"]) {
		const before = (await status()).line.brokenHandshakes;
		const stranger = connect(join(site.dir, endpoint)).on("error", () => {});
		stranger.resume().write("GET / HTTP/1.1\r\nHost: roomcast\r\n\r\n" + "x".repeat(200));
		await heard(stranger, "close");
		await until(`what spoke no ZeroMQ on ${endpoint} is counted`, async () => (await status()).line.brokenHandshakes > before);
	}
	rival.stdin.end();
	await two.stop();
	await until("silent hubs are gone", async () => (await status()).hubs.length === 0);
});

const record = (type, id, content = Buffer.alloc(0)) => Buffer.concat([Buffer.from([1, type, id >> 8, id & 255, content.length >> 8, content.length & 255, 0, 0]), content]);
const begin = record(1, 1, Buffer.from([0, 1, 0, 0, 0, 0, 0, 0]));

function throwAt(bytes) {
	return new Promise((resolve) => {
		const socket = connect(join(site.dir, "gateway.sock"), () => socket.write(bytes));
		socket.on("error", () => resolve()).on("close", () => resolve()).resume();
		setTimeout(() => socket.destroy(), 3000).unref();
	});
}

test("broken FastCGI peers are closed and counted, nothing else", async () => {
	const counted = (await status()).fastcgi.malformed;
	const broken = [
		Buffer.from("GET / HTTP/1.1\r\n\r\n"),
		Buffer.alloc(1000, 0xff),
		Buffer.concat([begin, record(4, 1, Buffer.from([255, 255, 255, 255, 127, 255, 255, 255, 97])), record(4, 1), record(5, 1)]), // lengths whose sum overflows
		Buffer.concat([begin, record(4, 1, Buffer.from([1, 1, 97])), record(4, 1)]),
		record(1, 1, Buffer.from([0, 2, 0, 0, 0, 0, 0, 0])),
		Buffer.concat([begin, record(5, 1, Buffer.from("x"))]),
	];
	for (const bytes of broken) await throwAt(bytes);
	const queries = Buffer.concat(Array.from({ length: 20 }, () => record(9, 0, Buffer.from("\x0e\0FCGI_MAX_CONNS", "latin1"))));
	const asking = connect(join(site.dir, "gateway.sock"), () => asking.write(queries));
	await heard(asking, "data");
	asking.destroy();
	const { fastcgi } = await status();
	assert.ok(fastcgi.malformed >= counted + broken.length, JSON.stringify(fastcgi));
	assert.equal(site.gateway.exitCode, null);
});

test("silent peers hold no worker", async () => {
	const idle = Array.from({ length: 100 }, (_, i) => {
		const socket = connect(join(site.dir, "gateway.sock"), () => i % 2 && socket.write(begin.subarray(0, 5 + (i % 10))));
		return socket.on("error", () => {});
	});
	await until("they are in", async () => (await status()).fastcgi.connections >= 100);
	for (let i = 0; i < 50; i++) assert.equal((await post("/emit", { event: "e" })).status, 202);
	for (const socket of idle) socket.destroy();
	await until("they are out", async () => (await status()).fastcgi.connections < 20);
});

test("a body that is longer or shorter than announced", async () => {
	// nginx would not let it through: straight to the socket.
	const pair = (name, value) => Buffer.concat([Buffer.from([name.length, value.length]), Buffer.from(name + value)]);
	const params = (length) => Buffer.concat([pair("REQUEST_METHOD", "POST"), pair("SCRIPT_NAME", "/api/broadcast/emit"), pair("CONTENT_TYPE", "application/json"),
		pair("HTTP_AUTHORIZATION", `Bearer ${site.key}`), pair("CONTENT_LENGTH", length)]);
	const ask = (length, body, isEnded = true) => within("an answer", new Promise((resolve) => {
		let text = "";
		const socket = connect(join(site.dir, "gateway.sock"), () => socket.write(Buffer.concat([begin, record(4, 1, params(length)), record(4, 1),
			record(5, 1, Buffer.from(body)), ...(isEnded ? [record(5, 1)] : [])])));
		socket.setEncoding("latin1").on("error", () => {}).on("data", (part) => {
			text += part;
			if (!isEnded) socket.destroy();
		}).on("close", () => resolve(text));
	}));
	assert.match(await ask("13", '{"event":"e"}'), /Status: 202/);
	assert.match(await ask("12", '{"event":"e"}'), /Status: 400.*body_length/s);
	assert.match(await ask("14", '{"event":"e"}'), /Status: 400.*body_length/s);
	assert.match(await ask("-1", '{"event":"e"}'), /Status: 400.*body_length/s);
	assert.match(await ask("99999999", "{", false), /Status: 413.*too_large/s); // answered before it came
});

test("it starts only where it may", async () => {
	const attempts = [
		[["--line=tcp://0.0.0.0:5555"], /every address/],
		[["--events=tcp://192.0.2.1:5555"], /curve|CURVE/],
		[["--mount=api"], /mount/],
		[[], /another process listens/],
		[["--listen="], /no FastCGI socket/],
		[[`--listen=${site.dir}/nginx.conf`], /no socket/],
	];
	for (const [extra, expected] of attempts) {
		const child = site.spawnGateway(extra);
		assert.notEqual((await child.ended).code, 0, String(extra));
		assert.match(child.text, expected, String(extra));
	}
	const keyless = site.spawnGateway([], { ROOMCAST_API_KEY: "" });
	assert.notEqual((await keyless.ended).code, 0);
	assert.match(keyless.text, /api-key/);
	assert.ok(existsSync(join(site.dir, "nginx.conf")));
	assert.equal((await call("GET", "/api/broadcast/status", site.json)).status, 200);
});

test("a kill -9 leaves a stale socket and an older epoch; the next start takes over", async () => {
	const { epoch } = await status();
	await site.killGateway();
	assert.ok(existsSync(join(site.dir, "gateway.sock")));
	await site.startGateway();
	assert.equal(statSync(join(site.dir, "gateway.sock")).mode & 0o777, 0o660);
	assert.equal(statSync(join(site.dir, "line.sock")).mode & 0o077, 0);
	assert.ok((await status()).epoch > epoch);
});

test("SIGTERM: what is under way is answered, exit 0 soon", async () => {
	const answers = Array.from({ length: 200 }, (_, i) => post("/data-change", change(String(i))).then((answer) => answer.status, () => 0));
	await until("some are stored", async () => (await status().catch(() => null))?.lastSeq > 20);
	const began = Date.now();
	site.gateway.kill("SIGTERM");
	const { code } = await site.gateway.ended;
	assert.equal(code, 0, site.gateway.text.slice(-2000));
	assert.ok(Date.now() - began < 10_000);
	for (const code of await Promise.all(answers)) assert.ok([202, 502, 504].includes(code), String(code));
	assert.ok(!existsSync(join(site.dir, "gateway.sock")));
	assert.doesNotMatch(site.gateway.text, /ERROR: |runtime error/);
});
