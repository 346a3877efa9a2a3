// Line charts as SVG, with both axes logarithmic.

const size = { width: 720, height: 420, left: 80, right: 170, top: 48, bottom: 56 };
const colours = ["#6b7280", "#c2410c", "#1d4ed8", "#15803d", "#7e22ce", "#b45309", "#0e7490"];

const escape = (text) => String(text).replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);

export const short = (value) =>
	value >= 1e6 ? `${+(value / 1e6).toPrecision(3)} M` : value >= 1e3 ? `${+(value / 1e3).toPrecision(3)} k` : `${+value.toPrecision(3)}`;

/** The powers of ten, and two steps between when there are few, that span the values. */
function ticks(values) {
	const low = Math.min(...values), high = Math.max(...values), found = [];
	const steps = high / low > 300 ? [1] : [1, 2, 5];
	for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++)
		for (const step of steps) found.push(step * 10 ** power);
	const first = found.findLastIndex((tick) => tick <= low);
	const last = found.findIndex((tick) => tick >= high);
	return found.slice(Math.max(first, 0), last + 1);
}

const scale = (marks, from, to) => (value) =>
	marks.length < 2 ? (from + to) / 2 : from + ((Math.log(value) - Math.log(marks[0])) / (Math.log(marks.at(-1)) - Math.log(marks[0]))) * (to - from);

const line = (x1, y1, x2, y2, colour) => `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke="${colour}"/>`;
const text = (x, y, content, extra = "") => `<text x="${x}" y="${y}" ${extra}>${escape(content)}</text>`;

/** series: [{ name, points: [[x, y], ...] }] */
export function plot({ title, xLabel, yLabel, series }) {
	const points = series.flatMap(({ points }) => points);
	if (!points.length) return "";
	const { width, height, left, right, top, bottom } = size;
	const xMarks = ticks(points.map(([x]) => x)), yMarks = ticks(points.map(([, y]) => y));
	const x = scale(xMarks, left, width - right), y = scale(yMarks, height - bottom, top);
	const parts = [
		`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12" fill="#374151">`,
		`<rect width="${width}" height="${height}" fill="#ffffff"/>`,
		text(left, 26, title, 'font-size="16" font-weight="bold" fill="#111827"'),
		...yMarks.flatMap((mark) => [line(left, y(mark), width - right, y(mark), "#e5e7eb"), text(left - 8, y(mark) + 4, short(mark), 'text-anchor="end"')]),
		...xMarks.flatMap((mark) => [line(x(mark), top, x(mark), height - bottom, "#f3f4f6"), text(x(mark), height - bottom + 18, short(mark), 'text-anchor="middle"')]),
		text((left + width - right) / 2, height - 14, xLabel, 'text-anchor="middle"'),
		text(0, 0, yLabel, `text-anchor="middle" transform="translate(18 ${(top + height - bottom) / 2}) rotate(-90)"`),
	];
	for (const [i, { name, points: of }] of series.entries()) {
		const colour = colours[i % colours.length];
		parts.push(`<polyline fill="none" stroke="${colour}" stroke-width="2" points="${of.map(([px, py]) => `${x(px).toFixed(1)},${y(py).toFixed(1)}`).join(" ")}"/>`);
		for (const [px, py] of of) parts.push(`<circle cx="${x(px).toFixed(1)}" cy="${y(py).toFixed(1)}" r="3" fill="${colour}"/>`);
		parts.push(line(width - right + 14, top + 10 + i * 20, width - right + 34, top + 10 + i * 20, colour), text(width - right + 40, top + 14 + i * 20, name));
	}
	return `${parts.join("\n")}\n</svg>\n`;
}
