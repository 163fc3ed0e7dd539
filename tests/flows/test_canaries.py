"""No secret leaves the vault, and no person the tables that are about people: a thousand canaries of each, in a run in
which vendors quote back whatever they refuse."""

import base64
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keepstep import telemetry
from keepstep.database import refusals
from keepstep.model import alerts as words
from keepstep.model.errors import Transient
from keepstep.safes import aws
from keepstep.state import alerts, journal
from keepstep.state.vault import AESGCM, Secret
from keepstep.wiring import export
from tests.flows import canaries
from tests.flows.canaries import Evidence, Person, Size
from tests.flows.quoting import quoted

# What is kept of people on purpose; the glossary and docs/reference/tables.md say so. Nothing of it is in the journal,
# which leaves machines in logs and reports.
ABOUT_PEOPLE = {
    "act.evidence",  # why somebody left, in their own words; taken out when the customer goes
    "custody.value",
    "dead_letter.payload",
    "delivery.body",
    "history.body",
    "job.body",
    "party.doc",
    "snapshot.body",
    "step.payload",
    "submission.address",
    "submission.payload",
    "written.before",
    "personal commands",
    "database file",
    "export",
}
# What leaves the service, and must be there for the scan to mean anything.
LEAVES = (
    "log",
    "messages",
    "commands",
    "errors",
    "reprs",
    "export",
    "journal.data",
    "alert.data",
    "dead_letter.reason",
)


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    folder = tmp_path_factory.mktemp("canaries")
    with pytest.MonkeyPatch.context() as hands:
        hands.chdir(folder)
        return canaries.lived(folder, hands, more=[quoted])


def test_a_thousand_secrets_leak_nowhere_but_into_the_address_of_a_door(said: Evidence) -> None:
    leaks = {where: found[:3] for where in said.said if (found := said.secrets(where))}
    doors = leaks.pop("doors")
    assert leaks == {}
    assert all(b"/hooks/virtuous/" in one for one in doors)


def test_a_thousand_people_are_where_people_are_kept_and_nowhere_else(said: Evidence) -> None:
    leaks = {where: found[:3] for where in said.said if (found := said.people(where))}
    assert {where: found for where, found in leaks.items() if where not in ABOUT_PEOPLE} == {}


def test_the_run_was_bad_enough_to_mean_something(said: Evidence) -> None:
    assert all(said.said.get(where) for where in LEAVES), set(LEAVES) - said.said.keys()
    assert said.counts["refused"] > 20 and said.counts["letters"] > 8 and said.counts["told"] > 10
    assert len(said.tokens) > 2 and said.counts["standing"] == canaries.WHOLE.here
    assert len({where for where in said.said if said.people(where)} & ABOUT_PEOPLE) > 6
    log = b"".join(said.said["log"])
    assert b'"event": "blocked"' in log and b"\nfailed  " in log
    assert b"IntegrityError" in log and b"vendor.library" in log
    assert {b"unauthorized", b"client_refused"} <= {one.strip(b'"') for one in said.said["connection.reason"]}


@pytest.mark.parametrize(
    "spelt",
    [
        lambda text: text,
        str.upper,
        lambda text: text.encode().hex(),
        *(functools.partial(lambda n, text: base64.b64encode(b"x" * n + text.encode()).decode(), n) for n in range(3)),
    ],
)
def test_the_scanner_finds_every_spelling(spelt: Callable[[str], str]) -> None:
    found = Evidence()
    found.add("log", f"a line {spelt(canaries.secret(7) + 'and more')} of it")
    found.add("journal", f"a line {spelt(Person(7).first + 'and more')} of it")
    assert found.secrets("log") and found.people("journal")
    assert not found.people("log") and not found.secrets("journal")
    found.add("phone", "call (425) 719-0007")
    assert found.people("phone")


# --- planted leaks ---------------------------------------------------------------------------------------------------


def leaky_log(hands: pytest.MonkeyPatch) -> None:
    hands.setattr(telemetry, "_safe", lambda value: value)
    hands.setattr(telemetry, "trouble_of", lambda error: {"error": str(error)})


def leaky_journal(hands: pytest.MonkeyPatch) -> None:
    whole = journal.append

    def append(tx: Any, customer_id: str, lines: Any) -> None:
        whole(tx, customer_id, [(*line[:3], {**(line[3] or {}), "who": Person(3).email}) for line in lines])

    hands.setattr(journal, "append", append)


def leaky_vault(hands: pytest.MonkeyPatch) -> None:
    hands.setattr(AESGCM, "encrypt", lambda _self, _nonce, text, _bound: text)
    hands.setattr(AESGCM, "decrypt", lambda _self, _nonce, text, _bound: text)


def leaky_secret(hands: pytest.MonkeyPatch) -> None:
    hands.setattr(Secret, "__repr__", Secret.reveal)


def leaky_messages(hands: pytest.MonkeyPatch) -> None:
    hands.setattr(alerts, "facts", lambda data: {**data, "reason": Person(3).first})
    hands.setattr(words, "_REASONS", {})


def leaky_export(hands: pytest.MonkeyPatch) -> None:
    whole = export._line
    hands.setattr(export, "_line", lambda row: whole(row) + canaries.secret(3).encode())


def leaky_errors(hands: pytest.MonkeyPatch) -> None:
    hands.setattr(refusals, "_not_connected", Transient)


def leaky_provider(hands: pytest.MonkeyPatch) -> None:
    hands.setattr(aws, "code_of", lambda error: str(error.response))


PLANTED = (
    (leaky_export, "export", ("secrets",)),
    (leaky_errors, "errors", ("people",)),
    (leaky_provider, "errors", ("secrets",)),
    (leaky_log, "log", ("secrets", "people")),
    (leaky_journal, "journal.data", ("people",)),
    (leaky_vault, "database file", ("secrets",)),
    (leaky_secret, "reprs", ("secrets",)),
    (leaky_messages, "messages", ("people",)),
)


def test_planted_leaks_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for plant, _, _ in PLANTED:
        plant(monkeypatch)
    found = canaries.lived(tmp_path, monkeypatch, Size(customers=3, served=3, people=70, here=60), [quoted])
    seen = {(where, kind): bool(getattr(found, kind)(where)) for _, where, kinds in PLANTED for kind in kinds}
    assert all(seen.values()), seen
