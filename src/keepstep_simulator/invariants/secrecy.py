"""Secrecy: I34, I35 and I36."""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import unquote

from keepstep_simulator.story import Found, Story, Violation, digested

# CC facts 1 and 2.1, Virtuous facts 3: where calls may go, whatever any payload says.
HOSTS = frozenset({"api.cc.email", "authz.constantcontact.com", "api.virtuoussoftware.com"})
# What of a secret's row is no secret: what an application is called, and moments.
_PLAIN = frozenset({"client_id", "expires_at", "refresh_at", "refresh_intent"})
# What of the store is made to be read by people and programs beside us: lines, letters, alerts, headers, reports.
SHOWN: dict[str, tuple[str, ...]] = {
    "journal": ("data",),
    "dead_letter": ("payload", "answer", "reason"),
    "alert": ("subject", "data"),
    "connection": ("reason", "data"),
    "customer": ("config",),
    "delivery": ("headers",),
    "mark": ("cursor", "data"),
    "reconciliation": ("details",),
    "run": ("doc",),
}
# No secret is shorter; shorter words are ordinary ones.
_LEAST = 12
_WORD = re.compile(r"[A-Za-z0-9_\-.~+/=%]{12,}")
_PAIR, _PARTS = re.compile(r"[=&?]"), re.compile(r"[/=:&?]")


def no_secret_told(story: Story) -> Found:
    """I34: no secret, in plain, base64, hex, URL or JSON-escaped form, in logs, errors, answers at the door, addresses
    of calls, or whatever of the store is made to be shown (dead letters, journal, alerts, ...).

    Secrets are known by their fingerprints: every one that was ever stored, shown to a vendor or granted by one.
    """
    secrets = _secrets(story)
    found, premise = [], 0
    seen: dict[str, bool] = {}
    for n, where, text in _outputs(story):
        premise += 1
        for word in _WORD.findall(text):
            if word not in seen:
                seen[word] = not secrets.isdisjoint(map(digested, _forms(word)))
            if seen[word]:
                found.append(Violation("I34", n, f"{where}: a secret"))
    return found, premise


def _secrets(story: Story) -> set[str]:
    stored = {row.get("print", "") for _, _, _, row in story.rows("secret") if row["field"] not in _PLAIN}
    shown = {fact.data["credential"] for fact in story.of("OUT")}
    granted = {one for fact in story.of("RSP") for one in fact.data["granted"]}
    return (stored | shown | granted) - {"", digested("")}


def _outputs(story: Story) -> Iterator[tuple[int, str, str]]:
    """Everything that somebody may read: the number of a fact, what it is, the text."""
    for fact in story.of("LOG"):
        yield fact.n, f"log {fact.key}", fact.data["line"]
    for fact in story.of("ACK"):
        yield fact.n, "answer at the door", fact.data.get("body", "")
    for fact in story.of("TASK"):
        yield fact.n, f"task {fact.key}", fact.data["error"]
    for fact in story.of("OUT"):
        if len(fact.data["query"]) >= _LEAST:
            yield fact.n, "address of a call", fact.data["query"]
    last = story.facts[-1].n if story.facts else 0
    for table, columns in SHOWN.items():
        for row in story.final.store.get(table, ()):
            yield last, f"stored {table}", " ".join(str(row[name]) for name in columns if row.get(name))


def _forms(word: str) -> Iterable[str]:
    """What a word may stand for."""
    parts: set[str] = set()
    for whole in {word, unquote(word)}:
        parts.update((whole, whole.strip("."), *_PAIR.split(whole), *_PARTS.split(whole)))
    for one in [one for one in parts if len(one) > _LEAST]:
        parts.update(_decoded(one))
    return [one for one in parts if len(one) >= _LEAST]


def _decoded(word: str) -> Iterator[str]:
    """Out of hex and out of either base64, whole and in the parts of a pair."""
    for decode in (bytes.fromhex, _from_base64):
        try:
            text = decode(word).decode("ascii")
        except (ValueError, binascii.Error):
            continue
        yield text
        yield from text.split(":")


def _from_base64(word: str) -> bytes:
    return base64.b64decode(word.translate(_URL_SAFE) + "=" * (-len(word) % 4), validate=True)


_URL_SAFE = str.maketrans("-_", "+/")


def no_person_told(story: Story) -> Found:
    """I35: no email, phone, name or address of a person in any line of the log.

    That nothing is left of somebody who is erased waits for the erasure of one person, which the product does not have.
    """
    lines = story.of("LOG")
    if not lines:
        return [], 0
    people = _People()
    for contacts in (*story.final.audience.values(), *story.final.crm.values()):
        for contact in contacts:
            people.meet(contact)
    for fact in story.of("EFF"):
        if fact.data["field"] in _NAMES:
            people.names.update(_spoken(fact.data["before"]), _spoken(fact.data["after"]))
    told = [(fact, people.found_in(fact.data["line"])) for fact in lines]
    return [Violation("I35", fact.n, f"log {fact.key}: {what} of a person") for fact, what in told if what], len(lines)


_NAMES = frozenset({"first_name", "last_name", "firstName", "lastName", "informalName", "formalName", "name"})
_STREETS = frozenset({"street", "address1", "address2"})
_NUMBERS = frozenset({"phone_number", "value"})
_MAIL = re.compile(r"[^\s\"'=<>]+@[^\s\"'<>]+")
_SPOKEN = re.compile(r"[^\W\d_]{3,}")
_NUMBER = re.compile(r"\+?\d[\d ().-]{7,}\d")
# Words of ours that may be somebody's name.
_OURS = frozenset(
    {"account", "answer", "book", "call", "customer", "error", "grant", "mark", "may", "page", "will", "work"}
)


class _People:
    """What the people of a seed are known by."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.streets: set[str] = set()
        self.phones: set[str] = set()

    def meet(self, record: Any) -> None:
        """Everything of a raw record, however deep, whose name says that it is of a person."""
        if isinstance(record, list | tuple):
            for one in record:
                self.meet(one)
        elif isinstance(record, dict):
            for name, value in record.items():
                if isinstance(value, str):
                    self._note(name, value)
                else:
                    self.meet(value)

    def _note(self, name: str, value: str) -> None:
        if name in _NAMES:
            self.names.update(_spoken(value))
        elif name in _STREETS and len(value) > 6:
            self.streets.add(value)
        elif name in _NUMBERS and len(digits := _digits(value)) >= 9:
            self.phones.add(digits[-9:])

    def found_in(self, line: str) -> str:
        """What of a person stands in a line; empty for nothing."""
        if _MAIL.search(line):
            return "email"
        if not self.names.isdisjoint(_SPOKEN.findall(line)):
            return "name"
        if any(_digits(one)[-9:] in self.phones for one in _NUMBER.findall(line)):
            return "phone"
        return "address" if any(one in line for one in self.streets) else ""


def _spoken(value: Any) -> set[str]:
    """The words of a name, but for those that every line may hold."""
    return {one for one in _SPOKEN.findall(value) if one.lower() not in _OURS} if isinstance(value, str) else set()


def _digits(text: str) -> str:
    return "".join(sign for sign in text if sign.isdigit())


def allowed_hosts(story: Story) -> Found:
    """I36: calls go to the allowed hosts only, whatever any payload says, and a redirect is followed by nobody.

    Addresses, sockets and certificates are no matter of a seed: the HTTP port itself is proved by flow tests.
    """
    calls = story.of("OUT")
    found = [
        Violation("I36", fact.n, f"{fact.data['method']} to {fact.data['host']}")
        for fact in calls
        if fact.data["host"] not in HOSTS
    ]
    return found, len(calls)
