# nginx.sh - the configuration of run's own nginx, made from examples/nginx. $top is the clone.

# nginx_config PORT HUBS: every path is relative to nginx's working directory, the data directory.
nginx_config() {
	local port=$1 hubs=$2
	cat <<-END
		# Written by run at each start, from examples/nginx.
		daemon off;
		worker_processes 2;
		worker_rlimit_nofile $(ulimit -n);
		pid tmp/nginx.pid;
		error_log stderr warn;
		events {
			worker_connections $(worker_connections);
		}
		http {
			access_log off;
			server_tokens off;
			client_body_temp_path tmp/body;
			proxy_temp_path tmp/proxy;
			fastcgi_temp_path tmp/fastcgi;
			uwsgi_temp_path tmp/uwsgi;
			scgi_temp_path tmp/scgi;
			types_hash_max_size 2048;

	END
	adapt "$hubs" "$top/examples/nginx/roomcast-http.conf"
	cat <<-END

			server {
				listen 127.0.0.1:$port;
				location / {
					proxy_pass http://unix:demo.sock:;
					proxy_http_version 1.1;
					proxy_set_header Host \$http_host;
					proxy_set_header Connection "";
				}
	END
	adapt "$hubs" "$top/examples/nginx/roomcast-server.conf"
	printf '\t}\n}\n'
}

# Two per proxied connection; a limit past what the machine allows only makes nginx complain.
worker_connections() {
	local limit
	limit=$(ulimit -n)
	echo $((limit < 16384 ? limit : 16384))
}

# The example with sockets in the working directory, and as many hubs as there are.
adapt() {
	awk -v hubs="$1" '
		/server unix:.*\/hub-1\.sock/ {
			for (i = 1; i <= hubs; i++) {
				line = $0
				sub(/hub-1/, "hub-" i, line)
				print line
			}
			next
		}
		/server unix:.*\/hub-[0-9]+\.sock/ { next }
		{ print }
	' "$2" | sed 's|/run/roomcast/||g'
}
