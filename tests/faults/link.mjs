// A relay for byte streams that can fail as networks do: cut (nothing moves, nobody is told), reset, slow, lossy. It knows nothing
// of what it carries. Addresses are { path } for unix sockets or { host, port }.
//
// Loss is shown as TCP shows it to its users: a piece that was lost arrives one retransmission later, and holds up all behind it.
import { rmSync } from "node:fs";
import { connect, createServer } from "node:net";

import { within } from "../lib/deadline.mjs";

const RETRANSMISSION_MS = 250;
const QUEUE_MAX = 1 << 16; // bytes under way in one direction, as in the buffers of a real link

/** One direction of one connection. */
class Stream {
	constructor(link, from, to) {
		Object.assign(this, { link, from, to, queue: [], bytes: 0, lastAt: 0, hasEnded: false, isFrozen: false });
		from.on("data", (piece) => this.take(piece));
		from.on("end", () => {
			this.hasEnded = true;
			this.flush();
		});
		to.on("drain", () => this.flush());
	}

	take(piece) {
		const { delay_ms, loss, random, swallows } = this.link;
		this.isFrozen ||= Boolean(swallows?.(piece));
		const at = Date.now() + delay_ms + (random() < loss ? RETRANSMISSION_MS : 0);
		this.lastAt = Math.max(this.lastAt, at); // nothing overtakes
		this.queue.push({ piece, at: this.lastAt });
		this.bytes += piece.length;
		if (this.bytes > QUEUE_MAX) this.from.pause();
		this.flush();
	}

	flush() {
		clearTimeout(this.timer);
		while (this.queue.length && !this.link.isCut && !this.isFrozen && !this.to.writableNeedDrain) {
			const wait = this.queue[0].at - Date.now();
			if (wait > 0) {
				this.timer = setTimeout(() => this.flush(), wait);
				return;
			}
			const { piece } = this.queue.shift();
			this.bytes -= piece.length;
			this.to.write(piece);
		}
		if (this.bytes <= QUEUE_MAX) this.from.resume();
		if (this.hasEnded && !this.queue.length) this.to.end();
	}
}

export class Link {
	/** Listens on `from` and carries each connection to `to`, which may be away: then the connection ends at once. */
	static async open(from, to, random = Math.random) {
		const link = new Link();
		Object.assign(link, { from, to, random, delay_ms: 0, loss: 0, isCut: false, pairs: new Set() });
		if (from.path) rmSync(from.path, { force: true });
		link.server = createServer({ allowHalfOpen: true }, (near) => link.carry(near));
		try {
			await within("a link listens", new Promise((resolve, reject) => link.server.on("error", reject).listen(from, resolve)));
		} catch (err) {
			link.server.close();
			throw err;
		}
		return link;
	}

	carry(near) {
		const far = connect({ ...this.to, allowHalfOpen: true });
		const streams = [new Stream(this, near, far), new Stream(this, far, near)];
		const pair = { near, far, streams };
		this.pairs.add(pair);
		const end = () => {
			near.destroy();
			far.destroy();
			for (const stream of streams) clearTimeout(stream.timer);
			this.pairs.delete(pair);
		};
		for (const socket of [near, far]) {
			socket.setNoDelay?.(true);
			socket.on("error", () => {});
			// While the link is cut neither side learns that the other has gone.
			socket.on("close", () => (this.isCut || pair.isFrozen ? (pair.isOver = end) : end()));
		}
	}

	/** Nothing moves any more, and nobody is told. */
	cut() {
		this.isCut = true;
	}

	restore() {
		Object.assign(this, { isCut: false, delay_ms: 0, loss: 0, swallows: undefined });
		for (const pair of [...this.pairs]) {
			if (pair.isOver) pair.isOver();
			else for (const stream of pair.streams) stream.flush();
		}
	}

	slow(delay_ms, loss) {
		Object.assign(this, { delay_ms, loss });
	}

	/** Connections, or a random part of them, end with a reset. */
	reset(part = 1) {
		for (const pair of [...this.pairs]) {
			if (this.random() >= part) continue;
			for (const socket of [pair.near, pair.far]) socket.remoteAddress ? socket.resetAndDestroy() : socket.destroy();
		}
	}

	/** From the first piece on that isIt(piece) is true for, that direction of its connection is dead. */
	swallow(isIt) {
		this.swallows = isIt;
	}

	/** Connections, or a random part of them, go dead without an end: half-open. New ones work. */
	freeze(part = 1) {
		for (const pair of this.pairs) {
			if (this.random() >= part) continue;
			pair.isFrozen = true;
			for (const stream of pair.streams) stream.isFrozen = true;
		}
	}

	async close() {
		const closed = new Promise((resolve) => this.server.close(resolve));
		for (const { near, far } of this.pairs) {
			near.destroy();
			far.destroy();
		}
		await within("a link is closed", closed);
	}
}
