// Clients as a web application has them: official socket.io-client, each writing down what it gets.
import { io } from "socket.io-client";

import { emit } from "../lib/deadline.mjs";
import { token } from "./publisher.mjs";
import { until } from "./roomcast.mjs";

const open = new Set();

/** Ends every client that was made here. */
export function endAll() {
	for (const person of open) person.socket.disconnect();
	open.clear();
}

export class Person {
	/** A client, not connected yet. userId: none is anonymous; hub: connect to that one alone; the rest goes to io(). */
	constructor(roomcast, { userId, hub, claims = {}, ...options } = {}) {
		this.got = []; // [event, ...args]
		this.reasons = [];
		this.errors = [];
		const auth = userId === undefined ? {} : { token: token(roomcast, { userId, ...claims }) };
		const extraHeaders = hub ? { "X-Hub": hub } : undefined;
		this.socket = io(roomcast.url, {
			path: "/api/socket", forceNew: true, auth, extraHeaders, reconnectionDelay: 50, reconnectionDelayMax: 300, ...options,
		});
		this.socket.onAny((...event) => this.got.push(event));
		this.socket.on("disconnect", (reason) => this.reasons.push(reason));
		this.socket.on("connect_error", (error) => this.errors.push(error));
		open.add(this);
	}

	/** Connected, and following the entity types. */
	static async connected(roomcast, options, types = []) {
		const person = new Person(roomcast, options);
		await until("connected", () => person.socket.connected);
		if (types.length) await emit(person.socket, "join-data-sync", types);
		return person;
	}

	/** The arguments of each event of that name. */
	events(name) {
		return this.got.filter(([event]) => event === name).map(([, ...args]) => args);
	}
}
