// A process that is started, harmed and started again; it remembers an end that nobody asked for.
import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";

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
		this.ended = new Promise((resolve) => {
			child.on("error", (err) => this.complaints.push(`${this.name}: ${err.message}`));
			child.on("close", (code, signal) => {
				if (!this.isExpectedToEnd) this.complaints.push(`${this.name} ended by itself: ${signal ?? `status ${code}`}`);
				else if (signal !== "SIGKILL" && code !== 0) this.complaints.push(`${this.name} ended with ${signal ?? `status ${code}`}`);
				if (this.child === child) this.child = undefined;
				resolve();
			});
		});
	}

	/** Ends it, and waits until it has. A stopped process takes SIGKILL, and TERM once it goes on. */
	async end(signal) {
		if (!this.child) return;
		this.isExpectedToEnd = true;
		this.child.kill(signal);
		if (signal !== "SIGKILL") this.child.kill("SIGCONT");
		await this.ended;
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
