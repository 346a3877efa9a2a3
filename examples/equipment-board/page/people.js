// Who is here and what they look at. Everybody tells at each change and every few seconds; whoever is not heard fades, then
// goes. The hub puts userId and username on each message, so nobody speaks for another.
import { avatar, byId, h, icon } from "./dom.js";
import { firstName } from "./format.js";

const TELL_MS = 10_000;
const FADE_MS = 22_000;
const GONE_MS = 45_000;
const MOST = 200;
const TAB = crypto.randomUUID();

export class People {
	/** send(activity) tells the others; nameOf(itemId) names an item; onChange() after each change; onMessage(user). */
	constructor({ me, users, send, nameOf, onChange, onMessage }) {
		Object.assign(this, { me, users, send, nameOf, onChange, onMessage });
		this.tabs = new Map(); // `user id, tab` -> what that tab told last
		this.mine = { item: null, mode: "looking" };
		this.timers = [setInterval(() => this.tell(), TELL_MS), setInterval(() => this.render(), 2000)];
		document.addEventListener("visibilitychange", () => this.tell());
		addEventListener("pagehide", () => this.leave());
		addEventListener("pageshow", (event) => event.persisted && this.come());
		this.render();
	}

	/** This tab looks at an item, edits it, or (null) the list. */
	look(item, mode = "looking") {
		this.mine = { item, mode };
		this.tell();
		this.render();
	}

	tell(more) {
		if (this.hasLeft) return; // a page that goes also becomes hidden, after it went
		this.send({ tab: TAB, item: this.mine.item, mode: document.hidden ? "away" : this.mine.mode, ...more });
	}

	/** After a connect: the others answer a hello, so that a newcomer need not wait for their next word. */
	hello() {
		this.tell({ hello: true });
	}

	leave() {
		this.send({ tab: TAB, mode: "gone" });
		this.hasLeft = true;
	}

	/** Back from the browser's history: the same page, alive again. */
	come() {
		this.hasLeft = false;
		this.hello();
	}

	hear(activity) {
		const { userId, username, tab } = activity ?? {};
		if (userId === undefined || typeof tab !== "string" || tab === TAB) return;
		const key = `${userId}\n${tab.slice(0, 64)}`;
		if (activity.mode === "gone") {
			this.tabs.delete(key);
		} else if (this.tabs.has(key) || this.tabs.size < MOST) {
			this.tabs.set(key, {
				user: { id: String(userId), name: String(username || userId) },
				item: Number.isSafeInteger(activity.item) ? activity.item : null,
				mode: ["looking", "editing", "away"].includes(activity.mode) ? activity.mode : "looking",
				at: Date.now(),
			});
		}
		if (activity.hello) setTimeout(() => this.tell(), Math.random() * 400);
		this.render();
	}

	/** The others, one entry a person: what their liveliest tab does. */
	others() {
		const rank = { editing: 3, looking: 2, away: 1 };
		const people = new Map();
		for (const [key, told] of this.tabs) {
			const age = Date.now() - told.at;
			if (age > GONE_MS) {
				this.tabs.delete(key);
				continue;
			}
			if (told.user.id === this.me.id) continue;
			const entry = { ...told, isStale: age > FADE_MS };
			const weight = (one) => (one.isStale ? 0 : rank[one.mode] + (one.item === null ? 0 : 0.5));
			const known = people.get(told.user.id);
			if (!known || weight(entry) > weight(known)) people.set(told.user.id, entry);
		}
		return [...people.values()].sort((a, b) => a.user.name.localeCompare(b.user.name));
	}

	at(item) {
		return this.others().filter((person) => person.item === item && person.mode !== "away");
	}

	describe(person) {
		if (person.isStale) return "Lost connection?";
		if (person.mode === "away") return "In another window";
		const name = person.item === null ? null : this.nameOf(person.item);
		if (!name) return person.mode === "editing" ? "Adding an item" : "Looking at the list";
		return `${person.mode === "editing" ? "Editing" : "Looking at"} ${name}`;
	}

	render() {
		const others = this.others();
		const online = new Map(others.map((person) => [person.user.id, person]));
		byId("online").replaceChildren(...others.slice(0, 4).map((person) => avatar(person.user, person.isStale ? "stale" : "")));

		const rows = [this.row(this.me, "You", "is-online")];
		for (const person of others) {
			const mood = person.isStale ? "is-stale" : person.mode === "away" ? "is-away" : "is-online";
			rows.push(this.row(person.user, this.describe(person), mood, true));
		}
		for (const user of this.users) {
			if (user.id !== this.me.id && !online.has(user.id)) rows.push(this.row(user, user.role, "is-offline", true));
		}
		// Buttons keep the focus: nothing is rebuilt while it is the same.
		const signature = rows.map((row) => row.className + row.textContent).join("\n");
		if (signature !== this.shown) {
			this.shown = signature;
			byId("team").replaceChildren(...rows);
		}
		this.onChange();
	}

	row(user, text, mood, canMessage) {
		return h("li", { class: `person ${mood}` }, avatar(user),
			h("div", { class: "person-text" }, h("strong", null, user.name), h("span", { class: "muted" }, text)),
			canMessage ? h("button", {
				class: "icon-button", type: "button", "aria-label": `Message ${firstName(user)}`, onclick: () => this.onMessage(user),
			}, icon("chat")) : null);
	}

	stop() {
		this.timers.forEach(clearInterval);
		this.leave();
	}
}
