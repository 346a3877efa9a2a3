// Clients in Chromium: pages without any option, each recording what its handlers saw. The same few functions as Clients.
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

import { top, until } from "../integration/roomcast.mjs";

// The flags keep Chromium from looking for anything outside this machine.
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
	"--disable-component-update", "--disable-sync"];
const POLL_MS = 250;

/** Puts what the page needs where the cluster's web server finds it. */
function publish(cluster) {
	const here = join(top, "tests/faults"), there = join(cluster.dir, "page");
	for (const name of ["page.html", "recorder.js"]) copyFileSync(join(here, name), join(there, name));
	copyFileSync(join(top, "tests/node_modules/socket.io-client/dist/socket.io.esm.min.js"), join(there, "socket.io.esm.min.js"));
}

export class Pages {
	static async start(cluster, clients) {
		const self = new Pages();
		publish(cluster);
		self.clients = clients;
		self.counts = {};
		self.browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: FLAGS });
		self.pages = await Promise.all(clients.map((client) => self.open(cluster, client)));
		self.polling = setInterval(() => self.poll(), POLL_MS);
		await until("all pages have joined", () => self.all((client) => client.joined), 60_000);
		return self;
	}

	async open(cluster, { types, token }) {
		const page = await (await this.browser.newContext()).newPage();
		await page.goto(`${cluster.url}/page/page.html`);
		await page.evaluate((settings) => window.start(settings), { types, token });
		return page;
	}

	async poll() {
		await Promise.all(this.pages.map(async (page, index) => {
			this.counts[this.clients[index].name] = await page.evaluate(() => window.recorder.summary()).catch(() => undefined);
		}));
	}

	all(claim) {
		return this.clients.every(({ name }) => this.counts[name] && claim(this.counts[name], name));
	}

	async report() {
		clearInterval(this.polling);
		return Promise.all(this.clients.map(async (client, index) => ({ ...client, ...(await this.pages[index].evaluate(() => window.recorder.report())) })));
	}

	async stop() {
		clearInterval(this.polling);
		await this.browser?.close();
	}
}
