// Measures roomcast against other servers; tests/bench/run installs and builds what this needs.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Daemon } from "./lib/processes.mjs";
import { writeReport } from "./lib/report.mjs";
import { Results } from "./lib/results.mjs";
import { scenarios, slow } from "./lib/scenarios.mjs";
import { bunProgram, hasNchan } from "./lib/servers.mjs";

const top = join(dirname(fileURLToPath(import.meta.url)), "../..");
const names = Object.keys(scenarios);

const usage = `usage: tests/bench/run [--quick] [--only=${names.join(",")}] [--rounds=N] [--output=DIRECTORY]`;

function settings() {
	try {
		const { values } = parseArgs({
			options: { quick: { type: "boolean" }, only: { type: "string" }, rounds: { type: "string" }, output: { type: "string" }, help: { type: "boolean" } },
		});
		const only = values.only?.split(",") ?? names.filter((name) => !values.quick || !slow.includes(name));
		const unknown = only.filter((name) => !names.includes(name));
		if (unknown.length) throw new Error(`there is no ${unknown.join(", ")}`);
		return { ...values, only };
	} catch (error) {
		console.error(`${error.message}\n${usage}`);
		process.exit(2);
	}
}

/** Ways that this gateway can keep its journal. */
function journals(build) {
	const help = execFileSync(join(build, "fcgi-gateway/roomcast-gateway"), ["--help"], { encoding: "utf8" });
	if (!help.includes("--journal")) return [{ name: "gateway", options: [] }];
	return [
		{ name: "journal normal", options: ["--journal=sqlite", "--durability=normal"] },
		{ name: "journal full", options: ["--journal=sqlite", "--durability=full"] },
		{ name: "journal off", options: ["--journal=off"] },
	];
}

const { quick, only, rounds, output, help } = settings();
if (help) {
	console.log(usage);
	process.exit(0);
}
const build = process.env.ROOMCAST_BUILD ?? join(top, "build");
const directory = mkdtempSync(join(tmpdir(), "roomcast-bench-"));
const results = new Results();
const notes = [
	...(bunProgram() ? [] : ["bun is not among them: npm has no binary for this machine"]),
	...(hasNchan() ? [] : ["Nchan is not among them: its Debian package is not installed"]),
];
let servers = 0;
const context = {
	build, tools: join(build, "tests/bench"), directory, quick, results, rounds: Number(rounds ?? 3), journals: journals(build), next: () => ++servers,
	say: (line) => console.error(line),
};

const start = Date.now();
for (const name of only) {
	try {
		await scenarios[name](context);
	} catch (error) {
		notes.push(`${name} was not measured to its end: ${error.message}`);
		console.error(`${name}: ${error.message}`);
		process.exitCode = 1;
	}
	await Daemon.stopAll();
}
rmSync(directory, { recursive: true, force: true });
notes.push(`it took ${Math.round((Date.now() - start) / 1000)} s`);
const command = ["tests/bench/run", ...process.argv.slice(2)].join(" ");
console.log(writeReport(results, output ?? join(top, "build/bench"), { notes, command }));
