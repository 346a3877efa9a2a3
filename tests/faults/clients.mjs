// The clients of a run, in child processes of their own; who they are, and what they saw.
import { fork } from "node:child_process";
import { join } from "node:path";

import { sign } from "../integration/publisher.mjs";
import { top } from "../integration/roomcast.mjs";
import { end, until, watch, within } from "../lib/deadline.mjs";
import { JWT_SECRET } from "./cluster.mjs";

const TYPES = [["Lamp", "Dolly"], ["Lamp"], ["Dolly"]];
const TRANSPORTS = [["websocket"], ["polling"], ["polling", "websocket"]];

const token = (user) => sign({ userId: user, exp: Math.floor(Date.now() / 1000) + 86_400 }, JWT_SECRET);

/** A mixed crowd: transports, types and users in all combinations. Users are u1 to u4. */
export function crowd(count, { hasRecovery = true } = {}) {
	return Array.from({ length: count }, (_, index) => {
		const user = `u${(index % 4) + 1}`;
		const transports = TRANSPORTS[index % TRANSPORTS.length];
		const types = TYPES[Math.floor(index / 3) % TYPES.length];
		return {
			name: `${user}-${index}-${transports.join("+")}-${types.join("+")}`, user, types, token: token(user),
			options: { transports, query: { recovery: hasRecovery ? "1" : "0" } },
		};
	});
}

/** Pages, one for each user, that follow everything. */
export const pages = (count) => Array.from({ length: count }, (_, index) => {
	const user = `u${(index % 4) + 1}`;
	return { name: `${user}-page-${index}`, user, types: TYPES[0], token: token(user) };
});

export class Clients {
	static async start({ url }, clients) {
		const self = new Clients();
		Object.assign(self, { clients, counts: {}, reports: [] });
		self.child = fork(join(top, "tests/faults/client.mjs"), { stdio: ["ignore", "inherit", "inherit", "ipc"] });
		watch(self.child);
		self.done = new Promise((resolve, reject) => {
			self.child.on("message", (message) => {
				if (message.counts) self.counts = message.counts;
				if (message.report) self.reports.push(message.report);
				if (message.isDone) resolve();
			});
			self.child.on("exit", (code) => reject(new Error(`the clients' process ended with ${code}`)));
		});
		self.done.catch(() => {});
		self.child.send({ url, clients });
		try {
			await until("all clients have joined", () => self.all((client) => client.joined));
		} catch (error) {
			await self.stop();
			throw error;
		}
		return self;
	}

	all(claim) {
		return this.clients.every(({ name }) => this.counts[name] && claim(this.counts[name], name));
	}

	/** Ends them all, and gives for each who it is and what it saw. */
	async report() {
		this.child.send("report");
		await within("the clients' reports", this.done);
		return this.reports.map((report) => ({ ...this.clients.find(({ name }) => name === report.name), ...report }));
	}

	stop() {
		return end(this.child);
	}
}
