// Judges a run: what publishers were told against what each client's handlers saw. A pure function.
//
// Events: { tag, stream, n, batch?, target, startedAt, outcome, id? } with outcome "accepted" (2xx), "refused" (503 and never repeated: certainly
// not stored) or "unknown" (no answer, or 504, and never repeated: may be delivered or not). A stream's events were posted one after
// another, except those of streams in `unordered`. target: { everyone }, { type }, { user }, with excludeUser, or null for nobody.
//
// Clients: { name, user?, types, joinedAt, seen: [{ tag, offset? }], told: [{ after?, to }], isJudgedForLoss }. told: the client
// knows that it may have missed what came after the event of this tag and was posted until then.

/** Whether place a ("epoch.seq") comes after place b; everything comes after undefined. */
function isAfter(a, b) {
	if (b === undefined) return true;
	const [[epochA, seqA], [epochB, seqB]] = [a, b].map((place) => place.split(".").map(Number));
	return epochA === epochB ? seqA > seqB : epochA > epochB;
}

function isFor(client, { target }) {
	if (!target || (target.excludeUser !== undefined && target.excludeUser === client.user)) return false;
	if (target.everyone) return true;
	if (target.type !== undefined) return client.types.includes(target.type);
	return target.user !== undefined && target.user === client.user;
}

const wasTold = (client, event, byTag) => client.told.some(({ after, to }) =>
	event.startedAt <= to && isAfter(event.id, byTag.get(after)?.id));

function judgeSeen(client, byTag, unordered, verdict) {
	const times = new Map();
	const lastOf = new Map();
	let lastPlace;
	for (const { tag, offset } of client.seen) {
		const event = byTag.get(tag);
		if (!event || event.outcome === "refused") {
			verdict.unaccepted.push(tag);
			continue;
		}
		if (!isFor(client, event)) verdict.strayed.push(tag);
		times.set(tag, (times.get(tag) ?? 0) + 1);
		if (times.get(tag) > 1) {
			verdict.duplicated.push(tag);
			continue;
		}
		if (offset && event.id && offset !== event.id) verdict.misplaced.push(tag);
		const id = event.id ?? offset;
		const isLate = id !== undefined && !isAfter(id, lastPlace);
		const isBehind = event.outcome === "accepted" && !unordered.includes(event.stream) && event.n <= (lastOf.get(event.stream) ?? -1);
		if (isLate || isBehind) verdict.disordered.push(tag);
		if (id !== undefined && !isLate) lastPlace = id;
		if (event.outcome === "accepted") lastOf.set(event.stream, Math.max(event.n, lastOf.get(event.stream) ?? -1));
	}
	return times;
}

/** Tags of batches of which a client has a part: they are stored whole or not at all. */
function torn(events, client, times) {
	const parts = new Map();
	for (const event of events) {
		if (!event.batch || event.outcome !== "unknown" || !isFor(client, event)) continue;
		parts.set(event.batch, [...(parts.get(event.batch) ?? []), event.tag]);
	}
	return [...parts.values()].filter((tags) => tags.some((tag) => times.has(tag)) && !tags.every((tag) => times.has(tag))).flat();
}

/** Per client the tags that were missing, duplicated, disordered, unaccepted, strayed (not for this client), torn (of a batch of which others came), misplaced (another offset than
 * the publisher's id), told (missing, but the client knows that it may have missed something), and how many were seen. */
export function check(events, clients, { unordered = [] } = {}) {
	const byTag = new Map(events.map((event) => [event.tag, event]));
	return clients.map((client) => {
		const verdict = { name: client.name, missing: [], duplicated: [], disordered: [], unaccepted: [], strayed: [], misplaced: [], told: [], torn: [] };
		const times = judgeSeen(client, byTag, unordered, verdict);
		for (const event of events) {
			if (!client.isJudgedForLoss || event.outcome !== "accepted" || times.has(event.tag)) continue;
			if (!isFor(client, event) || client.joinedAt === undefined || event.startedAt < client.joinedAt) continue;
			verdict[wasTold(client, event, byTag) ? "told" : "missing"].push(event.tag);
		}
		if (client.isJudgedForLoss && !client.told.length) verdict.torn = torn(events, client, times);
		return { ...verdict, seen: times.size };
	});
}

export const FAILINGS = ["missing", "duplicated", "disordered", "unaccepted", "strayed", "misplaced", "torn"];

/** Sums over all clients. */
export function total(verdicts) {
	const sums = {};
	for (const name of [...FAILINGS, "told"]) sums[name] = verdicts.reduce((sum, verdict) => sum + verdict[name].length, 0);
	return sums;
}
