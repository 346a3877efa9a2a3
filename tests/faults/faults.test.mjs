// Nothing lost, nothing twice, in order, whatever is done to the parts: the short version of tests/faults/run.
import assert from "node:assert/strict";

import { describe, test } from "../lib/bounded.mjs";
import { FAULTS } from "./faults.mjs";
import { HUB_OPTIONS, explain, run, summary } from "./scenario.mjs";

const TEST_MS = 540_000;
const seed = Number(process.env.ROOMCAST_SEED) || Math.floor(Math.random() * 2 ** 31);

/** Runs it, prints one line, and fails with everything that helps to find the cause. */
async function isGood(context, settings) {
	const result = await run({ seed, ...settings });
	context.diagnostic(`seed ${seed}: ${summary(result)}`);
	assert.ok(result.isGood, `ROOMCAST_SEED=${seed}\n${explain(result)}`);
	return result;
}

describe("each alone, for clients that stay connected", () => {
	const stays = (context, { reports, lacks }) => {
		for (const [what, why] of Object.entries(lacks)) context.diagnostic(`without ${what}: ${why}`);
		assert.ok(reports.every(({ disconnects }) => disconnects === 0), "nobody's connection broke");
	};

	const processes = ["gateway-kill", "gateway-term", "gateway-stop", "hub-stop", "disk-full"];
	test(`processes and the disk: ${processes.join(", ")}`, { timeout: TEST_MS }, async (context) => {
		stays(context, await isGood(context, { faults: processes, hasRecovery: false }));
	});

	const network = ["line-cut", "line-reset", "line-slow", "cable-cut", "cable-bad"];
	test(`the line between gateway and hubs: ${network.join(", ")}`, { timeout: TEST_MS }, async (context) => {
		stays(context, await isGood(context, { faults: network, hasRecovery: false }));
	});

	test("an older copy of the journal comes back under running hubs", { timeout: TEST_MS }, async (context) => {
		stays(context, await isGood(context, { faults: ["journal-restore"], hasRecovery: false }));
	});
});

describe("each alone, for clients that come and go", () => {
	const cuts = ["client-reset", "client-freeze", "client-away", "client-slow", "nginx-term", "hub-kill", "hubs-roll", "disk-full-start"];
	test(cuts.join(", "), { timeout: TEST_MS }, async (context) => {
		const { reports } = await isGood(context, { faults: cuts, hubOptions: HUB_OPTIONS, pages: 1 });
		for (const { name, disconnects, hasRecovery } of reports) assert.ok(disconnects > 0 && hasRecovery, `${name}: ${disconnects} ${hasRecovery}`);
		assert.ok(reports.some(({ recoveries }) => recoveries), "some came back to their hub");
		assert.ok(reports.some(({ fresh }) => fresh), "some came to another");
	});

	test("where nobody recovers, the same is seen as loss", { timeout: TEST_MS }, async (context) => {
		const result = await run({ seed, faults: ["hub-kill", "hub-kill"], hasRecovery: false, isStrict: true, hubOptions: HUB_OPTIONS });
		assert.ok(!result.error && !result.complaints.length, explain(result));
		context.diagnostic(summary(result));
		assert.ok(result.sums.missing + result.sums.told > 0, "what clients missed is missed by the checker");
	});

	test("who was away longer than events are kept is told so, and nobody else", { timeout: TEST_MS }, async (context) => {
		const options = [...HUB_OPTIONS, "--history-age=1s"];
		const result = await isGood(context, { faults: ["client-away", "client-away"], hubOptions: options, mayBeTold: true });
		assert.ok(result.sums.told > 0);
	});
});

describe("with PostgreSQL and a second gateway that stands by", () => {
	const ways = ["gateway-takeover", "postgres-restart", "gateway-stop", "gateway-hang"];
	test(ways.join(", "), { timeout: TEST_MS }, async (context) => {
		const { reports } = await isGood(context, { journal: "postgres", gateways: 2, faults: ways, hasRecovery: false });
		assert.ok(reports.every(({ disconnects }) => disconnects === 0), "nobody's connection broke");
	});
});

describe("at random", () => {
	test("everything, several at a time", { timeout: TEST_MS }, async (context) => {
		const faults = Object.keys(FAULTS).filter((name) => !FAULTS[name].isRare);
		await isGood(context, { faults, seconds: 12, hubOptions: HUB_OPTIONS, pages: 1 });
	});
});
