// A client that comes back at a bad moment: each of these was found by the random runs, and happens here on purpose.
import assert from "node:assert/strict";

import { io } from "socket.io-client";

import { after, afterEach, before, test } from "../lib/bounded.mjs";
import { get, until } from "../lib/deadline.mjs";
import { Cluster } from "./cluster.mjs";
import { Publisher, STREAMS } from "./publisher.mjs";
import { watch } from "./recorder.js";

let cluster, publisher, socket;

before(async () => {
	cluster = await Cluster.start({ hubs: 1, hubOptions: ["--ping-interval=2s", "--ping-timeout=2s", "--node-env=development"] });
	publisher = new Publisher({ port: cluster.port, apiKey: cluster.apiKey, rate: 100, random: Math.random });
});

afterEach(() => socket?.close());

after(async () => {
	if (cluster) assert.deepEqual(await cluster.stop(), []);
});

const now = () => performance.timeOrigin + performance.now();

/** A client that joins "Lamp" at each connect; onConnect is called before it does. */
function follow(transports, onConnect) {
	socket = io(cluster.url, {
		path: "/api/socket", forceNew: true, transports, query: { recovery: "1" }, reconnectionDelay: 50, reconnectionDelayMax: 100, timeout: 1000,
	});
	socket.on("connect", onConnect);
	return watch(socket, ["Lamp"], now);
}

const lamps = STREAMS.find(({ name }) => name === "lamps");
const system = STREAMS.find(({ name }) => name === "system");
let posted = 0;

async function post(count, ...streams) {
	const tags = [];
	for (let i = 0; i < count; i++) for (const stream of [lamps, ...streams]) tags.push((await publisher.post(stream, posted++)).tag);
	return tags;
}

for (const transport of ["websocket", "polling"]) {
	test(`whose join was never heard, over ${transport}`, async () => {
		let connects = 0;
		const recorder = follow([transport], () => {
			if (++connects === 2) cluster.front.cut(); // the join behind this CONNECT goes nowhere
		});
		await until("joined", () => recorder.summary().joined);
		const first = await post(5);
		await until("the first events", () => recorder.summary().lastTag === first.at(-1));
		await cluster.hubs[0].end("SIGKILL"); // so that its session is unknown
		await cluster.restart(cluster.hubs[0]);
		await until("it is back, and cut off", () => connects === 2);
		const second = await post(5);
		await until("the hub has given it up", async () => (await (await get(`http://127.0.0.1:${cluster.port}/api/socket`)).json()).connectedClients === 0);
		cluster.front.restore();
		const third = await post(5);
		await until("it has everything", () => recorder.summary().lastTag === third.at(-1));
		const { seen, told } = recorder.report();
		assert.deepEqual(seen.map(({ tag }) => tag), [...first, ...second, ...third]);
		assert.deepEqual(told, []);
	});
}

test("whose requests go nowhere while answers arrive: nothing is passed over", async () => {
	let connects = 0;
	const recorder = follow(["polling"], () => {
		if (++connects === 2) cluster.front.swallow((piece) => piece.includes("POST /api/socket"));
	});
	await until("joined", () => recorder.summary().joined);
	const first = await post(5, system);
	await until("the first events", () => recorder.summary().lastTag === first.at(-1));
	await cluster.hubs[0].end("SIGKILL");
	await cluster.restart(cluster.hubs[0]);
	await until("it is back", () => connects === 2);
	const second = await post(5, system);
	await until("the client has given it up", () => !socket.connected);
	cluster.front.restore();
	const third = await post(5, system);
	await until("it has everything", () => recorder.summary().lastTag === third.at(-1));
	const { seen, told } = recorder.report();
	assert.deepEqual(seen.map(({ tag }) => tag), [...first, ...second, ...third]);
	assert.deepEqual(told, []);
});
