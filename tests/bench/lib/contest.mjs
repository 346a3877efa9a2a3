// Servers that take turns: in each round each of them is measured at each size, in an order that turns around from round to round.

/**
 * start: functions that start a server. sizes: what measure(server, size) is asked for; it gives the values of a row.
 * takes: seconds that it has at least to have left to be begun at all. When the scenario's time is up, rounds are left out.
 */
export async function contest(context, { scenario, start, sizes, measure, rounds = context.rounds, takes = 0 }) {
	const { clock } = context;
	if (!clock.allowsAtAll(takes)) {
		context.note(`${scenario} ${sizes.join()}: left out, there was no time`);
		return;
	}
	const servers = [];
	try {
		for (const begin of start) servers.push(await begin(context));
		let longest = 0;
		for (let round = 1; round <= rounds; round++) {
			if (round > 1 && !clock.allows(longest)) {
				context.note(`${scenario}: ${round - 1} of ${rounds} rounds in the time it has`);
				return;
			}
			const began = clock.now();
			await oneRound(context, { scenario, servers: round % 2 ? servers : [...servers].reverse(), sizes, measure, round });
			longest = Math.max(longest, clock.now() - began);
		}
	} finally {
		for (const server of servers) await server.stop();
	}
}

async function oneRound(context, { scenario, servers, sizes, measure, round }) {
	for (const [i, x] of sizes.entries()) {
		if (i > 0 && !context.clock.allows(0)) {
			context.note(`${scenario}: round ${round} without ${sizes.slice(i).join()}, its time is up`);
			return;
		}
		for (const server of servers) {
			const values = await measure(server, x);
			context.results.add(scenario, server.name, x, round, values);
			context.say(`${scenario} ${x} round ${round}: ${server.name} ${brief(values)}`);
		}
	}
}

const brief = (values) => Object.entries(values).map(([name, value]) => `${name} ${shorten(value)}`).join(", ");

const shorten = (value) => (typeof value === "number" ? Number(value.toPrecision(4)).toLocaleString("en") : value);
