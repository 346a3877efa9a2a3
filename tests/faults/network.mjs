// Two network namespaces with a cable between them. What is sent through() crosses it by TCP, so that it meets what a kernel does when a cable
// is pulled: no word to anybody, and retransmissions ever more seldom.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { top } from "../integration/roomcast.mjs";
import { all, until, watch } from "../lib/deadline.mjs";

const NEAR = "10.213.7.1", FAR = "10.213.7.2"; // seen by nobody outside the two namespaces
const FIRST_PORT = 7000;
const PROGRAM_MS = 30_000;

const ip = (...args) => execFileSync("ip", args, { stdio: "pipe", timeout: PROGRAM_MS });

export class Network {
	/** undefined, and the reason in Network.refusal, where the kernel or one's rights do not allow it. */
	static open() {
		const network = new Network();
		Object.assign(network, { near: `rcf-${process.pid}-a`, far: `rcf-${process.pid}-b`, relays: [], dir: mkdtempSync(join(tmpdir(), "rcn-")) });
		try {
			for (const name of [network.near, network.far]) ip("netns", "add", name);
			ip("-n", network.near, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", network.far);
			for (const [name, address] of [[network.near, NEAR], [network.far, FAR]]) {
				ip("-n", name, "address", "add", `${address}/24`, "dev", "cable");
				ip("-n", name, "link", "set", "cable", "up");
			}
		} catch (err) {
			Network.refusal = String(err.stderr ?? err.message).trim();
			network.close().catch(() => {}); // there are no relays yet
			return undefined;
		}
		network.hasNetem = network.tryNetem();
		return network;
	}

	tryNetem() {
		try {
			this.disturb("delay", "1ms");
			this.calm();
			return true;
		} catch (err) {
			this.netemRefusal = String(err.stderr ?? err.message).trim();
			return false;
		}
	}

	disturb(...how) {
		execFileSync("tc", ["-n", this.near, "qdisc", "add", "dev", "cable", "root", "netem", ...how], { stdio: "pipe", timeout: PROGRAM_MS });
	}

	calm() {
		execFileSync("tc", ["-n", this.near, "qdisc", "del", "dev", "cable", "root"], { stdio: "pipe", timeout: PROGRAM_MS });
	}

	cut() {
		ip("-n", this.near, "link", "set", "cable", "down");
	}

	restore() {
		ip("-n", this.near, "link", "set", "cable", "up");
	}

	/** A unix socket in the far namespace's hands that leads over the cable to another one. */
	async through(path) {
		const port = FIRST_PORT + this.relays.length;
		const entry = join(this.dir, `${port}.sock`);
		await this.relay(this.near, { host: NEAR, port }, { path });
		await this.relay(this.far, { path: entry }, { host: NEAR, port });
		return entry;
	}

	async relay(namespace, from, to) {
		const child = spawn("ip", ["netns", "exec", namespace, process.execPath, join(top, "tests/faults/relay.mjs"), JSON.stringify({ from, to })],
			{ stdio: ["pipe", "pipe", "inherit"] });
		this.relays.push(watch(child));
		child.stdin.on("error", () => {}); // it may have ended
		child.stdout.setEncoding("utf8").on("data", (text) => (child.isReady ||= text.includes("ready")));
		await until("a relay is ready", () => child.isReady);
	}

	async close() {
		for (const child of this.relays) child.stdin.end(); // it ends with its standard input
		try {
			await all(this.relays.map((child) => child.ended));
		} finally {
			for (const name of [this.near, this.far]) {
				try {
					ip("netns", "del", name);
				} catch { /* it was never made */ }
			}
			rmSync(this.dir, { recursive: true, force: true });
		}
	}
}
