// examples/outbox, each run against a real PostgreSQL: the change and its events are there together, or neither is.
import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

import { after, before, test } from "../lib/bounded.mjs";
import { top } from "./roomcast.mjs";

const execute = promisify(execFile);
const examples = join(top, "examples/outbox");
const postgres = join(top, "tests/tools/postgres.sh");
const database = mkdtempSync(join(tmpdir(), "rcoe-"));
const psqlArguments = ["-h", database, "-U", "postgres", "-v", "ON_ERROR_STOP=1", "-AtqX"];

const PROGRAM_MS = 120_000; // of one that ends by itself

const sql = async (text) => (await execute("psql", [...psqlArguments, "-c", text], { timeout: PROGRAM_MS })).stdout.trim();
const run = (program, args, cwd, env = {}) => execute(program, args, { cwd, timeout: PROGRAM_MS, env: { ...process.env, PGHOST: database, DJANGO_DATABASE_HOST: database, ...env } });
const server = (action) => execFileSync(postgres, [action, database], {
	timeout: PROGRAM_MS, stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, POSTGRES_OWNER: String(process.pid) },
});

before(async () => {
	server("start");
	await execute("psql", [...psqlArguments, "-f", join(top, "sql/outbox.sql")], { timeout: PROGRAM_MS });
	await sql("CREATE TABLE items (id int PRIMARY KEY, name text NOT NULL, status text NOT NULL, rented_by text, version int NOT NULL)");
});

after(() => server("remove"));

const ways = {
	SQL: (env) => run("psql", [...psqlArguments, "-v", `item=${env.ITEM}`, "-v", `person=${env.PERSON}`, "-f", "rent.sql"], join(examples, "sql")),
	Django: (env) => run("/usr/bin/python3", ["-B", "rent.py"], join(examples, "django"), env),
	Laravel: (env) => run("php", ["rent.php"], join(examples, "laravel"), env),
	Prisma: (env) => run("node", ["rent.mjs"], join(examples, "prisma"), env),
};

test("Prisma's client is generated without any of its downloads", async () => {
	await run("node", ["node_modules/prisma/build/index.js", "generate"], join(examples, "prisma"), {
		PRISMA_SCHEMA_ENGINE_BINARY: "/bin/true", DATABASE_URL: "postgresql://unused",
	});
});

for (const [name, rent] of Object.entries(ways)) {
	test(`${name}: the change and its events together`, async () => {
		await sql("DELETE FROM roomcast_outbox; DELETE FROM items; INSERT INTO items VALUES (7, 'Drill \"Ü\"', 'free', NULL, 1)");
		await rent({ ITEM: "7", PERSON: "anna" });
		assert.equal(await sql("SELECT status, rented_by, version FROM items"), "rented|anna|2");
		const rows = JSON.parse(await sql("SELECT json_agg(json_build_array(call, body) ORDER BY position) FROM roomcast_outbox"));
		assert.deepEqual(rows.map(([call]) => call), ["data-change", "notification"]);
		const [change, notification] = rows.map(([, body]) => JSON.parse(body));
		assert.deepEqual([change.entityType, change.action, change.userId, change.excludeUserId], ["Item", "UPDATE", "anna", "anna"]);
		assert.deepEqual([change.data.id, change.data.name, change.data.status, change.data.version], [7, 'Drill "Ü"', "rented", 2]);
		assert.deepEqual(notification.userIds ?? [notification.userId], ["warehouse"]);
		assert.equal(notification.notification.message, 'Drill "Ü"');
	});

	if (name === "SQL") continue; // what rolls back there is psql itself: outbox.test.mjs
	test(`${name}: neither when the transaction fails`, async () => {
		await sql("DELETE FROM roomcast_outbox; DELETE FROM items; INSERT INTO items VALUES (7, 'Drill', 'free', NULL, 1)");
		await assert.rejects(rent({ ITEM: "7", PERSON: "anna", FAIL: "1" }), /something went wrong at the end/);
		assert.equal(await sql("SELECT status, version FROM items"), "free|1");
		assert.equal(await sql("SELECT count(*) FROM roomcast_outbox"), "0");
	});
}
