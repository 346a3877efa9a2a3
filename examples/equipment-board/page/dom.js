// Building elements. Text only ever becomes text: no string here is parsed as HTML, so names are data.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

/** h("p", { class: "muted", onclick }, "text", element): children are elements, strings, or null to be left out. */
export function h(tag, attributes, ...children) {
	const element = document.createElement(tag);
	for (const [name, value] of Object.entries(attributes ?? {})) {
		if (value === null || value === undefined || value === false) continue;
		if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
		else element.setAttribute(name, value === true ? "" : value);
	}
	element.append(...children.flat().filter((child) => child !== null && child !== undefined));
	return element;
}

export function icon(name) {
	const svg = document.createElementNS(SVG, "svg");
	svg.setAttribute("class", "icon");
	svg.setAttribute("aria-hidden", "true");
	const use = document.createElementNS(SVG, "use");
	use.setAttribute("href", `/icons.svg#${name}`);
	svg.append(use);
	return svg;
}

const HUES = 6;

/** A person as a round badge; the same id has the same colour everywhere. */
export function avatar(user, extra = "") {
	const name = String(user.name || "?");
	const letters = name.split(/\s+/).filter(Boolean).slice(0, 2).map((word) => [...word][0]).join("").toUpperCase();
	let hash = 0;
	for (const letter of String(user.id)) hash = (hash * 31 + letter.codePointAt(0)) % 9973;
	return h("span", { class: `avatar hue-${hash % HUES} ${extra}`, title: name }, letters || "?");
}

/** A click on the backdrop or on [data-close] closes a dialog. */
export function makeClosable(dialog, close = () => dialog.close()) {
	dialog.addEventListener("mousedown", (event) => {
		if (event.target === dialog) close();
	});
	for (const button of dialog.querySelectorAll("[data-close]")) button.addEventListener("click", close);
}
