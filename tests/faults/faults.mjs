// What is done to a cluster while it works. Each fault harms, waits a while, and mends; when inject() returns, all is whole again. `needs` names
// what of the surroundings (surroundings.mjs) it cannot be without; two faults of different parts can happen at the same time.
import { cpSync, rmSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";

import { until } from "../lib/deadline.mjs";
import { between, pick } from "./random.mjs";

/** Starts a daemon that was killed, after a while. */
async function revive(cluster, daemon, random, most_ms = 1500) {
	await pause(between(random, 0, most_ms));
	await cluster.restart(daemon);
}

const ending = (kind, signal) => async ({ cluster, random }) => {
	const daemon = pick(random, cluster[kind]);
	await daemon.end(signal);
	await revive(cluster, daemon, random);
};

const stopping = (kind) => async ({ cluster, random }) => {
	const daemon = pick(random, cluster[kind]);
	daemon.pause();
	await pause(between(random, 100, 5000));
	daemon.resume();
};

/** Lets the links of one hub be harmed for a while. */
const line = (harm, least_ms, most_ms) => async ({ cluster, random }) => {
	const hub = pick(random, cluster.hubs);
	for (const link of hub.links) harm(link, random);
	await pause(between(random, least_ms, most_ms));
	for (const link of hub.links) link.restore();
};

/** Lets the connections of clients be harmed for a while. */
const front = (harm, least_ms, most_ms) => async ({ cluster, random }) => {
	harm(cluster.front, random);
	await pause(between(random, least_ms, most_ms));
	cluster.front.restore();
};

const some = (random) => between(random, 0.2, 1);

export const FAULTS = {
	"gateway-kill": { parts: ["gateways"], inject: ending("gateways", "SIGKILL") },
	"gateway-term": { parts: ["gateways"], inject: ending("gateways", "SIGTERM") },
	"gateway-stop": { parts: ["gateways"], inject: stopping("gateways") },
	"hub-kill": { parts: ["hubs"], inject: ending("hubs", "SIGKILL") },
	"hub-stop": { parts: ["hubs"], inject: stopping("hubs") },
	"hubs-roll": {
		parts: ["hubs"],
		async inject({ cluster }) {
			for (const hub of cluster.hubs) {
				await hub.end("SIGTERM");
				await cluster.restart(hub);
			}
		},
	},
	"line-cut": { parts: ["line"], inject: line((link) => link.cut(), 200, 7000) },
	"line-reset": { parts: ["line"], inject: line((link) => link.reset(), 0, 100) },
	"line-slow": { parts: ["line"], inject: line((link, random) => link.slow(between(random, 5, 150), 0.05), 500, 3000) },
	"client-reset": { parts: ["front"], inject: front((link, random) => link.reset(some(random)), 0, 500) },
	"client-freeze": { parts: ["front"], inject: front((link, random) => link.freeze(some(random)), 0, 500) },
	"client-away": { parts: ["front"], inject: front((link) => link.cut(), 100, 8000) },
	"client-slow": { parts: ["front"], inject: front((link, random) => link.slow(between(random, 5, 150), 0.03), 500, 3000) },
	"nginx-term": {
		parts: ["front"],
		async inject({ cluster, random }) {
			await cluster.nginx.end("SIGTERM"); // at once: requests under way are cut
			await revive(cluster, cluster.nginx, random, 500);
		},
	},
	"cable-cut": {
		parts: ["cable"],
		needs: "network",
		async inject({ network, random }) {
			network.cut();
			await pause(between(random, 200, 6000));
			network.restore();
		},
	},
	"cable-bad": {
		parts: ["cable"],
		needs: "netem",
		async inject({ network, random }) {
			network.disturb("delay", `${Math.round(between(random, 5, 100))}ms`, "10ms", "loss", `${Math.round(between(random, 1, 10))}%`);
			await pause(between(random, 500, 4000));
			network.calm();
		},
	},
	"disk-full": {
		parts: ["disk"],
		needs: "disk",
		async inject({ disk, publisher, random }) {
			const refused = publisher.count(503);
			disk.fill();
			await until("publishers are told that nothing can be stored", () => publisher.count(503) > refused);
			await pause(between(random, 0, 2000));
			disk.free();
			const accepted = publisher.accepted;
			await until("events are stored again", () => publisher.accepted > accepted);
		},
	},
	/** Gateway and hub are killed and started again while the disk is full: the one reads what the other needs. */
	"disk-full-start": {
		parts: ["gateways", "hubs", "disk"],
		needs: "disk",
		async inject({ cluster, disk, publisher, random }) {
			const [gateway] = cluster.gateways, hub = pick(random, cluster.hubs);
			await gateway.end("SIGKILL");
			disk.fill();
			await Promise.all([cluster.restart(gateway), hub.end("SIGKILL").then(() => cluster.restart(hub))]);
			await pause(between(random, 0, 2000));
			disk.free();
			const accepted = publisher.accepted;
			await until("events are stored again", () => publisher.accepted > accepted);
		},
	},
	/** An older copy of the journal comes back, as from a backup: what was stored since is forgotten, but nobody may take the new for the old. */
	"journal-restore": {
		parts: ["gateways", "disk"],
		isRare: true,
		needs: "files",
		async inject({ cluster, publisher, random }) {
			const [gateway] = cluster.gateways;
			const backup = `${cluster.stateDir}-backup`;
			await gateway.end("SIGTERM");
			cpSync(cluster.stateDir, backup, { recursive: true });
			await cluster.restart(gateway);
			await pause(between(random, 200, 2000));
			// What no hub has yet when the copy comes back would be lost indeed.
			await publisher.rest(async () => {
				await until("every hub has everything", () => cluster.hubsAreLevel());
				await gateway.end("SIGTERM");
				rmSync(cluster.stateDir, { recursive: true });
				cpSync(backup, cluster.stateDir, { recursive: true });
				rmSync(backup, { recursive: true });
				await cluster.restart(gateway);
			});
		},
	},
	"postgres-restart": {
		parts: ["postgres"],
		needs: "postgres",
		async inject({ postgres, random }) {
			await postgres.down(pick(random, ["SIGINT", "SIGQUIT"]));
			await pause(between(random, 0, 3000));
			await postgres.up();
		},
	},
	/** Stopped for longer than PostgreSQL waits for a word from it: it loses the lock, and finds that out when it goes on. */
	"gateway-hang": {
		parts: ["gateways"],
		needs: "standby",
		async inject({ cluster, publisher }) {
			const active = cluster.activeGateway();
			active.pause();
			try {
				await until("the other gateway opens the journal", () => cluster.activeGateway() !== active);
				const accepted = publisher.accepted;
				await until("events are stored again", () => publisher.accepted > accepted);
			} finally {
				active.resume();
			}
			await until("the stopped one knows", () => /journal is lost[^]*$/.test(active.text().slice(active.text().lastIndexOf("journal is open"))));
		},
	},
	"gateway-takeover": {
		parts: ["gateways"],
		needs: "standby",
		async inject({ cluster, publisher, random }) {
			const active = cluster.activeGateway();
			await active.end("SIGKILL");
			const accepted = publisher.accepted;
			await until("the other gateway takes over", () => publisher.accepted > accepted);
			await revive(cluster, active, random);
		},
	},
};
