// python3-socketio, the other client that people use, over both transports.
import { execFile } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { after, before, test } from "../lib/bounded.mjs";
import { Roomcast } from "./roomcast.mjs";
import { token } from "./publisher.mjs";

const here = dirname(fileURLToPath(import.meta.url));
let roomcast;

before(async () => {
	roomcast = await Roomcast.start({ hubs: 2 });
});
after(() => roomcast?.stop());

for (const transport of ["polling", "websocket", "both"]) {
	test(`python3-socketio over ${transport}`, async () => {
		await promisify(execFile)("/usr/bin/python3", ["-B", join(here, "client.py"), roomcast.url, transport, roomcast.info.apiKey,
			token(roomcast, { userId: "py", username: "Py" })], { timeout: 120_000 });
	});
}
