// A PostgreSQL server of the run's own, on a unix socket in a directory of its own.
import { execFile, execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { top } from "../integration/roomcast.mjs";
import { until } from "../lib/deadline.mjs";
import { Daemon } from "./daemon.mjs";

const PROGRAM_MS = 120_000;
const ANSWER_MS = 20_000;
const VERSIONS = "/usr/lib/postgresql";

function programs() {
	const versions = existsSync(VERSIONS) ? readdirSync(VERSIONS).sort((a, b) => b - a) : [];
	return versions.map((version) => join(VERSIONS, version, "bin")).find((path) => existsSync(join(path, "initdb")));
}

export const hasPostgres = () => programs() !== undefined;

export class Postgres {
	static async start() {
		const server = new Postgres();
		server.dir = mkdtempSync(join(tmpdir(), "rcp-"));
		const data = join(server.dir, "data");
		mkdirSync(data);
		// The server refuses to run as root; Debian's package brings a user for it.
		const as = process.getuid() === 0 ? ["setpriv", "--pdeathsig=INT", "--reuid=postgres", "--regid=postgres", "--clear-groups"] : ["env"];
		if (process.getuid() === 0) execFileSync("chown", ["-R", "postgres:postgres", server.dir]);
		const bin = programs();
		execFileSync(as[0], [...as.slice(1), join(bin, "initdb"), "-D", data, "-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"],
			{ cwd: server.dir, stdio: "pipe", timeout: PROGRAM_MS });
		server.daemon = new Daemon({
			name: "postgres", program: as[0], cwd: server.dir, log: `${server.dir}.log`,
			args: [...as.slice(1), join(bin, "postgres"), "-D", data, "-k", server.dir, "-c", "listen_addresses=", "-c", "max_connections=50", "-c", "fsync=off"],
		});
		server.client = [join(bin, "psql"), ["-h", server.dir, "-U", "postgres", "-Atq", "-v", "ON_ERROR_STOP=1"]];
		try {
			await server.up();
			server.install();
		} catch (err) {
			await server.stop();
			throw err;
		}
		return server;
	}

	/** The outbox. */
	install() {
		execFileSync(this.client[0], [...this.client[1], "-f", join(top, "sql/outbox.sql")], { stdio: "pipe", timeout: PROGRAM_MS });
	}

	/** What psql prints for it; undefined when it failed. */
	run(sql) {
		const [program, options] = this.client;
		return new Promise((resolve) => execFile(program, [...options, "-c", sql], { timeout: ANSWER_MS }, (err, out) => resolve(err ? undefined : out.trim() || "done")));
	}

	get connection() {
		return `host=${this.dir} user=postgres dbname=postgres connect_timeout=2`;
	}

	async up() {
		this.daemon.start();
		await until("PostgreSQL answers", () => this.run("SELECT 1"));
	}

	/** SIGINT: a fast shutdown, which cuts every connection. SIGQUIT: at once, as a crash. */
	async down(signal) {
		await this.daemon.end(signal);
	}

	async stop() {
		await this.down("SIGINT");
		rmSync(this.dir, { recursive: true, force: true });
		rmSync(`${this.dir}.log`, { force: true });
	}
}
