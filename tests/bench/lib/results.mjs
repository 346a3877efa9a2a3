// What was measured: one row for each server, size and round; medians and ratios of them.

export const median = (numbers) => {
	const sorted = numbers.filter(Number.isFinite).sort((a, b) => a - b);
	if (!sorted.length) return NaN;
	const middle = sorted.length >> 1;
	return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

export class Results {
	rows = [];

	add(scenario, server, x, round, values) {
		this.rows.push({ scenario, server, x, round, ...values });
	}

	select(scenario, server, x) {
		return this.rows.filter((row) => row.scenario === scenario && row.server === server && (x === undefined || row.x === x));
	}

	unique(scenario, key) {
		return [...new Set(this.rows.filter((row) => row.scenario === scenario).map((row) => row[key]))];
	}

	/** The median over the rounds; NaN when it was not measured. */
	median(scenario, server, x, value) {
		return median(this.select(scenario, server, x).map((row) => row[value]));
	}

	/** The median of the ratios to another server, each within its round. */
	ratio(scenario, server, other, x, value) {
		return median(this.select(scenario, server, x).map((row) => {
			const same = this.select(scenario, other, x).find((candidate) => candidate.round === row.round);
			return same ? row[value] / same[value] : NaN;
		}));
	}

	/** [[x, median], ...] of one server. */
	curve(scenario, server, value) {
		return this.unique(scenario, "x")
			.map((x) => [x, this.median(scenario, server, x, value)])
			.filter(([, y]) => Number.isFinite(y));
	}
}
