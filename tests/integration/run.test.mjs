// What ./run promises: one command, and everything it started ends with it.
import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { io } from "socket.io-client";

import { after, afterEach, before, describe, test } from "../lib/bounded.mjs";
import { all, get, heard, within } from "../lib/deadline.mjs";
import { isAlive, newState, paste, Roomcast, top, until } from "./roomcast.mjs";

const ENDS_MS = 30_000; // sanitizers look for leaks at the end

const lineAfter = (text, label) => text.match(new RegExp(`^${label}\\s+(\\S+)$`, "m"))?.[1];

/** Every process whose environment or command names the state directory. */
function processesOf(state) {
	return readdirSync("/proc").filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid).filter((pid) => {
		try {
			return isAlive(pid) && readFileSync(`/proc/${pid}/environ`, "utf8").includes(`ROOMCAST_STATE=${state}\0`);
		} catch {
			return false;
		}
	});
}

const sockets = new Set();
function connect(url, options) {
	const socket = io(url, { path: "/api/socket", forceNew: true, reconnectionDelay: 100, ...options });
	sockets.add(socket);
	return socket;
}

const systems = new Set();
const kept = async (roomcast) => systems.add(await roomcast) && roomcast;

/** Whatever became of the test that made them. */
afterEach(async () => {
	for (const socket of sockets) socket.close();
	sockets.clear();
	const left = [...systems].filter((roomcast) => !roomcast.hasExited);
	systems.clear();
	await all(left.map((roomcast) => roomcast.stop()));
});
const event = (socket, name) => heard(socket, name).then(([first]) => first);

describe("one hub", () => {
	let roomcast;
	before(async () => (roomcast = await Roomcast.start()));
	after(() => roomcast?.stop());

	test("prints the demo's address, a token and a curl line", async () => {
		assert.equal(lineAfter(roomcast.output, "Demo"), `${roomcast.url}/`);
		assert.equal(lineAfter(roomcast.output, "Token"), roomcast.info.token);
		assert.match(roomcast.output, /^curl /m);
		const page = await get(`${roomcast.url}/`);
		assert.equal(page.status, 200);
		assert.match(await page.text(), /<title>Equipment/);
	});

	test("the curl line works when pasted, and reaches a client", async () => {
		const socket = connect(roomcast.url);
		await event(socket, "connect");
		const received = event(socket, "system-notification");
		const { stdout } = await paste(roomcast.output.match(/^curl .*$/m)[0]);
		const answer = JSON.parse(stdout);
		assert.equal(answer.success, true);
		assert.equal(answer.hubs, 1);
		assert.equal((await received).title, "Hello");
		socket.close();
	});

	test("the token makes a client somebody", async () => {
		const socket = connect(roomcast.url, { auth: { token: roomcast.info.token } });
		await event(socket, "connect");
		const received = event(socket, "notification");
		const answer = await roomcast.publish("notification", { userId: "demo", notification: { title: "Yours", message: "only", type: "info" } });
		assert.equal(answer.status, 200);
		assert.equal((await received).title, "Yours");
		socket.close();
	});

	test("the state directory holds the pids of the daemons themselves", () => {
		const programs = { gateway: /roomcast-gateway/, "hub-1": /roomcast-hub/, nginx: /nginx: master/, demo: /server\.py/ };
		for (const [name, program] of Object.entries(programs)) {
			const pid = roomcast.pid(name);
			assert.ok(isAlive(pid), name);
			assert.match(readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " "), program);
		}
		assert.equal(roomcast.info.hubs.length, 1);
		assert.ok(statSync(roomcast.info.hubs[0].socket).isSocket());
	});

	test("no daemon has root's rights, and secrets are for their owner only", () => {
		for (const name of ["gateway", "hub-1", "nginx", "demo"]) {
			const status = readFileSync(`/proc/${roomcast.pid(name)}/status`, "utf8");
			assert.ok(!/^Uid:.*\t0(\t|$)/m.test(status), `${name} runs as root`);
			assert.match(status, /^NoNewPrivs:\s+1$/m);
		}
		for (const name of ["jwt_secret", "api_key", "run.json"]) {
			assert.equal(statSync(join(roomcast.state, name)).mode & 0o777, 0o600, name);
		}
	});

	test("secrets stand in no command line", () => {
		const key = roomcast.info.apiKey;
		for (const pid of processesOf(roomcast.state)) {
			assert.ok(!readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(key));
		}
	});

	for (const name of ["gateway", "hub-1", "nginx"]) {
		test(`${name} is started again after kill -9, and work goes on`, async () => {
			const old = roomcast.pid(name);
			const began = Date.now();
			process.kill(old, "SIGKILL");
			const pid = await until(`${name} has a new pid`, () => roomcast.pid(name) !== old && roomcast.pid(name));
			assert.ok(Date.now() - began >= 900, "not before a second has passed");
			assert.ok(isAlive(pid));
			const socket = connect(roomcast.url);
			const received = event(socket, "system-notification");
			await until("connected again", () => socket.connected);
			await until("an event arrives", async () => {
				const answer = await roomcast.publish("system-notification", { title: "again", message: "", type: "info" }).catch(() => null);
				if (answer?.status !== 200) return false;
				return Promise.race([received, new Promise((resolve) => setTimeout(resolve, 500))]);
			});
			socket.close();
		});
	}

	test("while the gateway is away, backends are told in JSON", async () => {
		const old = roomcast.pid("gateway");
		process.kill(old, "SIGKILL");
		const answer = await until("an answer that is not a success", async () => {
			const tried = await roomcast.publish("system-notification", { title: "x", message: "", type: "info" });
			return tried.status !== 200 && tried;
		});
		assert.ok([503, 504].includes(answer.status), `status ${answer.status}`);
		assert.match(answer.type, /^application\/json/);
		assert.equal(answer.body.success, false);
		assert.equal(answer.body.code, answer.status === 503 ? "unavailable" : "outcome_unknown");
		await until("the gateway is back", () => roomcast.pid("gateway") !== old);
		await until("it answers", async () => (await roomcast.publish("system-notification", { title: "x", message: "" }).catch(() => ({}))).status === 200);
	});

	test("bodies that are too large get the same answer from the gateway and from nginx", async () => {
		for (const size of [1.5 * 1024 * 1024, 5 * 1024 * 1024]) {
			const began = Date.now();
			const answer = await roomcast.publish("system-notification", { title: "x".repeat(size), message: "" });
			assert.equal(answer.status, 413);
			assert.ok(Date.now() - began < 4500, `answered at once, not after ${Date.now() - began} ms`);
			assert.equal(answer.body.success, false);
			assert.equal(answer.body.code, "too_large");
		}
	});

	test("the status answers with and without a slash", async () => {
		for (const path of ["/api/socket", "/api/socket/"]) {
			const response = await get(roomcast.url + path);
			assert.equal(response.status, 200);
			const status = await response.json();
			assert.equal(status.success, true);
			assert.equal(status.path, "/api/socket");
		}
	});

	test("the same state directory twice is refused", async () => {
		const second = await kept(Roomcast.spawn({ state: roomcast.state }));
		assert.equal((await second.exited).code, 1);
		assert.match(second.output, /another \.\/run is using the state directory/);
		assert.ok(isAlive(roomcast.pid("nginx")));
	});

	test("a port in use is refused", async () => {
		const second = await kept(Roomcast.spawn({ port: roomcast.port }));
		assert.equal((await second.exited).code, 1);
		assert.match(second.output, /is listening on 127\.0\.0\.1:\d+ already/);
		second.forget();
	});

	test("a second copy beside it does not collide", async () => {
		const second = await kept(Roomcast.start());
		assert.notEqual(second.info.apiKey, roomcast.info.apiKey);
		const mine = connect(roomcast.url);
		const theirs = connect(second.url);
		let strayed = false;
		await Promise.all([event(mine, "connect"), event(theirs, "connect")]);
		mine.on("system-notification", () => (strayed = true));
		const received = event(theirs, "system-notification");
		assert.equal((await second.publish("system-notification", { title: "second", message: "" })).status, 200);
		await received;
		assert.equal(strayed, false);
		mine.close();
		theirs.close();
		assert.deepEqual(await second.stop(), { code: 0, signal: null });
		assert.ok(isAlive(roomcast.pid("hub-1")));
	});
});

describe("two hubs", () => {
	let roomcast;
	before(async () => (roomcast = await Roomcast.start({ hubs: 2 })));
	after(() => roomcast?.stop());

	test("both take clients, polling finds its hub, and an event reaches all", async () => {
		const sockets = Array.from({ length: 12 }, (_, index) =>
			connect(roomcast.url, { transports: index % 3 === 0 ? ["websocket"] : ["polling"] }));
		await Promise.all(sockets.map((socket) => event(socket, "connect")));
		const hubs = new Set(sockets.map((socket) => socket.io.engine.id.split("~")[0]));
		assert.deepEqual([...hubs].sort(), ["hub-1", "hub-2"]);

		await Promise.all(sockets.map((socket) => socket.timeout(5000).emitWithAck("join-data-sync", ["equipment"])));
		const received = sockets.map((socket) => event(socket, "data-change"));
		const answer = await roomcast.publish("data-change", { entityType: "equipment", action: "UPDATE", data: { id: 7 } });
		assert.equal(answer.body.hubs, 2);
		for (const change of await Promise.all(received)) assert.equal(change.data.id, 7);
		await until("the status counts both", async () => (await (await get(`${roomcast.url}/api/socket`)).json()).connectedClients === 12);
		sockets.forEach((socket) => socket.close());
	});

	test("an upgrade from polling finds its hub as well", async () => {
		const socket = connect(roomcast.url);
		await event(socket, "connect");
		await until("upgraded", () => socket.io.engine.transport.name === "websocket");
		socket.close();
	});

	test("a dead hub is no matter for new clients", async () => {
		process.kill(roomcast.pid("hub-2"), "SIGKILL");
		const sockets = Array.from({ length: 6 }, () => connect(roomcast.url, { reconnection: false }));
		await within("all are connected", Promise.all(sockets.map((socket) => new Promise((resolve, reject) => {
			socket.on("connect", resolve);
			socket.on("connect_error", reject);
		}))));
		sockets.forEach((socket) => socket.close());
	});
});

describe("its end", () => {
	for (const signal of ["SIGTERM", "SIGINT"]) {
		test(`${signal} ends everything`, async () => {
			const roomcast = await kept(Roomcast.start());
			const began = Date.now();
			assert.deepEqual(await roomcast.stop({ signal, keep: true }), { code: 0, signal: null });
			assert.ok(Date.now() - began < ENDS_MS);
			assert.deepEqual(processesOf(roomcast.state), []);
			const left = readdirSync(roomcast.state).filter((name) => /\.pid$|^run\.json$/.test(name));
			assert.deepEqual(left, []);
			roomcast.forget();
		});
	}

	test("SIGINT also reaches one that was started in the background, where shells ignore it", async () => {
		const roomcast = await kept(Roomcast.start({ shell: `trap '' INT; exec "${join(top, "run")}"` }));
		assert.deepEqual(await roomcast.stop({ signal: "SIGINT", keep: true }), { code: 0, signal: null });
		assert.deepEqual(processesOf(roomcast.state), []);
		roomcast.forget();
	});

	test("a signal at any moment of the start leaves nothing behind", async () => {
		for (const delay of [0, 60, 150, 250, 400, 700]) {
			const roomcast = await kept(Roomcast.spawn());
			await new Promise((resolve) => setTimeout(resolve, delay)); // the moment is what varies here
			const { code } = await roomcast.stop({ keep: true });
			assert.ok([0, 143, null].includes(code), `exit ${code} after ${delay} ms: ${roomcast.output}`);
			await until(`nothing is left after ${delay} ms`, () => processesOf(roomcast.state).length === 0);
			assert.ok(!existsSync(join(roomcast.state, "run.json")));
			roomcast.forget();
		}
	});

	test("killed itself, it takes its daemons along", async () => {
		const roomcast = await kept(Roomcast.start());
		await roomcast.stop({ signal: "SIGKILL", keep: true });
		await until("everything is gone", () => processesOf(roomcast.state).length === 0);
		roomcast.forget();
	});

	test("a second start has the same secrets and the same journal, and is ready in seconds", async () => {
		const state = newState();
		const first = await kept(Roomcast.start({ state }));
		const { body } = await first.publish("data-change", { entityType: "kept", action: "CREATE", data: { id: 1 } });
		await first.stop({ keep: true });
		const began = Date.now();
		const second = await kept(Roomcast.start({ state }));
		assert.ok(Date.now() - began < 30_000, `${Date.now() - began} ms`);
		assert.equal(second.info.apiKey, first.info.apiKey);
		const log = await get(`${second.url}/api/broadcast/events?entityType=kept`, { headers: { Authorization: `Bearer ${second.info.apiKey}` } });
		assert.deepEqual((await log.json()).events.map(({ id }) => id), [body.id]);
		await second.stop();
	});
});

describe("what it is told", () => {
	test("given secrets are used and not written down", async () => {
		const env = { JWT_SECRET: "a secret of thirty-two characters", ROOMCAST_API_KEY: "key-with-'quote\"" };
		const roomcast = await kept(Roomcast.start({ env }));
		assert.equal(roomcast.info.apiKey, env.ROOMCAST_API_KEY);
		const { stdout } = await paste(roomcast.output.match(/^curl .*$/m)[0]);
		assert.equal(JSON.parse(stdout).success, true);
		assert.ok(!existsSync(join(roomcast.state, "jwt_secret")));
		await roomcast.stop();
	});

	test("a state directory with a very long name does", async () => {
		const roomcast = await kept(Roomcast.start({ state: join(newState(), "x".repeat(120)) }));
		assert.equal((await roomcast.publish("system-notification", { title: "x", message: "" })).status, 200);
		await roomcast.stop();
	});

	test("nonsense is refused with a sentence", async () => {
		for (const [env, words] of [[{ PORT: "http" }, /PORT must be a number/], [{ HUBS: "0" }, /HUBS must be a number/],
			[{ HUBS: "2x" }, /HUBS must be a number/]]) {
			const roomcast = await kept(Roomcast.spawn({ env }));
			assert.equal((await roomcast.exited).code, 1);
			assert.match(roomcast.output, words);
			roomcast.forget();
		}
	});

	test("--help tells every variable", async () => {
		const { stdout } = await paste(`${join(top, "run")} --help`);
		for (const name of ["PORT", "HUBS", "ROOMCAST_STATE", "ROOMCAST_BUILD", "JWT_SECRET", "ROOMCAST_API_KEY", "NEXT_PUBLIC_APP_URL", "NODE_ENV"]) {
			assert.match(stdout, new RegExp(`^  ${name} `, "m"));
		}
	});
});
