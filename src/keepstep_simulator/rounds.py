"""I23: a round's cursor moves only in the commit that stores its rows; the mark moves once, after the last page, to the
round's start in the source's time less the overlap."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl

from keepstep_sandbox.judge.fields import REFERENCE_SOURCE
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_simulator.story import Fact, Violation

OVERLAP = 600.0
POLLS = {
    CONSTANT_CONTACT: ("opted_out", "deleted", "changed", "sweep"),
    VIRTUOUS: ("crm_changed", "crm_sweep"),
}
QUERY = "/api/Contact/Query/FullContact"
Place = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Served:
    """A page as it was answered: the records that must be stored, where it goes on, when it was made."""

    ids: frozenset[str]
    next: str | None
    at: float | None
    first: bool


@dataclass(slots=True)
class _Rounds:
    asked: dict[str, Fact] = field(default_factory=dict)
    last: dict[tuple[int, str, str], Served] = field(default_factory=dict)
    state: dict[Place, tuple[float | None, str | None]] = field(default_factory=dict)
    started: dict[Place, float | None] = field(default_factory=dict)
    found: list[Violation] = field(default_factory=list)
    premise: int = 0


def cursor_and_mark(facts: Sequence[Fact]) -> tuple[list[Violation], int]:
    """Every move of a cursor or a mark against the page that was served last."""
    rounds = _Rounds()
    for fact in facts:
        if fact.kind == "OUT":
            rounds.asked[fact.key] = fact
        elif fact.kind == "RSP" and fact.data["status"] == 200:
            asked = rounds.asked[fact.key]
            if (page := _page(asked, fact)) is not None:
                rounds.last[fact.process, fact.customer, asked.data["vendor"]] = page
        elif fact.kind == "TX" and fact.data["rows"]:
            _commit(rounds, fact)
    return rounds.found, rounds.premise


def _commit(rounds: _Rounds, fact: Fact) -> None:
    stored = {row["record_id"] for table, _verb, row in fact.data["rows"] if table == "snapshot" and "record_id" in row}
    for table, _verb, row in fact.data["rows"]:
        if table != "mark" or row.get("name") not in POLLS.get(row.get("platform", ""), ()):
            continue
        place = (row["customer_id"], row["platform"], row["name"])
        before, after = rounds.state.get(place, (None, None)), (row["mark"], row["cursor"])
        rounds.state[place] = after
        if before != after:
            rounds.premise += 1
            page = rounds.last.get((fact.process, row["customer_id"], row["platform"]))
            if why := _wrong(rounds, place, before, after, page, stored):
                rounds.found.append(Violation("I23", fact.n, f"{'.'.join(place)}: {why}"))


def _wrong(
    rounds: _Rounds,
    place: Place,
    before: tuple[float | None, str | None],
    after: tuple[float | None, str | None],
    page: Served | None,
    stored: set[str],
) -> str:
    if after[1] is None and after[0] == before[0]:
        return ""  # a round given up
    if after[1] is None and after[0] is not None and before[0] is not None and after[0] < before[0]:
        return ""  # back: what was missed is read again, and nothing is jumped over
    if page is None:
        return "moved without a page"
    if before == (None, None) and place[2] not in ("sweep", "crm_sweep") and after[0] is not None:
        limit = (page.at or 0.0) - OVERLAP
        return "" if after[0] <= limit else "begins later than the first sweep began, less the overlap"
    if page.first:
        rounds.started[place] = page.at
    if page.ids - stored:
        return f"{len(page.ids - stored)} rows of the page are not in the commit that moved it"
    if after[1] is not None:
        return "" if after[1] == page.next and after[0] == before[0] else "the cursor is not the page's"
    started = rounds.started.get(place)
    if page.next is not None:
        return "the mark moved before the last page"
    if started is not None and abs((after[0] or 0.0) - (started - OVERLAP)) > 1.0:
        return f"the mark is {(after[0] or 0.0) - (started - OVERLAP):+.0f} s from the round's start less the overlap"
    return ""


def _page(asked: Fact, answer: Fact) -> Served | None:
    path = asked.data["path"]
    at = parsedate_to_datetime(answer.data["date"]).timestamp() if answer.data["date"] else None
    if asked.data["vendor"] == CONSTANT_CONTACT and path == "/v3/contacts" and asked.data["method"] == "GET":
        body = _body(answer.data["body"])
        if body is None or "contacts" not in body:
            return None
        link = ((body.get("_links") or {}).get("next") or {}).get("href")
        ids = frozenset(row["contact_id"] for row in body["contacts"])
        return Served(ids, link or None, at, "cursor" not in dict(parse_qsl(asked.data["query"])))
    if asked.data["vendor"] == VIRTUOUS and path == QUERY:
        body = _body(answer.data["body"])
        return None if body is None else _query_page(asked, body, at)
    return None


def _query_page(asked: Fact, body: dict[str, Any], at: float | None) -> Served:
    rows = body.get("list", [])
    ours = frozenset(
        str(row["id"])
        for row in rows
        if any(one.get("source") == REFERENCE_SOURCE for one in row.get("contactReferences", ()))
    )
    going = len(rows) < int(body.get("total", 0)) and bool(rows)
    return Served(ours, str(rows[-1]["id"]) if going else None, at, "GreaterThan" not in asked.data["body"])


def _body(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
