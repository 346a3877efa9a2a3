// Measures roomcast against other servers; tests/bench/run installs and builds what this needs.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Clock } from "./lib/clock.mjs";
import { describeMachine } from "./lib/machine.mjs";
import { Daemon } from "./lib/processes.mjs";
import { writeIntoReadme } from "./lib/readme.mjs";
import { writeReport } from "./lib/report.mjs";
import { Results } from "./lib/results.mjs";
import { expectedSeconds, groups, scenarios, slow } from "./lib/scenarios.mjs";
import { bunProgram, hasNchan } from "./lib/servers.mjs";

const top = join(dirname(fileURLToPath(import.meta.url)), "../..");
const names = Object.keys(scenarios);

const usage = `usage: tests/bench/run [--quick] [--only=${[...names, ...Object.keys(groups)].join(",")}] [--rounds=N] [--minutes=N]
                       [--output=DIRECTORY] [--readme]
       tests/bench/run --readme --from=RESULTS.JSON

  --minutes  what it may take: rounds that do not fit are left out (33; quick: 2.5)
  --readme   writes the goals' table into README.md, between its two markers; with --from that of an earlier run`;

function settings() {
	try {
		const { values } = parseArgs({
			options: {
				quick: { type: "boolean" }, only: { type: "string" }, rounds: { type: "string" }, minutes: { type: "string" }, output: { type: "string" },
				readme: { type: "boolean" }, from: { type: "string" }, help: { type: "boolean" },
			},
		});
		for (const name of ["rounds", "minutes"])
			if (values[name] !== undefined && !(Number(values[name]) > 0)) throw new Error(`--${name}=${values[name]} is no number above 0`);
		if (values.from && !values.readme) throw new Error("--from is for --readme");
		const only = values.only?.split(",").flatMap((name) => groups[name] ?? name) ?? names.filter((name) => !values.quick || !slow.includes(name));
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

const { quick, only, rounds, minutes, output, readme, from, help } = settings();
if (help) {
	console.log(usage);
	process.exit(0);
}
const readmeFile = join(top, "README.md");
if (from) {
	writeIntoReadme(readmeFile, from);
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
const clock = new Clock(60 * Number(minutes ?? (quick ? 2.5 : 33)), Object.fromEntries(only.map((name) => [name, expectedSeconds(quick)[name]])));
const context = {
	clock, note: (text) => notes.push(text),
	build, tools: join(build, "tests/bench"), directory, quick, results, rounds: Number(rounds ?? 3), journals: journals(build), next: () => ++servers,
	say: (line) => console.error(line),
};

const start = Date.now();
for (const name of only) {
	try {
		clock.begin(name);
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
/** What another would type to have the same: where the report went is nobody's concern. */
const command = ["tests/bench/run", ...process.argv.slice(2).filter((arg) => !/^--(output=|readme$)/.test(arg))].join(" ");
const report = output ?? join(top, "build/bench");
console.log(writeReport(results, report, { notes, command, machine: describeMachine(build) }));
if (readme) writeIntoReadme(readmeFile, join(report, "results.json"));
