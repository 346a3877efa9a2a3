// bun's own WebSocket server with its publish (uWebSockets inside):  bun bun.mjs PORT CONTROL_PORT
// Clients ask for /room/NUMBER; control lines are `ROOM PAYLOAD`.
const [port, controlPort] = process.argv.slice(2).map(Number);

const server = Bun.serve({
	port, hostname: "127.0.0.1",
	fetch(request, self) {
		const room = new URL(request.url).pathname.split("/").pop();
		return self.upgrade(request, { data: { room } }) ? undefined : new Response("WebSocket only", { status: 400 });
	},
	websocket: {
		idleTimeout: 0,
		open(socket) { socket.subscribe(socket.data.room); },
		message() {},
	},
});

Bun.listen({
	port: controlPort, hostname: "127.0.0.1",
	socket: {
		open(socket) { socket.data = ""; },
		data(socket, bytes) {
			const lines = (socket.data + bytes.toString()).split("\n");
			socket.data = lines.pop();
			for (const line of lines) {
				const space = line.indexOf(" ");
				server.publish(line.slice(0, space), line.slice(space + 1));
			}
		},
	},
});
