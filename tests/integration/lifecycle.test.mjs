// Daemons that end and come back: how they end, and that work goes on by itself.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { io } from "socket.io-client";

import { after, before, test } from "../lib/bounded.mjs";
import { halt } from "../lib/deadline.mjs";
import { Roomcast, isAlive, until } from "./roomcast.mjs";
import { post } from "./publisher.mjs";

let roomcast;
let socket;

before(async () => {
	roomcast = await Roomcast.start({ hubs: 1 });
	socket = io(roomcast.url, { path: "/api/socket", reconnectionDelay: 50, reconnectionDelayMax: 200 });
	socket.on("connect", () => socket.emit("join-data-sync", ["Thing"]));
	await until("connected", () => socket.connected);
});

after(async () => {
	socket?.disconnect();
	await roomcast?.stop();
});

const pid = (name) => Number(readFileSync(join(roomcast.state, `${name}.pid`), "utf8"));
const log = (name) => readFileSync(join(roomcast.state, "log", `${name}.log`), "utf8");

/** Posts until an event comes through to the client. */
async function worksAgain(what) {
	let seen = false;
	socket.on("data-change", () => (seen = true));
	await until(what, async () => {
		const answer = await post(roomcast, "data-change", { entityType: "Thing", action: "UPDATE", data: {} }).catch(() => undefined);
		return answer && answer.status < 300 && seen;
	});
	socket.off("data-change");
}

async function restarted(name, old) {
	await until(`${name} runs again`, () => {
		try {
			return pid(name) !== old && isAlive(pid(name));
		} catch {
			return false;
		}
	});
}

test("it works", () => worksAgain("the first event"));

for (const signal of ["SIGKILL", "SIGTERM"]) {
	test(`the hub outlives the gateway's ${signal}`, async () => {
		const [hub, gateway] = [pid("hub-1"), pid("gateway")];
		const id = socket.id;
		process.kill(gateway, signal);
		await restarted("gateway", gateway);
		await worksAgain("events after the gateway came back");
		assert.equal(pid("hub-1"), hub);
		assert.equal(socket.id, id); // the client stayed connected
	});

	test(`the gateway outlives the hub's ${signal}`, async () => {
		const [hub, gateway] = [pid("hub-1"), pid("gateway")];
		process.kill(hub, signal);
		await restarted("hub-1", hub);
		await worksAgain("events after the hub came back");
		assert.equal(pid("gateway"), gateway);
	});
}

test("with no hub the event is kept: 202", async () => {
	const hub = pid("hub-1");
	try {
		await halt(hub);
		await until("the gateway notices", async () => {
			const answer = await post(roomcast, "data-change", { entityType: "Thing", action: "UPDATE", data: "stopped" });
			return answer.status === 202 && answer.body.queued === true && answer.body.hubs === 0;
		});
	} finally {
		process.kill(hub, "SIGCONT");
	}
	await worksAgain("events after the hub went on");
});

for (const name of ["hub-1", "gateway"]) {
	test(`SIGTERM ends ${name} with status 0 and nothing left behind`, async () => {
		const old = pid(name), before = log(name).length;
		process.kill(old, "SIGTERM");
		await until(`${name} is gone`, () => !isAlive(old));
		await restarted(name, old);
		await until("its end was told", () => roomcast.output.includes(`${name} ended (exit status 0)`));
		assert.doesNotMatch(log(name).slice(before), /Sanitizer|handles left open/);
		await worksAgain(`events after ${name} came back`);
	});
}
