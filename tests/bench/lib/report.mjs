// Results as Markdown, JSON and plots.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { judge } from "./goals.mjs";
import { machineText } from "./machine.mjs";
import { plot } from "./plot.mjs";

const per = (unit) => (value) => (Number.isFinite(value) ? `${number(value)} ${unit}` : "");

const number = (value) => Number(value.toPrecision(3)).toLocaleString("en", { maximumFractionDigits: 3 });

/** Of each scenario: title, what x is, its columns, and what is set against the bare loop (or another server). */
const tables = {
	fanout: {
		title: "Fan-out, closed loop: an event of 200 bytes to every client, then the next", x: "clients", against: "bare",
		columns: { perSecond: ["deliveries/s", number], cpuPerDelivery: ["server CPU per delivery", per("ns")] },
	},
	bursts: {
		title: "Bursts: 64 events at once to every client, then the next 64", x: "clients", against: "bare",
		columns: { perSecond: ["deliveries/s", number], cpuPerDelivery: ["server CPU per delivery", per("ns")] },
	},
	rooms: {
		title: "Rooms of ten clients, 64 events for 64 of them at once", x: "rooms", against: "bare",
		columns: { perSecond: ["deliveries/s", number], cpuPerDelivery: ["server CPU per delivery", per("ns")] },
	},
	latency: {
		title: "Latency at 20,000 deliveries a second, from before the event leaves the publisher", x: "clients", against: "bare",
		columns: { p50: ["p50", per("us")], p99: ["p99", per("us")], p999: ["p99.9", per("us")], lastP50: ["last client, p50", per("us")] },
	},
	"end-to-end": {
		title: "Latency from before the HTTP POST, through nginx and gateway, 20 events a second", x: "clients", against: "socket.io",
		columns: { p50: ["p50", per("us")], p99: ["p99", per("us")], p999: ["p99.9", per("us")], lastP50: ["last client, p50", per("us")], lastP99: ["last client, p99", per("us")] },
	},
	bystanders: {
		title: "Latency of 20 events a second in a room of ten, from before the HTTP POST, alone and beside a large room with 3 events a second", x: "clients of the large room",
		columns: { p50: ["p50", per("us")], p99: ["p99", per("us")], p999: ["p99.9", per("us")] },
	},
	posts: {
		title: "POSTs", x: "publishers", against: "trivial",
		columns: { perSecond: ["POSTs/s", number], cpuPerPost: ["server CPU per POST", per("ns")], p50: ["p50", per("us")], p99: ["p99", per("us")] },
	},
	setups: {
		title: "Session set-ups, WebSocket, one room", x: "sessions", against: "socket.io",
		columns: { perSecond: ["sessions/s", number], cpuMicroseconds: ["server CPU per session", per("us")] },
	},
	idle: {
		title: "Idle sessions, one room, 25 s heartbeats", x: "sessions",
		columns: {
			pssBytes: ["user space (PSS) per session", per("B")], rssBytes: ["RSS", per("B")], kernelBytes: ["kernel, both ends", per("B")],
			cpuShare: ["CPU", (value) => `${number(value * 100)} %`],
		},
	},
	fleet: {
		title: "Idle sessions over five hubs", x: "sessions",
		columns: { readyPerSecond: ["set-ups/s", number], cpuShare: ["CPU, all hubs", (value) => `${number(value * 100)} % of a core`], heartbeats: ["heartbeats answered", number] },
	},
	storm: {
		title: "Reconnect storm: everybody at once", x: "sessions", against: "socket.io",
		columns: { seconds: ["until all are back", per("s")], cpuSeconds: ["server CPU", per("s")] },
	},
	recovery: {
		title: "Recovery on against off", x: "clients", against: "recovery off",
		columns: { perSecond: ["deliveries/s", number], cpuPerDelivery: ["server CPU per delivery", per("ns")] },
	},
	"growth-clients": {
		title: "Growth: more clients", x: "clients", against: "bare",
		columns: {
			cpuPerDelivery: ["server CPU per delivery", per("ns")], perSecond: ["deliveries/s", number],
			p50: ["p50 at 20,000 deliveries a second", per("us")], p99: ["p99", per("us")], p999: ["p99.9", per("us")],
		},
	},
	"growth-rooms": {
		title: "Growth: rooms of ten clients", x: "rooms",
		columns: { cpuPerEvent: ["server CPU per event", per("ns")], perSecond: ["deliveries/s", number] },
	},
	"growth-hubs": {
		title: "Growth: the same 2,000 clients over more hubs", x: "hubs",
		columns: { cpuPerDelivery: ["CPU of all hubs per delivery", per("ns")], perSecond: ["deliveries/s", number] },
	},
	"growth-history": {
		title: "Growth: the hub's history, events of 300 bytes over 100 rooms", x: "events",
		columns: { appendNs: ["CPU to append one", per("ns")], replayNs: ["CPU to replay one", per("ns")], bytesPerEvent: ["memory of one", per("B")] },
	},
};

const row = (cells) => `| ${cells.join(" | ")} |`;

function table(results, scenario) {
	const { title, x: xName, against, columns } = tables[scenario];
	const names = Object.keys(columns), compared = against ? names.filter((name, i) => i === 0 || name.startsWith("cpu")) : [];
	const server = results.unique(scenario, "server");
	const head = [xName, "server", ...names.map((name) => columns[name][0]), ...compared.map((name) => `${columns[name][0]} against ${against}`)];
	const lines = [`### ${title}`, "", row(head), row(head.map((_, i) => (i < 2 ? "---" : "--:")))];
	for (const x of results.unique(scenario, "x")) {
		for (const name of server.filter((candidate) => results.select(scenario, candidate, x).length)) {
			const cells = names.map((column) => columns[column][1](results.median(scenario, name, x, column)));
			const ratios = compared.map((column) => number(results.ratio(scenario, name, against, x, column)));
			lines.push(row([x.toLocaleString("en"), name, ...cells, ...ratios]));
		}
	}
	return lines.join("\n");
}

/** goals as judge() gives them. */
export const goalsLines = (goals) => [row(["figure", "goal", "seen", "reached"]), row(["---", "---", "--:", "---"]),
	...goals.map(({ text, goal, value, isReached }) =>
		row([text, goal, ...(value === null ? ["not measured", ""] : [number(value), isReached ? "yes" : "**no**"])]))];

const curves = [
	["throughput.svg", "fanout", "perSecond", "Fan-out, closed loop", "clients", "deliveries per second"],
	["cost.svg", "fanout", "cpuPerDelivery", "Server CPU per delivery", "clients", "ns"],
	["bursts.svg", "bursts", "perSecond", "Bursts of 64", "clients", "deliveries per second"],
	["latency-p50.svg", "latency", "p50", "p50 latency at 20,000 deliveries a second", "clients", "us"],
	["latency.svg", "latency", "p99", "p99 latency at 20,000 deliveries a second", "clients", "us"],
	["growth-clients.svg", "growth-clients", "cpuPerDelivery", "Server CPU per delivery, 100 to 10,000 clients", "clients", "ns"],
	["growth-rooms.svg", "growth-rooms", "cpuPerEvent", "Server CPU per event, rooms of ten", "rooms", "ns"],
	["growth-history.svg", "growth-history", "replayNs", "CPU to replay an event", "events in the history", "ns"],
	["growth-hubs.svg", "growth-hubs", "cpuPerDelivery", "CPU of all hubs per delivery, 2,000 clients", "hubs", "ns"],
];

/** Returns the lines that show them. */
function writePlots(results, directory) {
	const shown = [];
	for (const [file, scenario, value, title, xLabel, yLabel] of curves) {
		const series = results.unique(scenario, "server").map((name) => ({ name, points: results.curve(scenario, name, value) }));
		const svg = plot({ title, xLabel, yLabel, series });
		if (!svg) continue;
		writeFileSync(join(directory, file), svg);
		shown.push(`![${title}](${file})`);
	}
	return shown;
}

/** What a delivery costs the more clients there are, of what fan-out and latency found. */
function addGrowthOfClients(results) {
	for (const { server, x, round, perSecond, cpuPerDelivery } of results.rows.filter(({ scenario }) => scenario === "fanout")) {
		const latency = results.select("latency", server, x).find((candidate) => candidate.round === round);
		if (latency && ["bare", "hub"].includes(server)) {
			const { p50, p99, p999 } = latency;
			results.add("growth-clients", server, x, round, { cpuPerDelivery, perSecond, p50, p99, p999 });
		}
	}
}

/** Writes report.md, results.json and the plots; returns the Markdown. machine: of describeMachine. */
export function writeReport(results, directory, { notes = [], command, machine }) {
	mkdirSync(directory, { recursive: true });
	addGrowthOfClients(results);
	const goals = judge(results), date = new Date().toISOString().slice(0, 10);
	const head = ["# Benchmark", "", `\`${command}\` of ${date} on ${machineText(machine)}. Server on one core, generator on the other. Medians of interleaved rounds; ratios are of the same round.`];
	const markdown = [head.join("\n"), ["## Goals", "", ...goalsLines(goals)].join("\n"), notes.map((note) => `- ${note}`).join("\n"),
		"## Figures", ...Object.keys(tables).filter((scenario) => results.unique(scenario, "x").length).map((scenario) => table(results, scenario)),
		"## Curves", writePlots(results, directory).join("\n\n")].filter(Boolean).join("\n\n");
	writeFileSync(join(directory, "report.md"), `${markdown}\n`);
	writeFileSync(join(directory, "results.json"), `${JSON.stringify({ command, date, machine, notes, goals, rows: results.rows }, null, 1)}\n`);
	return markdown;
}
