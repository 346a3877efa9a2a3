// The judge is judged: each way to fail must be seen, and nothing else.
import assert from "node:assert/strict";

import { describe, test } from "../lib/bounded.mjs";
import { FAILINGS, check, total } from "./checker.mjs";

const EPOCH = 1_795_559_214; // unix seconds, as gateways take them

const event = (n, more = {}) => ({
	tag: `a-${n}`, stream: "a", n, target: { type: "A" }, startedAt: 100 + n, outcome: "accepted", id: `${EPOCH}.${n + 1}`, ...more,
});
const client = (seen, more = {}) => ({
	name: "c", user: "u", types: ["A"], joinedAt: 0, told: [], isJudgedForLoss: true,
	seen: seen.map((one) => (typeof one === "object" ? one : { tag: `a-${one}` })), ...more,
});

/** What is not empty, as { missing: ["a-1"] }. */
function failings(events, clients, options) {
	const [verdict] = check(events, [clients].flat(), options);
	return Object.fromEntries([...FAILINGS, "told"].filter((name) => verdict[name].length).map((name) => [name, verdict[name]]));
}

const five = Array.from({ length: 5 }, (_, n) => event(n));

describe("the checker", () => {
	test("finds nothing where nothing is wrong", () => {
		assert.deepEqual(failings(five, client([0, 1, 2, 3, 4])), {});
		assert.equal(check(five, [client([0, 1, 2, 3, 4])])[0].seen, 5);
	});

	test("sees what is missing, in the middle and at the end", () => {
		assert.deepEqual(failings(five, client([0, 2, 3])), { missing: ["a-1", "a-4"] });
	});

	test("sees what came twice, at once and later", () => {
		assert.deepEqual(failings(five, client([0, 1, 1, 2, 3, 4, 0])), { duplicated: ["a-1", "a-0"] });
	});

	test("sees what is out of order", () => {
		assert.deepEqual(failings(five, client([0, 2, 1, 3, 4])), { disordered: ["a-1"] });
	});

	test("sees order by the stream where no id is known", () => {
		const events = five.map(({ id, ...rest }) => rest);
		assert.deepEqual(failings(events, client([1, 0, 2, 3, 4])), { disordered: ["a-0"] });
		assert.deepEqual(failings(events, client([1, 0, 2, 3, 4]), { unordered: ["a"] }), {});
	});

	test("sees order by the place across streams and epochs", () => {
		const events = [event(0), { ...event(0), tag: "b-0", stream: "b", id: `${EPOCH + 1}.1` }, event(1, { id: `${EPOCH}.2` })];
		assert.deepEqual(failings(events, client([0, { tag: "b-0" }, 1])), { disordered: ["a-1"] });
		assert.deepEqual(failings(events, client([0, 1, { tag: "b-0" }])), {});
	});

	test("an unknown outcome may be seen or not, and has its order by its offset alone", () => {
		const events = [event(0), event(1, { outcome: "unknown", id: undefined }), event(2)];
		assert.deepEqual(failings(events, client([0, 2])), {});
		assert.deepEqual(failings(events, client([0, 1, 2])), {});
		assert.deepEqual(failings(events, client([0, 2, 1])), {});
		assert.deepEqual(failings(events, client([0, 2, { tag: "a-1", offset: `${EPOCH}.2` }])), { disordered: ["a-1"] });
		assert.deepEqual(failings(events, client([0, 1, 1, 2])), { duplicated: ["a-1"] });
	});

	test("sees what was refused and yet delivered, and what nobody posted", () => {
		const events = [event(0), event(1, { outcome: "refused", id: undefined })];
		assert.deepEqual(failings(events, client([0, 1, { tag: "x" }])), { unaccepted: ["a-1", "x"] });
		assert.deepEqual(failings(events, client([0])), {});
	});

	test("sees an offset that is not the publisher's id", () => {
		assert.deepEqual(failings([event(0)], client([{ tag: "a-0", offset: `${EPOCH}.9` }])), { misplaced: ["a-0"] });
	});

	test("knows for whom an event is", () => {
		const others = [
			event(0, { target: { type: "B" } }), event(1, { target: { user: "v" } }), event(2, { target: { everyone: true, excludeUser: "u" } }),
			event(3, { target: null }),
		];
		assert.deepEqual(failings(others, client([])), {});
		assert.deepEqual(failings(others, client([0, 1, 2, 3])), { strayed: ["a-0", "a-1", "a-2", "a-3"] });
		const mine = [event(0, { target: { everyone: true } }), event(1, { target: { user: "u" } }), event(2, { target: { type: "A", excludeUser: "v" } })];
		assert.deepEqual(failings(mine, client([])), { missing: ["a-0", "a-1", "a-2"] });
	});

	test("loss is judged from the first join on, and only for those who are to be judged", () => {
		assert.deepEqual(failings(five, client([], { joinedAt: 103 })), { missing: ["a-3", "a-4"] });
		assert.deepEqual(failings(five, client([], { joinedAt: undefined })), {});
		assert.deepEqual(failings(five, client([], { isJudgedForLoss: false })), {});
	});

	test("what a client was told about is told, not missing", () => {
		assert.deepEqual(failings(five, client([0, 1], { told: [{ after: "a-1", to: 103 }] })), { missing: ["a-4"], told: ["a-2", "a-3"] });
		assert.deepEqual(failings(five, client([1], { told: [{ after: "a-1", to: 103 }] })), { missing: ["a-0", "a-4"], told: ["a-2", "a-3"] });
		assert.deepEqual(failings(five, client([], { told: [{ to: 101 }] })), { missing: ["a-2", "a-3", "a-4"], told: ["a-0", "a-1"] });
	});

	test("a batch comes whole or not at all", () => {
		const batch = [0, 1, 2].map((n) => event(n, { batch: "b", outcome: "unknown", id: undefined }));
		assert.deepEqual(failings(batch, client([])), {});
		assert.deepEqual(failings(batch, client([0, 1, 2])), {});
		assert.deepEqual(failings(batch, client([0, 2])), { torn: ["a-0", "a-1", "a-2"] });
	});

	test("adds up", () => {
		assert.deepEqual(total(check(five, [client([0, 0]), client([1, 0, 2, 3, 4])])),
			{ missing: 4, duplicated: 1, disordered: 1, unaccepted: 0, strayed: 0, misplaced: 0, torn: 0, told: 0 });
	});
});
