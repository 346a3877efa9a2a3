// What the hub and the gateway are to reach, each a ratio of one run or a figure of its own.

const atMost = (limit) => ({ text: `at most ${limit}`, isReached: (value) => value <= limit });
const atLeast = (limit) => ({ text: `at least ${limit}`, isReached: (value) => value >= limit });

/** A quick run has fewer clients in some scenarios. */
const largest = (results, scenario) => Math.max(...results.unique(scenario, "x"));

/** x: null for the largest that there is. */
const ratio = (scenario, server, other, x, value, goal, text) => ({
	text, goal, value: (results) => results.ratio(scenario, server, other, x ?? largest(results, scenario), value),
});

const idle = (server, value, goal, text) => ({
	text, goal, value: (results) => results.median("idle", server, largest(results, "idle"), value),
});

const versus = (scenario, x, value, text, limits) =>
	Object.entries(limits).map(([other, limit]) => ratio(scenario, "hub", other, x, value, atLeast(limit), `${text} against ${other}`));

export const goals = [
	...[1000, 10_000].map((x) =>
		ratio("fanout", "hub", "bare", x, "cpuPerDelivery", atMost(1.1), `fan-out to ${x.toLocaleString("en")} clients, server CPU per delivery against the bare loop`)),
	...versus("fanout", 1000, "perSecond", "fan-out to 1,000 clients, deliveries per second", { bun: 1, nchan: 1.3, "socket.io": 2.5 }),
	...versus("fanout", 10_000, "perSecond", "fan-out to 10,000 clients, deliveries per second", { bun: 1, nchan: 1.3, "socket.io": 2.5 }),
	...versus("bursts", 1000, "perSecond", "bursts of 64 to 1,000 clients, deliveries per second", { bare: 0.85, bun: 1.7, nchan: 40, "socket.io": 60 }),
	ratio("bursts", "hub", "bare", 1000, "cpuPerDelivery", atMost(1.18), "bursts of 64 to 1,000 clients, server CPU per delivery against the bare loop"),
	ratio("latency", "hub", "bare", 1000, "p99", atMost(1.2), "p99 latency, 1,000 clients, 20 events/s, against the bare loop"),
	idle("hub, websocket", "pssBytes", atMost(1700), "user-space bytes per idle WebSocket session, one room"),
	ratio("setups", "hub", "socket.io", null, "perSecond", atLeast(6), "session set-ups per second against socket.io"),
	ratio("posts", "journal normal", "trivial", 64, "perSecond", atLeast(0.7), "POSTs per second with the journal, 64 publishers, against the trivial FastCGI handler"),
	ratio("posts", "journal normal", "journal off", 64, "perSecond", atLeast(0.8), "POSTs per second, journal normal against off, 64 publishers"),
	idle("hub, websocket", "cpuShare", atMost(0.03), "share of a core for idle sessions with 25 s heartbeats"),
	ratio("recovery", "recovery on", "recovery off", 1000, "perSecond", atLeast(0.9), "deliveries per second, recovery on against off"),
];

/** [{ text, goal, value, isReached }], of all of them; value is null where it was not measured. */
export const judge = (results) =>
	goals.map(({ text, goal, value }) => ({ text, goal, found: value(results) }))
		.map(({ text, goal, found }) => ({ text, goal: goal.text, ...(Number.isFinite(found) ? { value: found, isReached: goal.isReached(found) } : { value: null, isReached: false }) }));
