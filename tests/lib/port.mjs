// Ports for servers of tests.
import { createServer } from "node:net";

// Below those that the kernel gives to whoever connects: of these, any could be taken between our look and the server's start.
const FIRST = 12_000, LAST = 32_000;

const isFree = (port) => new Promise((resolve) => {
	const server = createServer().on("error", () => resolve(false));
	server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
});

/** A port that nobody listens on now. */
export async function freePort() {
	for (let tries = 0; tries < 100; tries++) {
		const port = FIRST + Math.floor(Math.random() * (LAST - FIRST));
		if (await isFree(port)) return port;
	}
	throw new Error("no port is free");
}
