// The table: items, filters, figures. It knows each item's newest version and ignores what is older.
import { avatar, byId, h, icon } from "./dom.js";
import { ago, due, firstName, isOverdue, plural, STATUS_NAMES } from "./format.js";

const HIGHLIGHT_MS = 4000;

export class Board {
	/** onOpen(id): somebody wants to see an item. peopleAt(id): who looks at it. */
	constructor({ categories, onOpen, peopleAt }) {
		Object.assign(this, { categories, onOpen, peopleAt });
		this.items = new Map();
		this.gone = new Map(); // id -> version at which it was deleted
		this.rows = new Map();
		this.changed = new Map(); // id -> until when its row is highlighted
		this.filter = { status: null, category: null, text: "" };
		byId("search").value = "";
		byId("search").oninput = (event) => this.show({ text: event.target.value.trim().toLowerCase() });
		byId("categories").replaceChildren(...[null, ...categories].map((category) =>
			h("button", { type: "button", class: "chip", "data-category": category ?? "", onclick: () => this.show({ category }) },
				category ? icon(category) : null, category ?? "All")));
		this.timer = setInterval(() => this.render(), 30_000);
	}

	get(id) {
		return this.items.get(id);
	}

	/** Takes an item that came from anywhere. True when it is news. */
	apply(item, { highlight = true } = {}) {
		const known = this.items.get(item.id)?.version ?? this.gone.get(item.id) ?? -1;
		if (item.version <= known) return false;
		this.items.set(item.id, item);
		if (highlight) this.highlight(item.id);
		this.render();
		return true;
	}

	remove(item) {
		this.gone.set(item.id, item.version);
		const wasThere = this.items.delete(item.id);
		this.render();
		return wasThere;
	}

	/** The whole list as the backend has it. Only what differs from what is shown is highlighted. */
	replace(items) {
		const isFirst = this.items.size === 0;
		const ids = new Set(items.map((item) => item.id));
		for (const id of this.items.keys()) if (!ids.has(id)) this.items.delete(id);
		for (const item of items) this.apply(item, { highlight: !isFirst });
		this.render();
	}

	highlight(id) {
		this.changed.set(id, Date.now() + HIGHLIGHT_MS);
		setTimeout(() => this.render(), HIGHLIGHT_MS + 50);
	}

	show(filter) {
		Object.assign(this.filter, filter);
		this.render();
	}

	matches(item) {
		const { status, category, text } = this.filter;
		if (category && item.category !== category) return false;
		if (status === "overdue" ? !isOverdue(item) : status && item.status !== status) return false;
		return !text || `${item.name} ${item.tag} ${item.location} ${item.notes}`.toLowerCase().includes(text);
	}

	render() {
		const items = [...this.items.values()];
		this.renderFigures(items);
		for (const chip of byId("categories").children) {
			chip.setAttribute("aria-pressed", String((this.filter.category ?? "") === chip.dataset.category));
		}
		const shown = items.filter((item) => this.matches(item))
			.sort((a, b) => this.categories.indexOf(a.category) - this.categories.indexOf(b.category)
				|| a.tag.localeCompare(b.tag) || a.id - b.id);
		const ids = new Set(shown.map((item) => item.id));
		for (const [id, row] of this.rows) {
			if (ids.has(id)) continue;
			row.element.remove();
			this.rows.delete(id);
		}
		let before = null;
		for (const item of shown) {
			const { element } = this.row(item);
			const place = before ? before.nextElementSibling : byId("rows").firstElementChild;
			if (place !== element) byId("rows").insertBefore(element, place);
			before = element;
		}
		byId("nothing").hidden = shown.length > 0 || items.length === 0;
		byId("subtitle").textContent = `${plural(items.length, "item")}, ${plural(units(items), "unit")}`;
	}

	renderFigures(items) {
		const figures = [
			[null, "All units", units(items)],
			["available", "Available", units(items.filter((item) => item.status === "available"))],
			["rented", "On rent", units(items.filter((item) => item.status === "rented"))],
			["service", "In service", units(items.filter((item) => item.status === "service"))],
			["overdue", "Overdue", units(items.filter(isOverdue))],
		];
		const host = byId("figures");
		if (!host.childElementCount) {
			host.append(...figures.map(([status, label]) =>
				h("button", { type: "button", class: `figure ${status ?? "all"}`, onclick: () => this.show({ status: this.filter.status === status ? null : status }) },
					h("span", { class: "figure-label" }, label), h("span", { class: "figure-number" }))));
		}
		figures.forEach(([status, , count], at) => {
			const button = host.children[at];
			button.setAttribute("aria-pressed", String(this.filter.status === status));
			button.lastElementChild.textContent = count;
			button.classList.toggle("is-zero", count === 0);
		});
	}

	// A row is built again only when something in it changed, so that focus and highlights live on.
	row(item) {
		const people = this.peopleAt(item.id);
		const isChanged = (this.changed.get(item.id) ?? 0) > Date.now();
		const signature = JSON.stringify([item, ago(item.updatedAt), people.map((person) => [person.user.id, person.mode, person.isStale])]);
		const known = this.rows.get(item.id);
		if (known?.signature === signature) {
			known.element.classList.toggle("is-changed", isChanged);
			return known;
		}
		const element = known?.element ?? h("tr", { role: "row", onclick: () => this.onOpen(item.id) });
		const hadFocus = element.contains(document.activeElement);
		element.dataset.id = item.id;
		element.replaceChildren(...cells(item, people));
		if (known?.version !== item.version) {
			element.classList.remove("is-changed");
			void element.offsetWidth; // starts the animation from its beginning
		}
		element.classList.toggle("is-changed", isChanged);
		if (hadFocus) element.querySelector("button").focus({ preventScroll: true });
		const row = { element, signature, version: item.version };
		this.rows.set(item.id, row);
		return row;
	}

	stop() {
		clearInterval(this.timer);
		byId("rows").replaceChildren();
		byId("figures").replaceChildren();
	}
}

const units = (items) => items.reduce((sum, item) => sum + item.quantity, 0);

function cells(item, people) {
	const date = due(item);
	const cell = (name, ...children) => h("td", { role: "cell", class: name }, ...children);
	return [
		cell("c-item", h("span", { class: `kind ${item.category}` }, icon(item.category)),
			h("span", { class: "c-item-text" },
				h("button", { type: "button", class: "item-name" }, item.name),
				h("span", { class: "muted tag" }, item.tag))),
		cell("c-status", h("span", { class: `pill ${item.status}` }, STATUS_NAMES[item.status] ?? item.status)),
		cell("c-where", item.location || "–"),
		cell("c-qty number", String(item.quantity)),
		cell(`c-due ${date.urgency}`, date.text),
		cell("c-changed muted", `${firstName(item.updatedBy)}, ${ago(item.updatedAt)}`),
		cell("c-people", h("span", { class: "avatars" },
			people.map((person) => {
				const badge = avatar(person.user, `small ${person.mode === "editing" ? "editing" : ""} ${person.isStale ? "stale" : ""}`);
				badge.title = `${person.user.name} ${person.mode === "editing" ? "edits this" : "looks at this"}`;
				return badge;
			}))),
	];
}
