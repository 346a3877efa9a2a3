// One run: a cluster works, publishers post, clients watch, something is done to it, and at the end everybody is asked.
import { setTimeout as pause } from "node:timers/promises";

import { FAILINGS, check, total } from "./checker.mjs";
import { Clients, crowd } from "./clients.mjs";
import { Cluster } from "./cluster.mjs";
import { FAULTS } from "./faults.mjs";
import { Publisher, now, unordered } from "./publisher.mjs";
import { between, pick, randomFrom } from "./random.mjs";

const SETTLE_MS = 60_000;
const CALM_MS = 500; // between two faults, and before the first

/** Harms one thing after another: each of `faults` once in order, or random ones of them until `seconds` are over. */
async function harm({ cluster, random, faults, seconds, say }) {
	const end = now() + (seconds ?? 0) * 1000;
	for (let done = 0; seconds ? now() < end : done < faults.length; done++) {
		const name = seconds ? pick(random, faults) : faults[done];
		await pause(between(random, CALM_MS / 5, CALM_MS));
		say(name);
		await FAULTS[name]({ cluster, random });
	}
	await pause(CALM_MS);
}

/** Waits until every client has seen the last events, or the deadline; what is missing then is the checker's to say. */
async function settle(publisher, clients) {
	const last = await publisher.farewell();
	const end = now() + SETTLE_MS;
	while (now() < end && !clients.all(({ lastTag }) => lastTag === last)) await pause(50);
	await pause(300); // for what may come twice
}

/** Clients with recovery are judged from their first join to the end, others when their connection never broke. */
const judged = (report) => ({ ...report, isJudgedForLoss: report.hasRecovery || report.disconnects === 0 });

/** Settings: those of a cluster, and faults, seconds (random faults for so long; else each once), seed, rate, clients, mayBeTold. */
export async function run({ faults = [], seconds, seed, rate = 200, clients = 12, hasRecovery, say = () => {}, ...settings }) {
	const random = randomFrom(seed);
	const cluster = await Cluster.start({ ...settings, random });
	const timeline = [];
	const tell = (text) => {
		timeline.push(`${Math.round(now())} ${text}`);
		say(text);
	};
	let publisher, watching, result;
	try {
		publisher = new Publisher({ port: cluster.port, apiKey: cluster.apiKey, rate, random: randomFrom(seed + 1) });
		watching = await Clients.start(cluster.url, crowd(clients, { hasRecovery }));
		publisher.start();
		await harm({ cluster, random, faults, seconds, say: tell });
		tell("calm");
		await publisher.stop();
		await settle(publisher, watching);
		const reports = (await watching.report()).map(judged);
		const verdicts = check(publisher.events, reports, { unordered });
		result = { reports, verdicts, sums: total(verdicts), events: publisher.events, statuses: Object.fromEntries(publisher.statuses), timeline };
	} catch (err) {
		result = { error: err, timeline };
	}
	watching?.child.kill();
	await publisher?.stop().catch(() => {});
	const isGood = !result.error && FAILINGS.every((name) => result.sums[name] === 0);
	const complaints = [...(publisher?.complaints ?? []), ...(await cluster.stop({ keep: !isGood }))];
	return { ...result, complaints, isGood: isGood && complaints.length === 0, directory: isGood ? undefined : cluster.dir, seed };
}

/** Everything that somebody needs who looks for the cause. */
export function explain(result) {
	const lines = [`seed ${result.seed}${result.directory ? `, logs in ${result.directory}/log` : ""}`, ...result.complaints];
	if (result.error) lines.push(result.error.stack);
	for (const verdict of result.verdicts ?? []) {
		const wrong = FAILINGS.filter((name) => verdict[name].length);
		if (!wrong.length) continue;
		const report = result.reports.find(({ name }) => name === verdict.name);
		lines.push(`${verdict.name}: ${wrong.map((name) => `${verdict[name].length} ${name} (${verdict[name].slice(0, 5).map((tag) => describe(result, tag)).join("; ")})`).join(", ")}`);
		lines.push(...report.lives.slice(-12).map((line) => `    ${line}`));
	}
	lines.push(...result.timeline.map((line) => `  ${line}`));
	return lines.join("\n");
}

function describe({ events }, tag) {
	const event = events.find((one) => one.tag === tag);
	if (!event) return `${tag}: never posted`;
	return `${tag}: ${event.id ?? event.outcome}, posted ${Math.round(event.startedAt)}, answered ${Math.round(event.answeredAt)} (${event.answers.join(" ")})`;
}

/** One line. */
export function summary({ sums, statuses, reports, verdicts, events }) {
	if (!sums) return "no result";
	const sum = (name) => reports.reduce((count, report) => count + report[name], 0);
	const accepted = events.filter(({ outcome }) => outcome === "accepted").length;
	return `${events.length} events (${accepted} accepted; answers ${JSON.stringify(statuses)}), ${reports.length} clients saw ${verdicts.reduce((count, { seen }) => count + seen, 0)}: ` +
		`missing ${sums.missing}, duplicated ${sums.duplicated}, out of order ${sums.disordered}, never accepted ${sums.unaccepted}, strayed ${sums.strayed}, ` +
		`misplaced ${sums.misplaced}, told ${sums.told}; ${sum("disconnects")} disconnects, ${sum("recoveries")} recovered, ${sum("fresh")} fresh`;
}
