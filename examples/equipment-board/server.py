#!/usr/bin/python3
"""The backend of the equipment board: a page, a small JSON API, and a login without passwords (it is a demo).

It knows nothing of Socket.IO. It stores changes, and its publisher posts them to roomcast's gateway, as any web
application would.
"""
import argparse
import json
import logging
import os
import signal
import socket
import sys
import threading
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import seed
import tokens
from publisher import Publisher
from store import CATEGORIES, STATUSES, Conflict, Invalid, NotFound, Store

COOKIE = "auth-token"
LIFETIME_S = 12 * 3600
BODY_MOST = 64 * 1024
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
         ".js": "text/javascript; charset=utf-8", ".map": "application/json"}
SECURITY = (
    ("Content-Security-Policy", "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none';"
                                " form-action 'self'; frame-ancestors 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
)


class Problem(Exception):
    """An answer that is not a success."""

    def __init__(self, status, error, **more):
        super().__init__(error)
        self.status, self.body = status, {"error": error, **more}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "equipment-board", ""
    timeout = 75

    def do_GET(self):
        self.handle_call("GET")

    def do_POST(self):
        self.handle_call("POST")

    def do_PUT(self):
        self.handle_call("PUT")

    def do_DELETE(self):
        self.handle_call("DELETE")

    def handle_call(self, method):
        url = urlsplit(self.path)
        self.query = parse_qs(url.query)
        try:
            if not url.path.startswith("/api/"):
                return self.serve_file(method, url.path)
            name, _, rest = url.path[len("/api/"):].partition("/")
            call = CALLS.get((method, name, bool(rest)))
            if call is None:
                raise Problem(HTTPStatus.NOT_FOUND, "there is nothing here")
            self.answer(HTTPStatus.OK, call(self, rest) if rest else call(self))
        except Problem as problem:
            self.answer(problem.status, problem.body)
        except Invalid as err:
            self.answer(HTTPStatus.UNPROCESSABLE_ENTITY, {"error": str(err)})
        except NotFound:
            self.answer(HTTPStatus.NOT_FOUND, {"error": "this item does not exist any more"})
        except Conflict as conflict:
            self.answer(HTTPStatus.CONFLICT, {"error": str(conflict), "current": conflict.current})

    # --- sessions ---

    def token(self):
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return token.strip()
        try:
            cookie = SimpleCookie(self.headers.get("Cookie", "")).get(COOKIE)
        except CookieError:
            return ""
        return cookie.value if cookie else ""

    def user_or_none(self):
        claims = tokens.verify(self.token(), self.server.secret)
        return next((user for user in seed.USERS if claims and user["id"] == claims.get("userId")), None)

    def user(self):
        user = self.user_or_none()
        if user is None:
            raise Problem(HTTPStatus.UNAUTHORIZED, "please choose who you are")
        return user

    def session_of(self, user):
        claims = {"userId": user["id"], "username": user["name"], "role": user["role"]}
        return {"user": user, "users": seed.USERS, "token": tokens.issue(claims, self.server.secret, LIFETIME_S),
                "categories": CATEGORIES, "statuses": STATUSES}

    def list_users(self):
        return {"users": seed.USERS}

    def get_session(self):
        user = self.user_or_none()
        return self.session_of(user) if user else {"user": None}

    def open_session(self):
        wanted = self.json().get("userId")
        for user in seed.USERS:
            if user["id"] == wanted:
                session = self.session_of(user)
                self.set_cookie(session["token"], LIFETIME_S)
                return session
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "nobody of that name works here")

    def close_session(self):
        self.set_cookie("", 0)
        return {}

    def set_cookie(self, value, age):
        self.more_headers = (("Set-Cookie", f"{COOKIE}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax"),)

    # --- equipment ---

    def list_items(self):
        self.user()
        return self.server.store.board()

    def create_item(self):
        user = self.user()
        return {"item": self.server.store.create(self.json(), seed.public(user))}

    def update_item(self, rest):
        user, values = self.user(), self.json()
        before = self.number(values.get("version"))
        item = self.server.store.update(self.number(rest), before, values, seed.public(user))
        if item["status"] == "service" and item["version"] > before and user["id"] != seed.WORKSHOP:
            self.server.store.put("/notification", {"userId": seed.WORKSHOP, "notification": {
                "title": "For the workshop", "message": f"{user['name']}: {item['name']} needs a look.", "type": "warning"}})
        return {"item": item}

    def delete_item(self, rest):
        user = self.user()
        version = self.number(self.query.get("version", [""])[0])
        return {"item": self.server.store.delete(self.number(rest), version, seed.public(user))}

    def send_message(self):
        user, values = self.user(), self.json()
        text, to = values.get("text"), values.get("to")
        if not isinstance(text, str) or not 1 <= len(text.strip()) <= 280:
            raise Invalid("a message has 1 to 280 characters")
        notification = {"title": user["name"], "message": text.strip(), "type": "info"}
        if to == "everyone":
            self.server.store.put("/system-notification", notification)
        elif any(to == other["id"] for other in seed.USERS):
            self.server.store.put("/notification", {"userId": to, "notification": notification})
        else:
            raise Invalid("nobody of that name works here")
        return {}

    @staticmethod
    def number(value):
        try:
            number = int(str(value), 10)
        except ValueError:
            number = -1
        if not 0 <= number < 2**53:
            raise Invalid("a whole number was expected")
        return number

    # --- HTTP ---

    def json(self):
        """The body as an object. A foreign page's form cannot say application/json without asking first."""
        if self.headers.get("Content-Type", "").split(";")[0].strip().lower() != "application/json":
            raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "application/json was expected")
        try:
            values = json.loads(self.body())
        except (ValueError, RecursionError):
            values = None
        if not isinstance(values, dict):
            raise Problem(HTTPStatus.BAD_REQUEST, "a JSON object was expected")
        return values

    def body(self):
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or int(length) > BODY_MOST:
            self.close_connection = True
            raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body of at most {BODY_MOST} bytes was expected")
        self.has_read_body = True
        return self.rfile.read(int(length))

    def serve_file(self, method, path):
        file = self.server.files.get("/index.html" if path == "/" else path)
        if file is None or method != "GET":
            raise Problem(HTTPStatus.NOT_FOUND, "there is nothing here")
        self.write(HTTPStatus.OK, TYPES[file.suffix], file.read_bytes())

    def answer(self, status, body):
        self.write(status, "application/json", json.dumps(body, ensure_ascii=False).encode())

    more_headers = ()
    has_read_body = False

    def write(self, status, kind, content):
        if not self.has_read_body and self.headers.get("Content-Length", "0") != "0":
            self.close_connection = True  # an unread body would be taken for the next request
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(content))), ("Cache-Control", "no-cache"),
                            *SECURITY, *self.more_headers):
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)
        self.more_headers, self.has_read_body = (), False

    def address_string(self):
        return self.headers.get("X-Forwarded-For", "-") if getattr(self, "headers", None) else "-"

    def log_message(self, format, *args):
        logging.getLogger("http").debug(format, *args)


CALLS = {
    # method, name, whether something follows
    ("GET", "users", False): Handler.list_users,
    ("GET", "session", False): Handler.get_session,
    ("POST", "session", False): Handler.open_session,
    ("DELETE", "session", False): Handler.close_session,
    ("GET", "equipment", False): Handler.list_items,
    ("POST", "equipment", False): Handler.create_item,
    ("PUT", "equipment", True): Handler.update_item,
    ("DELETE", "equipment", True): Handler.delete_item,
    ("POST", "messages", False): Handler.send_message,
}


class Server(ThreadingHTTPServer):
    request_queue_size = 128


class UnixServer(Server):
    address_family = socket.AF_UNIX

    def server_bind(self):
        Path(self.server_address).unlink(missing_ok=True)
        self.socket.bind(self.server_address)


def find_files(page, client):
    """What may be served, by its path. Nothing else is ever opened."""
    files = {"/" + file.relative_to(page).as_posix(): file for file in page.rglob("*") if file.suffix in TYPES}
    for name in ("socket.io.esm.min.js", "socket.io.esm.min.js.map"):
        files["/client/" + name] = client / name
    return files


def open_server(listen):
    if listen.startswith("unix:"):
        return UnixServer(listen[len("unix:"):], Handler)
    host, _, port = listen.rpartition(":")
    return Server((host, int(port)), Handler)


def main():
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description="The equipment board, roomcast's demo.")
    parser.add_argument("--listen", default="127.0.0.1:5000", help="HOST:PORT or unix:PATH (%(default)s)")
    parser.add_argument("--database", default="equipment.sqlite", help="SQLite file (%(default)s)")
    parser.add_argument("--gateway", default="http://127.0.0.1:8080/api/broadcast", help="(%(default)s)")
    parser.add_argument("--client", default=here / "node_modules/socket.io-client/dist", type=Path,
                        help="the dist folder of the npm package socket.io-client")
    options = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(name)s: %(message)s", level=logging.INFO)
    missing = [name for name in ("JWT_SECRET", "ROOMCAST_API_KEY") if not os.environ.get(name)]
    if missing:
        sys.exit(f"server.py: {' and '.join(missing)} must be set")

    store = Store(options.database)
    if store.is_empty():
        seed.fill(store)
    Publisher(store, options.gateway, os.environ["ROOMCAST_API_KEY"]).start()
    server = open_server(options.listen)
    server.store, server.secret = store, os.environ["JWT_SECRET"]
    server.files = find_files(here / "page", options.client)
    # shutdown waits for the loop that the signal interrupts, so another thread has to call it.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    logging.info("listening on %s", options.listen)
    server.serve_forever(poll_interval=0.1)


if __name__ == "__main__":
    main()
