// The servers under measurement. Each gives the options that `load` needs to be its clients and to publish to it.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { all, get, until } from "../../lib/deadline.mjs";
import { freePort } from "../../lib/port.mjs";
import { Daemon } from "./processes.mjs";

const bench = join(dirname(fileURLToPath(import.meta.url)), "..");
const top = join(bench, "../..");
export const apiKey = "bench";

/** context: { build, tools, directory } */
class Server {
	daemons = [];

	constructor(name, context) {
		this.name = name;
		this.context = context;
		this.directory = join(context.directory, `${name.replace(/\W+/g, "-")}-${context.next()}`);
		mkdirSync(this.directory);
	}

	launch(command, options = {}) {
		const daemon = new Daemon(command, { directory: this.directory, log: join(this.directory, "log"), ...options });
		this.daemons.push(daemon);
		return daemon;
	}

	get pids() {
		return this.daemons.flatMap((daemon) => daemon.pids);
	}

	async stop() {
		await all(this.daemons.map((daemon) => daemon.stop()));
	}
}

const plain = (port, path, source) => ({ protocol: "plain", server: port, path, source });

export async function bare(context) {
	const server = new Server("bare", context);
	const [port, control] = [await freePort(), await freePort()];
	await server.launch([join(context.tools, "bare"), port, control]).accepts(control);
	return Object.assign(server, { options: plain(port, "/room/", `control:${control}`) });
}

export async function socketio(context) {
	const server = new Server("socket.io", context);
	const [port, control] = [await freePort(), await freePort()];
	await server.launch([process.execPath, join(bench, "peers/socketio.mjs"), port, control],
		{ env: { NODE_ENV: "production", ROOMCAST_API_KEY: apiKey } }).accepts(port);
	return Object.assign(server, { options: { server: port, source: `control:${control}` }, port });
}

export const bunProgram = () => {
	const program = join(bench, `node_modules/@oven/bun-linux-${process.arch === "arm64" ? "aarch64" : process.arch}/bin/bun`);
	return existsSync(program) ? program : null;
};

export async function bun(context) {
	const server = new Server("bun", context);
	const [port, control] = [await freePort(), await freePort()];
	await server.launch([bunProgram(), join(bench, "peers/bun.mjs"), port, control]).accepts(control);
	return Object.assign(server, { options: plain(port, "/room/", `control:${control}`) });
}

/** One or more hubs. What is published to them comes from the generator, which speaks the gateway's side of the line. */
export async function hub(context, { hubs = 1, options = [], name = "hub" } = {}) {
	const server = new Server(name, context);
	const ports = [];
	for (let i = 1; i <= hubs; i++) {
		const port = await freePort();
		server.launch([join(context.build, "hub/roomcast-hub"), `--name=hub-${i}`, `--listen=127.0.0.1:${port}`,
			`--line=ipc://${server.directory}/line.sock`, "--anonymous-types=*", "--log-level=warning", "--drain-window=0", ...options],
			{ env: { JWT_SECRET: "bench" } });
		ports.push(port);
	}
	for (const [i, port] of ports.entries()) await server.daemons[i].accepts(port);
	return Object.assign(server, { options: { server: ports.join(), source: `line:${server.directory}` } });
}

// --- behind nginx ---------------------------------------------------------------------

const nginxModule = "/usr/lib/nginx/modules/ngx_nchan_module.so";
export const hasNchan = () => existsSync(nginxModule);

const nginxConfig = (inside, before = "") => `${before}
daemon off;
${process.getuid() === 0 ? "user root;" : ""}
worker_processes 1;
worker_rlimit_nofile 20000;
pid nginx.pid;
error_log stderr warn;
# Of fewer than a sixteenth that are free nginx would close those that wait for a request: the publisher. The bound of descriptors is below it.
events { worker_connections 20600; }
http {
	access_log off;
	keepalive_requests 100000000;
	keepalive_timeout 1h;
	client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
${inside}
}
`;

async function startNginx(server, port, inside, before) {
	writeFileSync(join(server.directory, "nginx.conf"), nginxConfig(inside, before));
	await server.launch(["nginx", "-p", `${server.directory}/`, "-c", "nginx.conf", "-e", "stderr"]).accepts(port);
}

export async function nchan(context) {
	const server = new Server("nchan", context);
	const port = await freePort();
	await startNginx(server, port, `
	nchan_shared_memory_size 256M;
	server {
		listen 127.0.0.1:${port} backlog=4096;
		location ~ ^/room/(\\d+)$ {
			nchan_subscriber websocket;
			nchan_channel_id $1;
			nchan_subscriber_first_message newest;
			nchan_websocket_ping_interval 0;
		}
		location = /publish {
			nchan_publisher;
			nchan_channel_id $arg_room;
			nchan_message_buffer_length 100;
			nchan_message_timeout 10s;
		}
	}`, `load_module ${nginxModule};`);
	return Object.assign(server, { options: plain(port, "/room/", `nchan:${port}/publish?room=`), port });
}

const example = (name, directory) => readFileSync(join(top, "examples/nginx", name), "utf8").replaceAll("/run/roomcast/", `${directory}/`);

/** nginx as examples/nginx ships it, a gateway and one hub. Clients connect to the hub itself, as they do to the others. */
export async function stack(context, { gateway = [], name = "roomcast" } = {}) {
	const server = new Server(name, context);
	const { directory } = server;
	const [port, hubPort] = [await freePort(), await freePort()];
	const line = `--line=ipc://${directory}/line.sock`;
	server.launch([join(context.build, "fcgi-gateway/roomcast-gateway"), `--listen=${directory}/gateway.sock`, `--state-dir=${directory}`,
		`--events=ipc://${directory}/events.sock`, line, "--listen-mode=0666", "--log-level=warning", ...gateway], { env: { ROOMCAST_API_KEY: apiKey } });
	const hub = server.launch([join(context.build, "hub/roomcast-hub"), "--name=hub-1", `--listen=127.0.0.1:${hubPort}`, line, "--anonymous-types=*",
		"--log-level=warning", "--drain-window=0"], { env: { JWT_SECRET: "bench" } });
	const http = example("roomcast-http.conf", directory).replace(/^.*hub-2\.sock.*\n/m, "").replace(/unix:\S*hub-1\.sock/, `127.0.0.1:${hubPort}`);
	await hub.accepts(hubPort);
	await until("the gateway has its socket", () => existsSync(join(directory, "gateway.sock")));
	await startNginx(server, port, `${http}\n\tserver {\n\t\tlisten 127.0.0.1:${port} backlog=4096;\n${example("roomcast-server.conf", directory)}\n\t}`);
	await until("the hub is with the gateway", async () => {
		const answer = await get(`http://127.0.0.1:${port}/api/broadcast/status`, { headers: { authorization: `Bearer ${apiKey}` } });
		return answer.ok && (await answer.json()).hubs?.length === 1;
	});
	return Object.assign(server, { options: { server: hubPort, source: `gateway:${port}/api/broadcast/data-change` }, port });
}

/** The same nginx configuration in front of a FastCGI handler that does nothing. */
export async function trivial(context) {
	const server = new Server("trivial", context);
	const { directory } = server;
	const port = await freePort();
	server.launch([join(context.tools, "trivial"), `${directory}/gateway.sock`, 80]); // libfcgi needs a thread for each kept connection
	await until("the trivial handler has its socket", () => existsSync(join(directory, "gateway.sock")));
	await startNginx(server, port, `${example("roomcast-http.conf", directory)}
	server {
		listen 127.0.0.1:${port} backlog=4096;
${example("roomcast-server.conf", directory)}
	}`);
	return Object.assign(server, { port });
}
