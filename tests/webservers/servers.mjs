// The web servers that roomcast works behind, each with the configuration of examples/ and a port of its own, run by an unprivileged user.
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { top } from "../integration/roomcast.mjs";

const example = (path, places) => {
	let text = readFileSync(join(top, "examples", path), "utf8");
	for (const [from, to] of Object.entries(places)) text = text.replaceAll(from, to);
	return text;
};

/** Where the examples have the system's places, the test has its own. */
const places = ({ dir, program }) => ({
	"/usr/sbin/roomcast-gateway": program, "/run/roomcast": dir, "/usr/share/roomcast/errors": join(dir, "errors"),
	"/etc/lighttpd/roomcast-errors": join(dir, "lighttpd-errors"),
});

/** Sanitizers' options reach the front ends too, but for the search for leaks: it complains when it is killed in the middle. */
const passed = ["ASAN_OPTIONS", "UBSAN_OPTIONS"].filter((name) => process.env[name]).map((name) => [name, `${process.env[name]}:detect_leaks=0`]);

const apacheModules = "/usr/lib/apache2/modules";
const apache = (modules, config) => ({
	package: "apache2",
	program: "/usr/sbin/apache2",
	write(context) {
		const load = ["authz_core", "alias", "env", ...modules].filter((name) => existsSync(`${apacheModules}/mod_${name}.so`))
			.map((name) => `LoadModule ${name}_module ${apacheModules}/mod_${name}.so`);
		writeFileSync(join(context.dir, "apache.conf"), `
ServerRoot "${context.dir}"
ServerName localhost
DefaultRuntimeDir "${context.dir}"
PidFile "${context.dir}/apache.pid"
ErrorLog "${context.dir}/apache.log"
Mutex fcntl:${context.dir} default
Listen 127.0.0.1:${context.port}
${load.join("\n")}
<IfModule mod_cgid.c>
	ScriptSock "${context.dir}/cgid.sock"
</IfModule>
<IfModule mod_fcgid.c>
	FcgidIPCDir "${context.dir}/fcgid"
	FcgidProcessTableFile "${context.dir}/fcgid_shm"
	# It would start ever fewer programs that die ever again.
	FcgidSpawnScoreUpLimit 1000000
	${passed.map(([name, value]) => `FcgidInitialEnv ${name} ${value}`).join("\n\t")}
</IfModule>
${passed.map(([name, value]) => `SetEnv ${name} ${value}`).join("\n")}
<Directory "/">
	Require all denied
</Directory>
DocumentRoot "${context.dir}/www"
<VirtualHost 127.0.0.1:${context.port}>
${example(`apache/${config}`, places(context))}
</VirtualHost>
`);
		return ["-f", join(context.dir, "apache.conf"), "-DFOREGROUND"];
	},
});

export const servers = {
	nginx: {
		package: "nginx",
		program: "/usr/sbin/nginx",
		write(context) {
			const path = join(context.dir, "nginx.conf");
			writeFileSync(path, `
daemon off;
worker_processes 2;
pid ${context.dir}/nginx.pid;
error_log ${context.dir}/nginx.log;
events { }
http {
	access_log off;
	client_body_temp_path ${context.dir}/nginx-body;
	proxy_temp_path ${context.dir}/nginx-proxy;
	fastcgi_temp_path ${context.dir}/nginx-fastcgi;
	uwsgi_temp_path ${context.dir}/nginx-uwsgi;
	scgi_temp_path ${context.dir}/nginx-scgi;
	${example("nginx/roomcast-http.conf", places(context))}
	server {
		listen 127.0.0.1:${context.port};
		${example("nginx/roomcast-server.conf", places(context))}
	}
}
`);
			return ["-p", context.dir, "-e", `${context.dir}/nginx.log`, "-c", path];
		},
	},
	// killEvery: milliseconds at most between two killings of all front ends; those of mod_fcgid live for many requests.
	"apache mod_fcgid": { ...apache(["mpm_event", "fcgid"], "roomcast-fcgid.conf"), killEvery: 200 },
	"apache mod_cgid": { ...apache(["mpm_event", "cgid"], "roomcast-cgi.conf"), killEvery: 30 },
	"apache mod_cgi": { ...apache(["mpm_prefork", "cgi"], "roomcast-cgi.conf"), killEvery: 30 },
	"apache mod_proxy_fcgi": { ...apache(["mpm_event", "proxy", "proxy_fcgi"], "roomcast-proxy-fcgi.conf"), cannotTellOutcome: true },
	"lighttpd mod_fastcgi": {
		package: "lighttpd",
		program: "/usr/sbin/lighttpd",
		write(context) {
			const path = join(context.dir, "lighttpd.conf");
			writeFileSync(path, `
server.document-root = "${context.dir}/www"
server.bind = "127.0.0.1"
server.port = ${context.port}
server.errorlog = "${context.dir}/lighttpd.log"
server.upload-dirs = ( "${context.dir}" )
${example("lighttpd/roomcast.conf", places(context))}
`);
			return ["-D", "-f", path];
		},
	},
};

/** The front ends that this copy of the program runs as: pids of its processes that are not in `others`. */
export const frontEnds = (program, others) => readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => {
	if (others.includes(pid)) return false;
	try {
		return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0")[0] === program;
	} catch {
		return false; // it has just ended
	}
});
