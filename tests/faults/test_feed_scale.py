"""A hundred thousand rows by real processes: everybody is on the list, by as many imports as they take, in little
memory."""

import json
import os
import sys
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from keepstep.cli.demo import Demo, _free_port
from keepstep.state.keys import write_key_file
from tests.flows.feeding import COLUMNS, LIST, generated, made

pytestmark = pytest.mark.faults
ROWS = 100_000
SETTINGS = """\
[service]
database = "sqlite:///{folder}/keepstep.db"
listen = "127.0.0.1:{port}"
key_file = "keepstep.key"

[platforms.constant_contact]
base_url = "{constant_contact}"
auth_url = "{constant_contact_auth}"

[platforms.virtuous]
base_url = "{virtuous}"

[customers.acme.route]
crm = "none"

[customers.acme.feeds.members]
database = "{table}"
table = "members"
key = "id"
changed = "changed_at"
schedule = "1d"
lists = ["Members"]
permission_evidence = "asked at the desk"

[customers.acme.feeds.members.columns]
"""


@dataclass(slots=True)
class Office(Demo):
    """The stand-ins, a customer without a CRM, and a table of any size. `spent`: seconds and bytes, as they were."""

    table: str = ""
    spent: dict[str, Any] = field(default_factory=dict)

    def begin(self) -> dict[str, Any]:
        ports = self.folder / "sandbox.json"
        command = [sys.executable, "-m", "keepstep_sandbox", "serve", "--ports-file", str(ports)]
        self._sandbox = self._started(command, {}, "sandbox.log")
        self.urls = json.loads(self._appears(ports))
        begun: dict[str, Any] = self.ask("POST", "/reset", {"seed": 1})
        self.ask("POST", "/act", {"vendor": "constant_contact", "name": "add_list", "args": {"name": LIST}})
        self.port = _free_port()
        columns = "".join(f'{name} = "{name}"\n' for name in COLUMNS)
        filled = SETTINGS.format(folder=self.folder, port=self.port, table=self.table, **self.urls)
        (self.folder / "keepstep.toml").write_text(filled + columns)
        write_key_file(self.folder / "keepstep.key", os.urandom)
        mine = begun["credentials"]["constant_contact"]
        names = ("client_id", "client_secret", "refresh_token")
        given = "\n".join(f"constant_contact.{name}={mine[name]}" for name in names)
        self.keepstep("customer", "add", "acme", given=given)
        self.start()
        return begun

    def ask(self, method: str, path: str, values: Any = None) -> Any:
        """One call of the control door, which takes as long as the service works at one moment."""
        body = json.dumps(values).encode() if values is not None else None
        request = urllib.request.Request(self.urls["control"] + path, body, method=method)
        with urllib.request.urlopen(request, timeout=3600) as answer:
            return json.loads(answer.read())

    def lasts(self, minutes: int) -> None:
        """Let virtual time pass, a minute at a time."""
        began = time.monotonic()
        for _ in range(minutes):
            self.ask("POST", "/clock/advance", {"seconds": 60, "patience": 3000})
        self.spent["seconds"] = round(time.monotonic() - began, 1)

    def peak(self) -> int:
        """The service's largest memory so far, in MB."""
        assert self._service is not None
        status = Path(f"/proc/{self._service.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) // 1024

    def calls(self) -> Counter[str]:
        """Requests at Constant Contact by what they are for."""
        received = self.ask("GET", "/received")["received"]
        return Counter(f"{one['method']} {one['path']}" for one in received if one["path"].startswith("/v3/"))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc: the service's memory cannot be seen")
def test_a_hundred_thousand_rows_are_people_on_the_list(tmp_path: Path) -> None:
    began = time.monotonic()
    url = made(tmp_path / "members.db", generated(ROWS))
    office = Office(tmp_path, None, 1, 0, table=url)
    try:
        office.begin()
        idle = office.peak()
        office.lasts(90)
        calls, peak = office.calls(), office.peak()
        rows = json.loads(office.keepstep("feed", "list", "--json"))
        people = office.ask("GET", "/state?full=1")["canonical"]["constant_contact"]
    finally:
        office.end()
    imports = calls["POST /v3/activities/contacts_json_import"]
    on = {one["email"][0]: one for one in people if LIST in one["lists"]}
    figures = {
        "rows": rows,
        "people_on_the_list": len(on),
        "imports": imports,
        "calls": sum(calls.values()),
        "calls_to_one_a_person": round(sum(calls.values()) / ROWS, 4),
        "seconds": office.spent["seconds"],
        "peak_mb": peak,
        "idle_mb": idle,
        "whole_seconds": round(time.monotonic() - began, 1),
    }
    print(json.dumps(figures))
    print(calls.most_common(8))
    assert len(on) == ROWS, figures
    assert 3 <= imports <= 9, "so many rows fit into an import, or so many bytes"
    assert sum(calls.values()) < ROWS / 50, figures
    assert peak < 1024, figures
