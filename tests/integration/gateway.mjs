// A gateway of a test's own behind a real nginx, and hubs: real ones, and ones that only listen.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { all, end, until, watch } from "../lib/deadline.mjs";
import { freePort } from "../lib/port.mjs";
import { top } from "./roomcast.mjs";

const ANSWER_MS = 60_000;

export const build = process.env.ROOMCAST_BUILD || join(top, "build");

export class GatewaySite {
	key = "integration-key-0123456789";
	dir = mkdtempSync(join(tmpdir(), "roomcast-gateway-"));
	running = [];

	get json() {
		return { Authorization: `Bearer ${this.key}`, "Content-Type": "application/json" };
	}

	/** Starts gateway and nginx; options: extra (the gateway's arguments), env (its environment). */
	static async open({ extra = [], env = {} } = {}) {
		const site = new GatewaySite();
		site.extra = extra;
		site.env = env;
		try {
			await site.start();
		} catch (error) {
			await site.close().catch(() => {});
			throw error;
		}
		return site;
	}

	async start() {
		this.port = await freePort();
		writeFileSync(join(this.dir, "nginx.conf"), this.nginxConfig());
		await this.startGateway();
		this.spawn("nginx", ["-p", this.dir, "-c", join(this.dir, "nginx.conf"), "-e", "stderr"]);
		await until("nginx is up", () => this.call("GET", "/api/broadcast/status", this.json).then((r) => r.status === 200, () => false));
	}

	spawn(program, args, env = {}) {
		const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ["pipe", "pipe", "pipe"] });
		child.text = "";
		child.stderr.setEncoding("utf8").on("data", (text) => (child.text += text));
		watch(child, () => child.text);
		child.stdin.on("error", () => {}); // it may have ended
		this.running.push(child);
		return child;
	}

	/** Not waited for. */
	spawnGateway(extra = [], env = {}) {
		return this.spawn(join(build, "fcgi-gateway/roomcast-gateway"), [
			`--listen=${this.dir}/gateway.sock`, `--state-dir=${this.dir}/state`, `--events=ipc://${this.dir}/events.sock`, `--line=ipc://${this.dir}/line.sock`,
			...this.extra, ...extra,
		], { ROOMCAST_API_KEY: this.key, ...this.env, ...env });
	}

	async startGateway(extra, env) {
		this.gateway = this.spawnGateway(extra, env);
		await until("the gateway is up", () => {
			if (this.gateway.exitCode !== null) throw new Error(this.gateway.text);
			return this.gateway.text.includes("msg=started");
		});
	}

	/** A second one on the same state directory; nginx has it at /second. Not waited for. */
	spawnSecond() {
		return this.spawnGateway([`--listen=${this.dir}/gateway-2.sock`, `--events=ipc://${this.dir}/events-2.sock`, `--line=ipc://${this.dir}/line-2.sock`]);
	}

	async killGateway() {
		await end(this.gateway, "SIGKILL");
	}

	nginxConfig() {
		const { dir, port } = this;
		return `daemon off; master_process off; pid ${dir}/nginx.pid; error_log ${dir}/nginx.log;
events { worker_connections 2048; }
http {
	access_log off;
	client_body_temp_path ${dir}/t1; proxy_temp_path ${dir}/t2; fastcgi_temp_path ${dir}/t3; uwsgi_temp_path ${dir}/t4; scgi_temp_path ${dir}/t5;
	upstream gateway { server unix:${dir}/gateway.sock; keepalive 4; }
	server {
		listen 127.0.0.1:${port};
		client_max_body_size 8m;
		location /api/broadcast { fastcgi_pass gateway; fastcgi_keep_conn on; include /etc/nginx/fastcgi_params; }
		location /second/ { rewrite ^/second/(.*) /api/broadcast/$1 break; fastcgi_pass unix:${dir}/gateway-2.sock; include /etc/nginx/fastcgi_params; }
		location /plain/ { rewrite ^/plain/(.*) /api/broadcast/$1 break; fastcgi_pass unix:${dir}/gateway.sock; include /etc/nginx/fastcgi_params; }
		location /split/ {
			fastcgi_pass gateway; include /etc/nginx/fastcgi_params; fastcgi_param REQUEST_URI "";
			fastcgi_split_path_info ^(/split)(/.*)$; fastcgi_param SCRIPT_NAME $fastcgi_script_name; fastcgi_param PATH_INFO $fastcgi_path_info;
		}
	}
}
`;
	}

	call(method, path, headers = {}, body) {
		return new Promise((resolve, reject) => {
			const req = request({ port: this.port, host: "127.0.0.1", method, path, headers, agent: false, timeout: ANSWER_MS }, (res) => {
				let text = "";
				res.setEncoding("utf8").on("data", (part) => (text += part)).on("error", reject).on("end", () => {
					let parsed;
					try { parsed = JSON.parse(text); } catch { /* judged by whoever asks */ }
					resolve({ status: res.statusCode, headers: res.headers, text, json: parsed });
				});
			});
			req.on("timeout", () => req.destroy(new Error(`no answer to ${method} ${path}`))).on("error", reject);
			req.end(body);
		});
	}

	/** path below the mount; a body that is neither text nor bytes becomes JSON. */
	post(path, body, headers = {}) {
		const bytes = typeof body === "string" || Buffer.isBuffer(body) ? body : JSON.stringify(body);
		return this.call("POST", `/api/broadcast${path}`, { ...this.json, ...headers }, bytes);
	}

	get(path, headers = {}) {
		return this.call("GET", `/api/broadcast${path}`, { ...this.json, ...headers });
	}

	async status() {
		return (await this.get("/status")).json;
	}

	/** A hub that only listens; messages(kind) gives those that came. It acknowledges nothing, unless told. */
	async tap(name) {
		const child = this.spawn(join(build, "tests/tools/line_tap"), [name, `ipc://${this.dir}/line.sock`]);
		const heard = [];
		createInterface({ input: child.stdout }).on("line", (line) => heard.push(JSON.parse(line)));
		const hub = {
			child, heard,
			messages: (kind) => heard.filter((message) => message.kind === kind),
			published: () => heard.filter((message) => message.by === "events" && ["event", "control"].includes(message.kind)),
			say: (line) => child.stdin.write(`${line}\n`),
			stop: () => (child.stdin.end(), child.ended),
		};
		await until(`${name} is welcome and hears heartbeats`, () => hub.messages("welcome").length && hub.messages("heartbeat").length);
		return hub;
	}

	/** A real hub. */
	async hub(name, extra = []) {
		const child = this.spawn(join(build, "hub/roomcast-hub"), [`--name=${name}`, `--listen=unix:${this.dir}/${name}.sock`, `--line=ipc://${this.dir}/line.sock`, ...extra],
			{ JWT_SECRET: "a secret of the test" });
		await until(`${name} is there`, async () => {
			if (child.exitCode !== null) throw new Error(child.text);
			return (await this.status()).hubs.some((hub) => hub.name === name);
		});
		return child;
	}

	/** Ends everything; a sanitizer's complaint is an error. */
	async close() {
		try {
			await all(this.running.map((child) => end(child)));
		} finally {
			rmSync(this.dir, { recursive: true, force: true });
		}
		const complaint = this.running.map((child) => child.text).find((text) => /ERROR: |runtime error/.test(text));
		if (complaint) throw new Error(complaint.slice(-4000));
	}
}
