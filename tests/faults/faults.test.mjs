// Nothing lost, nothing twice, in order, whatever is done to the parts: the short version of tests/faults/run.
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { explain, run, summary } from "./scenario.mjs";

const seed = Number(process.env.ROOMCAST_SEED) || Math.floor(Math.random() * 2 ** 31);
const HEARTBEATS = ["--ping-interval=2s", "--ping-timeout=2s"];

/** Runs it, prints one line, and fails with everything that helps to find the cause. */
async function isGood(context, settings) {
	const result = await run({ seed, ...settings });
	context.diagnostic(`seed ${seed}: ${summary(result)}`);
	assert.ok(result.isGood, `ROOMCAST_SEED=${seed}\n${explain(result)}`);
	return result;
}

describe("each alone", () => {
	const clientsStay = ["hub-stop", "line-cut", "line-reset", "line-slow"];
	test(`clients stay connected: ${clientsStay.join(", ")}`, async (context) => {
		const { reports } = await isGood(context, { faults: clientsStay });
		assert.ok(reports.every(({ disconnects }) => disconnects === 0), "nobody's connection broke");
	});

	test("a cable between two network namespaces is pulled", async (context) => {
		const { reports, lacks } = await isGood(context, { faults: ["cable-cut", "cable-bad"] });
		for (const [what, why] of Object.entries(lacks)) context.diagnostic(`without ${what}: ${why}`);
		assert.ok(reports.every(({ disconnects }) => disconnects === 0), "nobody's connection broke");
	});

	test("a hub is killed: the clients of the other miss nothing", async (context) => {
		const { reports } = await isGood(context, { faults: ["hub-kill", "hub-kill"], hubOptions: HEARTBEATS });
		assert.ok(reports.some(({ disconnects }) => disconnects > 0));
	});
});
