// A whole roomcast of real processes: nginx, gateways, hubs, and a link that can fail between every two that talk.
//
// Each daemon has a working directory of its own, and ZeroMQ's sockets are named relative to it. So what a hub calls line-1.sock is the near
// end of a link whose far end is gateway 1; nobody knows of links but this file.
//
//   clients --front--> nginx --> hub-1..n --line-h-g, events-h-g--> gateway-1..m --line-g-g--> the other gateways
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { top } from "../integration/roomcast.mjs";
import { all, until } from "../lib/deadline.mjs";
import { freePort } from "../lib/port.mjs";
import { Daemon } from "./daemon.mjs";
import { Link } from "./link.mjs";

const build = process.env.ROOMCAST_BUILD || join(top, "build");
const API_KEY = "faults-key-0123456789";
export const JWT_SECRET = "faults-secret-of-more-than-32-bytes";
const START_MS = 60_000;
const SERVER_LINES = /(?:^\tserver unix:\S*\/(hub|gateway)\S*\.sock.*\n)+/gm; // of one upstream in the example

const numbers = (count) => Array.from({ length: count }, (_, index) => index + 1);

/** GET over a unix socket or a port; the body when the status is 200. */
export function get(where, path, headers = {}) {
	return new Promise((resolve) => {
		const asked = request({ ...where, path, headers, agent: false, timeout: 2000 }, (answer) => {
			let text = "";
			answer.setEncoding("utf8").on("data", (part) => (text += part)).on("error", () => resolve()).on("end", () => resolve(answer.statusCode === 200 ? text : undefined));
		});
		asked.on("error", () => resolve()).on("timeout", () => asked.destroy()).end();
	});
}

export class Cluster {
	/** Settings: hubs, gateways, hubOptions, gatewayOptions (arrays of --name=value), gatewayEnv, random, stateDir, network
	 * (a Network that lies between hubs and gateways). */
	static async start({ hubs = 2, gateways = 1, hubOptions = [], gatewayOptions = [], gatewayEnv = {}, random = Math.random, stateDir, network } = {}) {
		const cluster = new Cluster();
		cluster.dir = mkdtempSync(join(tmpdir(), "rcf-"));
		chmodSync(cluster.dir, 0o711);
		Object.assign(cluster, { random, apiKey: API_KEY, stateDir: stateDir ?? join(cluster.dir, "state"), network, links: [] });
		for (const name of ["log", "tmp", "page", "state"]) mkdirSync(join(cluster.dir, name));
		cluster.port = await freePort();
		cluster.gateways = numbers(gateways).map((number) => cluster.gateway(number, gatewayOptions, gatewayEnv));
		cluster.hubs = numbers(hubs).map((number) => cluster.hub(number, gateways, hubOptions));
		cluster.nginx = cluster.webServer();
		try {
			await cluster.openLinks();
			for (const daemon of cluster.daemons) daemon.start();
			await Promise.all(cluster.daemons.map((daemon) => cluster.ready(daemon)));
		} catch (err) {
			await cluster.stop();
			throw err;
		}
		return cluster;
	}

	get daemons() {
		return [...this.gateways, ...this.hubs, this.nginx];
	}

	daemon(name, program, args, env, isReady) {
		const cwd = join(this.dir, name);
		mkdirSync(cwd);
		return new Daemon({ name, program, args, cwd, env, log: join(this.dir, "log", `${name}.log`), isReady });
	}

	gateway(number, options, env) {
		const socket = join(this.dir, `gateway-${number}.sock`);
		const daemon = this.daemon(`gateway-${number}`, join(build, "fcgi-gateway/roomcast-gateway"), [
			`--listen=${socket}`, `--state-dir=${this.stateDir}`, `--events=ipc://events-${number}.sock`, `--line=ipc://line-${number}.sock`, ...options,
		], { ROOMCAST_API_KEY: API_KEY, ...env });
		daemon.isReady = () => this.gatewayAnswers(number);
		return Object.assign(daemon, { number, socket });
	}

	hub(number, gateways, options) {
		const socketPath = join(this.dir, `hub-${number}.sock`);
		const lines = numbers(gateways).map((gateway) => `ipc://line-${gateway}.sock`).join(",");
		const daemon = this.daemon(`hub-${number}`, join(build, "hub/roomcast-hub"),
			[`--name=hub-${number}`, `--listen=unix:${socketPath}`, `--line=${lines}`, ...options], { JWT_SECRET });
		daemon.isReady = () => get({ socketPath }, "/readyz");
		return Object.assign(daemon, { number, socket: socketPath });
	}

	webServer() {
		const daemon = this.daemon("nginx", "nginx", ["-p", this.dir, "-c", join(this.dir, "nginx.conf"), "-e", join(this.dir, "log/nginx-error.log")]);
		writeFileSync(join(this.dir, "nginx.conf"), this.nginxConfig());
		daemon.isReady = () => get({ host: "127.0.0.1", port: this.port }, "/api/socket");
		return daemon;
	}

	/** The example's two files, with the sockets of this cluster. */
	nginxConfig() {
		const half = (name) => readFileSync(join(top, "examples/nginx", name), "utf8")
			.replace(SERVER_LINES, (first, what) => (what === "hub" ? this.hubs : this.gateways)
				.map(({ socket }) => `\tserver unix:${socket} max_fails=0;\n`).join(""))
			.replaceAll("/run/roomcast/", `${this.dir}/`);
		return `daemon off; ${process.getuid() === 0 ? "user root;" : ""} worker_processes 2; pid ${this.dir}/nginx.pid;
events { worker_connections 4096; }
http {
	access_log off; client_body_temp_path tmp/1; proxy_temp_path tmp/2; fastcgi_temp_path tmp/3; uwsgi_temp_path tmp/4; scgi_temp_path tmp/5;
	types { text/html html; text/javascript js; }
${half("roomcast-http.conf")}
	server {
		listen 127.0.0.1:${this.port};
		location /page/ { root ${this.dir}; }
${half("roomcast-server.conf")}
	}
}
`;
	}

	// --- links ---

	async link(name, from, to) {
		const link = await Link.open(from, to, this.random);
		this.links.push(Object.assign(link, { name }));
		return link;
	}

	/** The near end of a gateway's sockets in another daemon's directory. */
	async linkTo(gateway, daemon, kinds) {
		const links = [];
		for (const kind of kinds) {
			const file = `${kind}-${gateway.number}.sock`;
			const there = join(gateway.cwd, file);
			const path = this.network ? await this.network.through(there) : there;
			links.push(await this.link(`${daemon.name}/${file}`, { path: join(daemon.cwd, file) }, { path }));
		}
		return links;
	}

	async openLinks() {
		for (const gateway of this.gateways) {
			for (const hub of this.hubs) (hub.links ??= []).push(...(await this.linkTo(gateway, hub, ["line", "events"])));
			for (const other of this.gateways) if (other !== gateway) await this.linkTo(gateway, other, ["line"]);
		}
		this.frontPort = await freePort();
		this.front = await this.link("front", { host: "127.0.0.1", port: this.frontPort }, { host: "127.0.0.1", port: this.port });
	}

	get url() {
		return `http://127.0.0.1:${this.frontPort}`;
	}

	// --- life ---

	/** What the active gateway says of itself; undefined when there is none. */
	async gatewayStatus() {
		const headers = { Authorization: `Bearer ${API_KEY}` };
		const text = await get({ host: "127.0.0.1", port: this.port }, "/api/broadcast/status", headers);
		return text && JSON.parse(text);
	}

	/** The running gateway that opened the journal last. */
	activeGateway() {
		const epoch = (gateway) => Number([...gateway.text().matchAll(/msg="journal is open".* epoch=(\d+)/g)].at(-1)?.[1] ?? 0);
		return this.gateways.filter((gateway) => gateway.isRunning).reduce((best, gateway) => (epoch(gateway) > epoch(best) ? gateway : best));
	}

	/** Whether every hub is there and has all that was published. */
	async hubsAreLevel() {
		const { hubs = [], epoch, lastSeq } = (await this.gatewayStatus()) ?? {};
		return hubs.length === this.hubs.length && hubs.every((hub) => hub.epoch === epoch && hub.seq === lastSeq);
	}

	gatewayAnswers(number) {
		return this.gateways[number - 1].text().includes("msg=started") && this.gatewayStatus();
	}

	async ready(daemon) {
		await until(`${daemon.name} is ready`, () => {
			if (!daemon.isRunning) throw new Error(`${daemon.name} ended: ${daemon.text().slice(-2000)}`);
			return daemon.isReady();
		}, START_MS);
	}

	async restart(daemon) {
		daemon.start();
		await this.ready(daemon);
	}

	/** Ends everything in order; returns what went wrong on the way. The directory goes away unless it is to be kept. */
	async stop({ keep = false } = {}) {
		for (const link of this.links) link.restore();
		for (const daemon of [...this.daemons].reverse()) await daemon.end("SIGTERM");
		await all(this.links.map((link) => link.close()));
		const complaints = this.daemons.flatMap((daemon) => daemon.complaints);
		if (!keep) rmSync(this.dir, { recursive: true, force: true });
		return complaints;
	}
}
