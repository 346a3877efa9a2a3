// Clients as an application has them, that write down what their handlers saw, over wires that can be cut.
import assert from "node:assert/strict";
import { realpathSync } from "node:fs";
import { request } from "node:http";
import { connect, createServer } from "node:net";
import { join } from "node:path";

import { io } from "socket.io-client";

import { until, within } from "../lib/deadline.mjs";

/** A TCP relay to a hub or to nginx. It can be cut, frozen (nothing passes, nothing closes), and led elsewhere. */
export class Wire {
	static async to(target) {
		const wire = new Wire();
		wire.target = target;
		wire.pairs = new Set();
		wire.server = createServer((client) => wire.#relay(client));
		await within("a wire listens", new Promise((resolve, reject) => wire.server.on("error", reject).listen(0, "127.0.0.1", resolve)));
		wire.url = `http://127.0.0.1:${wire.server.address().port}`;
		return wire;
	}

	#relay(client) {
		if (this.isDown) return client.destroy();
		const hub = connect(this.target);
		const pair = { client, hub };
		this.pairs.add(pair);
		for (const [one, other] of [[client, hub], [hub, client]]) {
			one.pipe(other, { end: false });
			one.on("error", () => one.destroy());
			one.on("close", () => {
				this.pairs.delete(pair);
				if (!pair.isFrozen) other.destroy();
			});
			one.on("end", () => pair.isFrozen || other.end());
		}
		if (this.isFrozen) this.#freeze(pair);
	}

	#freeze(pair) {
		pair.isFrozen = true;
		pair.client.unpipe(pair.hub);
		pair.hub.unpipe(pair.client);
		pair.client.pause();
		pair.hub.pause();
	}

	/** Both ends see their connections die. */
	cut() {
		for (const pair of this.pairs) {
			pair.client.destroy();
			pair.hub.destroy();
		}
	}

	/** The client's end dies; the hub does not learn of it. */
	halfOpen() {
		for (const pair of this.pairs) {
			this.#freeze(pair);
			pair.client.destroy();
		}
	}

	/** Nothing is read any more, by nobody, until thaw. */
	freeze() {
		for (const pair of this.pairs) this.#freeze(pair);
	}

	thaw() {
		for (const pair of this.pairs) {
			pair.isFrozen = false;
			pair.client.pipe(pair.hub, { end: false });
			pair.hub.pipe(pair.client, { end: false });
		}
	}

	close() {
		this.cut();
		this.server.close();
	}
}

export const hubSocket = (roomcast, name) => join(realpathSync(join(roomcast.state, "data")), `${name}.sock`);
export const nginxOf = (roomcast) => ({ host: "127.0.0.1", port: roomcast.port });

/** An official client that follows entity types: `got` holds the numbers that its handlers saw, by type; `everyone` those of emits to all. */
export class Follower {
	constructor(url, types, { token, ...options } = {}) {
		this.types = types;
		this.got = Object.fromEntries(types.map((type) => [type, []]));
		this.everyone = [];
		this.acks = [];
		this.connects = [];
		this.disconnects = [];
		this.socket = io(url, {
			path: "/api/socket", forceNew: true, query: { recovery: "1" }, reconnectionDelay: 20, reconnectionDelayMax: 100,
			auth: token ? (answer) => answer({ token: typeof token === "function" ? token() : token }) : undefined, ...options,
		});
		this.socket.on("data-change", ({ entityType, data }) => this.got[entityType]?.push(data.n));
		this.socket.on("numbered", (n) => this.everyone.push(n));
		this.socket.on("disconnect", (reason) => this.disconnects.push(reason));
		this.socket.on("connect", () => {
			this.connects.push({ id: this.socket.id, recovered: this.socket.recovered });
			if (this.types.length) this.socket.emit("join-data-sync", this.types, (ack) => this.acks.push(ack));
		});
	}

	get isConnected() {
		return this.socket.connected;
	}

	get ack() {
		return this.acks.at(-1);
	}

	/** Until it is connected, and its rooms were acknowledged, for the count-th time. */
	ready(count = 1) {
		return until(`client is connected ${count} times`, () => this.isConnected && this.connects.length >= count && this.acks.length >= count);
	}

	has(type, n) {
		return until(`${n} of ${type} arrived (${this.got[type].at(-1)})`, () => this.got[type].includes(n));
	}

	close() {
		this.socket.disconnect();
	}
}

/** first, first + 1, ... last: once each and in order. */
export function assertSequence(numbers, first, last, what = "") {
	const missing = [], twice = [], seen = new Set();
	for (const n of numbers) {
		if (seen.has(n)) twice.push(n);
		seen.add(n);
	}
	for (let n = first; n <= last; n++) if (!seen.has(n)) missing.push(n);
	assert.deepEqual({ missing, twice }, { missing: [], twice: [] }, what);
	assert.deepEqual(numbers, Array.from({ length: last - first + 1 }, (_, i) => first + i), what);
}

/** What a hub answers to a GET of its own socket: { status, text }; status 0 when it does not. */
export function ask(roomcast, name, path) {
	return new Promise((resolve) => {
		const asked = request({ socketPath: hubSocket(roomcast, name), path, timeout: 10_000 }, (response) => {
			let text = "";
			response.setEncoding("utf8").on("data", (piece) => (text += piece)).on("end", () => resolve({ status: response.statusCode, text }));
			response.on("error", () => resolve({ status: 0, text: "" }));
		});
		asked.on("timeout", () => asked.destroy(new Error("no answer"))).on("error", () => resolve({ status: 0, text: "" })).end();
	});
}

/** A hub's metrics as an object; empty when it does not answer. */
export async function metrics(roomcast, name) {
	const { text } = await ask(roomcast, name, "/metrics");
	return Object.fromEntries([...text.matchAll(/^roomcast_hub_(.+) (\d+)$/gm)].map(([, key, value]) => [key, Number(value)]));
}
