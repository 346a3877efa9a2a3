// Who a client is: the four places of a token and their order, whose cookies count, and what other origins may read.
import assert from "node:assert/strict";

import { WebSocket } from "ws";

import { after, before, test } from "../lib/bounded.mjs";
import { get } from "../lib/deadline.mjs";
import { Roomcast, until } from "./roomcast.mjs";
import { token } from "./publisher.mjs";

const ALLOWED = "http://localhost:3000", FOREIGN = "https://evil.example";

let roomcast;
let endpoint;
const tokens = {};

before(async () => {
	roomcast = await Roomcast.start({ env: { NEXT_PUBLIC_APP_URL: ALLOWED } });
	endpoint = `${roomcast.url}/api/socket`;
	for (const place of ["connect", "header", "query", "cookie"]) tokens[place] = token(roomcast, { userId: `by-${place}` });
});

after(() => roomcast?.stop());

/** A client by hand, so that every header is ours: gives what the hub sends as text packets. */
const transports = {
	async websocket(query, headers, packets, isDone) {
		const socket = new WebSocket(`${endpoint}?EIO=4&transport=websocket${query}`.replace("http", "ws"), { headers });
		const heard = [];
		socket.on("message", (data) => heard.push(String(data)));
		let isGone = false;
		socket.on("close", () => (isGone = true)).on("error", () => (isGone = true));
		try {
			await until("the handshake", () => heard.length || isGone);
			for (const packet of packets) socket.send(packet);
			await until("the answer", () => isGone || isDone(heard));
		} finally {
			socket.terminate();
		}
		return heard;
	},
	async polling(query, headers, packets, isDone) {
		const url = `${endpoint}?EIO=4&transport=polling${query}`;
		const open = await (await get(url, { headers })).text();
		const session = `${url}&sid=${encodeURIComponent(JSON.parse(open.slice(1)).sid)}`;
		const heard = [open];
		for (const packet of packets) await get(session, { method: "POST", headers, body: packet });
		for (let i = 0; i < 10 && !isDone(heard); i++) heard.push(...(await (await get(session, { headers })).text()).split("\x1e"));
		await get(session, { method: "POST", headers, body: "1" });
		return heard;
	},
};

/** Which of the users the hub takes the client for: each may join one's own user room only. */
async function whoIs(transport, { auth, query = "", headers = {} }) {
	const users = Object.keys(tokens);
	const answers = (heard) => heard.filter((packet) => /^43\d/.test(packet));
	const packets = [`40${auth === undefined ? "" : JSON.stringify(auth)}`, ...users.map((user, id) => `42${id}["join-user-room","by-${user}"]`)];
	const heard = answers(await transports[transport](query, headers, packets, (all) => answers(all).length === users.length));
	assert.equal(heard.length, users.length);
	const accepted = heard.filter((packet) => packet.includes('"success":true')).map((packet) => users[Number(packet[2])]);
	assert.ok(accepted.length <= 1);
	return accepted[0] ?? "nobody";
}

const all = () => ({
	auth: { token: tokens.connect }, query: `&token=${tokens.query}`,
	headers: { Authorization: `Bearer ${tokens.header}`, Cookie: `a=b; auth-token=${tokens.cookie}` },
});
const cookie = (origin) => ({ headers: { Cookie: `auth-token=${tokens.cookie}`, ...(origin && { Origin: origin }) } });

const cases = [
	["no token", () => ({}), "nobody"],
	["CONNECT before all", all, "connect"],
	["the header next", () => ({ ...all(), auth: undefined }), "header"],
	["the query next", () => ({ ...all(), auth: {}, headers: { Cookie: `auth-token=${tokens.cookie}` } }), "query"],
	["the cookie last", () => cookie(), "cookie"],
	["a bad first one is not rescued", () => ({ ...all(), auth: { token: "bad" } }), "nobody"],
	["nor is one that is no string", () => ({ ...all(), auth: { token: 7 } }), "nobody"],
	["nor an object, nor true", () => ({ ...all(), auth: { token: { a: true } } }), "nobody"],
	["null is as good as absent", () => ({ ...all(), auth: { token: null } }), "header"],
	["a cookie from an allowed page", () => cookie(ALLOWED), "cookie"],
	["a cookie from our own page", () => cookie(roomcast.url), "cookie"],
	["a cookie from a foreign page", () => cookie(FOREIGN), "nobody"],
	["a cookie from nowhere", () => cookie("null"), "nobody"],
];

for (const transport of Object.keys(transports)) {
	for (const [name, attempt, user] of cases) {
		test(`${transport}: ${name}: ${user}`, async () => assert.equal(await whoIs(transport, attempt()), user));
	}

	test(`${transport}: the cookie identifies again after DISCONNECT`, async () => {
		const packets = ["40", "41", "40", '420["join-user-room","by-cookie"]'];
		const heard = await transports[transport]("", cookie(ALLOWED).headers, packets, (all) => all.some((packet) => packet.startsWith("430")));
		assert.equal(heard.filter((packet) => packet.startsWith("40")).length, 2);
		assert.match(heard.find((packet) => packet.startsWith("430")), /"success":true/);
	});
}

for (const [origin, isAllowed] of [[ALLOWED, true], [FOREIGN, false]]) {
	for (const [what, query, status] of [["a status", "", 200], ["a handshake", "?EIO=4&transport=polling", 200], ["an error", "?EIO=4&transport=none", 400]]) {
		test(`CORS: ${what} for ${origin}`, async () => {
			const answer = await get(endpoint + query, { headers: { Origin: origin } });
			await answer.text();
			assert.equal(answer.status, status);
			assert.equal(answer.headers.get("access-control-allow-origin"), isAllowed ? origin : null);
			assert.match(answer.headers.get("vary"), /origin/i);
			if (isAllowed) assert.equal(answer.headers.get("access-control-allow-credentials"), "true");
		});
	}

	test(`CORS: a preflight from ${origin}`, async () => {
		const answer = await get(`${endpoint}/?EIO=4&transport=polling`, {
			method: "OPTIONS",
			headers: { Origin: origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,x-own" },
		});
		assert.equal(answer.status, 204);
		assert.equal(answer.headers.get("access-control-allow-origin"), isAllowed ? origin : null);
		assert.match(answer.headers.get("access-control-allow-methods"), /GET.*POST/);
		assert.equal(answer.headers.get("access-control-allow-headers"), "authorization,x-own");
	});
}
