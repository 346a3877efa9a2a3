"""Tells the gateway what changed, in order, and again until it has heard.

The store writes an event into its outbox in the same transaction as the change. The thread here posts what stands in the
outbox: an event is deleted when the gateway has it. Repeats carry the same Idempotency-Key, so that an answer that got lost
makes no second event.
"""
import logging
import threading
import urllib.error
import urllib.request

RETRY_FIRST_S, RETRY_MOST_S = 0.25, 4

log = logging.getLogger("publisher")
# The gateway is a neighbour: no proxy between us.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Publisher(threading.Thread):
    def __init__(self, store, gateway, api_key):
        super().__init__(name="publisher", daemon=True)
        self.store, self.gateway, self.api_key = store, gateway, api_key
        self.something = threading.Event()
        store.on_outbox = self.something.set

    def run(self):
        wait_s = RETRY_FIRST_S
        self.something.set()
        while True:
            self.something.wait()
            self.something.clear()
            while (event := self.store.outbox_first()) is not None:
                if self.post(event):
                    self.store.outbox_delete(event["id"])
                    wait_s = RETRY_FIRST_S
                    continue
                self.something.wait(wait_s)
                self.something.clear()
                wait_s = min(wait_s * 2, RETRY_MOST_S)

    def post(self, event):
        """True when the event is done with: the gateway has it, or will never take it."""
        request = urllib.request.Request(
            self.gateway + event["path"], data=event["body"].encode(), method="POST",
            headers={"Authorization": "Bearer " + self.api_key, "Content-Type": "application/json",
                     "Idempotency-Key": event["key"]})
        try:
            with _opener.open(request, timeout=10):
                return True
        except urllib.error.HTTPError as err:
            answer = err.read(500).decode(errors="replace")
            is_final = err.code in (400, 404, 413, 415, 422)
            log.warning("%s: %s %s%s", event["path"], err.code, answer, ", dropped" if is_final else "")
            return is_final
        except OSError as err:
            log.warning("%s: %s, trying again", event["path"], err)
            return False
