// The demo as people see it: pages of several users in headless Chromium, the whole system behind them.
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

import { after, afterEach, before, describe, test } from "../lib/bounded.mjs";
import { Roomcast } from "../integration/roomcast.mjs";
import { within } from "../lib/deadline.mjs";

// The flags keep Chromium from looking for anything outside this machine.
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
	"--disable-component-update", "--disable-sync"];
const DESKTOP = { width: 1440, height: 900 };
const PHONE = { width: 390, height: 844 };

const item = (page, name) => page.locator("#rows tr", { hasText: name });
const person = (page, name) => page.locator(".person", { hasText: name });

describe("the equipment board", () => {
	let roomcast, browser;
	const pages = [];
	const complaints = [];

	before(async () => {
		roomcast = await Roomcast.start({ hubs: 2 });
		browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: FLAGS, timeout: 120_000 });
	});
	after(async () => {
		try {
			if (browser) await within("Chromium ends", browser.close());
		} finally {
			await roomcast?.stop();
		}
	});
	afterEach(async () => {
		await within("the pages close", Promise.all(pages.splice(0).map((page) => page.context().close())));
		assert.deepEqual(complaints.splice(0), []);
	});

	/** A page whose user has signed in and is live. */
	async function open(user, { viewport = DESKTOP, ...more } = {}) {
		const context = await browser.newContext({ viewport, ...more });
		context.setDefaultTimeout(60_000);
		const page = await context.newPage();
		pages.push(page);
		page.on("pageerror", (err) => complaints.push(err.message));
		await page.goto(roomcast.url);
		await signIn(page, user);
		return page;
	}

	async function signIn(page, user) {
		await page.locator(".login-user", { hasText: user }).click();
		await page.locator("#connection[data-state=live]").waitFor();
		await page.locator("#rows tr").first().waitFor();
	}

	async function edit(page, name, values) {
		await item(page, name).click();
		for (const [field, content] of Object.entries(values)) {
			if (field === "status") await page.locator(`.segments label:has([value=${content}])`).click();
			else await page.locator(`#editor [name=${field}]`).fill(content);
		}
	}

	const save = (page) => page.locator("#editor-save").click();
	const closed = (page) => page.locator("#editor:not([open])").waitFor({ state: "attached" });

	test("a change in one page is seen in the other, in its row and in the activity", async () => {
		const [mara, jonas] = [await open("Mara"), await open("Jonas")];
		await edit(mara, "SkyPanel", { status: "rented", location: "Harbour Studios" });
		await save(mara);
		const row = item(jonas, "SkyPanel");
		await row.locator(".pill.rented").waitFor();
		assert.match(await row.locator(".c-where").innerText(), /Harbour Studios/);
		assert.match(await row.getAttribute("class"), /is-changed/);
		await jonas.locator("#activity li", { hasText: "Mara set it to On rent" }).first().waitFor();
	});

	test("an item is added and deleted everywhere", async () => {
		const [mara, jonas] = [await open("Mara"), await open("Jonas")];
		await mara.locator("#add").click();
		await mara.locator("#editor [name=name]").fill("Smoke machine");
		await save(mara);
		await item(jonas, "Smoke machine").waitFor();
		await item(jonas, "Smoke machine").click();
		await jonas.locator("#editor-delete").click();
		await jonas.locator("#confirm button[value=yes]").click();
		await closed(jonas);
		await item(mara, "Smoke machine").waitFor({ state: "detached" });
	});

	test("each sees who is here and what they look at", async () => {
		const [mara, jonas] = [await open("Mara"), await open("Jonas")];
		await person(mara, "Jonas").locator("text=Looking at the list").waitFor();
		await item(jonas, "Dana Dolly").click();
		await person(mara, "Jonas").locator("text=Looking at Dana Dolly kit").waitFor();
		await jonas.locator("#editor [name=notes]").fill("One wheel squeaks.");
		await person(mara, "Jonas").locator("text=Editing Dana Dolly kit").waitFor();
		await item(mara, "Dana Dolly").locator(".avatar.editing").waitFor();
		await item(mara, "Dana Dolly").click();
		await mara.locator("#editor-people", { hasText: "Jonas is editing this item too" }).waitFor();
		await jonas.goto("about:blank");
		await mara.locator(".person.is-offline", { hasText: "Jonas" }).waitFor();
	});

	test("a message to one and a message to all appear as toasts", async () => {
		const [mara, jonas, tomas] = [await open("Mara"), await open("Jonas"), await open("Tomás")];
		await mara.locator("[aria-label='Message Jonas']").click();
		await mara.locator("#message textarea").fill("Only for you");
		await mara.locator("#message .primary").click();
		await jonas.locator(".toast", { hasText: "Only for you" }).waitFor();
		await mara.locator("#message-all").click();
		await mara.locator("#message textarea").fill("For everybody");
		await mara.locator("#message .primary").click();
		for (const page of [mara, jonas, tomas]) await page.locator(".toast", { hasText: "For everybody" }).waitFor();
		assert.equal(await tomas.locator(".toast", { hasText: "Only for you" }).count(), 0);
	});

	test("an item that needs service is told to the workshop", async () => {
		const [mara, priya] = [await open("Mara"), await open("Priya")];
		await edit(mara, "Ronin 2", { status: "service" });
		await save(mara);
		await priya.locator(".toast.warning", { hasText: "Ronin 2 gimbal needs a look" }).waitFor();
	});

	test("two who change the same version are shown both, and choose", async () => {
		const [mara, jonas] = [await open("Mara"), await open("Jonas")];
		await edit(mara, "Sony FX6", { location: "Riverside Studios", notes: "With two batteries." });
		await edit(jonas, "Sony FX6", { location: "Shelf A9", quantity: "2" });
		await save(jonas);
		await closed(jonas);
		await mara.locator("#editor-stale", { hasText: "Jonas has just changed this item" }).waitFor();
		await save(mara);
		const conflict = mara.locator("#conflict[open]");
		await conflict.waitFor();
		assert.match(await conflict.locator("h2").innerText(), /Jonas was faster/);
		const where = conflict.locator(".versus-row", { hasText: "Where" });
		assert.match(await where.innerText(), /Riverside Studios[\s\S]*Shelf A9/);
		// What only one of them changed is chosen already: Jonas's quantity, Mara's note. She gives way on the place.
		await where.locator("label", { hasText: "Shelf A9" }).click();
		await mara.locator("#conflict-save").click();
		await closed(mara);
		const row = item(jonas, "Sony FX6");
		await row.locator(".c-changed", { hasText: "Mara" }).waitFor();
		assert.equal((await row.locator(".c-where").innerText()).trim(), "Shelf A9");
		assert.equal((await row.locator(".c-qty").innerText()).trim(), "2");
		await row.click();
		assert.equal(await jonas.locator("#editor [name=notes]").inputValue(), "With two batteries.");
	});

	test("names with markup in them stay text", async () => {
		const name = "<img src=x onerror=alert(1)> & <b>lamp</b>";
		const [mara, jonas] = [await open("Mara"), await open("Jonas")];
		jonas.on("dialog", () => complaints.push("a script ran"));
		await edit(mara, "Block battery", { name, location: "<script>alert(2)</script>" });
		await save(mara);
		await item(jonas, name).waitFor();
		await mara.locator("#message-all").click();
		await mara.locator("#message textarea").fill("<svg onload=alert(3)>");
		await mara.locator("#message .primary").click();
		await jonas.locator(".toast", { hasText: "<svg onload=alert(3)>" }).waitFor();
		assert.equal(await jonas.locator("#rows img, #rows b, #rows script, .toast [onload]").count(), 0);
	});

	test("a page that loses its hub says so, comes back, and shows what happened meanwhile without asking for it", async () => {
		const mara = await open("Mara");
		const jonas = await open("Jonas");
		const fetched = [];
		jonas.on("request", (request) => request.method() === "GET" && request.url().endsWith("/api/equipment") && fetched.push(request.url()));
		await jonas.context().setOffline(true);
		process.kill(roomcast.pid("hub-1"), "SIGKILL");
		process.kill(roomcast.pid("hub-2"), "SIGKILL");
		await jonas.locator("#connection[data-state=reconnecting]").waitFor();
		await mara.locator("#connection[data-state=live]").waitFor();
		await edit(mara, "EW-DX", { location: "Main stage" });
		await save(mara);
		await jonas.context().setOffline(false);
		await jonas.locator("#connection[data-state=live]").waitFor();
		await item(jonas, "EW-DX").locator(".c-where", { hasText: "Main stage" }).waitFor();
		await edit(mara, "EW-DX", { location: "Foyer" });
		await save(mara);
		await item(jonas, "EW-DX").locator(".c-where", { hasText: "Foyer" }).waitFor();
		assert.deepEqual(fetched, [], "the hub gave it what it missed");
	});

	test("two tabs of one browser can be two people", async () => {
		const mara = await open("Mara");
		const second = await mara.context().newPage();
		second.on("pageerror", (err) => complaints.push(err.message));
		await second.goto(roomcast.url);
		await second.locator("#connection[data-state=live]").waitFor();
		await second.locator("#account summary").click();
		await second.locator("#switch-user").click();
		await signIn(second, "Tomás");
		await person(mara, "Tomás").locator("text=Looking at the list").waitFor();
		assert.equal(await mara.locator("#my-name").textContent(), "Mara Lindqvist");
	});

	test("on a phone nothing stands out to the side", async () => {
		const priya = await open("Priya", { viewport: PHONE, colorScheme: "dark" });
		assert.equal(await priya.evaluate(() => document.documentElement.dataset.theme), "dark");
		assert.ok(await priya.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
		await item(priya, "Alexa 35").click();
		const box = await priya.locator("#editor").boundingBox();
		assert.ok(box.x >= 0 && box.x + box.width <= PHONE.width);
	});
});
