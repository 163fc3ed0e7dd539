"""What an organization's queries know: parameters and operators differ, and their case counts (Virtuous facts 9)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from keepstep.connectors.virtuous import mapping
from keepstep.connectors.virtuous.api import rows

# By what is asked, the best first; the second is known of gifts only, so far.
MODIFIED = ("Last Modified Date", "Last Modified DateTime UTC")
EMAIL = ("Email Address",)
# On a day or later, in every spelling of the documents. `After` leaves out the day itself, which is one too early
# anyway: a poll asks from the day before.
SINCE = ("OnOrAfter", "Is On Or After", "Is After Or On", "GreaterThanOrEqual", "After", "GreaterThan")


@dataclass(frozen=True, slots=True)
class Options:
    """modified: parameter and operator that find what was modified since a day; email: the parameter of addresses. As
    this organization spells them; None for what it cannot be asked."""

    modified: tuple[str, str] | None
    email: str | None


# For a key without the right to read them: dates are asked for as every known client does, addresses one by one.
UNTOLD = Options((MODIFIED[0], SINCE[0]), None)


def options_of(value: Any) -> Options:
    """From the answer of QueryOptions."""
    listed = rows({"list": value.get("options")} if isinstance(value, dict) else value)
    known = {name: option for option in listed if (name := mapping.Reader(option, []).text("parameter"))}
    modified = _first(MODIFIED, known)
    operator = _first(SINCE, list(_operators(known[modified])) or [SINCE[0]]) if modified else None
    return Options((modified, operator) if modified and operator else None, _first(EMAIL, known))


def _operators(option: Any) -> Iterator[str]:
    for one in rows({"list": option.get("operatorOptions")}):
        if name := (one if isinstance(one, str) else mapping.Reader(one, []).text("operator")):
            yield name


def _first(wanted: tuple[str, ...], known: Any) -> str | None:
    """The first that is known, in the known spelling."""
    spelled = {_plain(name): name for name in known}
    return next((spelled[_plain(name)] for name in wanted if _plain(name) in spelled), None)


def _plain(name: str) -> str:
    letters = "".join(letter for letter in name.lower() if letter.isalnum())
    return letters.removeprefix("is")
