// What is done to a cluster while it works. Each fault harms, waits a while, and mends; when inject() returns, all is whole again.
import { setTimeout as pause } from "node:timers/promises";

import { between, pick } from "./random.mjs";

/** Starts a daemon that was killed, after a while. */
async function revive(cluster, daemon, random, most_ms = 1500) {
	await pause(between(random, 0, most_ms));
	await cluster.restart(daemon);
}

async function stopFor(daemon, ms) {
	daemon.pause();
	await pause(ms);
	daemon.resume();
}

/** Lets the links of one hub be harmed for a while. */
async function harmLine(cluster, random, harm, least_ms, most_ms) {
	const hub = pick(random, cluster.hubs);
	for (const link of hub.links) harm(link);
	await pause(between(random, least_ms, most_ms));
	for (const link of hub.links) link.restore();
}

export const FAULTS = {
	"gateway-kill": async ({ cluster, random }) => {
		const gateway = pick(random, cluster.gateways);
		await gateway.end("SIGKILL");
		await revive(cluster, gateway, random);
	},
	"gateway-term": async ({ cluster, random }) => {
		const gateway = pick(random, cluster.gateways);
		await gateway.end("SIGTERM");
		await revive(cluster, gateway, random);
	},
	"gateway-stop": ({ cluster, random }) => stopFor(pick(random, cluster.gateways), between(random, 100, 5000)),
	"hub-kill": async ({ cluster, random }) => {
		const hub = pick(random, cluster.hubs);
		await hub.end("SIGKILL");
		await revive(cluster, hub, random);
	},
	"hub-stop": ({ cluster, random }) => stopFor(pick(random, cluster.hubs), between(random, 100, 5000)),
	"line-cut": ({ cluster, random }) => harmLine(cluster, random, (link) => link.cut(), 200, 7000),
	"line-reset": ({ cluster, random }) => harmLine(cluster, random, (link) => link.reset(), 0, 100),
	"line-slow": ({ cluster, random }) => harmLine(cluster, random, (link) => link.slow(between(random, 5, 150), 0.05), 500, 3000),
	"client-reset": async ({ cluster, random }) => {
		for (let times = 1 + Math.floor(random() * 4); times > 0; times--) {
			cluster.front.reset(between(random, 0.2, 1));
			await pause(between(random, 20, 1000));
		}
	},
	"client-freeze": async ({ cluster, random }) => {
		cluster.front.freeze(between(random, 0.2, 1));
		await pause(between(random, 100, 1000));
	},
	"client-away": async ({ cluster, random }) => {
		cluster.front.cut();
		await pause(between(random, 100, 8000));
		cluster.front.restore();
	},
	"client-slow": async ({ cluster, random }) => {
		cluster.front.slow(between(random, 5, 150), 0.03);
		await pause(between(random, 500, 3000));
		cluster.front.restore();
	},
	"rolling-restart": async ({ cluster }) => {
		for (const hub of cluster.hubs) {
			await hub.end("SIGTERM");
			await cluster.restart(hub);
		}
	},
};
