// Backends that post numbered events at a steady rate, and do what the documentation tells them to: 503 was not stored, so repeat; 504 or no
// answer is unknown, so repeat with the same Idempotency-Key. What they were told is what the checker holds against the clients.
import { randomUUID } from "node:crypto";
import { Agent, request } from "node:http";

import { until, within } from "../lib/deadline.mjs";
import { between } from "./random.mjs";

export const now = () => performance.timeOrigin + performance.now(); // the same clock in every process

const ANSWER_MS = 2000; // a backend waits no longer
const OUTCOMES_MS = 60_000; // for all that is under way
const GIVE_UP = 0.05;   // the part of failed events that nobody repeats

/** Streams: how each makes the n-th call, its body from the tag (of a batch: from its tags), and for whom it is. Users are u1, u2, ...; see clients.mjs. */
export const STREAMS = [
	{
		name: "lamps", call: "data-change", target: () => ({ type: "Lamp" }),
		// Some are large, so that a client that reads nothing for a while is past the bound of unsent bytes.
		body: (tag, n) => ({ entityType: "Lamp", action: "UPDATE", data: { tag, id: n % 10, ...(n % 4 ? {} : { photo: "x".repeat(12_000) }) } }),
	}, {
		name: "dollies", call: "data-change", target: () => ({ type: "Dolly", excludeUser: "u1" }),
		body: (tag) => ({ entityType: "Dolly", action: "CREATE", data: { tag }, excludeUserId: "u1" }),
	}, {
		name: "notes", call: "notification", target: (n) => ({ user: `u${(n % 3) + 1}` }),
		body: (tag, n) => ({ userId: `u${(n % 3) + 1}`, notification: { title: "T", message: "M", tag } }),
	}, {
		name: "system", call: "system-notification", target: () => ({ everyone: true }),
		body: (tag) => ({ title: "T", message: "M", type: "info", tag }),
	}, {
		name: "emits", call: "emit", target: (n) => (n % 2 ? { everyone: true } : { type: "Lamp" }),
		body: (tag, n) => ({ event: "numbered", args: [{ tag }], ...(n % 2 ? {} : { rooms: ["sync-Lamp"] }) }),
	}, {
		name: "batches", size: 3, call: "batch", target: () => ({ type: "Lamp" }),
		body: (tags) => ({ events: tags.map((tag) => ({ type: "data-change", entityType: "Lamp", action: "UPDATE", data: { tag } })) }),
	}, {
		name: "crowd", isUnordered: true, call: "data-change", target: () => ({ type: "Dolly" }),
		body: (tag, n) => ({ entityType: "Dolly", action: "UPDATE", data: { tag, id: n % 3 } }),
	},
];

export const unordered = STREAMS.filter((stream) => stream.isUnordered).map((stream) => stream.name);

/** What became of one attempt: { status, body } or { isUnsent } when it certainly reached nobody; {} when nobody knows. */
function attempt(agent, { port, path, headers, body }) {
	return new Promise((resolve) => {
		const asked = request({ host: "127.0.0.1", port, path, method: "POST", headers, agent, timeout: ANSWER_MS }, (answer) => {
			let text = "";
			answer.setEncoding("utf8").on("data", (part) => (text += part)).on("error", () => resolve({}));
			answer.on("end", () => {
				try {
					resolve({ status: answer.statusCode, body: JSON.parse(text) });
				} catch {
					resolve({ status: answer.statusCode, body: { error: text } });
				}
			});
		});
		asked.on("error", (err) => resolve({ isUnsent: err.code === "ECONNREFUSED" }));
		asked.on("timeout", () => asked.destroy(new Error("no answer")));
		asked.end(body);
	});
}

export class Publisher {
	/** rate: events per second, of all streams together. */
	constructor({ port, apiKey, rate, random }) {
		Object.assign(this, { port, apiKey, random, events: [], statuses: new Map(), complaints: [], isStopping: false });
		this.agent = new Agent({ keepAlive: true, maxSockets: 64 });
		this.interval_ms = (STREAMS.length * 1000) / rate;
	}

	start() {
		this.running = Promise.all(STREAMS.map((stream) => this.run(stream)));
	}

	async run(stream) {
		const underWay = new Set();
		for (let n = 0, due = now(); !this.isStopping; n++) {
			due = Math.max(due + this.interval_ms, now() - 1000); // it does not make up for more than a second
			const posted = this.post(stream, n).finally(() => underWay.delete(posted));
			underWay.add(posted);
			if (!stream.isUnordered || underWay.size >= 32) await Promise.race(underWay);
			while (this.isResting && !this.isStopping) await new Promise((resolve) => setTimeout(resolve, 20));
			if (due > now()) await new Promise((resolve) => setTimeout(resolve, due - now()));
		}
		await Promise.all(underWay);
	}

	/** Posts one event, or one batch, until its outcome is known, or nobody cares any more. Gives what became of the (last) event. */
	async post(stream, n) {
		const { size } = stream, batch = size && `${stream.name}-${n}`;
		const events = Array.from({ length: size ?? 1 }, (_, index) => {
			const number = n * (size ?? 1) + index;
			return { tag: `${stream.name}-${number}`, stream: stream.name, n: number, batch, target: stream.target(number), startedAt: now(), answers: [] };
		});
		this.events.push(...events);
		const tags = events.map(({ tag }) => tag);
		const told = await this.ask(stream, JSON.stringify(stream.body(size ? tags : tags[0], n)), tags.at(-1));
		events.forEach((event, index) => Object.assign(event, told.outcome, told.ids && { id: told.ids[index] }));
		return events.at(-1);
	}

	/** { outcome: what all its events have in common, ids? }. */
	async ask(stream, body, tag) {
		const event = { answers: [] };
		const done = (outcome, ids) => ({ outcome: { ...event, outcome }, ids });
		const headers = { Authorization: `Bearer ${this.apiKey}`, "Content-Type": "application/json", "Idempotency-Key": randomUUID() };
		const ask = { port: this.port, path: `/api/broadcast/${stream.call}`, headers: { ...headers, "Content-Length": Buffer.byteLength(body) }, body };
		const isPatient = this.random() >= GIVE_UP;
		for (let mayBeStored = false; ;) {
			const answer = await attempt(this.agent, ask);
			const word = answer.status ?? (answer.isUnsent ? "unsent" : "none");
			event.answers.push(word);
			this.statuses.set(word, (this.statuses.get(word) ?? 0) + 1);
			event.answeredAt = now();
			if (answer.status === 200 || answer.status === 202) return done("accepted", answer.body.ids ?? [answer.body.id]);
			const isKnown = answer.isUnsent || answer.status === 503;
			mayBeStored ||= !isKnown;
			if (!isKnown && answer.status !== undefined && answer.status !== 504) this.complain(tag, answer);
			if (!isPatient || this.isHurried) return done(mayBeStored ? "unknown" : "refused");
			await new Promise((resolve) => setTimeout(resolve, between(this.random, 20, 200)));
		}
	}

	/** Posts nothing while work() runs, which begins when all that was posted has its outcome. */
	async rest(work) {
		this.isResting = true;
		try {
			await until("every event has its outcome", () => this.events.every(({ outcome }) => outcome), OUTCOMES_MS);
			await work();
		} finally {
			this.isResting = false;
		}
	}

	/** How many attempts were answered so. */
	count(status) {
		return this.statuses.get(status) ?? 0;
	}

	get accepted() {
		return this.count(200) + this.count(202);
	}

	/** When all others have ended: an event for everyone, accepted at last. Returns its tag. */
	async farewell() {
		const [stream] = STREAMS.filter(({ name }) => name === "system");
		for (let n = 1_000_000, end = now() + OUTCOMES_MS; now() < end; n++) {
			const event = await this.post(stream, n);
			if (event.outcome === "accepted") return event.tag;
		}
		throw new Error("the farewell is not accepted");
	}

	complain(tag, answer) {
		if (this.complaints.length < 20) this.complaints.push(`${tag}: ${answer.status} ${JSON.stringify(answer.body)}`);
		this.isHurried = true;
	}

	/** No new events; those under way come to their end. */
	async stop() {
		this.isStopping = true;
		const hurry = setTimeout(() => {
			this.complaints.push(`not within ${OUTCOMES_MS} ms: every event has its outcome`);
			this.isHurried = true;
		}, OUTCOMES_MS);
		await within("the publishers end", Promise.resolve(this.running), 2 * OUTCOMES_MS).finally(() => clearTimeout(hurry));
	}
}
