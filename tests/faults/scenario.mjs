// One run: a cluster works, publishers post, clients watch, something is done to it, and at the end everybody is asked.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

import { within } from "../lib/deadline.mjs";
import { FAILINGS, check, total } from "./checker.mjs";
import { Pages } from "./browser.mjs";
import { Clients, crowd, pages } from "./clients.mjs";
import { Cluster } from "./cluster.mjs";
import { FAULTS } from "./faults.mjs";
import { Outbox } from "./outbox.mjs";
import { Publisher, now, unordered } from "./publisher.mjs";
import { between, pick, randomFrom } from "./random.mjs";
import { Surroundings } from "./surroundings.mjs";

const PLAY_MS = 480_000; // besides the seconds of random faults
const SETTLE_MS = 60_000;
const CALM_MS = 500; // between two faults, and before the first
const TOGETHER = 0.4; // the part of faults that do not come alone

/** One or two faults that can happen at the same time. */
function some(random, faults) {
	const first = pick(random, faults);
	const others = faults.filter((name) => !FAULTS[name].parts.some((part) => FAULTS[first].parts.includes(part)));
	return random() < TOGETHER && others.length ? [first, pick(random, others)] : [first];
}

/** Harms one thing after another: each of `faults` once in order, or random ones of them until `seconds` are over. */
async function harm({ faults, seconds, random, say, ...parts }) {
	const end = now() + (seconds ?? 0) * 1000;
	for (let done = 0; seconds ? now() < end : done < faults.length; done++) {
		const names = seconds ? some(random, faults) : [faults[done]];
		await pause(between(random, CALM_MS / 5, CALM_MS));
		say(names.join(" and "));
		await Promise.all(names.map((name) => FAULTS[name].inject({ random, ...parts })));
	}
	await pause(CALM_MS);
}

/** Waits until every client has seen the last events, or the deadline; what is missing then is the checker's to say. */
async function settle(publisher, groups) {
	const last = await publisher.farewell();
	const end = now() + SETTLE_MS;
	while (now() < end && !groups.every((group) => group.all(({ lastTag }) => lastTag === last))) await pause(50);
	await pause(300); // for what may come twice
}

/** Clients with recovery are judged from their first join to the end, others when their connection never broke (isStrict: always). */
const judge = (isStrict) => (report) => ({ ...report, isJudgedForLoss: isStrict || report.hasRecovery || report.disconnects === 0 });

/** Everything that is running, so that it can be ended whatever happens. */
class Stage {
	constructor(settings, say) {
		Object.assign(this, { settings, groups: [], timeline: [], say, random: randomFrom(settings.seed) });
	}

	tell(text) {
		this.timeline.push(`${Math.round(now())} ${text}`);
		this.say(text);
	}

	async build() {
		const { settings } = this;
		this.around = await Surroundings.open(new Set(settings.faults.map((name) => FAULTS[name].needs)), settings.journal);
		for (const [what, why] of Object.entries(this.around.lacks)) this.tell(`without ${what}: ${why}`);
		this.faults = settings.faults.filter((name) => this.around.offers(FAULTS[name].needs, settings));
		this.cluster = await Cluster.start({ ...settings, ...this.around.settings(), random: this.random });
		this.publisher = new Publisher({ port: this.cluster.port, apiKey: this.cluster.apiKey, rate: settings.rate, random: randomFrom(settings.seed + 1) });
		if (this.around.postgres) this.outbox = new Outbox({ postgres: this.around.postgres, events: this.publisher.events, random: randomFrom(settings.seed + 2) });
		if (settings.clients) this.groups.push(await Clients.start(this.cluster, crowd(settings.clients, settings)));
		if (settings.pages) this.groups.push(await Pages.start(this.cluster, pages(settings.pages)));
	}

	async play() {
		const { cluster, publisher, random, faults, around, groups } = this;
		publisher.start();
		this.outbox?.start();
		await harm({ faults, seconds: this.settings.seconds, random, say: (text) => this.tell(text), cluster, publisher, ...around });
		this.tell("calm");
		await publisher.stop();
		await this.outbox?.stop();
		await settle(publisher, groups);
		const reports = (await Promise.all(groups.map((group) => group.report()))).flat().map(judge(this.settings.isStrict));
		const verdicts = check(publisher.events, reports, { unordered });
		return { reports, verdicts, sums: total(verdicts), events: publisher.events, statuses: Object.fromEntries(publisher.statuses), lacks: around.lacks };
	}

	/** Ends everything; gives what went wrong on the way. */
	async clear(keep) {
		const complaints = [];
		const step = (done) => Promise.resolve(done).catch((err) => complaints.push(err.message));
		for (const group of this.groups) await step(group.stop());
		if (this.publisher) this.publisher.isHurried = true;
		if (this.outbox) this.outbox.isStopping = true;
		await step(this.publisher?.stop());
		complaints.push(...(this.publisher?.complaints ?? []), ...((await step(this.cluster?.stop({ keep }))) ?? []));
		await step(this.around?.close());
		return complaints;
	}
}

/** Fails when a signal asks for the end, so that everything is cleared away. */
const interrupted = new Promise((_, reject) => {
	for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => reject(new Error(`interrupted by ${signal}`)));
});
interrupted.catch(() => {});

/** For clients that come and go: dead connections are noticed soon, slow ones are cut, and no hub serves before it knows the past. */
export const HUB_OPTIONS = ["--ping-interval=2s", "--ping-timeout=2s", "--max-unsent=128k", "--start-patience=1m"];

const DEFAULTS = { faults: [], rate: 200, clients: 12, pages: 0, hubs: 2, gateways: 1, journal: "sqlite" };

/** Settings: those of a cluster, and faults, seconds (random faults for so long; else each once), seed, rate, clients, pages, hasRecovery, isStrict,
 * journal, mayBeTold (it is right to tell clients that they may have missed something). say: told what happens. */
export async function run({ say = () => {}, ...settings }) {
	const stage = new Stage({ ...DEFAULTS, ...settings }, say);
	let result;
	try {
		await stage.build();
		result = await Promise.race([within("the run is over", stage.play(), (settings.seconds ?? 0) * 1000 + PLAY_MS), interrupted]);
	} catch (error) {
		result = { error };
	}
	const failings = settings.mayBeTold ? FAILINGS : [...FAILINGS, "told"];
	const isGood = !result.error && failings.every((name) => result.sums[name] === 0);
	const complaints = await stage.clear(!isGood);
	if (!isGood && stage.cluster) writeFileSync(join(stage.cluster.dir, "clients.log"), lives(result));
	return {
		...result, complaints, isGood: isGood && complaints.length === 0, seed: settings.seed, timeline: stage.timeline,
		directory: isGood ? undefined : stage.cluster?.dir,
	};
}

/** The connections of every client, line by line. */
const lives = ({ reports = [] }) => reports.map(({ name, lives, told }) =>
	[name, ...lives, ...told.map(({ after, to }) => `told of what came after ${after} until ${Math.round(to)}`), ""].join("\n")).join("\n");

/** Everything that somebody needs who looks for the cause. */
export function explain(result) {
	const lines = [`seed ${result.seed}${result.directory ? `, logs in ${result.directory}/log` : ""}`, ...result.complaints];
	if (result.error) lines.push(result.error.stack);
	for (const verdict of result.verdicts ?? []) {
		const wrong = [...FAILINGS, "told"].filter((name) => verdict[name].length);
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
		`misplaced ${sums.misplaced}, torn ${sums.torn}, told ${sums.told}; ${sum("disconnects")} disconnects, ${sum("recoveries")} recovered, ${sum("fresh")} fresh`;
}
