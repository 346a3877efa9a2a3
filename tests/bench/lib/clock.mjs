// The time that a run may take, and what each scenario may take of it.

/** seconds: what the run may take; expected: what each scenario takes when nobody disturbs it. Who comes first may use what all of them leave. */
export class Clock {
	constructor(seconds, expected, now = () => performance.now() / 1000) {
		this.now = now;
		this.end = now() + seconds;
		this.expected = { ...expected };
	}

	begin(name) {
		const own = this.expected[name];
		delete this.expected[name];
		const others = Object.values(this.expected).reduce((sum, one) => sum + one, 0), left = this.end - this.now();
		this.until = this.now() + Math.max(left - others, (left * own) / (own + others));
	}

	/** Whether something of that length still fits into the present scenario's time. */
	allows(seconds) {
		return this.now() + seconds <= this.until;
	}

	/** The same of the whole run. */
	allowsAtAll(seconds) {
		return this.now() + seconds <= this.end;
	}
}
