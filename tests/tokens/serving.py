"""`keepstep serve` for months of virtual time, beside a vendor whose token endpoint has bad days and whose clock is not
ours.

One process is the product; the vendor's stand-in and the control door that owns the product's time are here.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any, Self

from keepstep.state.keys import write_key_file
from keepstep_sandbox.constant_contact import ConstantContact
from keepstep_sandbox.http import Request, Response
from tests.tokens.refreshing import TOKENS

CUSTOMER = "acme"
HOUR, DAY = 3600.0, 86_400.0
BEGAN = 1_750_050_400.0
SETTINGS = """
[service]
listen = "127.0.0.1:0"
database = "{database}"
[platforms.constant_contact]
base_url = "{url}/v3"
auth_url = "{url}"
[platforms.virtuous]
base_url = "{url}"
[customers.acme.route]
crm = "none"
[customers.acme.cadence]
opted_out = "7h"
changed = "30d"
deleted = "30d"
lists = "30d"
fields = "30d"
reports = "30d"
sweep = "30d"
subscription = "30d"
"""


@dataclass
class Seen:
    """What the vendor saw. `invalid`: refresh tokens that it calls void; `refused`: API calls with a token that was
    not good; `spoilt`: how often the endpoint had trouble, by kind."""

    refreshes: int = 0
    invalid: int = 0
    calls: int = 0
    refused: int = 0
    spoilt: dict[str, int] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)


class Serving:
    """A customer without a CRM, served. `skew`: by how much the product's clock is ahead of the vendor's."""

    def __init__(self, home: Path, seed: int = 1, database: str | None = None) -> None:
        self.home, self.chance, self.skew = home, Random(seed), 0.0
        self.database = database or f"sqlite:///{home / 'keepstep.db'}"
        # Whoever rotates and loses the answer may ask once more for a minute; else a second use costs the consent.
        switches = {"refresh_grace": "60", "refresh_reuse": "revokes_family", "access_token_lifetime": "28800"}
        self.vendor = ConstantContact(switches)
        self.account = self.vendor.add_account(CUSTOMER, "client", "secret", BEGAN)
        self.seen, self.now, self.restarts = Seen(), BEGAN, 0
        self.due: float | None = None
        self.joined = threading.Event()
        self.address = ""
        self.server = _Listening(self)
        self._process: subprocess.Popen[bytes] | None = None
        threading.Thread(target=self.server.serve_forever, daemon=True, name="vendor").start()

    def __enter__(self) -> Self:
        (self.home / "keepstep.toml").write_text(SETTINGS.format(url=self.url, database=self.database))
        write_key_file(self.home / "keepstep.key", os.urandom)
        names = {"client_id": "client", "client_secret": "secret", "refresh_token": self.account["refresh_token"]}
        self.keepstep("customer", "add", CUSTOMER, said="\n".join(f"{name}={value}" for name, value in names.items()))
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop(signal.SIGKILL)
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def keepstep(self, *arguments: str, said: str = "") -> Any:
        """One command of the product, with --json."""
        done = subprocess.run(
            [*COMMAND, *arguments, "--json"],
            check=False,
            input=said,
            **self.environment(),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return json.loads(done.stdout)

    def environment(self) -> dict[str, Any]:
        return {"cwd": self.home, "env": {**os.environ, "KEEPSTEP_CLOCK": self.url}}

    # --- the process ---

    def start(self) -> None:
        self.joined.clear()
        with (self.home / "service.log").open("ab") as log:
            self._process = subprocess.Popen([*COMMAND, "serve"], **self.environment(), stdout=log, stderr=log)
        assert self.joined.wait(60), (self.home / "service.log").read_text()[-2000:]
        self.due = self.tell()

    def stop(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
        self._process = None

    def restart(self, how: signal.Signals, skew: float) -> None:
        """Its clock may be another one afterwards."""
        self.stop(how)
        self.skew, self.restarts = skew, self.restarts + 1
        self.start()

    # --- time ---

    def tell(self) -> float | None:
        """Tell the product what time it is; when it has something to do next."""
        said = json.dumps({"now": self.now + self.skew}).encode()
        deadline = time.monotonic() + 30
        while True:
            with suppress(ConnectionError, urllib.error.URLError):
                asked = urllib.request.Request(self.address, said, {"content-type": "application/json"})
                with urllib.request.urlopen(asked, timeout=60) as answer:
                    due: float | None = json.loads(answer.read())["next_due"]
                    return due
            assert time.monotonic() < deadline, "the service does not answer at its clock"
            time.sleep(0.02)

    def until(self, at: float) -> None:
        """Let time pass to this moment of the vendor's, with everything that falls due on the way."""
        while self.due is not None and self.due - self.skew <= at:
            self.now = max(self.now, self.due - self.skew)
            self.due = self.tell()
        self.now = at
        self.due = self.tell()


def months(serving: Serving, days: float, every: float = 12.0) -> None:
    """So many days, with another restart each `every` days, by kill or as asked, and a clock that is off by hours."""
    end = BEGAN + days * DAY
    while serving.now < end:
        serving.until(min(end, serving.now + every * DAY))
        if serving.now < end:
            how = serving.chance.choice([signal.SIGKILL, signal.SIGTERM])
            serving.restart(how, serving.chance.uniform(-5.0, 5.0) * HOUR)


COMMAND = [sys.executable, "-m", "keepstep.cli", "-c", "keepstep.toml"]
# Of so many calls of the token endpoint one comes to this.
_TROUBLE = {"500": 7, "dropped": 11, "answer lost": 13, "429": 17}


class _Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    server: "_Listening"

    def do_GET(self) -> None:
        self._do()

    def do_POST(self) -> None:
        self._do()

    def _do(self) -> None:
        here, path = self.server.serving, self.path.partition("?")[0]
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if path == "/time":
            self._say(_json({"now": here.now + here.skew}))
        elif path == "/clock/join":
            here.address = json.loads(body)["address"]
            self._say(_json({}))
            here.joined.set()
        elif path == TOKENS:
            self._tokens(here, body)
        else:
            answer = self._answer(here, body)
            here.seen.calls += 1
            here.seen.refused += answer.status == 401
            self._say(answer)

    def _tokens(self, here: Serving, body: bytes) -> None:
        here.seen.sent.append(body.decode())
        n = len(here.seen.sent)
        kind = next((name for name, nth in _TROUBLE.items() if n % nth == 0), None)
        if kind:
            here.seen.spoilt[kind] = here.seen.spoilt.get(kind, 0) + 1
        if kind in ("500", "429"):
            self._say(Response(int(kind), {"content-type": "text/html"}, b"<html>"))
            return
        answer = self._answer(here, body) if kind != "dropped" else None
        if answer is not None:
            here.seen.refreshes += answer.status == 200
            here.seen.invalid += answer.status == 400
        if answer is None or kind == "answer lost":
            self.connection.close()
            self.close_connection = True
            return
        self._say(answer)

    def _answer(self, here: Serving, body: bytes) -> Response:
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        return here.vendor.handle(Request(self.command, path, query, headers, body), here.now)

    def _say(self, answer: Response) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in ("content-length", "date"):
                self.send_header(name, value)
        self.send_header("content-length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)
        self.wfile.flush()

    def log_message(self, *_: Any) -> None:
        """Nothing."""


class _Listening(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, serving: Serving) -> None:
        self.serving = serving
        super().__init__(("127.0.0.1", 0), _Door)

    def handle_error(self, *_: Any) -> None:
        """Whoever was dropped or killed says nothing more."""


def _json(value: Any) -> Response:
    return Response(200, {"content-type": "application/json"}, json.dumps(value).encode())
