// What the hub and the gateway are to reach, each a ratio of one run or a figure of its own.

const atMost = (limit) => ({ text: `at most ${limit}`, isReached: (value) => value <= limit });
const atLeast = (limit) => ({ text: `at least ${limit}`, isReached: (value) => value >= limit });

const ratio = (scenario, server, other, x, value, goal, text) => ({ text, goal, value: (results) => results.ratio(scenario, server, other, x, value) });

/** Of 19,000 sessions; of fewer in a quick run. */
const idle = (server, value, goal, text) => ({
	text, goal, value: (results) => results.median("idle", server, Math.max(...results.unique("idle", "x")), value),
});

const versus = (scenario, x, value, text, limits) =>
	Object.entries(limits).map(([other, limit]) => ratio(scenario, "hub", other, x, value, atLeast(limit), `${text} against ${other}`));

export const goals = [
	...[1000, 10_000].map((x) =>
		ratio("fanout", "hub", "bare", x, "cpuPerDelivery", atMost(1.1), `fan-out to ${x.toLocaleString("en")} clients, server CPU per delivery against the bare loop`)),
	...versus("fanout", 1000, "perSecond", "fan-out to 1,000 clients, deliveries per second", { bun: 1, nchan: 1.3, "socket.io": 2.5 }),
	...versus("fanout", 10_000, "perSecond", "fan-out to 10,000 clients, deliveries per second", { bun: 1, nchan: 1.3, "socket.io": 2.5 }),
	...versus("bursts", 1000, "perSecond", "bursts of 64 to 1,000 clients, deliveries per second", { bare: 0.85, bun: 1.7, nchan: 40, "socket.io": 60 }),
	ratio("latency", "hub", "bare", 1000, "p99", atMost(1.2), "p99 latency, 1,000 clients, 20 events/s, against the bare loop"),
	idle("hub, websocket", "pssBytes", atMost(1700), "user-space bytes per idle WebSocket session, one room"),
	ratio("setups", "hub", "socket.io", 5000, "perSecond", atLeast(6), "session set-ups per second against socket.io"),
	ratio("posts", "journal normal", "trivial", 64, "perSecond", atLeast(0.7), "POSTs per second with the journal, 64 publishers, against the trivial FastCGI handler"),
	ratio("posts", "journal normal", "journal off", 64, "perSecond", atLeast(0.8), "POSTs per second, journal normal against off, 64 publishers"),
	idle("hub, websocket", "cpuShare", atMost(0.03), "share of a core for idle sessions with 25 s heartbeats"),
	ratio("recovery", "recovery on", "recovery off", 1000, "perSecond", atLeast(0.9), "deliveries per second, recovery on against off"),
];

/** [{ text, goal, value, isReached }], of what was measured. */
export const judge = (results) =>
	goals.map((goal) => ({ ...goal, value: goal.value(results) })).filter(({ value }) => Number.isFinite(value))
		.map(({ text, goal, value }) => ({ text, goal: goal.text, value, isReached: goal.isReached(value) }));
