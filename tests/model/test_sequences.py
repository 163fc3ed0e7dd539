"""Every sequence of what a contact can say of its consent: only an opt-out or a deletion takes out, only the person's
own act, dated after the end of the interval, brings back; whatever is neither changes nothing."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import pytest

from keepstep.model.consent import observe_audience, standing_out
from keepstep.model.contact import AudienceContact, Consent
from keepstep.model.party import Person
from tests.model.people import subscriber
from tests.model.world import household_of_two

STEP = 100.0
Said = Callable[[float], dict[str, Any]]

# What a reading taken at a moment says; the contact keeps whatever it says nothing of.
IN: dict[str, Any] = {"deleted": False, "deleted_at": None, "consent": Consent.opted_in}
SAYS: dict[str, Said] = {
    "in as ever": lambda _: IN,
    "back by an own act": lambda at: IN | {"opt_in_source": "Contact", "opt_in_at": at - 5},
    "back by an own act that overlaps": lambda at: IN | {"opt_in_source": "Contact", "opt_in_at": at - STEP - 5},
    "back by the account": lambda at: IN | {"opt_in_source": "Account", "opt_in_at": at - 5},
    "out": lambda at: {"consent": Consent.opted_out, "opt_out_source": "Contact", "opt_out_at": at - 50},
    "out, nobody knows since when": lambda _: {
        "consent": Consent.opted_out,
        "opt_out_source": None,
        "opt_out_at": None,
    },
    "not mailable": lambda _: {"consent": Consent.not_mailable},
    "something new": lambda _: {"consent": Consent.unknown},
    "deleted": lambda at: {"deleted": True, "deleted_at": at - 50},
    "revived": lambda _: {"deleted": False, "deleted_at": None},
}


@dataclass
class Ledger:
    """The rule in its own words: by when the last opt-out had certainly happened; None: the person is in."""

    known_by: float | None = None
    was: AudienceContact | None = None

    def read(self, contact: AudienceContact) -> None:
        out_before = self.was is not None and self.was.consent is Consent.opted_out
        gone_before = self.was is not None and self.was.deleted
        out, gone = contact.consent is Consent.opted_out, contact.deleted
        moved = self.was is not None and contact.opt_out_at not in (None, self.was.opt_out_at)
        deleted_again = self.was is not None and contact.deleted_at != self.was.deleted_at
        if (out and (not out_before or moved)) or (gone and (not gone_before or deleted_again)):
            self.known_by = contact.read_at
        own = contact.opt_in_source == "Contact" and contact.consent is Consent.opted_in and not gone
        if self.known_by is not None and own and (contact.opt_in_at or 0.0) > self.known_by:
            self.known_by = None
        self.was = contact


def told(names: tuple[str, ...]) -> Iterator[AudienceContact]:
    contact = subscriber("a")
    for number, name in enumerate(names):
        at = STEP * (number + 2)
        contact = replace(contact, read_at=at, **SAYS[name](at))
        yield contact


def test_every_sequence_of_four_readings() -> None:
    for names in product(SAYS, repeat=4):
        ledger, known = Ledger(), observe_audience(Person(record_id="a"), subscriber("a"))
        for contact in told(names):
            ledger.read(contact)
            known = observe_audience(known, contact)
            assert (standing_out(known.acts, contact.email) is None) is (ledger.known_by is None), names
            assert observe_audience(known, contact) == known, names


@pytest.mark.parametrize("first", SAYS)
def test_what_the_crm_says_at_the_end_of_any_three(first: str) -> None:
    """A tag of staff's is there all the while: nobody is put on a list who is not mailable, nobody is opted out at the
    audience side (both checked where steps take effect)."""
    for rest in product(SAYS, repeat=2):
        world, ledger = household_of_two(), Ledger()
        world.now = STEP
        for name in (first, *rest):
            world.now += STEP - 10
            world.edit("a", **SAYS[name](world.now + 9))
            ledger.read(replace(world.audience["a"], read_at=world.now + 10))
            world.oracle["a"].out = ledger.known_by is not None
            world.untag()
            world.poll_crm()
            world.tag()
            world.sync()
            assert world.method("ma").opted_in is (ledger.known_by is None), (first, *rest)
            world.now = round(world.now / STEP) * STEP
