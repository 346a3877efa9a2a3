// The connection to roomcast: socket.io-client as it comes from npm.
import { io } from "/client/socket.io.esm.min.js";

import { freshToken } from "./api.js";

const ENTITY = "equipment";

/**
 * on.change(change), on.notification(notification), on.activity(activity), on.state(name),
 * on.resync(): called after each connect that did not bring what was missed.
 */
export function connect(on) {
	const socket = io({
		path: "/api/socket",
		auth: (send) => freshToken().then((token) => send({ token })),
		reconnectionDelay: 300,
		reconnectionDelayMax: 3000,
	});

	socket.on("connect", () => {
		socket.timeout(5000).emit("join-data-sync", [ENTITY], (err, answer) => {
			if (err && !socket.connected) return;
			on.state("live");
			if (!answer?.recovered) on.resync();
		});
	});
	socket.on("disconnect", () => on.state("reconnecting"));
	socket.on("connect_error", () => on.state("reconnecting"));

	socket.on("data-change", (change) => {
		if (change?.entityType === ENTITY && change.data) on.change(change);
	});
	socket.on("notification", (notification) => on.notification(notification));
	socket.on("system-notification", (notification) => on.notification(notification));
	socket.on("user:activity", (activity) => on.activity(activity));

	return {
		sendActivity: (activity) => socket.connected && socket.emit("user:activity", activity),
		close: () => socket.close(),
	};
}
