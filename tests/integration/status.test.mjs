// What a hub tells about itself over plain HTTP, on its own socket.
import assert from "node:assert/strict";
import { request } from "node:http";

import { after, before, test } from "../lib/bounded.mjs";
import { Roomcast } from "./roomcast.mjs";

let roomcast;

before(async () => (roomcast = await Roomcast.start()));
after(() => roomcast?.stop());

const ask = (path, method) => new Promise((resolve, reject) => {
	const socketPath = roomcast.info.hubs[0].socket.replace(/^unix:/, "");
	request({ socketPath, path, method, headers: { Host: "hub" }, signal: AbortSignal.timeout(30_000) }, (answer) => {
		let text = "";
		answer.setEncoding("utf8").on("data", (part) => (text += part)).on("error", reject).on("end", () => resolve({ answer, text }));
	}).on("error", reject).end();
});

for (const path of ["/healthz", "/readyz", "/metrics", "/api/socket", "/api/socket/"]) {
	test(`${path} is read with GET and HEAD alone`, async () => {
		const { answer, text } = await ask(path, "GET");
		assert.equal(answer.statusCode, 200);
		assert.equal(Number(answer.headers["content-length"]), Buffer.byteLength(text));
		assert.equal(answer.headers["cache-control"], "no-store");
		const head = await ask(path, "HEAD");
		assert.equal(head.answer.statusCode, 200);
		assert.equal(head.text, "");
		for (const method of ["POST", "PUT", "DELETE"]) {
			const refused = await ask(path, method);
			assert.equal(refused.answer.statusCode, 405);
			assert.match(refused.answer.headers.allow, /GET, HEAD/);
			assert.equal(JSON.parse(refused.text).code, "method_not_allowed");
		}
	});
}

test("nothing else is served", async () => {
	const { answer, text } = await ask("/nothing", "GET");
	assert.equal(answer.statusCode, 404);
	assert.equal(JSON.parse(text).code, "not_found");
});
