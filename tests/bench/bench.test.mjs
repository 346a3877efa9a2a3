// The benchmark's tools at a tiny scale: everybody gets everything, and the report is made. No figure is judged.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { after, before, test } from "../lib/bounded.mjs";
import { Clock } from "./lib/clock.mjs";
import { contest } from "./lib/contest.mjs";
import { describeMachine } from "./lib/machine.mjs";
import { Daemon, generate, load } from "./lib/processes.mjs";
import { plot } from "./lib/plot.mjs";
import { writeIntoReadme } from "./lib/readme.mjs";
import { writeReport } from "./lib/report.mjs";
import { median, Results } from "./lib/results.mjs";
import { apiKey, bare, hub, stack, trivial } from "./lib/servers.mjs";

const build = process.env.ROOMCAST_BUILD ?? fileURLToPath(new URL("../../build", import.meta.url));
let servers = 0;
const context = { build, tools: join(build, "tests/bench"), next: () => ++servers };

before(() => (context.directory = mkdtempSync(join(tmpdir(), "roomcast-bench-test-"))));
after(() => Daemon.stopAll());
after(() => rmSync(context.directory, { recursive: true, force: true }));

async function withServer(start, use) {
	const server = await start(context);
	try {
		await use(server);
	} finally {
		await server.stop();
	}
}

const run = (server, options, more) => load(context.tools, { ...server.options, pids: server.pids.join(), seconds: 0.2, ...options }, more);

test("the bare loop gives each client of a room each event, one by one and in bursts", () =>
	withServer(bare, async (server) => {
		for (const burst of [1, 64]) {
			const { measured } = await run(server, { measure: "closed", clients: 30, rooms: 3, burst });
			assert.ok(measured.events > 0 && measured.deliveries === measured.events * 10, JSON.stringify(measured));
			assert.ok(measured.cpuSeconds > 0);
		}
	}));

test("the hub's clients are sessions of both transports, on several hubs, in several rooms", () =>
	withServer((c) => hub(c, { hubs: 2 }), async (server) => {
		for (const protocol of ["websocket", "polling"]) {
			const { ready, measured } = await run(server, { measure: "closed", protocol, clients: 20, rooms: 10, joins: 2, burst: 10 });
			assert.equal(ready.clients, 20);
			assert.equal(measured.deliveries, measured.events * 4);
		}
	}));

test("latencies are counted for each delivery and for each event's last client", () =>
	withServer(hub, async (server) => {
		const { measured } = await run(server, { measure: "rate", clients: 10, rate: 50, seconds: 1 });
		assert.equal(measured.events, 50);
		assert.equal(measured.each.count, 500);
		assert.equal(measured.last.count, 50);
		const { p50, p99, p999, max } = measured.each;
		assert.ok(p50 > 0 && p50 <= p99 && p99 <= p999 && p999 <= max);
	}));

test("heartbeats are answered, and everybody comes back after a cut", () =>
	withServer((c) => hub(c, { options: ["--ping-interval=100ms"] }), async (server) => {
		for (const protocol of ["websocket", "polling"]) {
			const { measured } = await run(server, { measure: "idle", protocol, clients: 10, processes: 2, seconds: 1 });
			assert.ok(measured.heartbeats >= 10, JSON.stringify(measured));
			await run(server, { measure: "storm", protocol, clients: 10 });
		}
	}));

test("a POST goes through nginx and gateway to the clients", () =>
	withServer((c) => stack(c, { name: "a name" }), async (server) => {
		const { measured } = await run(server, { measure: "rate", clients: 5, rate: 20, seconds: 0.5 }, { env: { ROOMCAST_API_KEY: apiKey } });
		assert.equal(measured.deliveries, 50);
	}));

test("several crowds at one server, each with rooms of its own", () =>
	withServer(stack, async (server) => {
		const crowds = await Promise.all([0, 2].map((first) => run(server,
			{ measure: "rate", clients: 4, rooms: 2, "first-room": first, rate: 20, seconds: 0.5 }, { env: { ROOMCAST_API_KEY: apiKey } })));
		assert.deepEqual(crowds.map(({ measured }) => measured.deliveries), [20, 20]);
	}));

test("POSTs are counted", () =>
	withServer(trivial, async (server) => {
		const [found] = await generate(context.tools, "post", [server.port, "/api/broadcast/data-change", 4, 0.2, "{}"]);
		assert.ok(found.answered > 0 && found.refused === 0);
	}));

test("the history's cost is counted", async () => {
	const [found] = await generate(context.tools, "history", [3000, 10]);
	assert.equal(found.given, 900);
	assert.ok(found.appendNs > 0 && found.replayNs > 0); // its memory cannot be seen under a sanitizer
});

test("a server that is not there is said to be missing", async () => {
	await assert.rejects(load(context.tools, { server: 1, clients: 2 }), /clients did not come to be; the first: client 0: Connection refused/);
});

const machine = { hardware: "2 x a processor, 1 GiB", system: "a system", versions: { bun: "1", nginx: "2" } };

test("the report has medians, ratios of the same round, goals and plots", () => {
	const results = new Results();
	for (const [round, hubCost] of [[1, 105], [2, 300], [3, 109]])
		for (const [server, cost] of [["bare", round === 2 ? 290 : 100], ["hub", hubCost]])
			for (const clients of [100, 1000]) results.add("fanout", server, clients, round, { perSecond: 1e9 / cost, cpuPerDelivery: cost });
	assert.equal(median([5, 1, 3]), 3);
	assert.equal(results.ratio("fanout", "hub", "bare", 1000, "cpuPerDelivery"), 1.05);
	const output = join(context.directory, "report");
	const markdown = writeReport(results, output, { command: "test", notes: ["a note"], machine });
	assert.match(markdown, /1,000 clients, server CPU per delivery against the bare loop \| at most 1\.1 \| 1\.05 \| yes/);
	assert.match(markdown, /against nchan \| at least 1\.3 \| not measured \|/);
	assert.match(markdown, /on 2 x a processor, 1 GiB, a system; bun 1, nginx 2\./);
	assert.match(markdown, /!\[Server CPU per delivery\]\(cost\.svg\)/);
	assert.equal(readFileSync(join(output, "report.md"), "utf8").trim(), markdown);
	assert.equal(JSON.parse(readFileSync(join(output, "results.json"), "utf8")).rows.length, 12);
	assert.match(readFileSync(join(output, "cost.svg"), "utf8"), /^<svg [\s\S]*>hub<\/text>[\s\S]*<\/svg>\n$/);
	assert.equal(plot({ title: "", xLabel: "", yLabel: "", series: [] }), "");
});

test("the machine's description names the system and the versions of what is installed", () => {
	const { hardware, system, versions } = describeMachine(build);
	assert.match(hardware, /^\d+ x .+, \d+ GiB$/);
	assert.match(system, /, Linux \d/);
	assert.match(versions["socket.io"], /^(4\.\S+ with ws \d\S*|\? with ws \?) on node \d/); // ./check does not install the benchmark's packages
	assert.match(versions.roomcast, /^\d/);
});

test("README's table is that of a report, and what stands around it stays", () => {
	const report = join(context.directory, "readme"), file = join(report, "README.md");
	const results = new Results();
	for (const [server, cost] of [["bare", 100], ["hub", 120]]) results.add("fanout", server, 1000, 1, { cpuPerDelivery: cost });
	writeReport(results, report, { command: "tests/bench/run", machine });
	const write = (inside) => `before\n<!-- benchmark: written by tests/bench/run --readme -->${inside}<!-- end of benchmark -->\nafter\n`;
	writeFileSync(file, write("old figures"));
	for (let times = 0; times < 2; times++) {
		writeIntoReadme(file, join(report, "results.json"));
		const text = readFileSync(file, "utf8");
		assert.match(text, /^before\n<!-- benchmark[^]*`tests\/bench\/run` of \d{4}-\d\d-\d\d on 2 x a processor[^]*<!-- end of benchmark -->\nafter\n$/);
		assert.match(text, /\| fan-out to 1,000 clients, server CPU per delivery against the bare loop \| at most 1\.1 \| 1\.2 \| \*\*no\*\* \|/);
		assert.doesNotMatch(text, /old figures/);
	}
	writeFileSync(file, "no markers");
	assert.throws(() => writeIntoReadme(file, join(report, "results.json")), /does not have the markers/);
});

test("a contest leaves out the rounds that do not fit into its time, and says so", async () => {
	let time = 0;
	const notes = [], results = new Results(), clock = new Clock(100, { first: 30, second: 90 }, () => time);
	const start = [async () => ({ name: "one", stop: async () => {} })];
	const run = (scenario, options) => {
		clock.begin(scenario);
		return contest({ clock, results, rounds: 3, note: (text) => notes.push(text), say: () => {} },
			{ scenario, start, sizes: [1, 2], measure: async () => ({ value: (time += 5) }), ...options });
	};
	await run("first");
	assert.equal(results.select("first", "one", 2).length, 2, "25 of 100 seconds are two rounds");
	await run("second");
	assert.equal(results.select("second", "one", 2).length, 3, "what the first left over is the second's");
	assert.deepEqual(notes, ["first: 2 of 3 rounds in the time it has"]);
	time = 99;
	clock.expected.third = 1;
	await run("third", { takes: 10 });
	assert.equal(results.select("third", "one").length, 0);
	assert.match(notes[1], /^third 1,2: left out/);
});
