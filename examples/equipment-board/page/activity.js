// The list of what happened.
import { avatar, byId, h } from "./dom.js";
import { ago, FIELD_NAMES, firstName, STATUS_NAMES, value } from "./format.js";

const MOST = 30;
let changes = [];

/** "moved it to On rent", for the feed, toasts and screen readers. */
export function inWords(change) {
	if (change.action === "CREATE") return "added it";
	if (change.action === "DELETE") return "removed it";
	const what = change.what ?? {};
	const fields = Object.keys(what);
	if (what.status) return `set it to ${STATUS_NAMES[what.status[1]] ?? what.status[1]}`;
	if (fields.length === 1) {
		const [field] = fields;
		if (field === "notes") return "wrote a note";
		return `changed ${FIELD_NAMES[field].toLowerCase()} to ${value(field, what[field][1])}`;
	}
	return `changed ${fields.map((field) => (FIELD_NAMES[field] ?? field).toLowerCase()).join(", ")}`;
}

export function replaceChanges(list) {
	changes = list.slice(0, MOST);
	render();
}

export function addChange(change) {
	if (!change?.id || changes.some((known) => known.id === change.id)) return;
	changes = [change, ...changes].sort((a, b) => b.id - a.id).slice(0, MOST);
	render(change.id);
}

function render(newest) {
	byId("activity").replaceChildren(...changes.slice(0, 12).map((change) =>
		h("li", { class: change.id === newest ? "is-new" : null }, avatar(change.who, "small"),
			h("div", null,
				h("p", null, h("strong", null, firstName(change.who)), ` ${inWords(change)}`),
				h("p", { class: "muted" }, h("span", { class: "activity-item" }, change.name),
					h("time", { datetime: change.at }, ago(change.at)))))));
}

setInterval(() => render(), 30_000);
