// What an application's handlers see, in node and in a browser's page. An ES module, served to the page as it stands.

const EVENTS = ["data-change", "notification", "system-notification", "numbered"];

const tagOf = ([first]) => first?.data?.tag ?? first?.tag;

/** Joins the types at each connect, as a page would, and keeps every tagged event that a handler is called with. */
export function watch(socket, types, now) {
	const seen = [];      // { tag, offset? }
	const told = [];      // { after, to }: after the event of this tag, and until then, something may be missing: the server said so
	const lives = [];     // of the connection, in words
	let joinedAt, lastBefore, disconnects = 0, recoveries = 0, fresh = 0, lastTag;

	for (const name of EVENTS) {
		socket.on(name, (...args) => {
			const offset = args.length > 1 ? args.at(-1) : undefined;
			lastTag = tagOf(args);
			seen.push({ tag: lastTag, ...(typeof offset === "string" ? { offset } : {}) });
		});
	}
	socket.on("connect", () => {
		const isAgain = joinedAt !== undefined;
		if (isAgain) socket.recovered ? recoveries++ : fresh++;
		lives.push(`${Math.round(now())} connect ${socket.io.engine.id.split("~")[0]} ${socket.io.engine.transport.name} recovered=${socket.recovered}`);
		const after = lastBefore;
		socket.emit("join-data-sync", types, (answer) => {
			lives.push(`${Math.round(now())} joined ${JSON.stringify(answer)}`);
			if (!answer.success) return;
			if (isAgain && !socket.recovered && answer.recovered === false) told.push({ after, to: now() });
			joinedAt ??= now();
			lastBefore = undefined;
		});
	});
	socket.on("disconnect", (reason) => {
		disconnects++;
		lastBefore ??= lastTag;
		lives.push(`${Math.round(now())} disconnect ${reason}`);
	});
	socket.on("connect_error", (err) => lives.push(`${Math.round(now())} connect_error ${err.message}`));
	return {
		summary: () => ({ joined: joinedAt !== undefined, connected: socket.connected, seen: seen.length, lastTag }),
		report: () => ({ seen, told, lives, joinedAt, disconnects, recoveries, fresh, hasRecovery: seen.some(({ offset }) => offset !== undefined) }),
	};
}
