// The page: who am I, then the board and the connection that keeps it in step.
import { addChange, inWords, replaceChanges } from "./activity.js";
import * as api from "./api.js";
import { Board } from "./board.js";
import { avatar, byId, h, makeClosable } from "./dom.js";
import { Editor } from "./editor.js";
import { firstName } from "./format.js";
import { connect } from "./live.js";
import { People } from "./people.js";
import { toast } from "./toast.js";

const STATES = { connecting: "Connecting", live: "Live", reconnecting: "Reconnecting" };

const trouble = (err) => toast({ title: "That did not work", message: err.message, type: "error" });

function showState(state) {
	byId("connection").dataset.state = state;
	byId("connection").lastElementChild.textContent = STATES[state];
}

async function showLogin() {
	byId("login").hidden = false;
	byId("app").hidden = true;
	const users = await api.users();
	byId("login-users").replaceChildren(...users.map((user) =>
		h("button", { type: "button", class: "login-user", onclick: () => api.signIn(user.id).then(start).catch(trouble) },
			avatar(user, "large"), h("span", null, h("strong", null, user.name), h("span", { class: "muted" }, user.role)))));
	byId("login-users").firstElementChild?.focus();
}

function start(session) {
	byId("login").hidden = true;
	byId("app").hidden = false;
	byId("my-avatar").replaceChildren(avatar(session.user));
	byId("my-name").textContent = session.user.name;
	byId("my-role").textContent = session.user.role;

	// The parts know each other through these few calls only.
	const peopleAt = (id) => people?.at(id) ?? [];
	const board = new Board({ categories: session.categories, peopleAt, onOpen: (id) => editor.open(board.get(id)) });
	const editor = new Editor({
		categories: session.categories, peopleAt,
		look: (item, mode) => people.look(item, mode),
		onSaved: (item) => board.apply(item),
		onDeleted: (item) => board.remove(item),
	});
	let people = null;
	const live = connect({
		state: showState,
		change: (change) => applyChange(change, { board, editor, me: session.user }),
		notification: toast,
		activity: (activity) => people.hear(activity),
		resync: () => {
			load(board);
			people.hello();
		},
	});
	people = new People({
		me: session.user, users: session.users, send: live.sendActivity, nameOf: (id) => board.get(id)?.name,
		onChange: () => {
			board.render();
			editor.renderPeople();
		},
		onMessage: (user) => askMessage(user.id, `Message to ${firstName(user)}`),
	});
	load(board);

	byId("add").onclick = () => editor.open(null);
	byId("message-all").onclick = () => askMessage("everyone", "Message to everyone");
	byId("switch-user").onclick = async () => {
		people.stop();
		live.close();
		await api.signOut();
		location.reload();
	};
}

async function load(board) {
	try {
		const { items, changes } = await api.board();
		board.replace(items);
		replaceChanges(changes);
	} catch (err) {
		if (err.status === 401) location.reload();
		else trouble(err);
	}
}

function applyChange({ action, data }, { board, editor, me }) {
	const { change, ...item } = data;
	const isDeleted = action === "DELETE";
	const isNews = isDeleted ? board.remove(item) : board.apply(item);
	addChange(change);
	if (!isNews) return;
	editor.heard(item, isDeleted);
	if (item.updatedBy?.id === me.id) return;
	byId("announcer").textContent = `${item.updatedBy?.name}: ${item.name}, ${change ? inWords(change) : "changed"}`;
}

function askMessage(to, title) {
	const dialog = byId("message");
	const form = byId("message-form");
	byId("message-title").textContent = title;
	form.reset();
	form.onsubmit = async (event) => {
		event.preventDefault();
		dialog.close();
		try {
			await api.message(to, form.elements.text.value);
			if (to !== "everyone") toast({ title: "Sent", message: `${title.replace("Message to ", "")} has it.`, type: "success" });
		} catch (err) {
			trouble(err);
		}
	};
	dialog.showModal();
}

makeClosable(byId("message"));
byId("theme").onclick = () => {
	const root = document.documentElement;
	root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
	try {
		localStorage.setItem("theme", root.dataset.theme);
	} catch {
		// Then it holds for this page only.
	}
};
document.addEventListener("click", (event) => {
	const menu = byId("account");
	if (menu.open && !menu.contains(event.target)) menu.open = false;
});

const session = await api.resume().catch((err) => void trouble(err));
if (session) start(session);
else showLogin().catch(trouble);
