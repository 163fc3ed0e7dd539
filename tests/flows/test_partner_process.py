"""`keepstep partner` with service and stand-ins as processes."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.flows.beside import Place, serving
from tests.flows.test_partner import KNOWN

PARTNER = """
[platforms.constant_contact]
base_url = "{constant_contact}/v3"
auth_url = "{constant_contact_auth}"
partner_v2_url = "{constant_contact}/v2"
partner_auth_url = "{constant_contact_auth}/partners/oauth2/default/v1/token"
partner_keys_url = "{constant_contact}/.well-known/jwks.json"
[platforms.virtuous]
base_url = "{virtuous}"
[service]
listen = "127.0.0.1:{port}"
public_url = "http://127.0.0.1:{port}"
"""
ORDER = ("api_key", "client_id", "client_secret", "api_secret", "user", "password")
ANSWERS = "\n".join(KNOWN[name] for name in ORDER) + "\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with serving(tmp_path_factory.mktemp("partner"), PARTNER) as there:
        yield there


def eventually(look: Any, seconds: float = 60.0) -> None:
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if look():
            return
        time.sleep(0.2)
    raise AssertionError("it did not come true")


def test_an_operator_connects_subscribes_tests_and_sees_what_came(place: Place) -> None:
    given = place.ports["credentials"]
    lines = "\n".join(f"{vendor}.{name}={value}" for vendor, name, value in credentials(given))
    place.keepstep("customer", "add", "acme", said=lines)
    asyncio.run(place.act("constant_contact", "register_partner", **KNOWN))
    assert place.keepstep("partner", "topics", code=2)["error"]["kind"] == "Refused"
    assert place.keepstep("partner", "connect", said="only-a-key\n\n\n\n\n\n", code=2)["error"]["kind"] == "Refused"
    done = place.keepstep("partner", "connect", said=ANSWERS)
    assert done == {"platform": "constant_contact", "editions": ["v3", "v2"], "hook": "arrives here"}
    assert [one["leads"] for one in place.keepstep("partner", "topics", "--api", "v3")] == [None] * 4
    for topic in "24":
        assert place.keepstep("partner", "subscribe", topic)["state"] == "subscribed"
    assert [one["leads"] for one in place.keepstep("partner", "topics", "--api", "v3")] == [None, "here"] * 2
    place.keepstep("partner", "test", "2")
    eventually(lambda: place.keepstep("partner", "events"))
    (row,) = place.keepstep("partner", "events")
    assert {**row, "at": None} == {
        "at": None,
        "customer": None,
        "event": "tier.decrease",
        "edition": "v3",
        "state": "read",
        "did": "nothing: unknown account",
    }
    # The example was about nobody's account, and there is nobody to be told so.
    checks = {one["check"]: one for one in place.keepstep("doctor", code=3)["checks"]}
    assert [name for name, one in checks.items() if one["state"] != "ok"] == ["alerts"]
    assert checks["partner account"]["state"] == checks["partner door"]["state"] == "ok", checks

    eventually(lambda: place.keepstep("customer", "show", "acme")["connections"].get("constant_contact") == "ok")
    time.sleep(2)
    account = next(value for vendor, name, value in credentials(given, account=True) if name == "account_id")
    asyncio.run(place.act("constant_contact", "disable_account", account_id=account))
    eventually(lambda: place.keepstep("customer", "show", "acme")["state"] == "paused")
    assert place.keepstep("partner", "events")[0]["did"] == "paused"
    assert place.keepstep("partner", "unsubscribe", "4")["state"] == "unsubscribed"
    assert [one["customer"] for one in place.keepstep("customer", "list")] == ["acme"]


def credentials(given: Any, *, account: bool = False) -> list[tuple[str, str, str]]:
    """(vendor, name, value) of the stand-ins' first customer."""
    rows = [(vendor, name, str(value)) for vendor, values in given.items() for name, value in values.items()]
    names = ("client_id", "client_secret", "refresh_token", "api_key")
    return [row for row in rows if account or row[1] in names]
