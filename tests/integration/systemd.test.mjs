// The units for systemd: what make install puts where, what systemd's own judges say of it, and the inherited socket.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { promisify } from "node:util";

import { after, before, test } from "../lib/bounded.mjs";
import { end, until, watch, within } from "../lib/deadline.mjs";
import { top } from "./roomcast.mjs";

const run = promisify(execFile);
const execute = (program, args) => run(program, args, { timeout: 120_000 });
const build = process.env.ROOMCAST_BUILD || join(top, "build");
const dir = mkdtempSync(join(tmpdir(), "roomcast-systemd-"));
const EXPOSURE_MAX = 1.5; // of 10, as systemd-analyze counts

const find = (suffix) => readdirSync(join(dir, "root"), { recursive: true, withFileTypes: true })
	.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath ?? entry.path, entry.name)).filter((path) => path.endsWith(suffix));
const unit = (name) => readFileSync(join(dir, "units", name), "utf8");

before(async () => {
	await execute("make", ["-C", join(build, "dist/systemd"), "install", `DESTDIR=${join(dir, "root")}`]);
	await execute("mkdir", [join(dir, "units")]);
	for (const path of [...find(".service"), ...find(".socket")]) {
		// An instance of the template, and programs that are where this build has them.
		const name = basename(path).replace("@.", "@1.");
		copyFileSync(path, join(dir, "units", name));
		writeFileSync(join(dir, "units", name), unit(name).replace(/^ExecStart=\S*\/roomcast-(hub|gateway)/m, (_, which) =>
			`ExecStart=${join(build, which === "hub" ? "hub/roomcast-hub" : "fcgi-gateway/roomcast-gateway")}`));
	}
});

after(() => rmSync(dir, { recursive: true, force: true }));

test("make install puts units, the user and the directories where systemd looks", () => {
	assert.deepEqual(readdirSync(join(dir, "units")).sort(), ["roomcast-gateway.service", "roomcast-gateway.socket", "roomcast-hub@1.service"]);
	assert.match(readFileSync(find("/lib/sysusers.d/roomcast.conf")[0], "utf8"), /^u roomcast /m);
	assert.match(readFileSync(find("/lib/tmpfiles.d/roomcast.conf")[0], "utf8"), /^d \/run\/roomcast /m);
	for (const name of readdirSync(join(dir, "units"))) assert.doesNotMatch(unit(name), /@\w+@/, `${name}: nothing is left to be put in`);
});

test("systemd-analyze verify has nothing to say", async () => {
	const paths = readdirSync(join(dir, "units")).map((name) => join(dir, "units", name));
	const { stdout, stderr } = await execute("systemd-analyze", ["verify", "--man=no", ...paths]);
	assert.equal(stdout + stderr, "");
});

test("systemd-analyze security finds little that could still be taken away", async () => {
	for (const name of ["roomcast-gateway.service", "roomcast-hub@1.service"]) {
		const { stdout } = await execute("systemd-analyze", ["security", "--offline=yes", "--no-pager", join(dir, "units", name)]);
		const [, exposure] = stdout.match(/exposure level for \S+: ([\d.]+)/);
		assert.ok(Number(exposure) <= EXPOSURE_MAX, `${name}: ${exposure}`);
	}
});

test("the filter of system calls leaves what libzmq aborts without", () => {
	for (const name of ["roomcast-gateway.service", "roomcast-hub@1.service"]) {
		const filters = unit(name).match(/^SystemCallFilter=.*$/gm);
		assert.ok(filters.indexOf("SystemCallFilter=sched_setscheduler") > filters.findIndex((line) => line.includes("@resources")), name);
	}
});

test("sysusers and tmpfiles take the snippets", async () => {
	const root = join(dir, "root");
	await execute("mkdir", ["-p", join(root, "etc")]);
	const { stderr } = await execute("systemd-sysusers", [`--root=${root}`, find("/lib/sysusers.d/roomcast.conf")[0]]);
	assert.match(stderr, /Creating user 'roomcast'/);
	assert.match(readFileSync(join(root, "etc/passwd"), "utf8"), /^roomcast:.*:\/var\/lib\/roomcast:\S*nologin$/m);
});

/** Speaks just enough FastCGI to be answered. */
function ask(path) {
	const record = (type, content = Buffer.alloc(0)) => Buffer.concat([Buffer.from([1, type, 0, 1, content.length >> 8, content.length & 255, 0, 0]), content]);
	const pair = (name, value) => Buffer.concat([Buffer.from([name.length, value.length]), Buffer.from(name + value)]);
	return within("an answer", new Promise((resolve, reject) => {
		let text = "";
		const socket = connect(path, () => socket.write(Buffer.concat([record(1, Buffer.from([0, 1, 0, 0, 0, 0, 0, 0])),
			record(4, Buffer.concat([pair("REQUEST_METHOD", "GET"), pair("SCRIPT_NAME", "/api/broadcast/status")])), record(4), record(5)])));
		socket.setEncoding("latin1").on("data", (part) => (text += part)).on("close", () => resolve(text)).on("error", reject);
	}));
}

test("the gateway takes the socket that systemd listens on", async (t) => {
	const socket = join(dir, "gateway.sock");
	const activator = spawn("systemd-socket-activate", ["--listen", socket, "--setenv=ROOMCAST_API_KEY", join(build, "fcgi-gateway/roomcast-gateway"),
		"--listen=", `--state-dir=${dir}/state`, `--events=ipc://${dir}/events.sock`, `--line=ipc://${dir}/line.sock`],
	{ env: { ...process.env, ROOMCAST_API_KEY: "a key that nobody shows" }, stdio: "ignore" });
	watch(activator);
	t.after(() => end(activator, "SIGKILL"));
	await until("it listens", () => readdirSync(dir).includes("gateway.sock"));
	assert.match(await ask(socket), /^.*Status: 401/s); // the first connection starts it, and waits
	assert.deepEqual(await end(activator), { code: 0, signal: null }); // it has become the gateway
	assert.ok(readdirSync(dir).includes("gateway.sock"), "whose socket it was, is its");
});
