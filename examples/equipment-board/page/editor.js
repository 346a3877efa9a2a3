// Looking at one item and changing it. What is saved names the version it was made from; when somebody else was first, the
// conflict dialog shows both and lets one choose field by field.
import * as api from "./api.js";
import { byId, h, icon, makeClosable } from "./dom.js";
import { ago, FIELD_NAMES, firstName, value } from "./format.js";
import { toast } from "./toast.js";

const FIELDS = Object.keys(FIELD_NAMES);
const EMPTY = { name: "", status: "available", location: "", due: null, quantity: 1, category: "Camera", tag: "", notes: "" };

const differing = (a, b) => FIELDS.filter((field) => (a[field] ?? "") !== (b[field] ?? ""));
const pick = (item) => Object.fromEntries(FIELDS.map((field) => [field, item[field]]));

export class Editor {
	/** look(itemId, mode) tells the others; onSaved(item), onDeleted(item); peopleAt(itemId). */
	constructor({ categories, look, onSaved, onDeleted, peopleAt }) {
		Object.assign(this, { look, onSaved, onDeleted, peopleAt });
		this.dialog = byId("editor");
		this.form = byId("editor-form");
		this.base = null; // the item as it was when the form was filled; null for a new one
		this.form.elements.category.replaceChildren(...categories.map((name) => h("option", { value: name }, name)));
		this.form.onsubmit = (event) => {
			event.preventDefault();
			this.save();
		};
		this.form.oninput = () => this.tell();
		this.dialog.onclose = () => this.look(null);
		byId("editor-delete").onclick = () => this.delete();
	}

	open(item) {
		this.base = item ?? null;
		this.fill(item ?? EMPTY);
		byId("editor-title").textContent = item ? item.name : "New item";
		byId("editor-delete").hidden = !item;
		byId("editor-save").textContent = item ? "Save" : "Add item";
		byId("editor-stale").hidden = byId("editor-error").hidden = true;
		this.renderMeta();
		this.renderPeople();
		this.dialog.showModal();
		this.mode = null;
		this.tell();
	}

	fill(item) {
		for (const field of FIELDS) this.form.elements[field].value = item[field] ?? "";
	}

	values() {
		const { elements } = this.form;
		return {
			...Object.fromEntries(FIELDS.map((field) => [field, elements[field].value.trim()])),
			quantity: elements.quantity.valueAsNumber, due: elements.due.value || null,
		};
	}

	isTouched() {
		return differing(this.values(), this.base ?? EMPTY).length > 0;
	}

	tell() {
		const mode = this.isTouched() || !this.base ? "editing" : "looking";
		if (mode !== this.mode) this.look(this.base?.id ?? null, mode);
		this.mode = mode;
	}

	renderMeta() {
		byId("editor-meta").textContent = this.base
			? `Version ${this.base.version} · ${firstName(this.base.updatedBy)}, ${ago(this.base.updatedAt)}`
			: "It appears on everybody's board at once.";
	}

	renderPeople() {
		const people = this.dialog.open || this.base ? this.peopleAt(this.base?.id ?? NaN) : [];
		const banner = byId("editor-people");
		banner.hidden = people.length === 0;
		const editors = people.filter((person) => person.mode === "editing");
		const named = (editors.length ? editors : people).map((person) => firstName(person.user)).join(" and ");
		const verb = editors.length ? (editors.length > 1 ? "are editing" : "is editing") : people.length > 1 ? "are looking at" : "is looking at";
		banner.replaceChildren(icon(editors.length ? "pencil" : "eye"), `${named} ${verb} this item too`);
	}

	/** A change arrived from elsewhere while the form is open. */
	heard(item, isDeleted) {
		if (!this.dialog.open || this.base?.id !== item.id || item.version <= this.base.version) return;
		if (!isDeleted && !this.isTouched()) {
			this.base = item;
			this.fill(item);
			byId("editor-title").textContent = item.name;
			this.renderMeta();
			return;
		}
		this.warn(isDeleted ? `${firstName(item.updatedBy)} has just deleted this item.`
			: `${firstName(item.updatedBy)} has just changed this item. When you save, you can compare.`);
	}

	warn(text) {
		byId("editor-stale").hidden = false;
		byId("editor-stale").replaceChildren(icon("warning"), text);
	}

	async save() {
		if (!this.form.reportValidity()) return;
		await this.attempt(async () => {
			const values = this.values();
			const item = this.base ? await api.update(this.base.id, this.base.version, values) : await api.create(values);
			this.onSaved(item);
			this.dialog.close();
		}, (current) => this.resolve(current));
	}

	async delete() {
		if (!(await confirmDelete(this.base.name))) return;
		const lookAgain = (current) => {
			this.onSaved(current);
			this.base = current;
			this.fill(current);
			this.renderMeta();
			this.warn(`${firstName(current.updatedBy)} has changed this item. Look again before you delete it.`);
		};
		await this.attempt(async () => {
			this.onDeleted(await api.remove(this.base.id, this.base.version));
			this.dialog.close();
		}, lookAgain);
	}

	async attempt(work, onConflict) {
		const error = byId("editor-error");
		error.hidden = true;
		try {
			await work();
		} catch (err) {
			if (err.status === 409) return onConflict(err.current);
			error.hidden = false;
			error.textContent = err.message;
		}
	}

	/** Mine against theirs. Fields that only one side changed are chosen already. */
	resolve(theirs) {
		const mine = this.values();
		const fields = differing(mine, theirs);
		const changedByMe = differing(mine, this.base);
		const chosen = Object.fromEntries(fields.map((field) => [field, changedByMe.includes(field) ? "mine" : "theirs"]));
		const name = firstName(theirs.updatedBy);
		byId("conflict-title").textContent = `${name} was faster`;
		byId("conflict-text").textContent = `${name} saved version ${theirs.version} while you were editing version ${this.base.version}.`
			+ " Choose what should stand in each field.";
		byId("conflict-fields").replaceChildren(
			h("div", { class: "versus-head" }, h("span", null, "Field"), h("span", null, "Yours"), h("span", null, `${name}’s`)),
			...fields.map((field) => this.versus(field, mine, theirs, chosen)));
		const dialog = byId("conflict");
		byId("conflict-back").onclick = () => dialog.close();
		byId("conflict-theirs").onclick = () => this.rebase(theirs, pick(theirs), true);
		byId("conflict-save").onclick = () => {
			const merged = pick(theirs);
			for (const field of fields) if (chosen[field] === "mine") merged[field] = mine[field];
			this.rebase(theirs, merged, false);
		};
		dialog.showModal();
		byId("conflict-save").focus();
	}

	versus(field, mine, theirs, chosen) {
		const option = (side, content) => h("label", { class: "versus-option" },
			h("input", { type: "radio", name: `conflict-${field}`, checked: chosen[field] === side, onchange: () => (chosen[field] = side) }),
			h("span", null, value(field, content)));
		return h("fieldset", { class: "versus-row" }, h("legend", null, FIELD_NAMES[field]),
			option("mine", mine[field]), option("theirs", theirs[field]));
	}

	async rebase(theirs, values, isDone) {
		byId("conflict").close();
		this.onSaved(theirs);
		this.base = theirs;
		this.fill(values);
		byId("editor-stale").hidden = true;
		this.renderMeta();
		if (!isDone) return this.save();
		this.dialog.close();
		toast({ title: "Kept as it was", message: `${firstName(theirs.updatedBy)}’s version of ${theirs.name} stands.`, type: "info" });
	}
}

function confirmDelete(name) {
	const dialog = byId("confirm");
	byId("confirm-title").textContent = `Delete ${name}?`;
	byId("confirm-text").textContent = "It disappears from everybody's board at once.";
	dialog.returnValue = "no";
	dialog.showModal();
	return new Promise((resolve) => {
		dialog.onclose = () => resolve(dialog.returnValue === "yes");
	});
}

for (const id of ["editor", "conflict", "confirm"]) makeClosable(byId(id));
