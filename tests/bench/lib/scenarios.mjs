// What is measured. Each scenario adds rows to context.results; quick leaves out what takes long.
import { contest } from "./contest.mjs";
import { generate, kernelMemory, load, memory } from "./processes.mjs";
import { apiKey, bare, bun, bunProgram, hasNchan, hub, nchan, socketio, stack, trivial } from "./servers.mjs";

const everybody = () => [bare, hub, ...(bunProgram() ? [bun] : []), ...(hasNchan() ? [nchan] : []), socketio];

/** Of clients, for the curves. */
const allSizes = [100, 300, 1000, 3000, 10_000];

const pids = (server) => ({ pids: server.pids.join() });

const measured = async (context, server, options) => {
	const { measured: found } = await load(context.tools, { ...server.options, ...pids(server), ...options }, { env: { ROOMCAST_API_KEY: apiKey } });
	return found;
};

/** Publishes, waits until everybody has it, publishes again. */
const closedLoop = (context, options) => async (server, clients) => {
	const { perSecond, cpuPerDelivery, events, seconds } = await measured(context, server, {
		measure: "closed", spin: true, clients, seconds: context.quick ? 0.5 : 1.5, ...options,
	});
	return { perSecond, cpuPerDelivery, eventsPerSecond: events / seconds };
};

const fanout = (context) =>
	contest(context, {
		scenario: "fanout", start: everybody(), sizes: context.quick ? [1000] : allSizes, measure: closedLoop(context),
	});

const bursts = (context) =>
	contest(context, { scenario: "bursts", start: everybody(), sizes: context.quick ? [1000] : [100, 1000], measure: closedLoop(context, { burst: 64 }) });

/** Rooms of ten clients each, 64 events for as many rooms under way at once. */
const rooms = (context) =>
	contest(context, {
		scenario: "rooms", start: everybody(), sizes: context.quick ? [100] : [1000],
		measure: (server, count) => closedLoop(context, { burst: 64, rooms: count })(server, count * 10),
	});

/** As many deliveries a second at each size. From before the event leaves the publisher. */
const latencyOf = (context) => async (server, clients) => {
	return latencies(await measured(context, server, {
		measure: "rate", clients, rate: 20_000 / clients, seconds: context.quick ? 2 : clients === 1000 ? 8 : 3,
	}));
};

const latencies = ({ each, last }) => ({ p50: each.p50, p99: each.p99, p999: each.p999, lastP50: last.p50, lastP99: last.p99 });

const latency = (context) =>
	contest(context, {
		scenario: "latency", start: context.quick ? [bare, hub] : everybody(), sizes: context.quick ? [1000] : allSizes, measure: latencyOf(context),
	});

/** From before the HTTP POST: through nginx, gateway, ZeroMQ and hub; socket.io's application is asked directly. Clients connect to hub and application. */
const endToEnd = (context) =>
	contest(context, {
		scenario: "end-to-end", sizes: [1000], start: [(c) => stack(c, { name: "hub" }), socketio],
		measure: (server, clients) => latencyOf(context)(withPost(server), clients),
	});

const withPost = (server) => ({ ...server, pids: server.pids, options: { ...server.options, source: `gateway:${server.port}/api/broadcast/data-change` } });

const fewRate = 20, largeRate = 3;

/**
 * What a large room costs the others: latency in a room of ten clients, from before the HTTP POST, alone and while another room has events of
 * its own for so many clients.
 */
const bystanders = (context) =>
	contest(context, {
		scenario: "bystanders", sizes: [10_000], takes: context.quick ? 15 : 40,
		start: [["hub", stack], ["socket.io", socketio]].flatMap(([name, start]) => [
			async (c) => Object.assign(await start(c), { name: `${name}, alone` }),
			async (c) => Object.assign(await start(c), { name: `${name}, beside them`, isBeside: true }),
		]),
		measure: async (server, clients) => {
			const seconds = context.quick ? 2 : 8, posts = withPost(server).options;
			const measureFew = () => measured(context, server, { ...posts, measure: "rate", rate: fewRate, clients: 10, "first-room": 1, seconds });
			if (!server.isBeside) return latencies(await measureFew());
			let few;
			await load(context.tools, { ...posts, clients, opening: 256, measure: "rate", rate: largeRate, seconds: seconds + 3 }, {
				env: { ROOMCAST_API_KEY: apiKey },
				steps: async ({ phase }) => {
					if (phase !== "ready") return;
					few = measureFew();
					few.catch(() => {}); // seen below
				},
			});
			return latencies(await few);
		},
	});

const body = JSON.stringify({ entityType: "bench", action: "UPDATE", data: { id: 7, name: "Excavator 7", status: "rented", text: "x".repeat(100) } });

const postsOf = (context) => async (server, publishers) => {
	const path = server.name === "nchan" ? "/publish?room=0" : "/api/broadcast/data-change";
	const [found] = await generate(context.tools, "post", [server.port, path, publishers, context.quick ? 0.5 : 2, body, ...server.pids], { env: { ROOMCAST_API_KEY: apiKey } });
	return { perSecond: found.perSecond, cpuPerPost: found.cpuPerPost, p50: found.p50, p99: found.p99 };
};

const journalStacks = (context) => context.journals.map(({ name, options }) => (c) => stack(c, { name, gateway: options }));

const posts = (context) =>
	contest(context, {
		scenario: "posts", sizes: context.quick ? [64] : [1, 64], measure: postsOf(context),
		start: context.quick ? [trivial, ...journalStacks(context).slice(0, 1)] : [trivial, ...journalStacks(context), socketio, ...(hasNchan() ? [nchan] : [])],
	});

/** Engine.IO and Socket.IO handshake, and the joining of a room. */
const setups = (context) =>
	contest(context, {
		scenario: "setups", sizes: [context.quick ? 2000 : 5000], start: [hub, socketio],
		measure: async (server, clients) => {
			const { ready } = await load(context.tools, { ...server.options, ...pids(server), clients, opening: 256, seconds: 0 });
			return { perSecond: ready.perSecond, cpuMicroseconds: (ready.cpuSeconds / clients) * 1e6 };
		},
	});

/** Seconds: each session has exactly one in such a time. */
const heartbeat = 25;

const idleMemory = (context, protocol) => async (server, clients) => {
	const before = { ...memory(server.pids), kernel: kernelMemory() };
	const values = {};
	const { measured: found } = await load(context.tools,
		{ ...server.options, ...(protocol && { protocol }), ...pids(server), clients, opening: 256, measure: "idle", seconds: context.quick ? 0.2 : heartbeat },
		{
			steps: async ({ phase }) => {
				if (phase !== "ready") return;
				const after = { ...memory(server.pids), kernel: kernelMemory() };
				for (const name of ["rss", "pss", "kernel"]) values[`${name}Bytes`] = ((after[name] - before[name]) * 1024) / clients;
			},
		});
	return context.quick ? values : { ...values, cpuShare: found.cpuSeconds / found.seconds, heartbeats: found.heartbeats };
};

/** A process is measured once, as it was started: what it has given back is not seen in later rounds. */
const idle = async (context) => {
	const size = context.quick ? 4000 : 19_000;
	const kinds = [
		["hub, websocket", hub, "websocket"], ["hub, polling", hub, "polling"], ["socket.io, websocket", socketio, "websocket"],
		...(context.quick ? [] : [["socket.io, polling", socketio, "polling"], ...(bunProgram() ? [["bun", bun]] : []), ...(hasNchan() ? [["nchan", nchan]] : [])]),
	];
	for (const [name, start, protocol] of kinds)
		await contest(context, { scenario: "idle", sizes: [size], rounds: 1, takes: context.quick ? 3 : 60, start: [async (c) => Object.assign(await start(c), { name })], measure: idleMemory(context, protocol) });
};

const fleet = (context) =>
	contest(context, {
		scenario: "fleet", sizes: [context.quick ? 5000 : 90_000], rounds: 1, takes: context.quick ? 5 : 90, start: [(c) => hub(c, { hubs: 5 })],
		measure: async (server, clients) => {
			const { ready, measured: found } = await load(context.tools, {
				...server.options, ...pids(server), clients, processes: 5, opening: 64, measure: "idle", seconds: context.quick ? 1 : heartbeat,
			});
			return { readyPerSecond: ready.perSecond, cpuShare: found.cpuSeconds / found.seconds, heartbeats: found.heartbeats };
		},
	});

const storm = (context) =>
	contest(context, {
		scenario: "storm", sizes: [context.quick ? 1000 : 10_000], start: [hub, socketio],
		measure: async (server, clients) => {
			const { seconds, cpuSeconds } = await measured(context, server, { measure: "storm", clients, opening: 256 });
			return { seconds, cpuSeconds };
		},
	});

/** With an offset behind each event and what was sent kept for those who come back, against without. */
const recovery = (context) =>
	contest(context, {
		scenario: "recovery", sizes: [1000],
		start: [
			async (c) => { const server = await hub(c, { name: "recovery on" }); server.options.query = "&recovery=1"; return server; },
			async (c) => { const server = await hub(c, { name: "recovery off" }); server.options.query = "&recovery=0"; return server; },
		],
		measure: closedLoop(context),
	});

/** Ten clients in each room, however many rooms: a thousand clients join as many as it takes. */
const growthRooms = (context) =>
	contest(context, {
		scenario: "growth-rooms", sizes: context.quick ? [10, 1000] : [10, 100, 1000, 10_000, 100_000], start: [hub],
		measure: async (server, count) => {
			const clients = Math.min(1000, count * 10);
			const found = await measured(context, server, {
				measure: "closed", spin: true, burst: 64, seconds: context.quick ? 0.5 : 2, rooms: count, clients, joins: (count * 10) / clients,
			});
			return { perSecond: found.perSecond, cpuPerEvent: (found.cpuSeconds / found.events) * 1e9 };
		},
	});

/** The same clients over more and more hubs; each event reaches all of them. */
const growthHubs = async (context) => {
	for (const hubs of context.quick ? [1, 2] : [1, 2, 4, 8])
		await contest(context, {
			scenario: "growth-hubs", sizes: [hubs], start: [(c) => hub(c, { hubs })],
			measure: (server) => closedLoop(context)(server, 2000),
		});
};

/** Of the hub's history: appending an event, keeping it, and giving a client in three of a hundred rooms what it missed. */
const growthHistory = async (context) => {
	for (let round = 1; round <= context.rounds; round++)
		for (const events of context.quick ? [1000, 100_000] : [1000, 10_000, 100_000, 1_000_000]) {
			const [{ appendNs, bytesPerEvent, replayNs }] = await generate(context.tools, "history", [events, 100]);
			context.results.add("growth-history", "hub", events, round, { appendNs, replayNs, bytesPerEvent });
		}
};

/** What a quick run leaves out unless it is asked for. */
export const slow = ["rooms", "bystanders", "fleet", "storm", "growth-rooms", "growth-hubs", "growth-history"];

export const scenarios = {
	fanout, bursts, rooms, latency, "end-to-end": endToEnd, bystanders, posts, setups, idle, fleet, storm, recovery,
	"growth-rooms": growthRooms, "growth-hubs": growthHubs, "growth-history": growthHistory,
};

/** About how many seconds each takes. */
const seconds = {
	fanout: 250, bursts: 90, rooms: 80, latency: 460, "end-to-end": 65, bystanders: 150, posts: 90, setups: 35, idle: 300, fleet: 75, storm: 75, recovery: 25,
	"growth-rooms": 60, "growth-hubs": 50, "growth-history": 15,
};
const quickSeconds = { ...seconds, fanout: 20, bursts: 20, latency: 18, "end-to-end": 20, posts: 12, setups: 12, idle: 14, recovery: 10 };

export const expectedSeconds = (isQuick) => (isQuick ? quickSeconds : seconds);

/** Names that stand for several. */
export const groups = { "growth-clients": ["fanout", "latency"] };
