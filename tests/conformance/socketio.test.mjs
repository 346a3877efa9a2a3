// Socket.IO 5 on the wire, over both transports, against the conformance program; then the official client.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { io } from "socket.io-client";
import { io as io3 } from "socket.io-client-3";
import WebSocket from "ws";

import { after, before, describe, test } from "../lib/bounded.mjs";
import { end, get, watch, within } from "../lib/deadline.mjs";

const top = join(dirname(fileURLToPath(import.meta.url)), "../..");
const build = process.env.ROOMCAST_BUILD ?? join(top, "build");
const SEPARATOR = "\x1e";
let server, url;

/** What arrived and was not yet asked for; null is the end of the connection. */
class Inbox {
	#items = [];
	#waiting = [];
	put(item) {
		const waiting = this.#waiting.shift();
		if (waiting) waiting(item);
		else this.#items.push(item);
	}
	take(what) {
		if (this.#items.length) return Promise.resolve(this.#items.shift());
		return within(what, new Promise((resolve) => this.#waiting.push(resolve)));
	}
}

/** Engine.IO messages over one transport; answers heartbeats. */
class Connection {
	inbox = new Inbox();
	isClosed = false;
	receive(packet) {
		if (packet === "2") this.sendPacket("3");
		else if (packet instanceof Buffer) this.inbox.put(packet);
		else if (packet[0] === "4") this.inbox.put(packet.slice(1));
	}
	end() {
		if (!this.isClosed) this.inbox.put(null);
		this.isClosed = true;
	}
	/** The next message: a text, a Buffer, or null when the connection is closed. */
	next(what = "a message") {
		return this.inbox.take(what);
	}
	async expect(...wanted) {
		for (const message of wanted) assert.deepEqual(await this.next(`${message}`), message);
	}
	async expectClose() {
		assert.equal(await this.next("the connection's end"), null);
	}
	/** Joins a namespace and drinks its greeting. */
	async join(nsp = "") {
		this.send(nsp ? `0/${nsp},` : "0");
		const answer = await this.next("the answer to CONNECT");
		const prefix = nsp ? `0/${nsp},` : "0";
		assert.ok(answer.startsWith(`${prefix}{`), answer);
		const { sid, ...more } = JSON.parse(answer.slice(prefix.length));
		assert.match(sid, /^[A-Za-z0-9_-]{20}$/);
		assert.deepEqual(more, {});
		await this.expect(nsp ? `2/${nsp},["auth",{}]` : '2["auth",{}]');
		return sid;
	}
}

class WebSocketConnection extends Connection {
	static async open() {
		const connection = new WebSocketConnection();
		const socket = new WebSocket(`${url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`);
		connection.socket = socket;
		const opened = new Promise((resolve, reject) => {
			socket.on("error", reject);
			socket.on("message", (data, isBinary) => {
				const packet = isBinary ? data : data.toString();
				if (!isBinary && packet[0] === "0") resolve();
				else connection.receive(packet);
			});
		});
		socket.on("close", () => connection.end());
		await within("a WebSocket handshake", opened);
		return connection;
	}
	sendPacket(packet) {
		if (this.socket.readyState === WebSocket.OPEN) this.socket.send(packet);
	}
	send(...messages) {
		for (const message of messages) this.sendPacket(message instanceof Buffer ? message : `4${message}`);
	}
	close() {
		this.socket.terminate();
	}
}

class PollingConnection extends Connection {
	#posts = Promise.resolve();
	static async open() {
		const connection = new PollingConnection();
		const base = `${url}/socket.io/?EIO=4&transport=polling`;
		const { sid } = JSON.parse((await (await get(base)).text()).slice(1));
		connection.url = `${base}&sid=${encodeURIComponent(sid)}`;
		connection.poll();
		return connection;
	}
	async poll() {
		while (!this.isClosed) {
			const answer = await get(this.url).catch(() => null);
			const text = answer?.status === 200 ? await answer.text() : "1";
			for (const packet of text.split(SEPARATOR)) {
				if (packet === "1") this.end();
				else this.receive(packet[0] === "b" ? Buffer.from(packet.slice(1), "base64") : packet);
			}
		}
	}
	sendPacket(packet) {
		this.#posts = this.#posts.then(() => get(this.url, { method: "POST", body: packet }).catch(() => this.end()));
	}
	send(...messages) {
		this.sendPacket(messages.map((m) => (m instanceof Buffer ? `b${m.toString("base64")}` : `4${m}`)).join(SEPARATOR));
	}
	close() {
		this.isClosed = true;
		this.sendPacket("1");
	}
}

before(async () => {
	server = spawn(join(build, "tests/conformance/server"), ["--port=0", "--ping-timeout=5000"], { stdio: ["ignore", "pipe", "inherit"] });
	watch(server);
	const port = await within("the conformance program", new Promise((resolve, reject) => {
		server.on("error", reject);
		server.stdout.on("data", (text) => resolve(/port (\d+)/.exec(text)?.[1]));
	}));
	url = `http://127.0.0.1:${port}`;
});

after(async () => {
	assert.deepEqual(await end(server), { code: 0, signal: null });
});

const holder = (num) => `{"_placeholder":true,"num":${num}}`;
const bytes = (...list) => Buffer.from(list);

for (const Transport of [WebSocketConnection, PollingConnection]) {
	describe(`Socket.IO over ${Transport === WebSocketConnection ? "WebSocket" : "polling"}`, () => {
		const connected = (name, run, nsp) => test(name, async () => {
			const connection = await Transport.open();
			try {
				if (nsp !== null) await connection.join(nsp);
				await run(connection);
			} finally {
				connection.close();
			}
		});
		const unconnected = (name, run) => connected(name, run, null);

		unconnected("CONNECT carries a payload", async (c) => {
			c.send('0{ "token" : "a b", "n" : 1.10 }');
			assert.match(await c.next(), /^0\{"sid":"[^"]+"\}$/);
			await c.expect('2["auth",{"token":"a b","n":1.10}]');
		});
		unconnected("another namespace, with and without the comma, and with a query", async (c) => {
			for (const packet of ["0/custom", "0/custom,", "0/custom?token=1,{}"]) {
				c.send(packet);
				assert.match(await c.next(), /^0\/custom,\{"sid":"[^"]+"\}$/);
				await c.expect('2/custom,["auth",{}]');
				c.send("1/custom");
			}
		});
		unconnected("an unknown namespace is refused, the session stays", async (c) => {
			c.send("0/random");
			await c.expect('4/random,{"message":"Invalid namespace"}');
			await c.join();
		});
		connected("several namespaces on one session", async (c) => {
			await c.join("custom");
			c.send('2["message",1]');
			await c.expect('2["message-back",1]');
		});
		connected("arguments come back as they were, but for white space", async (c) => {
			c.send('2 [ "message" , 12345678901234567890 , 1.10 , "\\u00e9\\/ \u2028" , { "b" : [ ] , "a" : null } ]');
			await c.expect('2["message-back",12345678901234567890,1.10,"\\u00e9\\/ \u2028",{"b":[],"a":null}]');
		});
		connected("acknowledgements: id 0, ids past 2^53, none without an id", async (c) => {
			c.send('20["message-with-ack",1]');
			await c.expect("30[1]");
			c.send('212345678901234567890["message-with-ack"]');
			await c.expect("312345678901234567890[]");
			c.send('2["message-with-ack",1]', '2["message"]');
			await c.expect('2["message-back"]');
		});
		connected("binary: numbered anew in the order in which the placeholders stand", async (c) => {
			c.send(`52-["message",{"num":1,"_placeholder":true},[${holder(0)}]]`, bytes(1, 2, 3), bytes(4));
			await c.expect(`52-["message-back",${holder(0)},[${holder(1)}]]`, bytes(4), bytes(1, 2, 3));
		});
		connected("binary: acknowledged, empty, and none at all", async (c) => {
			c.send(`51-7["message-with-ack",${holder(0)}]`, bytes());
			await c.expect(`61-7[${holder(0)}]`, bytes());
			c.send('50-["message",2]');
			await c.expect('2["message-back",2]');
		});
		connected("what the server did not ask for is ignored: acknowledgements, bare packets, unknown events", async (c) => {
			c.send("377[1]", "3", "2", "25", '2["nobody-listens",{}]', "2[17]", '2["message"]');
			await c.expect('2["message-back"]');
		});
		connected("DISCONNECT gets no answer, and CONNECT is welcome again", async (c) => {
			c.send("1");
			await c.join();
		});
		unconnected("nobody may stay without joining a namespace", (c) => c.expectClose());

		const closing = {
			"an empty message": [""],
			"an unknown type": ["7"],
			"no type": ["abc"],
			"CONNECT_ERROR from a client": ['4{"message":"x"}'],
			"a second CONNECT": ["0"],
			"an event for a namespace that is not joined": ['2/custom,["message"]'],
			"an event behind DISCONNECT": ["1", '2["message"]'],
			"DISCONNECT of a namespace that is not joined": ["1/custom,"],
			"DISCONNECT with a payload": ["1{}"],
			"an event without a name": ["2[]"],
			"an event that is no array": ['2{"a":1}'],
			"an event whose name is an object": ["2[{}]"],
			"an event with a reserved name": ['2["disconnect"]'],
			"an acknowledgement that is no array": ["31{}"],
			"an id of 10,000 digits": [`2${"1".repeat(10_000)}["message"]`],
			"broken JSON": ['2["message"'],
			"something behind the JSON": ['2["message"]]'],
			"NaN": ['2["message",NaN]'],
			"100,000 nested arrays": [`2["message",${"[".repeat(100_000)}${"]".repeat(100_000)}]`],
			"a binary event without its number": ['5["message"]'],
			"too many attachments": ['511-["message"]'],
			"a placeholder for no attachment": [`51-["message",${holder(1)}]`],
			"text while attachments are due": [`51-["message",${holder(0)}]`, '2["message"]'],
			"a second binary packet while attachments are due": [`51-["message",${holder(0)}]`, `51-["message",${holder(0)}]`],
			"binary when none is due": [bytes(1)],
			"one attachment too many": [`51-["nobody-listens",${holder(0)}]`, bytes(1), bytes(2)],
			"attachments of too many bytes": [
				`510-["message",${holder(0)}]`, ...Array.from({ length: 10 }, () => Buffer.alloc(500_000)),
			],
			"CONNECTs without end": Array.from({ length: 1000 }, (_, i) => `0/nowhere-${i}`),
		};
		// Of packets that come one by one each may be served before the next; in one POST they must not pile up.
		if (Transport === PollingConnection)
			closing["CONNECT and DISCONNECT without end"] = Array.from({ length: 400 }, (_, i) => (i % 2 ? "0" : "1"));
		for (const [what, messages] of Object.entries(closing)) {
			// Some are longer than one POST may be.
			connected(`closes on ${what}`, async (c) => {
				if (messages.some((m) => m.length >= 500_000)) for (const message of messages) c.send(message);
				else c.send(...messages);
				for (;;) if ((await c.next("the connection's end")) === null) break;
			});
		}
		connected("an event's name of almost a megabyte does no harm", async (c) => {
			c.send(`2["${"x".repeat(900_000)}"]`);
			c.send('2["message"]');
			await c.expect('2["message-back"]');
		});
	});
}

for (const [version, connect] of [["4", io], ["3", io3]]) {
	for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]]) {
		test(`socket.io-client ${version} over ${transports.join(", then ")}`, async () => {
			const socket = connect(url, { transports, forceNew: true, reconnection: false, auth: { token: "abc" } });
			try {
				const heard = (event) => within(event, new Promise((resolve) => socket.once(event, (...args) => resolve(args))));
				assert.deepEqual(await heard("auth"), [{ token: "abc" }]);
				if (transports.length === 2 && socket.io.engine.transport.name !== "websocket")
					await within("the upgrade", new Promise((resolve) => socket.io.engine.once("upgrade", resolve)));
				const back = heard("message-back");
				socket.emit("message", 1, "\u00fc", { a: [bytes(1, 2), { b: bytes() }] }, bytes(255));
				assert.deepEqual(await back, [1, "\u00fc", { a: [bytes(1, 2), { b: bytes() }] }, bytes(255)]);
				const acknowledged = new Promise((resolve) => socket.emit("message-with-ack", "x", bytes(7), (...args) => resolve(args)));
				assert.deepEqual(await within("an acknowledgement", acknowledged), ["x", bytes(7)]);
				const order = [];
				const all = new Promise((resolve) => socket.on("message-back", (n) => order.push(n) === 200 && resolve()));
				for (let n = 0; n < 200; n++) socket.emit("message", n);
				await within("200 events", all);
				assert.deepEqual(order, Array.from({ length: 200 }, (_, n) => n));
			} finally {
				socket.disconnect();
			}
		});
	}
}
