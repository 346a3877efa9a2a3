"""One session of python3-socketio: connect, join, receive, acknowledge, leave. Exits with a message when something is wrong."""
import json
import queue
import sys
import urllib.request

import socketio

url, transport, api_key, token = sys.argv[1:]
transports = ["polling", "websocket"] if transport == "both" else [transport]
DEADLINE = 30  # seconds for each thing waited for


def post(call, body):
    request = urllib.request.Request(
        f"{url}/api/broadcast/{call}",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
        return json.load(answer)


def expect(what, actual, wanted):
    if actual != wanted:
        sys.exit(f"{what}: {actual!r}, not {wanted!r}")


client = socketio.Client(reconnection=False)
received = queue.Queue()
# A fixed number of arguments: one more than the event has would be an error.
client.on("data-change", lambda event: received.put(event))
client.on("notification", lambda event: received.put(event))
client.on("pong", lambda event: received.put(event))

client.connect(url, socketio_path="/api/socket", transports=transports, auth={"token": token}, wait_timeout=DEADLINE)
ack = client.call("join-data-sync", ["Thing"], timeout=DEADLINE)
expect("rooms", ack["rooms"], ["sync-Thing"])
for number in range(50):
    post("data-change", {"entityType": "Thing", "action": "UPDATE", "data": number})
for number in range(50):
    expect("data", received.get(timeout=DEADLINE)["data"], number)
post("notification", {"userId": "py", "notification": {"title": "t", "message": "m"}})
expect("title", received.get(timeout=DEADLINE)["title"], "t")
client.emit("ping")
expect("pong", list(received.get(timeout=DEADLINE)), ["timestamp"])
client.disconnect()
