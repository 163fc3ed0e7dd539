"""A connection in a browser: ticket, cookie and state must meet, once, in time."""

import asyncio
from typing import Any

import pytest

from keepstep.database import Inline
from keepstep.model.errors import Refused
from keepstep.state.vault import Vault
from keepstep.tokens import tickets
from keepstep.tokens.tickets import LIFE
from tests.wire.hands import HandChance

WHO = ("acme", "constant_contact")


class Desk:
    """One transaction after another over one vault."""

    def __init__(self) -> None:
        self.chance = HandChance()
        self.vault = Vault({"k": b"k" * 32}, "k", self.chance.token)
        self.db = Inline()

    def run(self, work: Any, *arguments: Any) -> Any:
        return asyncio.run(self.db.run(work, self.vault, *arguments))

    def begin(self, now: float = 0.0) -> str:
        return str(self.run(tickets.begin, self.chance, *WHO, now))

    def opened(self, token: str, now: float = 0.0) -> tuple[str, str]:
        session, state, _ = self.run(tickets.opened, self.chance, *WHO, token, now)
        return session, state

    def returned(self, state: str, session: str, now: float = 0.0) -> str:
        return str(self.run(tickets.returned, *WHO, state, session, now))

    def ended(self) -> Any:
        return self.run(tickets.ended, *WHO)


def test_ticket_cookie_and_state_bring_the_verifier_once() -> None:
    desk = Desk()
    session, state = desk.opened(desk.begin())
    assert tickets.whose(state) == WHO
    verifier = desk.returned(state, session)
    assert len(verifier) == 64 and desk.ended() is None
    with pytest.raises(Refused):
        desk.returned(state, session)


@pytest.mark.parametrize("wrong", ["session", "state", "both", "time", "unopened"])
def test_what_does_not_meet_is_refused(wrong: str) -> None:
    desk = Desk()
    token = desk.begin()
    session, state = ("", f"{WHO[0]}.{WHO[1]}.x") if wrong == "unopened" else desk.opened(token)
    given_session = "" if wrong in ("session", "both") else session
    given_state = state[:-1] + "x" if wrong in ("state", "both") else state
    with pytest.raises(Refused, match="began no connection"):
        desk.returned(given_state, given_session, LIFE if wrong == "time" else 0.0)


def test_opening_the_page_again_takes_it_from_whoever_opened_it_before() -> None:
    desk = Desk()
    token = desk.begin()
    first, second = desk.opened(token), desk.opened(token)
    with pytest.raises(Refused):
        desk.returned(first[1], first[0])
    assert desk.returned(second[1], second[0])


@pytest.mark.parametrize("over", ["replaced", "late", "ended"])
def test_a_link_that_is_over_opens_nothing(over: str) -> None:
    desk = Desk()
    token = desk.begin()
    if over == "replaced":
        desk.begin()
    if over == "ended":
        desk.run(tickets.end, *WHO, "connected", 0.0)
        assert desk.ended() == "connected"
    with pytest.raises(Refused, match="over"):
        desk.opened(token, LIFE if over == "late" else 0.0)


def test_nothing_of_a_browsers_is_kept_in_the_clear_even_sealed() -> None:
    """Hashes: whoever reads the store finishes nobody's connection."""
    desk = Desk()
    token = desk.begin()
    session, state = desk.opened(token)
    sealed = desk.run(lambda tx, vault: vault.get(tx, *WHO, "connecting"))
    assert not [one for one in (token, session, state) if one in sealed.reveal()]


def test_nobodys_state_is_no_state() -> None:
    assert Desk().ended() == "none was begun"
    for state in ("", "a", "a.b", "a.b.c.d"):
        with pytest.raises(Refused):
            tickets.whose(state)
