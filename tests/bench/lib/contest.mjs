// Servers that take turns: in each round each of them is measured at each size, in an order that turns around from round to round.

/** start: functions that start a server. sizes: what measure(server, size) is asked for; it gives the values of a row. */
export async function contest(context, { scenario, start, sizes, measure, rounds = context.rounds }) {
	const servers = [];
	try {
		for (const begin of start) servers.push(await begin(context));
		for (let round = 1; round <= rounds; round++) {
			for (const x of sizes) {
				for (const server of round % 2 ? servers : [...servers].reverse()) {
					const values = await measure(server, x);
					context.results.add(scenario, server.name, x, round, values);
					context.say(`${scenario} ${x} round ${round}: ${server.name} ${brief(values)}`);
				}
			}
		}
	} finally {
		for (const server of servers) await server.stop();
	}
}

const brief = (values) => Object.entries(values).map(([name, value]) => `${name} ${shorten(value)}`).join(", ");

const shorten = (value) => (typeof value === "number" ? Number(value.toPrecision(4)).toLocaleString("en") : value);
