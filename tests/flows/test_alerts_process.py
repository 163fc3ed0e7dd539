"""What owners are told while `keepstep serve` runs as a process of its own, beside the stand-ins."""

import asyncio
import json
from typing import Any

from tests.flows.beside import Place
from tests.flows.ears import Ears, ears
from tests.flows.test_partner import KNOWN
from tests.flows.test_partner_process import ANSWERS, credentials, eventually, place

__all__ = ["place"]
CC = "constant_contact"


def titles(there: Ears) -> list[str]:
    return [one["title"] for one in there.heard]


def add(place: Place, given: list[tuple[str, str, str]]) -> None:
    place.keepstep(
        "customer", "add", "acme", said="\n".join(f"{vendor}.{name}={value}" for vendor, name, value in given)
    )


def act(place: Place, name: str, **args: Any) -> Any:
    return asyncio.run(place.act(CC, name, **args))


def test_a_void_grant_is_told_once_and_over_after_a_new_one_and_a_shut_account_is_told(place: Place) -> None:
    given = place.ports["credentials"]
    account = next(value for vendor, name, value in credentials(given, account=True) if name == "account_id")
    with ears() as there:
        place.keepstep("alerts", "set", said=there.url("default") + "\n")
        assert place.keepstep("alerts", "test")["sent"] is True
        act(place, "revoke_grant")
        add(place, credentials(given))
        eventually(lambda: len(there.heard) == 2)
        assert titles(there)[1] == "Keepstep, acme: connection blocked"
        assert "`keepstep connect constant_contact --customer acme`" in there.heard[1]["message"]
        assert place.keepstep("status")["customers"][0]["alerts"]["open"] == 1
        (row,) = place.keepstep("alerts", "list", code=3)["alerts"]
        assert (row["kind"], row["state"], row["closed"]) == ("connection_blocked", "sent", None)

        app = {name: value for vendor, name, value in credentials(given) if vendor == CC}
        token = act(place, "add_account", account_id=account, **{n: app[n] for n in ("client_id", "client_secret")})
        add(place, [(CC, name, value) for name, value in (app | {"refresh_token": token["refresh_token"]}).items()])
        eventually(lambda: len(there.heard) == 3)
        assert titles(there)[2] == "Keepstep, acme: connection works"
        assert place.keepstep("alerts", "list")["alerts"] == []

        act(place, "register_partner", **KNOWN)
        place.keepstep("partner", "connect", said=ANSWERS)
        place.keepstep("partner", "subscribe", "3")
        eventually(lambda: place.keepstep("customer", "show", "acme")["connections"].get(CC) == "ok")
        act(place, "cancel_account", account_id=account)
        eventually(lambda: len(there.heard) == 4)
        assert titles(there)[3] == "Keepstep, acme: partner shut" and "The customer is paused" in str(there.heard[3])
        assert place.keepstep("customer", "show", "acme")["paused_by"] in ("account.cancel", "account.plan")
        said = json.dumps(there.heard)
    assert [value for _, name, value in credentials(given) if name != "client_id" and value in said] == []
