"""The application's own data: the equipment, who changed what, and the outbox, in one SQLite file.

Every item has an integer version. A change names the version that it was made from, and is refused with Conflict when the
item has moved on since.
"""
import json
import sqlite3
import threading
import uuid
from datetime import date, datetime, timezone

CATEGORIES = ("Camera", "Lens", "Light", "Audio", "Grip", "Power")
STATUSES = ("available", "rented", "service")
CHANGES_SHOWN = 30

SCHEMA = """
CREATE TABLE IF NOT EXISTS item (
    id INTEGER PRIMARY KEY AUTOINCREMENT, tag TEXT NOT NULL, name TEXT NOT NULL, category TEXT NOT NULL,
    status TEXT NOT NULL, location TEXT NOT NULL, quantity INTEGER NOT NULL, due TEXT, notes TEXT NOT NULL,
    version INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS change (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, who TEXT NOT NULL, action TEXT NOT NULL,
    item INTEGER NOT NULL, name TEXT NOT NULL, what TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL, body TEXT NOT NULL, key TEXT NOT NULL);
"""
FIELDS = ("tag", "name", "category", "status", "location", "quantity", "due", "notes")


class Invalid(Exception):
    """What was sent cannot be stored; the text says why."""


class NotFound(Exception):
    pass


class Conflict(Exception):
    """Somebody else was first; current is the item as it is now."""

    def __init__(self, current):
        super().__init__("the item was changed in the meantime")
        self.current = current


def now():
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _text(values, field, most, least=0):
    value = values.get(field)
    if not isinstance(value, str) or not least <= len(value.strip()) <= most:
        raise Invalid(f"{field} must be a text of {least} to {most} characters")
    return value.strip()


def _one_of(values, field, choices):
    if values.get(field) not in choices:
        raise Invalid(f"{field} must be one of: {', '.join(choices)}")
    return values[field]


def check(values):
    """The fields of an item out of what a client sent."""
    quantity, due = values.get("quantity"), values.get("due") or None
    if not isinstance(quantity, int) or isinstance(quantity, bool) or not 1 <= quantity <= 999:
        raise Invalid("quantity must be a whole number from 1 to 999")
    try:
        due = date.fromisoformat(due).isoformat() if due is not None else None
    except (TypeError, ValueError):
        raise Invalid("due must be a date like 2026-05-31") from None
    return {"tag": _text(values, "tag", 20), "name": _text(values, "name", 80, least=1),
            "category": _one_of(values, "category", CATEGORIES), "status": _one_of(values, "status", STATUSES),
            "location": _text(values, "location", 60), "quantity": quantity, "due": due,
            "notes": _text(values, "notes", 500)}


class Store:
    def __init__(self, path):
        self.db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self.db.row_factory = sqlite3.Row
        self.db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;" + SCHEMA)
        self.lock = threading.Lock()
        self.on_outbox = lambda: None

    def is_empty(self):
        return self.db.execute("SELECT 1 FROM item").fetchone() is None

    # One transaction at a time; what is put into the outbox in it is sent when it is stored.
    def _transaction(self, work):
        with self.lock:
            self.db.execute("BEGIN IMMEDIATE")
            try:
                result = work()
                self.db.execute("COMMIT")
            except BaseException:
                self.db.execute("ROLLBACK")
                raise
        self.on_outbox()
        return result

    # --- reading ---

    @staticmethod
    def _item(row):
        item = {key: row[key] for key in ("id", *FIELDS, "version")}
        return {**item, "updatedBy": json.loads(row["updated_by"]), "updatedAt": row["updated_at"]}

    def _get(self, item_id):
        row = self.db.execute("SELECT * FROM item WHERE id = ?", (item_id,)).fetchone()
        if row is None:
            raise NotFound()
        return self._item(row)

    def board(self):
        with self.lock:
            items = [self._item(row) for row in self.db.execute("SELECT * FROM item ORDER BY id")]
            changes = [self._change(row) for row in self.db.execute(
                "SELECT * FROM change ORDER BY id DESC LIMIT ?", (CHANGES_SHOWN,))]
        return {"items": items, "changes": changes}

    @staticmethod
    def _change(row):
        return {"id": row["id"], "at": row["at"], "who": json.loads(row["who"]), "action": row["action"],
                "item": row["item"], "name": row["name"], "what": json.loads(row["what"])}

    # --- changing ---

    def create(self, values, who):
        fields = check(values)

        def work():
            columns = ", ".join((*FIELDS, "version", "updated_by", "updated_at"))
            cursor = self.db.execute(
                f"INSERT INTO item ({columns}) VALUES ({', '.join('?' * (len(FIELDS) + 3))})",
                (*(fields[name] for name in FIELDS), 1, json.dumps(who), now()))
            return self._changed("CREATE", self._get(cursor.lastrowid), who, {})
        return self._transaction(work)

    def update(self, item_id, version, values, who):
        fields = check(values)

        def work():
            before = self._get(item_id)
            if before["version"] != version:
                raise Conflict(before)
            what = {name: [before[name], fields[name]] for name in FIELDS if before[name] != fields[name]}
            if not what:
                return before
            assignments = ", ".join(f"{name} = ?" for name in FIELDS)
            self.db.execute(
                f"UPDATE item SET {assignments}, version = version + 1, updated_by = ?, updated_at = ? WHERE id = ?",
                (*(fields[name] for name in FIELDS), json.dumps(who), now(), item_id))
            return self._changed("UPDATE", self._get(item_id), who, what)
        return self._transaction(work)

    def delete(self, item_id, version, who):
        def work():
            before = self._get(item_id)
            if before["version"] != version:
                raise Conflict(before)
            self.db.execute("DELETE FROM item WHERE id = ?", (item_id,))
            return self._changed("DELETE", {**before, "version": version + 1, "updatedBy": who, "updatedAt": now()}, who, {})
        return self._transaction(work)

    def _changed(self, action, item, who, what):
        cursor = self.db.execute(
            "INSERT INTO change (at, who, action, item, name, what) VALUES (?, ?, ?, ?, ?, ?)",
            (item["updatedAt"], json.dumps(who), action, item["id"], item["name"], json.dumps(what)))
        change = self._change(self.db.execute("SELECT * FROM change WHERE id = ?", (cursor.lastrowid,)).fetchone())
        self._put("/data-change", {"entityType": "equipment", "action": action, "data": {**item, "change": change},
                                   "userId": who["id"]})
        return item

    # --- the outbox ---

    def _put(self, path, body):
        self.db.execute("INSERT INTO outbox (path, body, key) VALUES (?, ?, ?)",
                        (path, json.dumps(body, ensure_ascii=False), str(uuid.uuid4())))

    def put(self, path, body):
        self._transaction(lambda: self._put(path, body))

    def outbox_first(self):
        with self.lock:
            row = self.db.execute("SELECT * FROM outbox ORDER BY id LIMIT 1").fetchone()
        return None if row is None else dict(row)

    def outbox_delete(self, event_id):
        with self.lock:
            self.db.execute("DELETE FROM outbox WHERE id = ?", (event_id,))
