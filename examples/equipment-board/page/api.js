// The application's own backend. Each tab keeps its token for itself, so that two tabs of one browser can be two people;
// a tab without one is whoever the cookie says.

const KEY = "token";

export const session = { token: sessionStorage.getItem(KEY), user: null };

export class ApiError extends Error {
	constructor(status, body) {
		super(body?.error ?? `The server answered ${status}.`);
		this.status = status;
		this.current = body?.current;
	}
}

async function call(method, path, body) {
	const headers = {};
	if (session.token) headers.Authorization = `Bearer ${session.token}`;
	if (body !== undefined) headers["Content-Type"] = "application/json";
	let response;
	try {
		response = await fetch(`/api/${path}`, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
	} catch {
		throw new ApiError(0, { error: "The server cannot be reached." });
	}
	const answer = await response.json().catch(() => null);
	if (!response.ok) throw new ApiError(response.status, answer);
	return answer;
}

function keep(answer) {
	session.token = answer.token;
	session.user = answer.user;
	sessionStorage.setItem(KEY, answer.token);
	return answer;
}

export const users = () => call("GET", "users").then((answer) => answer.users);
export const signIn = (userId) => call("POST", "session", { userId }).then(keep);

/** Who this tab is; null when nobody has signed in. */
export async function resume() {
	const answer = await call("GET", "session");
	if (answer.user) return keep(answer);
	sessionStorage.removeItem(KEY);
	session.token = null;
	return null;
}

export async function signOut() {
	await call("DELETE", "session").catch(() => {});
	sessionStorage.removeItem(KEY);
}

/** The token, renewed when it is about to end. */
export async function freshToken() {
	try {
		const claims = JSON.parse(atob(session.token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/")));
		if (claims.exp * 1000 - Date.now() < 10 * 60 * 1000) await resume();
	} catch {
		// The old one is sent; the hub says what it thinks of it.
	}
	return session.token;
}

export const board = () => call("GET", "equipment");
export const create = (values) => call("POST", "equipment", values).then((answer) => answer.item);
export const update = (id, version, values) => call("PUT", `equipment/${id}`, { ...values, version }).then((answer) => answer.item);
export const remove = (id, version) => call("DELETE", `equipment/${id}?version=${version}`).then((answer) => answer.item);
export const message = (to, text) => call("POST", "messages", { to, text });
