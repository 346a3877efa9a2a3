// Notifications in the corner. They stand above open dialogs, and stay while the pointer or the focus is on them.
import { byId, h, icon } from "./dom.js";

const SHOWN_MS = 7000;
const MOST = 4;
const TYPES = ["info", "success", "warning", "error"];

export function toast({ title, message, type }) {
	const region = byId("toasts");
	const kind = TYPES.includes(type) ? type : "info";
	const close = () => {
		card.classList.add("leaving");
		setTimeout(() => {
			card.remove();
			if (!region.childElementCount) region.hidePopover?.();
		}, 200);
	};
	const card = h("div", { class: `toast ${kind}` }, icon(kind),
		h("div", { class: "toast-text" },
			h("strong", null, String(title ?? "").slice(0, 120)),
			message ? h("p", null, String(message).slice(0, 400)) : null),
		h("button", { class: "icon-button", type: "button", "aria-label": "Dismiss", onclick: close }, icon("close")));

	let timer = setTimeout(close, SHOWN_MS);
	const hold = () => clearTimeout(timer);
	const release = () => (timer = setTimeout(close, SHOWN_MS / 2));
	card.addEventListener("pointerenter", hold);
	card.addEventListener("pointerleave", release);
	card.addEventListener("focusin", hold);
	card.addEventListener("focusout", release);

	while (region.childElementCount >= MOST) region.firstElementChild.remove();
	region.append(card);
	// The top layer is a stack: shown again, the region is above a dialog that was opened since.
	region.hidePopover?.();
	region.showPopover?.();
}
