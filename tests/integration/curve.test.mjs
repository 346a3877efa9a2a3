// Gateway, hub and front end on different hosts: tcp that others can reach is opened with keys only, and only for those that are listed.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { join } from "node:path";

import { io } from "socket.io-client";

import { after, before, test } from "../lib/bounded.mjs";
import { build, GatewaySite } from "./gateway.mjs";
import { freePort, until } from "./roomcast.mjs";

// An address of this machine that others could reach, where it has one.
const host = Object.values(networkInterfaces()).flat().find(({ family, internal }) => family === "IPv4" && !internal)?.address ?? "127.0.0.1";
const gatewayProgram = join(build, "fcgi-gateway/roomcast-gateway"), hubProgram = join(build, "hub/roomcast-hub");

const PROGRAM_MS = 60_000; // of one that ends by itself

const keygen = (name, ...more) => {
	const [secret, , line] = execFileSync(join(build, "cli/roomcast"), ["keygen", "--curve", `--name=${name}`, ...more], { encoding: "utf8", timeout: PROGRAM_MS }).split("\n");
	assert.match(line, new RegExp(`^${name} = .{40}$`));
	return { secret, public: line.slice(-40) };
};

let site, line, gatewayKey, hubKey;

before(async () => {
	line = `tcp://${host}:${await freePort()}`;
	const events = `tcp://${host}:${await freePort()}`;
	gatewayKey = keygen("gateway");
	site = await GatewaySite.open({
		extra: [`--line=${line}`, `--events=${events}`, `--curve-peers=/dev/null`], env: { ROOMCAST_CURVE_SECRET_KEY: gatewayKey.secret },
	});
	// The list is read at the start.
	const peers = join(site.dir, "peers");
	hubKey = keygen("hub-1", `--file=${peers}`);
	await site.killGateway();
	site.extra = site.extra.map((option) => (option.startsWith("--curve-peers") ? `--curve-peers=${peers}` : option));
	await site.startGateway();
});

after(() => site?.close());

function startHub(port, secret, more = {}) {
	return site.spawn(hubProgram, ["--name=hub-1", `--listen=127.0.0.1:${port}`, `--line=${line}`], {
		NODE_ENV: "development", ROOMCAST_CURVE_SECRET_KEY: secret, ROOMCAST_CURVE_SERVER_KEY: gatewayKey.public, ...more,
	});
}

test("a hub whose key is not listed stays outside; one whose key is listed gets events", async (t) => {
	const stranger = startHub(await freePort(), keygen("hub-1").secret);
	await until("the stranger is refused", async () => (await site.call("GET", "/api/broadcast/status", site.json)).json.line.refusedKeys > 0);
	assert.equal((await site.call("GET", "/api/broadcast/status", site.json)).json.hubs.length, 0);
	stranger.kill("SIGTERM");
	await stranger.ended;

	const port = await freePort();
	startHub(port, hubKey.secret);
	await until("the hub is here", async () => (await site.call("GET", "/api/broadcast/status", site.json)).json.hubs.length === 1);
	const client = io(`http://127.0.0.1:${port}`, { path: "/api/socket", transports: ["websocket"] });
	t.after(() => client.close());
	const heard = [];
	client.on("far", (n) => heard.push(n));
	await until("a client is connected", () => client.connected);
	const answer = await site.call("POST", "/api/broadcast/emit", site.json, JSON.stringify({ event: "far", args: [7] }));
	assert.equal(answer.status, 200, answer.text);
	await until("the event", () => heard.length === 1);
});

test("a front end reaches the gateway with its key, and says 503 without", async () => {
	const body = JSON.stringify({ event: "far", args: [8] });
	const post = (env) => {
		const { stdout } = spawnSync(gatewayProgram, [], {
			input: body, encoding: "utf8", timeout: PROGRAM_MS,
			env: {
				...process.env, GATEWAY_INTERFACE: "CGI/1.1", REQUEST_METHOD: "POST", SCRIPT_NAME: "/api/broadcast/emit", CONTENT_TYPE: "application/json",
				CONTENT_LENGTH: String(body.length), HTTP_AUTHORIZATION: site.json.Authorization, ROOMCAST_LINE: line,
				ROOMCAST_CURVE_SERVER_KEY: gatewayKey.public, ...env,
			},
		});
		return stdout.split("\r\n")[0];
	};
	assert.equal(post({ ROOMCAST_CURVE_SECRET_KEY: hubKey.secret }), "Status: 200 OK");
	assert.equal(post({ ROOMCAST_CURVE_SECRET_KEY: keygen("other").secret }), "Status: 503 Service Unavailable");
});

test("what could be reached without keys is refused at the start, with a sentence", () => {
	const peers = join(site.dir, "peers");
	const bad = join(site.dir, "bad-peers");
	writeFileSync(bad, "hub-1 = nonsense\n");
	assert.ok(readFileSync(peers, "utf8").startsWith("hub-1 = "));
	const gateway = { ROOMCAST_API_KEY: site.key, ROOMCAST_STATE_DIR: site.dir };
	const rows = [
		[gatewayProgram, { ...gateway, ROOMCAST_LINE: "tcp://192.0.2.1:7000" }, /can be reached from the network/],
		[gatewayProgram, { ...gateway, ROOMCAST_EVENTS: "tcp://192.0.2.1:7000" }, /can be reached from the network/],
		[gatewayProgram, { ...gateway, ROOMCAST_LINE: "tcp://192.0.2.1:7000", ROOMCAST_CURVE_SECRET_KEY: gatewayKey.secret }, /curve-peers: .* must say who may connect/],
		[gatewayProgram, { ...gateway, ROOMCAST_CURVE_PEERS: peers }, /curve-peers without curve-secret-key/],
		[gatewayProgram, { ...gateway, ROOMCAST_CURVE_SECRET_KEY: gatewayKey.secret, ROOMCAST_CURVE_PEERS: bad }, /bad-peers.*not a key/],
		[gatewayProgram, { ...gateway, ROOMCAST_CURVE_SECRET_KEY: gatewayKey.secret, ROOMCAST_CURVE_PEERS: peers, ROOMCAST_LINE: "tcp://0.0.0.0:7000" }, /stands for every address/],
		[gatewayProgram, { ROOMCAST_ROLE: "front-end", ROOMCAST_LINE: "tcp://192.0.2.1:7000" }, /can be reached from the network/],
		[gatewayProgram, { ROOMCAST_ROLE: "front-end", ROOMCAST_CURVE_SECRET_KEY: hubKey.secret }, /curve-server-key: .* whom to trust/],
		[hubProgram, { NODE_ENV: "development", ROOMCAST_LINE: "tcp://192.0.2.1:7000" }, /can be reached from the network/],
		[hubProgram, { NODE_ENV: "development", ROOMCAST_CURVE_SECRET_KEY: hubKey.secret }, /curve-server-key: .* trust/],
		[hubProgram, { NODE_ENV: "development", ROOMCAST_CURVE_SECRET_KEY: "short", ROOMCAST_CURVE_SERVER_KEY: gatewayKey.public }, /curve-secret-key.*not a key/],
	];
	for (const [program, env, sentence] of rows) {
		const { status, stderr } = spawnSync(program, ["--check-config"], { encoding: "utf8", timeout: PROGRAM_MS, env: { PATH: process.env.PATH, ...env } });
		assert.notEqual(status, 0, JSON.stringify(env));
		assert.match(stderr, sentence);
	}
	const good = { ...gateway, ROOMCAST_LINE: "tcp://192.0.2.1:7000", ROOMCAST_CURVE_SECRET_KEY: gatewayKey.secret, ROOMCAST_CURVE_PEERS: peers };
	assert.equal(spawnSync(gatewayProgram, ["--check-config"], { timeout: PROGRAM_MS, env: { PATH: process.env.PATH, ...good } }).status, 0);
});
