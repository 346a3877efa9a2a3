// docs/openapi.yaml is a valid OpenAPI 3.1 document, and what the running gateway answers is what it says.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { Validator } from "@seriousme/openapi-schema-validator";
import Ajv2020 from "ajv/dist/2020.js";
import { parse } from "yaml";

import { after, before, test } from "../lib/bounded.mjs";
import { GatewaySite } from "./gateway.mjs";
import { top, until } from "./roomcast.mjs";

const text = readFileSync(join(top, "docs/openapi.yaml"), "utf8");
const document = parse(text);
const ajv = new Ajv2020({ strict: false, allErrors: true });
ajv.addSchema({ $id: "doc", ...document });

let site;
before(async () => (site = await GatewaySite.open()));
after(() => site?.close());

const resolve = (node) => (node.$ref ? node.$ref.slice(2).split("/").reduce((at, key) => at[key], document) : node);
const operations = Object.entries(document.paths).flatMap(([path, item]) => Object.entries(item).map(([method, operation]) => ({ path, method, operation })));
const gatewayOperations = operations.filter(({ path }) => path.startsWith("/api/broadcast/"));

/** A schema of the document that is to stand alone. */
const rebase = (node) => JSON.parse(JSON.stringify(node).replaceAll('"#/', '"doc#/'));

/** What is wrong with an answer by what the document says of its status; null: nothing. */
function complaint(operation, answer) {
	const response = operation.responses[answer.status];
	if (!response) return `status ${answer.status} is not in the document`;
	const validate = ajv.compile(rebase(resolve(response).content["application/json"].schema));
	return validate(answer.json) ? null : JSON.stringify(validate.errors);
}

test("the document is valid", async () => {
	const { valid, errors } = await new Validator().validate(structuredClone(document));
	assert.ok(valid, JSON.stringify(errors, null, 1));
	assert.equal(document.openapi, "3.1.0");
	for (const { path, method, operation } of operations) {
		assert.ok(operation.operationId && operation.summary, `${method} ${path}`);
		for (const [status, response] of Object.entries(operation.responses)) assert.ok(resolve(response)?.description, `${path} ${status}`);
	}
});

test("every example is what its schema says, and is answered as the document says", async () => {
	for (const { path, operation } of gatewayOperations.filter(({ method }) => method === "post")) {
		const { schema, examples } = operation.requestBody.content["application/json"];
		for (const [name, { value }] of Object.entries(examples)) {
			const validate = ajv.getSchema(`doc${schema.$ref}`);
			assert.ok(validate(value), `${path} ${name}: ${JSON.stringify(validate.errors)}`);
			const answer = await site.call("POST", path, site.json, JSON.stringify(value));
			assert.ok(answer.status < 300, `${path} ${name}: ${answer.text}`);
			assert.equal(complaint(operation, answer), null, `${path} ${name}: ${answer.text}`);
		}
	}
});

test("what is read is what the document says", async () => {
	const hub = await site.hub("hub-1");
	for (const { path, operation } of gatewayOperations.filter(({ method }) => method === "get")) {
		const answer = await site.call("GET", path, site.json);
		assert.equal(answer.status, 200, answer.text);
		assert.equal(complaint(operation, answer), null, answer.text);
	}
	const published = await site.post("/emit?confirm=1", { event: "e" }, { "Idempotency-Key": "openapi" });
	assert.equal(complaint(document.paths["/api/broadcast/emit"].post, published), null, published.text);
	hub.kill("SIGTERM");
	await until("the hub is silent", async () => (await site.status()).silentHubs.length === 1);
	const status = await site.get("/status");
	assert.equal(complaint(document.paths["/api/broadcast/status"].get, status), null, status.text);
});

test("refusals are what the document says, with their words", async () => {
	const plain = { ...site.json, "Content-Type": "text/plain" };
	const cases = [
		["post", "data-change", site.json, "{", 400],
		["post", "data-change", { "Content-Type": "application/json" }, "{}", 401],
		["post", "data-change", site.json, '{"entityType":"Item","action":"UPDATE","data":{"id":"none"},"ifVersion":3}', 409],
		["post", "batch", site.json, '{"events":[{"type":"data-change","entityType":"Item","action":"UPDATE","data":{"id":"none"},"ifVersion":3}]}', 409],
		["post", "emit", site.json, Buffer.alloc(2 << 20, 0x20), 413],
		["post", "notification", plain, "{}", 415],
		["post", "join", site.json, "{}", 422],
		["get", "events?after=x", site.json, undefined, 422],
	];
	for (const [method, path, headers, body, status] of cases) {
		const answer = await site.call(method.toUpperCase(), `/api/broadcast/${path}`, headers, body);
		assert.equal(answer.status, status, answer.text);
		const operation = document.paths[`/api/broadcast/${path.split("?")[0]}`][method];
		assert.equal(complaint(operation, answer), null, answer.text);
	}
});

test("document and program know the same calls and the same words", async () => {
	for (const { path, method, operation } of gatewayOperations) {
		const answer = await site.call(method === "get" ? "POST" : "GET", path, site.json, method === "get" ? "{}" : undefined);
		assert.equal(answer.status, 405, path);
		assert.equal(answer.headers.allow, method.toUpperCase());
		assert.equal(complaint(operation, answer), null, answer.text);
	}
	const routes = readFileSync(join(top, "fcgi-gateway/route.c"), "utf8").matchAll(/\{ "(GET|POST)", "(\/[a-z-]+)"/g);
	assert.deepEqual([...routes].map(([, method, path]) => `${method} /api/broadcast${path}`).sort(),
		gatewayOperations.map(({ method, path }) => `${method.toUpperCase()} ${path}`).sort());
	const words = readFileSync(join(top, "fcgi-gateway/response.c"), "utf8").matchAll(/= \{ (\d{3}), "([a-z_]+)" \}/g);
	const documented = document.components.schemas.ErrorMembers.properties.code.enum;
	assert.deepEqual([...words].map(([, , word]) => word).filter((word) => word !== "none").sort(), [...documented].sort());
});
