// A deadline for everything that a test waits for, and the end of the processes that it started.
import { spawnSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";

const WAIT_MS = 60_000; // generous: machines are busy, and who waits for a condition loses nothing when it comes early
const END_MS = 30_000;  // sanitizers look for leaks at the end
const LOG_TAIL = 4000;

/** What a promise gives, or an error that says what did not come. */
export function within(what, promise, ms = WAIT_MS) {
	let timer;
	const late = new Promise((_, reject) => {
		timer = setTimeout(() => reject(new Error(`not within ${ms} ms: ${what}`)), ms).unref();
	});
	const first = Promise.race([promise, late]).finally(() => clearTimeout(timer));
	first.catch(() => {}); // who waits for it may have failed meanwhile
	return first;
}

/** Waits until check() gives something true, and returns it. The deadline is for a condition, never a pause that hopes. What still waits when
 * its test has failed keeps no process alive. */
export async function until(what, check, ms = WAIT_MS) {
	const end = Date.now() + ms;
	for (;;) {
		const result = await within(`${what} (it cannot even be asked)`, check(), Math.max(end - Date.now(), 1000));
		if (result) return result;
		if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
		await new Promise((resolve) => setTimeout(resolve, 25).unref());
	}
}

/** The arguments of an emitter's next such event. */
export const heard = (emitter, event, ms) => within(`the event ${event}`, new Promise((resolve) => emitter.once(event, (...args) => resolve(args))), ms);

/** What a Socket.IO server acknowledges. */
export const emit = (socket, ...args) => within(`the acknowledgement of ${args[0]}`, new Promise((resolve) => socket.emit(...args, resolve)));

/** fetch, whose answer has begun and ended in time or is an error. */
export const get = (url, options = {}) => fetch(url, { signal: AbortSignal.timeout(WAIT_MS), ...options });

// --- processes -----------------------------------------------------------------

const text = (path) => {
	try { return readFileSync(path, "utf8").trim(); } catch { return "?"; }
};

const calls = (pid) => spawnSync("gdb", ["-p", String(pid), "-batch", "-ex", "thread apply all bt 30"], { encoding: "utf8", timeout: 60_000 }).stdout ?? "";

/** What a process is about, thread by thread, as far as the kernel tells, and a debugger where there is one. */
export function portrait(pid) {
	const threads = (() => {
		try { return readdirSync(`/proc/${pid}/task`); } catch { return []; }
	})();
	const of = (thread) => {
		const at = `/proc/${pid}/task/${thread}`;
		const state = /^State:\s+(.*)$/m.exec(text(`${at}/status`))?.[1] ?? "gone";
		return `  ${thread} ${text(`${at}/comm`)}: ${state}, waits in ${text(`${at}/wchan`)}, system call ${text(`${at}/syscall`)}\n${text(`${at}/stack`)}`;
	};
	const command = text(`/proc/${pid}/cmdline`).replaceAll("\0", " ");
	return [`process ${pid}: ${command}`, ...threads.map(of), command.includes("roomcast-") ? calls(pid) : ""].join("\n");
}

/** Every process below one, its own children last. */
export function descendants(pid) {
	const parents = new Map();
	for (const entry of readdirSync("/proc")) {
		if (!/^\d+$/.test(entry)) continue;
		const parent = Number(text(`/proc/${entry}/stat`).replace(/^.*\) /s, "").split(" ")[1]);
		parents.set(parent, [...(parents.get(parent) ?? []), Number(entry)]);
	}
	const below = (one) => (parents.get(one) ?? []).flatMap((child) => [...below(child), child]);
	return below(pid);
}

const hasEnded = (child) => child.pid === undefined || child.exitCode !== null || child.signalCode !== null;

const kill = (pid) => {
	try { process.kill(pid, "SIGKILL"); } catch { /* it has ended meanwhile */ }
};

/** To be called when a child was made. written(): what it wrote, for whoever looks at a failure. Whoever reads child.ended then waits for its end and that of its
 * pipes, and gets { code, signal }; when that does not come in time it is an error which says what the child is about, and the child is killed. */
export function watch(child, written = () => "") {
	const closed = new Promise((resolve) => {
		child.on("error", (error) => resolve({ code: error.code, signal: null }));
		child.on("close", (code, signal) => resolve({ code, signal }));
	});
	return Object.defineProperties(child, { written: { value: written }, closed: { value: closed }, ended: { get: () => ended(child) } });
}

async function ended(child, ms = END_MS) {
	try {
		return await within(`${child.spawnargs.join(" ").slice(0, 200)} ends`, child.closed, ms);
	} catch (late) {
		const pids = hasEnded(child) ? [] : [...descendants(child.pid), child.pid];
		const what = pids.length ? pids.map(portrait).join("\n") : "it has ended, but somebody holds its pipes";
		pids.forEach(kill);
		child.unref();
		for (const stream of child.stdio) stream?.destroy();
		throw new Error(`${late.message}\n${what}\n${String(child.written()).slice(-LOG_TAIL)}`);
	}
}

const isStopped = (pid) => /^State:\s+T/m.test(text(`/proc/${pid}/status`));

/** Stops a process, and waits until all of its threads stand: on a busy machine they still run for a while. */
export async function halt(pid) {
	process.kill(pid, "SIGSTOP");
	await until(`process ${pid} is stopped`, () => readdirSync(`/proc/${pid}/task`).every((thread) => isStopped(`${pid}/task/${thread}`)));
}

/** Asks a watched child to end, also one that is stopped, and waits for it as child.ended does. SIGKILL ends what is stopped as it stands.
 *
 * Only what is stopped is told to go on, and before the signal: at its end LeakSanitizer stops the process with a SIGSTOP of its own, and when a
 * SIGCONT takes that back, both wait for ever. */
export function end(child, signal = "SIGTERM", ms) {
	if (!hasEnded(child)) {
		if (signal !== "SIGKILL" && isStopped(child.pid)) child.kill("SIGCONT");
		child.kill(signal);
	}
	return ended(child, ms);
}

/** Waits for all, whatever fails, and then fails with everything that failed. */
export async function all(promises) {
	const failures = (await Promise.allSettled(promises)).filter(({ status }) => status === "rejected").map(({ reason }) => reason);
	if (failures.length) throw failures.length === 1 ? failures[0] : new AggregateError(failures, failures.map(({ message }) => message).join("\n"));
}

/** Kills every process below this one; says what they were about. */
export function killAll() {
	const pids = descendants(process.pid);
	const what = pids.map(portrait).join("\n");
	for (const pid of pids) kill(pid);
	return what;
}
