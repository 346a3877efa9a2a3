// The transactional outbox (sql/outbox.sql): what an application publishes inside its own transaction reaches clients when that commits, once,
// and never when it does not.
import assert from "node:assert/strict";
import { execFile, execFileSync, spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

import { io } from "socket.io-client";

import { after, before, test } from "../lib/bounded.mjs";
import { emit as emitTo, end, get, heard, watch, within } from "../lib/deadline.mjs";
import { Roomcast, isAlive, top, until } from "./roomcast.mjs";

const execute = promisify(execFile);
const postgres = join(top, "tests/tools/postgres.sh");
const database = mkdtempSync(join(tmpdir(), "rcob-"));
const psqlArguments = ["-h", database, "-U", "postgres", "-v", "ON_ERROR_STOP=1", "-AtqX"];
const got = []; // what the client was given, in order
let roomcast, client;

const PROGRAM_MS = 120_000; // of one that ends by itself

const sql = async (text) => (await execute("psql", [...psqlArguments, "-c", text], { timeout: PROGRAM_MS })).stdout.trim();
const server = (action, ...more) => execFileSync(postgres, [action, database, ...more], {
	timeout: PROGRAM_MS, stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, POSTGRES_OWNER: String(process.pid) },
});

const sessions = new Set();

/** A session of its own, which stays open between statements. */
class Session {
	constructor() {
		this.psql = spawn("psql", psqlArguments, { stdio: ["pipe", "pipe", "inherit"] });
		this.output = "";
		this.psql.stdout.setEncoding("utf8").on("data", (text) => (this.output += text));
		watch(this.psql, () => this.output).stdin.on("error", () => {});
		sessions.add(this);
		this.marks = 0;
	}

	/** Runs it, and waits until it is done. */
	async run(text) {
		const mark = `done-${++this.marks}`;
		this.psql.stdin.write(`${text};\n\\echo ${mark}\n`);
		await until(text, () => this.output.includes(mark));
	}

	end() {
		sessions.delete(this);
		this.psql.stdin.end();
		return this.psql.ended;
	}
}

const emit = (name, n) => `SELECT roomcast_publish_emit('${name}', '[${n}]')`;
const numbers = (name) => got.filter(([event]) => event === name).map(([, n]) => n);
const status = async () => (await (await get(`${roomcast.url}/api/broadcast/status`, { headers: { Authorization: `Bearer ${roomcast.info.apiKey}` } })).json()).outbox;
const arrived = (name, n, deadline_ms) => until(`${name} ${n} arrives`, () => numbers(name).includes(n), deadline_ms);
const left = () => sql("SELECT count(*) FROM roomcast_outbox WHERE failure IS NULL").then(Number);

before(async () => {
	server("start");
	await execute("psql", [...psqlArguments, "-f", join(top, "sql/outbox.sql")], { timeout: PROGRAM_MS });
	roomcast = await Roomcast.start({
		env: { ROOMCAST_OUTBOX: "yes", ROOMCAST_OUTBOX_CONNECTION: `host=${database} user=postgres dbname=postgres` },
	});
	client = io(roomcast.url, { path: "/api/socket", transports: ["websocket"] });
	client.onAny((event, ...args) => got.push([event, ...args]));
	await heard(client, "connect");
});

after(async () => {
	client?.disconnect();
	try {
		await Promise.allSettled([...sessions].map((session) => end(session.psql)));
		await roomcast?.stop();
	} finally {
		server("remove");
	}
});

test("what is committed arrives, byte for byte, and its row is gone; what is rolled back never does", async () => {
	const data = '{"b":12345678901234567890,"a":1.10,"slash":"\\/","e":"\\u00e9","nested":{"z":1e2,"y":[ 1 , 2 ]}}';
	const packet = within("the packet", new Promise((resolve) => {
		client.io.engine.on("data", (text) => typeof text === "string" && text.includes("data-change") && resolve(text));
	}));
	await emitTo(client, "join-data-sync", ["Raw"]);
	await sql(`BEGIN; SELECT roomcast_publish_emit('rolled-back', '[1]'); ROLLBACK`);
	await sql(`SELECT roomcast_publish_data_change('Raw', 'CREATE', '${data}')`);
	assert.ok((await packet).includes(`"data":${data}`));
	await sql(emit("after", 1));
	await arrived("after", 1);
	await until("the rows are gone", async () => (await left()) === 0);
	assert.deepEqual(numbers("rolled-back"), []);
	const { open, published, failed } = await status();
	assert.ok(open && published >= 2 && failed === 0);
});

test("every way to call it, and a plain INSERT", async () => {
	await sql(`
		SELECT roomcast_publish('emit', '{"event":"way","args":[1]}');
		SELECT roomcast_publish('emit', json_build_object('event', 'way', 'args', json_build_array(2)));
		SELECT roomcast_publish('emit', jsonb_build_object('event', 'way', 'args', jsonb_build_array(3)));
		SELECT roomcast_publish_emit('way', '[4]'), roomcast_publish_emit('way', '[5]'::json), roomcast_publish_emit('way', '[6]'::jsonb);
		INSERT INTO roomcast_outbox (call, body) VALUES ('emit', '{"event":"way","args":[7]}');
		SELECT roomcast_publish('batch', '{"events":[{"type":"emit","event":"way","args":[8]},{"type":"emit","event":"way","args":[9]}]}');
		SELECT roomcast_publish_system_notification('way', 'm');
	`);
	await until("the last arrives", () => got.some(([event, notification]) => event === "system-notification" && notification.title === "way"));
	assert.deepEqual(numbers("way"), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

test("a long transaction elsewhere holds nothing up, and comes when it commits", async () => {
	const session = new Session();
	await session.run(`BEGIN; ${emit("long", 1)}`);
	await sql(emit("long", 2));
	await arrived("long", 2);
	assert.deepEqual(numbers("long"), [2]);
	await session.run(`${emit("long", 3)}; COMMIT`);
	await arrived("long", 3);
	assert.deepEqual(numbers("long"), [2, 1, 3]);
	await session.end();
});

test("transactions that follow each other, from two sessions, keep their order", async () => {
	const sessions = [new Session(), new Session()];
	const expected = [];
	for (let n = 0; n < 300; n += 3) {
		await sessions[(n / 3) % 2].run(`BEGIN; ${[n, n + 1, n + 2].map((i) => emit("ordered", i)).join(";")}; COMMIT`);
		expected.push(n, n + 1, n + 2);
	}
	await arrived("ordered", 299, 60_000);
	assert.deepEqual(numbers("ordered"), expected);
	await Promise.all(sessions.map((session) => session.end()));
});

test("a bad row is put aside with the reason, and holds nothing up; put right it is published", async () => {
	const failedBefore = (await status()).failed;
	await sql(`BEGIN;
		SELECT roomcast_publish('emit', '{"event":"connect"}');
		SELECT roomcast_publish('no-such-call', '{}');
		SELECT roomcast_publish('emit', '{"event":"x","args":{}}');
		SELECT roomcast_publish('emit', '{"event":"x","volatile":true}');
		SELECT roomcast_publish('emit', '{"event":"\\u0000"}');
		SELECT roomcast_publish('emit', json_build_object('event', 'large', 'args', json_build_array(repeat('x', 2000000)))::text);
		SELECT roomcast_publish_data_change('Item', 'UPDATE', '{"id":"conflict"}', if_version => 7);
		SELECT roomcast_publish('status', '{}');
		${emit("good", 1)};
		COMMIT`);
	await arrived("good", 1);
	const failures = () => sql("SELECT failure FROM roomcast_outbox WHERE failure IS NOT NULL ORDER BY position").then((text) => text.split("\n"));
	await until("all are put aside", async () => (await failures()).length === 8);
	const reasons = await failures();
	for (const [i, pattern] of [/reserved/, /no such call/, /args: must be an array/, /volatile/, /event/, /more than \d+ bytes/, /version 0/, /allowed here is GET/].entries()) {
		assert.match(reasons[i], pattern);
	}
	assert.equal((await status()).failed, failedBefore + 8);
	assert.match(roomcast.log("gateway"), /row of the outbox put aside.*reserved/);
	await sql(`UPDATE roomcast_outbox SET body = '{"event":"good","args":[2]}', failure = NULL WHERE failure LIKE '%reserved%'`);
	await arrived("good", 2);
	await sql("DELETE FROM roomcast_outbox");
});

test("a notification that was missed is made up for", async () => {
	await sql(`ALTER TABLE roomcast_outbox DISABLE TRIGGER roomcast_outbox_wake`);
	await sql(emit("missed", 1));
	await arrived("missed", 1);
	await sql(`ALTER TABLE roomcast_outbox ENABLE TRIGGER roomcast_outbox_wake`);
});

test("a gateway killed between journaling a row and deleting it publishes it once", async () => {
	await sql(`
		CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN OLD; END $$;
		CREATE TRIGGER dawdle BEFORE DELETE ON roomcast_outbox FOR EACH ROW EXECUTE FUNCTION dawdle();
	`);
	await sql(emit("killed", 1));
	await arrived("killed", 1);
	await until("the gateway deletes it", async () => Number(await sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")) > 0);
	const pid = roomcast.pid("gateway");
	process.kill(pid, "SIGKILL");
	await until("it is gone", () => !isAlive(pid));
	await sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'; DROP TRIGGER dawdle ON roomcast_outbox`);
	assert.equal(await left(), 1);
	await sql(emit("killed", 2));
	await arrived("killed", 2, 60_000);
	await until("the rows are gone", async () => (await left()) === 0);
	assert.deepEqual(numbers("killed"), [1, 2]);
});

test("rows wait while PostgreSQL is away, and go on", async () => {
	server("stop", "immediate");
	await until("the status tells", async () => !(await status()).open);
	assert.ok((await status()).reason);
	server("start");
	await sql(emit("restarted", 1));
	await arrived("restarted", 1, 60_000);
});

test("many rows take little time, and each comes once", async () => {
	await sql(`SELECT count(roomcast_publish_emit('many', json_build_array(n))) FROM generate_series(1, 5000) AS n`);
	await arrived("many", 5000, 60_000);
	assert.deepEqual(numbers("many"), Array.from({ length: 5000 }, (_, i) => i + 1));
});
