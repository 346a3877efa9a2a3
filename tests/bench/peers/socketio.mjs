// socket.io on node, as its documentation shows it, with the join that roomcast's hub has:  node socketio.mjs PORT CONTROL_PORT
// Control lines are `ROOM 42["data-change",{...}]`: what a backend in the same process would emit.
import { createServer as createHttpServer } from "node:http";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import express from "express";
import { Server } from "socket.io";

const [port, controlPort] = process.argv.slice(2).map(Number);
const app = express();
const http = createHttpServer(app);
const io = new Server(http, { path: "/api/socket" });

io.on("connection", (socket) => {
	socket.on("join-data-sync", (types, acknowledge) => {
		const rooms = types.map((type) => `sync-${type}`);
		socket.join(rooms);
		acknowledge?.({ success: true, rooms });
	});
});

const publish = (room, packet) => {
	const [event, ...args] = JSON.parse(packet.slice(2));
	io.to(`sync-bench-${room}`).emit(event, ...args);
};

// The endpoint that such an application has for its backends.
app.post("/api/broadcast/data-change", express.json({ limit: "1mb" }), (request, response) => {
	if (request.headers.authorization !== `Bearer ${process.env.ROOMCAST_API_KEY}`) {
		response.status(401).json({ success: false });
		return;
	}
	const { entityType, action, data } = request.body;
	io.to(`sync-${entityType}`).emit("data-change", { entityType, action, data, timestamp: new Date().toISOString() });
	response.json({ success: true });
});

createServer((connection) => {
	connection.on("error", () => {});
	createInterface({ input: connection }).on("line", (line) => {
		const space = line.indexOf(" ");
		publish(line.slice(0, space), line.slice(space + 1));
	});
}).listen(controlPort, "127.0.0.1");
http.listen(port, "127.0.0.1", 4096);
