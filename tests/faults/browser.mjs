// Clients in Chromium: pages without any option, each recording what its handlers saw. The same few functions as Clients.
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

import { top } from "../integration/roomcast.mjs";
import { until, within } from "../lib/deadline.mjs";

// The flags keep Chromium from looking for anything outside this machine.
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
	"--disable-component-update", "--disable-sync"];
const POLL_MS = 250;
const START_MS = 120_000; // of Chromium, the first time on a busy machine

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
		self.browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: FLAGS, timeout: START_MS });
		try {
			self.pages = await Promise.all(clients.map((client) => self.open(cluster, client)));
			self.polling = setInterval(() => self.poll(), POLL_MS);
			await until("all pages have joined", () => self.all((client) => client.joined));
		} catch (error) {
			await self.stop();
			throw error;
		}
		return self;
	}

	async open(cluster, { types, token }) {
		const page = await (await this.browser.newContext()).newPage();
		page.setDefaultTimeout(START_MS);
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
		return within("the pages' reports", Promise.all(this.clients.map(async (client, index) => ({ ...client, ...(await this.pages[index].evaluate(() => window.recorder.report())) }))));
	}

	async stop() {
		clearInterval(this.polling);
		if (this.browser) await within("Chromium ends", this.browser.close());
	}
}
