// node:test, in which nothing lasts for ever: each test and each hook has a deadline, and a file whose tests are over ends, whatever they left open.
//
// A test that fails in its middle leaves clients that connect again for ever, servers, children: node would wait for them. What is still
// there a while after the last test or hook is told, killed, and a failure.
import { writeSync } from "node:fs";
import * as runner from "node:test";

import { killAll, within } from "./deadline.mjs";

const TEST_MS = 240_000;   // of a test or hook that says nothing else
const LINGER_MS = 15_000;  // between the end of the last test or hook and that of the file
const TIMERS_MS = 60_000;  // the same where nothing but timers is left: clients forget some, such as that for a heartbeat
const FILE_MS = 570_000;   // of all together; ./check waits ten minutes

export const { describe } = runner;

let busy = 0, idleSince = Date.now(), guard;

/** What keeps node alive for long, timers apart. */
const handles = () => process.getActiveResourcesInfo().filter((name) => !["Timeout", "Immediate"].includes(name) && !name.endsWith("Req"));
const own = handles().length; // standard output and error

function giveUp(why) {
	const open = process.getActiveResourcesInfo().join(", ");
	const what = killAll();
	writeSync(2, `# ${process.argv[1]}: ${why}; open: ${open}\n${what}\n`);
	process.exit(1);
}

function look() {
	const patience_ms = handles().length > own ? LINGER_MS : TIMERS_MS;
	if (busy === 0 && Date.now() - idleSince > patience_ms) giveUp("its tests are over, but something keeps it alive");
	if (performance.now() > FILE_MS) giveUp(`it is not over after ${FILE_MS} ms`);
}

/** The function that the runner calls instead of run. */
const bounded = (what, run, ms) => async (context) => {
	busy++;
	const alive = setTimeout(() => {}, ms);
	try {
		return await within(what, run(context), ms);
	} finally {
		clearTimeout(alive);
		busy--;
		idleSince = Date.now();
	}
};

const part = (register, kind) => (...args) => {
	const run = args.findLast((arg) => typeof arg === "function");
	const name = args.find((arg) => typeof arg === "string");
	const { timeout = TEST_MS, ...options } = args.find((arg) => typeof arg === "object") ?? {};
	guard ??= setInterval(look, 500).unref();
	const what = name ? `${kind} "${name}"` : kind;
	return name ? register(name, options, bounded(what, run, timeout)) : register(bounded(what, run, timeout), options);
};

export const test = part(runner.test, "the test");
export const before = part(runner.before, "the before hook");
export const after = part(runner.after, "the after hook");
export const beforeEach = part(runner.beforeEach, "the beforeEach hook");
export const afterEach = part(runner.afterEach, "the afterEach hook");
