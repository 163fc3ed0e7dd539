"""Customers come, pause and go while `keepstep serve` runs as a process of its own."""

import json
import tarfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from keepstep.wiring import removal
from tests.flows.beside import Place, serving
from tests.flows.test_partner_process import credentials, eventually

SETTINGS = """
[service]
listen = "127.0.0.1:{port}"
public_url = "http://127.0.0.1:{port}"
[platforms.constant_contact]
base_url = "{constant_contact}/v3"
auth_url = "{constant_contact_auth}"
[platforms.virtuous]
base_url = "{virtuous}"
[customers.acme.cadence]
changed = "1m"
[customers.beta.cadence]
changed = "1m"
opted_out = "1m"
deleted = "1m"
crm_changed = "1m"
"""
# Stop means stop: no call after so many seconds (design section 4).
STOP = 5.0
CID = {"type": "Home Email", "value": "cid@example.org", "isOptedIn": True, "isPrimary": True}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with serving(tmp_path, SETTINGS) as there:
        yield there


class Two:
    """Two customers of one running service, the second added by commands while the first is served."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def act(self, vendor: str, name: str, **args: Any) -> Any:
        body = json.dumps({"vendor": vendor, "name": name, "args": args}).encode()
        with urllib.request.urlopen(f"{self.place.ports['control']}/act", body, timeout=20) as answer:
            return json.loads(answer.read())["result"]

    def received(self) -> list[Any]:
        with urllib.request.urlopen(f"{self.place.ports['control']}/received", timeout=20) as answer:
            found: list[Any] = json.loads(answer.read())["received"]
        return found

    def of_second(self) -> list[Any]:
        """The stand-ins' log knows whose the first one's credentials are, and nobody else's."""
        return [one for one in self.received() if not one["account"]]

    def add(self, customer: str, given: list[tuple[str, str, str]]) -> None:
        lines = "\n".join(f"{vendor}.{name}={value}" for vendor, name, value in given)
        self.place.keepstep("customer", "add", customer, said=lines)

    def people(self, customer: str) -> int:
        return sum(self.place.keepstep("status", "--customer", customer)["customers"][0]["people"].values())


def quiet_for(seconds: float, look: Callable[[], int]) -> bool:
    had = look()
    time.sleep(seconds)
    return look() == had


def test_a_second_customer_comes_pauses_and_goes_while_the_first_is_served(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "TELL_AFTER", 1.0)  # the doors are not what is looked at here
    two = Two(place)
    given = place.ports["credentials"]
    two.act("constant_contact", "add_person", first_name="Ann", last_name="Lee", email="ann@example.org")
    two.add("acme", credentials(given))
    eventually(lambda: two.people("acme") == 1)
    eventually(lambda: any(one["effects"] for one in two.received()))
    time.sleep(1)
    before = [one for one in two.received() if one["effects"]]

    connected = two.act("constant_contact", "add_account", account_id="b2", client_id="c2", client_secret="s2")
    two.act("virtuous", "add_organization", organization="beta", api_key="beta-key")
    two.act(
        "constant_contact", "add_person", account_id="b2", first_name="Bob", last_name="Roe", email="bob@example.org"
    )
    grant = [("constant_contact", "client_id", "c2"), ("constant_contact", "client_secret", "s2")]
    grant += [("constant_contact", "refresh_token", connected["refresh_token"]), ("virtuous", "api_key", "beta-key")]
    two.add("beta", grant)
    eventually(lambda: two.people("beta") == 1)
    eventually(lambda: any(one["path"] == "/api/Webhook" for one in two.of_second()))
    shown = place.keepstep("customer", "show", "beta")
    assert shown["state"] == "active" and shown["paused_by"] is None and shown["alerts"] == "none"
    mine = [one for one in two.received() if one["effects"] and one["account"]]
    assert mine == before, "nothing of the first one's was done again or otherwise"

    place.keepstep("customer", "pause", "beta")
    time.sleep(STOP)
    assert place.keepstep("customer", "show", "beta")["paused_by"] == "person"
    seen = len(two.of_second())
    cid = {"firstName": "Cid", "lastName": "Poe", "isPrimary": True, "contactMethods": [CID]}
    two.act("virtuous", "add_contact", organization="beta", contactIndividuals=[cid])
    assert quiet_for(3, lambda: len(two.of_second()))
    place.keepstep("customer", "resume", "beta")
    eventually(lambda: len(two.of_second()) > seen)  # its webhook was kept, and is read now

    copy = place.home / "beta.tar.gz"
    report = place.keepstep("customer", "remove", "beta", "--yes", "--export", str(copy))
    assert report["state"] == "removed" and list(report["webhooks"].values()) == ["deleted"]
    with tarfile.open(copy) as archive:
        assert {"party.jsonl", "snapshot.jsonl"} <= set(archive.getnames())
    assert [one["customer"] for one in place.keepstep("customer", "list")] == ["acme"]
    assert place.keepstep("customer", "show", "beta", code=2)["error"]["kind"] == "Refused"
    assert quiet_for(2, lambda: len(two.of_second()))
    assert place.keepstep("customer", "show", "acme")["connections"] == {"constant_contact": "ok", "virtuous": "ok"}
    assert two.people("acme") == 1
    database = b"".join(path.read_bytes() for path in place.home.glob("keepstep.db*") if path.suffix != ".lock")
    assert b"ann@example.org" in database
    assert [word for word in (b"bob@example.org", b"cid@example.org", b"beta-key") if word in database] == []
