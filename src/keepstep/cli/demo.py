"""`keepstep demo`: the stand-ins of both vendors, the service, and a simulated week that ends with a report that adds
up.

Three real processes: the stand-ins, whose control door owns the time; the service, started and killed like in real
life;
and this driver. The report is the stand-ins' own judge's, which shares no code with the service.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keepstep.cli import demo_feed
from keepstep.cli.console import FAILED, FINE, write
from keepstep.cli.report import summary
from keepstep.model.errors import Problem, Refused

CUSTOMER = "acme"
START_SECONDS = 30.0
MUST_BE_ZERO = ("lost", "duplicates", "wrong_fields", "echo_writes", "rate_limit_breaches")
# The same of each feed.
ZERO_OF_FEED = ("missing", "doubled", "put_back", "revived", "mailed_opted_out", "wrong_fields", "unsaid", "waiting")

SETTINGS = """\
[service]
database = "{database}"
listen = "127.0.0.1:{port}"
public_url = "http://127.0.0.1:{port}"
key_file = "keepstep.key"

[platforms.constant_contact]
base_url = "{constant_contact}"
auth_url = "{constant_contact_auth}"

[platforms.virtuous]
base_url = "{virtuous}"

[customers.acme]
name = "A nonprofit"

[customers.acme.route]
contact_tags_prefix = "{tags_prefix}"
contact_webhooks = {contact_webhooks}
"""
TAGS_PREFIX = "CC Tag: "


@dataclass(slots=True)
class Demo:
    """One demo: its folder, its processes, its control door."""

    folder: Path
    people: Path | None
    seed: int
    days: int
    kills: Any = 1
    count: int = 500
    database: str | None = None
    switches: dict[str, dict[str, str]] = field(default_factory=dict)
    urls: dict[str, Any] = field(default_factory=dict)
    port: int = 0
    _sandbox: subprocess.Popen[bytes] | None = None
    _service: subprocess.Popen[bytes] | None = None

    def begin(self) -> dict[str, Any]:
        """Start the stand-ins, load people, connect the customer, start the service."""
        ports = self.folder / "sandbox.json"
        command = [sys.executable, "-m", "keepstep_sandbox", "serve", "--ports-file", str(ports)]
        self._sandbox = self._started(command, {}, "sandbox.log")
        self.urls = json.loads(self._appears(ports))
        asked = {
            "seed": self.seed,
            "people": self._people(),
            "days": self.days,
            "kills": self.kills,
            "count": self.count,
            "switches": self.switches,
            "tags_prefix": TAGS_PREFIX,
            "table": str(self._table),
        }
        week: dict[str, Any] = self.ask("POST", "/week/start", asked)
        self._settle(week["credentials"])
        self.start()
        return week

    @property
    def _table(self) -> Path:
        return self.folder / "members.db"

    def _people(self) -> str | None:
        return str(self.people.resolve()) if self.people else None

    def _settle(self, credentials: dict[str, Any]) -> None:
        self.port = _free_port()
        database = self.database or f"sqlite:///{self.folder / 'keepstep.db'}"
        webhooks = self.switches.get("constant_contact", {}).get("contact_webhooks", "off") != "off"
        filled = SETTINGS.format(
            database=database,
            port=self.port,
            tags_prefix=TAGS_PREFIX,
            contact_webhooks="true" if webhooks else "false",
            **self.urls,
        )
        (self.folder / "keepstep.toml").write_text(filled + demo_feed.SETTINGS.format(path=self._table))
        from keepstep.state.keys import write_key_file

        write_key_file(self.folder / "keepstep.key", os.urandom)
        from keepstep.cli.customer import CREDENTIALS

        lines = [
            f"{platform}.{name}={credentials[platform][name]}"
            for platform, names in CREDENTIALS.items()
            for name in names
        ]
        self.keepstep("customer", "add", CUSTOMER, given="\n".join(lines))
        if webhooks:
            args = asyncio.run(self._contact_door())
            self.ask("POST", "/act", {"vendor": "constant_contact", "name": "set_contact_webhook", "args": args})

    async def _contact_door(self) -> dict[str, str]:
        """Where the customer's webhooks about contacts arrive, and what signs them: no command shows secrets."""
        from keepstep.cli.service import open_service
        from keepstep.settings import load

        async with open_service(load(self.folder / "keepstep.toml", {})) as service:
            names = ("door_token", "webhook_secret")
            found = [await service.db.run(service.vault.get, CUSTOMER, "constant_contact", name) for name in names]
        token, secret = (one.reveal() if one else "" for one in found)
        return {"url": f"http://127.0.0.1:{self.port}/hooks/constant_contact/{token}", "secret": secret}

    def start(self) -> None:
        """Start the service and wait until it takes work."""
        command = [sys.executable, "-m", "keepstep.cli", "-c", str(self.folder / "keepstep.toml"), "serve"]
        self._service = self._started(command, self._environment(), "service.log")
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            if self._service.poll() is not None or time.monotonic() > deadline:
                raise Problem(f"the service did not start; see {self.folder / 'service.log'}")
            time.sleep(0.02)

    def _is_ready(self) -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ready") as answer:
            return bool(answer.status == 200)
        return False

    def kill(self) -> None:
        """kill -9 the service."""
        assert self._service is not None
        self._service.send_signal(signal.SIGKILL)
        self._service.wait()

    def steps(self) -> Iterator[dict[str, Any]]:
        """The week, a checkpoint at a time; the service is killed and started again where the week asks for it."""
        while True:
            step = self.ask("POST", "/week/step", {})
            yield step
            if step["ask"] and step["ask"].get("kill"):
                self.kill()
                self.start()
            if step["done"]:
                return

    def judged(self) -> dict[str, Any]:
        """The judge's report on what the service claims."""
        claims = json.loads(self.keepstep("status", "--people", "--json"))
        status = json.loads(self.keepstep("status", "--json"))["customers"][0]
        rows = asyncio.run(demo_feed.claims(self.folder / "keepstep.toml", CUSTOMER))
        asked = {"claims": claims, "dead_letters": status["dead_letters"], "feeds": {demo_feed.FEED: rows}}
        report: dict[str, Any] = self.ask("POST", "/judge", asked)
        report["documents"] = self.ask("GET", "/documents")
        return report

    def end(self) -> None:
        """Stop both processes."""
        for process in (self._service, self._sandbox):
            if process is not None and process.poll() is None:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(10)
                if process.poll() is None:
                    process.kill()

    def keepstep(self, *arguments: str, given: str = "") -> str:
        """Run one command of the product, as a user would."""
        command = [sys.executable, "-m", "keepstep.cli", "-c", str(self.folder / "keepstep.toml"), *arguments]
        environment = {**os.environ, **self._environment()}
        done = subprocess.run(command, input=given, capture_output=True, text=True, env=environment, check=False)
        if done.returncode != 0:
            raise Problem(f"keepstep {arguments[0]}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def ask(self, method: str, path: str, values: Any = None) -> Any:
        """One call of the control door."""
        body = json.dumps(values).encode() if values is not None else None
        request = urllib.request.Request(self.urls["control"] + path, body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=600) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise Problem(f"control door {path}: {error.read().decode(errors='replace')[:400]}") from None

    def _environment(self) -> dict[str, str]:
        return {"KEEPSTEP_CLOCK": self.urls["control"]}

    def _started(self, command: list[str], environment: dict[str, str], log: str) -> subprocess.Popen[bytes]:
        with (self.folder / log).open("ab") as output:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={**os.environ, **environment}
            )

    def _appears(self, path: Path) -> str:
        deadline = time.monotonic() + START_SECONDS
        while not path.exists():
            if time.monotonic() > deadline:
                raise Problem(f"the stand-ins did not start; see {self.folder / 'sandbox.log'}")
            time.sleep(0.02)
        return path.read_text()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def chosen(path: Path | None, given: Sequence[str]) -> dict[str, dict[str, str]]:
    """Switches of the stand-ins by vendor: those of a file, one table a vendor, and `vendor.name=value` over them.

    Raises Refused for what is neither.
    """
    found: dict[str, dict[str, str]] = {}
    if path is not None:
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
            found = {vendor: {name: str(value) for name, value in table.items()} for vendor, table in tables.items()}
        except (ValueError, AttributeError) as error:
            raise Refused(400, f"{path.name}: no table of switches for each vendor ({error})") from None
    for one in given:
        name, equals, value = one.partition("=")
        vendor, dot, switch = name.partition(".")
        if not (equals and dot and switch):
            raise Refused(400, f"--switch {one}: write vendor.name=value, e.g. virtuous.import-run=manual")
        found.setdefault(vendor, {})[switch] = value
    return found


def passed(report: dict[str, Any]) -> bool:
    """Is everything zero that must be, every opt-out applied, and every row of a feed accounted for?"""
    fed = all(_fed(one) for one in report["feeds"].values())
    return fed and not any(report[key] for key in MUST_BE_ZERO) and report["opt_outs_applied"] >= report["opt_outs"]


def _fed(feed: dict[str, Any]) -> bool:
    sums = feed["on_list"] + sum(feed["left_out"].values()) + feed["missing"]
    return sums == feed["rows"] > 0 and not any(feed[key] for key in ZERO_OF_FEED)


def demo(
    people: Path | None,
    seed: int,
    database: str | None,
    keep: bool,
    json: bool,
    days: int,
    kills: Any = 1,
    count: int = 500,
    switches: dict[str, dict[str, str]] | None = None,
) -> int:
    """Run one demo; the exit code."""
    folder = Path(tempfile.mkdtemp(prefix="keepstep-demo-"))
    one = Demo(folder, people, seed, days, kills, count, database, switches or {})
    try:
        report = _played(one, quiet=json)
    finally:
        one.end()
    if not keep and passed(report):  # what went wrong is kept to be looked at
        shutil.rmtree(folder, ignore_errors=True)
    write(report) if json else summary(report, passed(report), folder if folder.exists() else None)
    return FINE if passed(report) else FAILED


def _played(one: Demo, quiet: bool) -> dict[str, Any]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, quiet=quiet)
    console.print(f"working in {one.folder}")
    with console.status("starting both stand-ins and the service"):
        week = one.begin()
    began = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=quiet) as progress:
        bar = progress.add_task("a simulated week", total=one.days * 24)
        for step in one.steps():
            progress.update(bar, description=step["note"], advance=0 if step["ask"] else 1)
            if step["ask"]:
                console.print(f"kill -9 of the service, {step['ask'].get('when', 'between calls')}; and a new start")
    report = one.judged()
    report["seconds"] = round(time.monotonic() - began, 1)
    report["loaded"] = week.get("people")
    return report
