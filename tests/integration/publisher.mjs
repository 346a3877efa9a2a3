// A backend as any: POSTs to the gateway, and tokens as the application would sign them.
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { get } from "../lib/deadline.mjs";

/** POSTs an object, or a string as it is. */
export async function post(roomcast, call, body, headers = {}) {
	const response = await get(`${roomcast.url}/api/broadcast/${call}`, {
		method: "POST",
		headers: { Authorization: `Bearer ${roomcast.info.apiKey}`, "Content-Type": "application/json", ...headers },
		body: typeof body === "string" ? body : JSON.stringify(body),
	});
	return { status: response.status, body: await response.json() };
}

const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

export function sign(claims, secret, header = { alg: "HS256", typ: "JWT" }) {
	const text = `${part(header)}.${part(claims)}`;
	return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}

/** A token as the running system takes it. */
export function token(roomcast, claims) {
	const secret = process.env.JWT_SECRET || readFileSync(join(roomcast.state, "jwt_secret"), "utf8");
	return sign({ exp: Math.floor(Date.now() / 1000) + 3600, ...claims }, secret);
}
