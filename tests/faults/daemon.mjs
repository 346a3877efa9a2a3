// A process that is started, harmed and started again; it remembers an end that nobody asked for.
import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";

import { end, watch } from "../lib/deadline.mjs";

export class Daemon {
	constructor({ name, program, args, cwd, env, log, isReady }) {
		Object.assign(this, { name, program, args, cwd, env, log, isReady, complaints: [] });
	}

	get isRunning() {
		return this.child !== undefined;
	}

	start() {
		const out = openSync(this.log, "a");
		// Whatever happens to us, it does not outlive us.
		const child = spawn("setpriv", ["--pdeathsig", "KILL", "--", this.program, ...this.args], { cwd: this.cwd, env: { ...process.env, ...this.env }, stdio: ["ignore", out, out] });
		closeSync(out);
		this.child = child;
		this.isExpectedToEnd = false;
		watch(child, () => this.text());
		child.on("error", (err) => this.complaints.push(`${this.name}: ${err.message}`));
		child.closed.then(({ code, signal }) => {
			if (!this.isExpectedToEnd) this.complaints.push(`${this.name} ended by itself: ${signal ?? `status ${code}`}`);
			else if (signal !== "SIGKILL" && code !== 0) this.complaints.push(`${this.name} ended with ${signal ?? `status ${code}`}`);
			if (this.child === child) this.child = undefined;
		});
	}

	/** Ends it, and waits until it has; one that does not end is killed, and a complaint. */
	async end(signal) {
		if (!this.child) return;
		this.isExpectedToEnd = true;
		await end(this.child, signal).catch((err) => this.complaints.push(`${this.name}: ${err.message}`));
	}

	pause() {
		this.child?.kill("SIGSTOP");
	}

	resume() {
		this.child?.kill("SIGCONT");
	}

	text() {
		return readFileSync(this.log, "utf8");
	}
}
