// An application that publishes from inside its own transactions, through the outbox in PostgreSQL: what it commits is accepted, what it rolls
// back is refused, and where the connection broke nobody knows.
import { setTimeout as pause } from "node:timers/promises";

import { until, within } from "../lib/deadline.mjs";
import { now } from "./publisher.mjs";

const INTERVAL_MS = 150;
const ROLLED_BACK = 0.2; // the part of transactions that are

export class Outbox {
	constructor({ postgres, events, random }) {
		Object.assign(this, { postgres, events, random, isStopping: false });
	}

	start() {
		this.running = this.run();
	}

	async run() {
		for (let n = 0; !this.isStopping; n++) {
			await this.transact(n);
			await pause(INTERVAL_MS);
		}
	}

	async transact(n) {
		const event = { tag: `outbox-${n}`, stream: "outbox", n, target: { type: "Dolly" }, startedAt: now(), answers: [] };
		this.events.push(event);
		const end = this.random() < ROLLED_BACK ? "ROLLBACK" : "COMMIT";
		const data = JSON.stringify({ tag: event.tag });
		const isDone = await this.postgres.run(`BEGIN; SELECT roomcast_publish_data_change('Dolly', 'UPDATE', '${data}'::text); ${end}`);
		event.answeredAt = now();
		event.answers.push(isDone ? end : "no answer");
		event.outcome = end === "ROLLBACK" ? "refused" : isDone ? "accepted" : "unknown";
	}

	/** No new transactions; and everything has been taken from the outbox. */
	async stop() {
		this.isStopping = true;
		await within("the last transaction", this.running);
		await until("the outbox is empty", async () => (await this.postgres.run("SELECT count(*) FROM roomcast_outbox")) === "0");
	}
}
