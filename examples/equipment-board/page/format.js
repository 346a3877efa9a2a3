// How values read.

export const STATUS_NAMES = { available: "Available", rented: "On rent", service: "In service" };
export const FIELD_NAMES = {
	name: "Name", status: "Status", location: "Where", due: "Due back", quantity: "Quantity", category: "Category",
	tag: "Asset tag", notes: "Notes",
};
const DAY_MS = 24 * 3600 * 1000;

const short = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const weekday = new Intl.DateTimeFormat("en-GB", { weekday: "long" });

export const plural = (count, one, many = one + "s") => `${count} ${count === 1 ? one : many}`;

function daysUntil(due, now = new Date()) {
	const [year, month, day] = due.split("-").map(Number);
	return Math.round((Date.UTC(year, month - 1, day) - Date.UTC(now.getFullYear(), now.getMonth(), now.getDate())) / DAY_MS);
}

export const isOverdue = (item) => Boolean(item.due) && item.status !== "available" && daysUntil(item.due) < 0;

/** A due date and how urgent it is: "late", "soon", "" or "none". */
export function due(item) {
	if (!item.due) return { text: "–", urgency: "none" };
	const days = daysUntil(item.due);
	const date = short.format(new Date(item.due + "T12:00"));
	if (item.status === "available") return { text: date, urgency: "" };
	if (days < 0) return { text: days === -1 ? "Yesterday" : `${-days} days late`, urgency: "late" };
	if (days === 0) return { text: "Today", urgency: "soon" };
	if (days === 1) return { text: "Tomorrow", urgency: "soon" };
	return { text: days < 7 ? weekday.format(new Date(item.due + "T12:00")) : date, urgency: "" };
}

export function ago(timestamp, now = Date.now()) {
	const seconds = Math.max(0, (now - Date.parse(timestamp)) / 1000);
	if (!Number.isFinite(seconds)) return "";
	if (seconds < 50) return "just now";
	if (seconds < 3000) return `${Math.round(seconds / 60)} min ago`;
	if (seconds < 80000) return `${Math.round(seconds / 3600)} h ago`;
	return `${Math.round(seconds / 86400)} d ago`;
}

/** A field's value as people say it. */
export function value(field, content) {
	if (content === null || content === undefined || content === "") return "empty";
	if (field === "status") return STATUS_NAMES[content] ?? String(content);
	if (field === "due") return short.format(new Date(content + "T12:00"));
	return String(content);
}

export const firstName = (person) => String(person?.name ?? "Somebody").split(" ")[0];
