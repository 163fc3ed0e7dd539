"""I32 and I33: hand-made stories in which they are broken, and their neighbours in which they are not."""

from typing import Any

import pytest

from keepstep_simulator.invariants.tokens import durable_before_use, one_in_flight
from tests.simulator.invariants.telling import CC, Told, out, rsp, story, tx


def kept(verb: str = "INSERT", **values: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Secrets by their fingerprints."""
    return [("secret", verb, {"platform": CC, "field": name, "print": one}) for name, one in values.items()]


def shows(call: str, credential: str, token: bool = False, at: float | None = None) -> Told:
    """A call with a bearer, or of the token endpoint with a refresh token."""
    path = "/oauth2/default/v1/token" if token else "/v3/contacts"
    return out(call, path, vendor=CC, token=token, credential=credential, at=at)


def gives(call: str, *granted: str, status: int | None = 200, at: float | None = None) -> Told:
    """Its answer."""
    return rsp(call, status, granted=granted, at=at)


CONNECTED = tx(*kept(refresh_token="R1"))
MEANT = tx(*kept(refresh_intent="i"))
SENT = (CONNECTED, MEANT, shows("1", "R1", token=True), gives("1", "A2", "R2"))
RENEWED = (
    *kept("DELETE", refresh_intent=""),
    *kept(previous_refresh_token="R1", refresh_token="R2", access_token="A2"),
)
USED = shows("2", "A2")
FORGOTTEN = tx(*kept(refresh_token="R2", access_token="A2"))

ORDER = {
    "as it should be": ((*SENT, tx(*RENEWED), USED), 0),
    "used before it is durable": ((*SENT, USED, tx(*RENEWED)), 1),
    "sent without an intent": ((CONNECTED, shows("1", "R1", token=True)), 1),
    "sent after the intent was withdrawn": (
        (CONNECTED, MEANT, tx(*kept("DELETE", refresh_intent="")), shows("1", "R1", token=True)),
        1,
    ),
    "a refresh token that nobody stored": ((CONNECTED, MEANT, shows("1", "R9", token=True)), 1),
    "the one that was used is not kept": ((*SENT, FORGOTTEN), 1),
    "a person connects the account anew": ((*SENT, tx(*kept(refresh_token="R7"))), 0),
    "the one before was used, and is kept": (
        (
            *(*SENT, tx(*RENEWED), MEANT, shows("3", "R1", token=True), gives("3", "A3", "R3")),
            tx(*kept(previous_refresh_token="R1", refresh_token="R3")),
        ),
        0,
    ),
    "another process shows the one before while the answer is under way": (
        (
            *(*SENT, tx(*RENEWED), MEANT, shows("3", "R2", token=True)),
            *(shows("4", "R1", token=True), gives("4", status=400), gives("3", "A3", "R3")),
            tx(*kept(previous_refresh_token="R2", refresh_token="R3", access_token="A3")),
        ),
        0,
    ),
    "what another process has shown is kept, and not the one that was used": (
        (
            *(*SENT, tx(*RENEWED), MEANT, shows("3", "R2", token=True)),
            *(shows("4", "R1", token=True), gives("4", status=400), gives("3", "A3", "R3")),
            tx(*kept(previous_refresh_token="R1", refresh_token="R3", access_token="A3")),
        ),
        1,
    ),
    "a token of an older disk": ((*SENT, tx(*RENEWED), Told("RESTORE"), USED, MEANT, shows("3", "R1", token=True)), 0),
    "an intent that an older disk may not have": ((CONNECTED, MEANT, Told("RESTORE"), shows("1", "R1", token=True)), 1),
}


@pytest.mark.parametrize("case", ORDER)
def test_a_token_is_durable_before_it_is_used(case: str) -> None:
    """Intent, request, answer, disk, use; and the last one kept."""
    told, count = ORDER[case]
    found = durable_before_use(story(*told))[0]
    assert len(found) == count, found


def test_a_key_of_virtuous_is_no_token() -> None:
    """It is stored by hand and never changes by itself."""
    assert durable_before_use(story(out("1", "/api/Tag", credential="K"))) == ([], 0)


def blocked(reason: str = "reauthorize", **more: Any) -> tuple[str, str, dict[str, Any]]:
    return ("connection", "UPDATE", {"platform": CC, "health": "blocked", "reason": reason, **more})


def alert(closed: float | None = None) -> tuple[str, str, dict[str, Any]]:
    return ("alert", "INSERT", {"kind": "connection_blocked", "subject": CC, "closed": closed})


REFUSED = (CONNECTED, shows("1", "R1", token=True, at=1.0), gives("1", status=400, at=2.0))
LATE = Told("HEAL", at=1000.0)
LOST = (
    *(CONNECTED, shows("1", "R1", token=True, at=1.0), gives("1", "A2", "R2", at=2.0)),
    *(shows("2", "R1", token=True, at=3.0), gives("2", status=400, at=4.0)),
)
FLIGHTS = {
    "one after the other": ((shows("1", "R1", True, 0.0), gives("1", at=1.0), shows("2", "R1", True, 2.0)), 0),
    "two at once": ((shows("1", "R1", True, 0.0), shows("2", "R1", True, 2.0)), 1),
    "one that was never answered, long ago": ((shows("1", "R1", True, 0.0), shows("2", "R1", True, 31.0)), 0),
    "one that was never answered, just now": ((shows("1", "R1", True, 0.0), shows("2", "R1", True, 29.0)), 1),
    "one that an older disk does not know": (
        (shows("1", "R1", True, 0.0), Told("RESTORE", at=1.0), shows("2", "R1", True, 2.0)),
        0,
    ),
    "refused, and told": ((*REFUSED, tx(blocked(), alert(), at=3.0), LATE), 0),
    "refused, and told after a while": ((*REFUSED, tx(blocked(), at=3.0), tx(alert(), at=200.0), LATE), 0),
    "refused, and told too late": ((*REFUSED, tx(blocked(), at=3.0), tx(alert(), at=400.0), LATE), 1),
    "refused, and never told": ((*REFUSED, tx(blocked(), at=3.0), LATE), 1),
    "told before, and not closed": ((*REFUSED, tx(alert(), at=2.5), tx(blocked(), at=3.0), LATE), 0),
    "told before, and closed": (
        (*REFUSED, tx(alert(), at=2.5), tx(alert(closed=2.6), at=2.6), tx(blocked(), at=3.0), LATE),
        1,
    ),
    "the story ends": ((*REFUSED, tx(blocked(), at=3.0)), 0),
    "called dead unasked": ((CONNECTED, tx(blocked(), alert())), 1),
    "called dead with one left": (
        (*REFUSED, tx(*kept(previous_refresh_token="R0"), at=2.5), tx(blocked(), alert(), at=3.0)),
        1,
    ),
    "called dead, and a new one had arrived": ((*LOST, tx(blocked(), alert(), at=5.0)), 1),
    "called dead, and a new one had arrived in a process that died": (
        (*LOST, Told("TX", "commit", tx(blocked(), alert()).data, process=2, at=5.0)),
        0,
    ),
    "called dead, and the new one was stored": (
        (*LOST, tx(*kept(refresh_token="R1"), at=4.5), tx(blocked(), alert(), at=5.0)),
        0,
    ),
    "called dead for something else": ((CONNECTED, tx(blocked("forbidden"))), 0),
    "called dead after an older disk": ((CONNECTED, Told("RESTORE"), tx(blocked(), alert())), 0),
    "one that is gone is not left": (
        (
            *(*REFUSED, tx(*kept(previous_refresh_token="R0"), *kept("DELETE", previous_refresh_token=""), at=2.5)),
            tx(blocked(), alert(), at=3.0),
        ),
        0,
    ),
}


@pytest.mark.parametrize("case", FLIGHTS)
def test_one_refresh_is_in_flight_and_a_dead_grant_is_dead_and_told(case: str) -> None:
    """Nobody is called to a browser for nothing, and whoever must be is."""
    told, count = FLIGHTS[case]
    found = one_in_flight(story(*told))[0]
    assert len(found) == count, found


def test_the_premise_is_a_refresh() -> None:
    """Other calls prove nothing."""
    assert one_in_flight(story(shows("1", "A1")))[1] == 0
    assert one_in_flight(story(shows("1", "R1", token=True)))[1] == 1
