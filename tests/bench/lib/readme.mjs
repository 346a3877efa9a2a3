// The goals' table of a report, put into a Markdown file between two markers, so that its figures are typed by nobody.
import { readFileSync, writeFileSync } from "node:fs";
import { machineText } from "./machine.mjs";
import { goalsLines } from "./report.mjs";

const begin = "<!-- benchmark: written by tests/bench/run --readme -->", end = "<!-- end of benchmark -->";

/** results: the path of a report's results.json. */
export function writeIntoReadme(file, results) {
	const { command, machine, date, goals } = JSON.parse(readFileSync(results, "utf8"));
	const text = readFileSync(file, "utf8"), from = text.indexOf(begin), to = text.indexOf(end);
	if (from < 0 || to < from) throw new Error(`${file} does not have the markers ${begin} and ${end}`);
	const section = [begin, `\`${command}\` of ${date} on ${machineText(machine)}:`, "", ...goalsLines(goals), ""].join("\n");
	writeFileSync(file, text.slice(0, from) + section + text.slice(to));
}
