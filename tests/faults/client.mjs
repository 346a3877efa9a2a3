// Child process: official socket.io clients, of which each keeps what its application's handlers saw. Its parent is clients.mjs.
//
// In: { url, clients: [{ name, user, token, types, options }] }, then "report". Out: { counts } now and then, and one { report } for each.
import { io } from "socket.io-client";

import { watch } from "./recorder.js";

const now = () => performance.timeOrigin + performance.now();
const recorders = [];

function start({ url, clients }) {
	for (const { name, token, types, options } of clients) {
		const socket = io(url, {
			path: "/api/socket", forceNew: true, auth: token ? { token } : undefined, reconnectionDelay: 100, reconnectionDelayMax: 600, timeout: 5000, ...options,
		});
		recorders.push(Object.assign(watch(socket, types, now), { name, socket }));
	}
	setInterval(() => process.send({ counts: Object.fromEntries(recorders.map((recorder) => [recorder.name, recorder.summary()])) }), 100);
}

process.on("disconnect", () => process.exit()); // nobody asks any more
process.on("message", (message) => {
	if (message !== "report") return start(message);
	for (const recorder of recorders) {
		process.send({ report: { name: recorder.name, ...recorder.report() } });
		recorder.socket.close();
	}
	process.send({ isDone: true });
	return undefined;
});
