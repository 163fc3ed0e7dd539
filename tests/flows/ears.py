"""A recipient on loopback that apprise can reach: what it was told, and how it answers."""

import contextlib
import json
import threading
import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

with warnings.catch_warnings():  # it imports what Python 3.13 drops, where that is still there
    warnings.simplefilter("ignore", DeprecationWarning)
    import apprise

    apprise.Apprise.instantiate("json://127.0.0.1")  # loads every plugin


class Ears(ThreadingHTTPServer):
    """Hears JSON messages. `status` is what it answers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.heard: list[dict[str, Any]] = []
        self.asked: list[str] = []

    def url(self, word: str) -> str:
        """An address of apprise for it, with a secret word in its path."""
        return f"json://127.0.0.1:{self.server_port}/{word}"

    def at(self, word: str) -> list[dict[str, Any]]:
        """What was said at the address with this word and taken."""
        return [one for one in self.heard if one["path"] == f"/{word}"]


class _Handler(BaseHTTPRequestHandler):
    server: Ears

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(self.path)
        if self.server.status == 200:
            self.server.heard.append({"path": self.path, "title": body["title"], "message": body["message"]})
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Tests say what they need."""


@contextlib.contextmanager
def ears() -> Iterator[Ears]:
    """One, for the length of a block."""
    with Ears() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
