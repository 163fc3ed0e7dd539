"""What polls were served and what they stored of it; and I23, that cursor and mark say no more than that."""

from calendar import month_abbr, timegm
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec

from keepstep_sandbox.judge.fields import REFERENCE_SOURCE
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_simulator.invariants.lines import in_order
from keepstep_simulator.story import Fact, Found, Row, Story, Violation

OVERLAP = 600.0
HAIR = 1.0  # a Date header has whole seconds
SWEEPS = ("sweep", "crm_sweep")
POLLS = {
    CONSTANT_CONTACT: ("opted_out", "deleted", "changed", "sweep"),
    VIRTUOUS: ("crm_changed", "crm_sweep"),
}
QUERY = "/api/Contact/Query/FullContact"
Side = tuple[str, str]  # customer and platform
Place = tuple[str, str, str]  # customer, platform and poll
Reader = tuple[int, str, str]
Standing = tuple[float | None, str | None]


@dataclass(frozen=True, slots=True)
class Served:
    """A page as it was answered. `n`: of the request, whose answer it was. `ids`: the records that must be stored.
    `next`: where it goes on. `at`: the vendor's own clock. `first`: it was asked for without a cursor."""

    n: int
    ids: frozenset[str]
    next: str | None
    at: float | None
    first: bool


@dataclass(frozen=True, slots=True)
class Move:
    """A commit that moved a poll's cursor or mark, and the page that was served last to the process that did it.
    `stored`: records whose readings are in the same commit. `known`: we know where the poll stood before."""

    n: int
    place: Place
    before: Standing
    after: Standing
    page: Served | None
    stored: frozenset[str]
    known: bool

    @property
    def ends(self) -> bool:
        """Whether a round came to its end: the mark moved, and not back."""
        (old, _), (new, cursor) = self.before, self.after
        return cursor is None and new is not None and (old is None or new > old)


@dataclass(frozen=True, slots=True)
class Reading:
    """A reading that was stored. `asked`: the newest request whose answer its process had. `stamp`: the record's."""

    n: int
    asked: int
    side: Side
    record: str
    stamp: str | None


@dataclass(slots=True)
class Polled:
    """What all polls of a story came to, oldest first."""

    moves: list[Move] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)


@dataclass(slots=True)
class _Walk:
    """What was asked and served, where each poll stands, what the commit at hand stores. An older disk makes where they
    stand unknown."""

    calls: dict[str, Fact]
    polled: Polled = field(default_factory=Polled)
    asked: dict[Reader, int] = field(default_factory=dict)
    pages: dict[Reader, Served] = field(default_factory=dict)
    standing: dict[Place, Standing] = field(default_factory=dict)
    known: bool = True
    commit: int = -1
    stored: dict[Side, set[str]] = field(default_factory=dict)

    def answered(self, fact: Fact) -> None:
        asked = self.calls.get(fact.key)
        if asked is None or fact.data["status"] != 200:
            return
        reader = (fact.process, fact.customer, asked.data["vendor"])
        self.asked[reader] = asked.n
        if (page := served(asked, fact)) is not None:
            self.pages[reader] = page

    def read(self, fact: Fact, row: Row) -> None:
        if self.commit != fact.n:
            self.commit, self.stored = fact.n, {}
        side = (row["customer_id"], row["platform"])
        self.stored.setdefault(side, set()).add(row["record_id"])
        asked = self.asked.get((fact.process, *side), -1)
        self.polled.readings.append(Reading(fact.n, asked, side, row["record_id"], row["stamp"]))

    def moved(self, fact: Fact, row: Row) -> None:
        place = (row["customer_id"], row["platform"], row["name"])
        known = self.known or place in self.standing
        before, after = self.standing.get(place, (None, None)), (row["mark"], row["cursor"])
        self.standing[place] = after
        if before != after:
            page = self.pages.get((fact.process, *place[:2]))
            stored = frozenset(self.stored.get(place[:2], ()) if self.commit == fact.n else ())
            self.polled.moves.append(Move(fact.n, place, before, after, page, stored, known))


def polled(story: Story) -> Polled:
    """Every reading and every move of a poll. Three checkers ask for it, one after another."""
    global _newest  # noqa: PLW0603  one story is looked at at a time
    if _newest is None or _newest[0] is not story or _newest[1] != len(story.facts):
        _newest = (story, len(story.facts), _walked(story))
    return _newest[2]


_newest: tuple[Story, int, Polled] | None = None


def _walked(story: Story) -> Polled:
    walk = _Walk({fact.key: fact for fact in story.of("OUT") if not fact.data["write"]})
    for fact, table, verb, row in in_order(story, ("RSP", "RESTORE"), ("snapshot", "mark")):
        if verb == "DELETE":
            continue
        if table == "snapshot":
            walk.read(fact, row)
        elif table == "mark":
            if row["name"] in POLLS.get(row["platform"], ()):
                walk.moved(fact, row)
        elif fact.kind == "RSP":
            walk.answered(fact)
        else:
            walk.standing.clear()
            walk.known = False
    return walk.polled


# --- I23 -------------------------------------------------------------------------------------------------------------


def cursor_and_mark(story: Story) -> Found:
    """I23: a round's cursor moves only in the commit that stores its rows; the mark moves once, after the last page, to
    the round's start in the source's time less the overlap, never by our clock; a round given up moves nothing."""
    started = dict[Place, float | None]()
    found, premise, skewed = list[Violation](), 0, story.count("SKEW") > 0
    for move in polled(story).moves:
        if move.page is not None and move.page.first:
            started[move.place] = move.page.at
        premise += move.known
        if move.known and (why := _wrong(move, started, skewed)):
            found.append(Violation("I23", move.n, f"{'.'.join(move.place)}: {why}"))
    return found, premise


def _wrong(move: Move, started: dict[Place, float | None], skewed: bool) -> str:
    (old, _), (new, cursor), page = move.before, move.after, move.page
    if cursor is None and (new == old or (new is not None and old is not None and new < old)):
        return ""  # a round given up; or back, and what was missed is read again
    if page is None:
        return "moved without a page"
    if move.before == (None, None) and move.place[2] not in SWEEPS and new is not None:
        late = new > (page.at or 0.0) - OVERLAP
        return "begins later than the first sweep began, less the overlap" if late else ""
    if page.ids - move.stored:
        return f"{len(page.ids - move.stored)} rows of the page are not in the commit that moved it"
    if cursor is not None:
        return "" if cursor == page.next and new == old else "the cursor is not the page's"
    if page.next is not None:
        return "the mark moved before the last page"
    return _off(new or 0.0, started.get(move.place), skewed)


def _off(mark: float, started: float | None, skewed: bool) -> str:
    """Where our clock is wrong, the mark may stay behind, and never run ahead."""
    if started is None:
        return ""
    off = mark - (started - OVERLAP)
    return f"the mark is {off:+.0f} s from the round's start less the overlap" if _far(off, skewed) else ""


def _far(off: float, skewed: bool) -> bool:
    return off > HAIR or (off < -HAIR and not skewed)


# --- pages -----------------------------------------------------------------------------------------------------------


def served(asked: Fact, answer: Fact) -> Served | None:
    """The page of contacts that an answer holds; None for anything else."""
    vendor, path = asked.data["vendor"], asked.data["path"]
    if vendor == CONSTANT_CONTACT and path == "/v3/contacts" and asked.data["method"] == "GET":
        ids, following = _contacts(answer.data["body"])
        first = "cursor=" not in asked.data["query"]
    elif vendor == VIRTUOUS and path == QUERY:
        ids, following = _full_contacts(answer.data["body"])
        first = "GreaterThan" not in asked.data["body"]
    else:
        return None
    return None if ids is None else Served(asked.n, ids, following, _date(answer.data["date"]), first)


def _date(text: str) -> float | None:
    """Of a Date header, which has one form (RFC 9110, 5.6.7): a parser of all of them costs ten times as much."""
    if not text:
        return None
    clock = (int(text[17:19]), int(text[20:22]), int(text[23:25]))
    return float(timegm((int(text[12:16]), _MONTHS[text[8:11]], int(text[5:7]), *clock)))


_MONTHS = {name: number for number, name in enumerate(month_abbr)}


class _Named(msgspec.Struct):
    contact_id: str


class _Page(msgspec.Struct):
    contacts: list[_Named]
    _links: Any = None


class _Reference(msgspec.Struct):
    source: str | None = None


class _Full(msgspec.Struct):
    id: int | str
    references: list[_Reference] | None = msgspec.field(name="contactReferences", default=None)


class _Result(msgspec.Struct):
    list: list[_Full]
    total: int = 0


_PAGES, _RESULTS = msgspec.json.Decoder(_Page), msgspec.json.Decoder(_Result)
_Told = tuple[frozenset[str] | None, str | None]


# Most answers of a poll hold nobody: the same words again and again.
@lru_cache(maxsize=1024)
def _contacts(body: str) -> _Told:
    try:
        page = _PAGES.decode(body)
    except msgspec.DecodeError:
        return None, None
    link = ((page._links or {}).get("next") or {}).get("href")
    return frozenset(one.contact_id for one in page.contacts), link or None


@lru_cache(maxsize=1024)
def _full_contacts(body: str) -> _Told:
    """Only who carries our reference is stored."""
    try:
        found = _RESULTS.decode(body)
    except msgspec.DecodeError:
        return None, None
    ours = [str(one.id) for one in found.list if any(it.source == REFERENCE_SOURCE for it in one.references or ())]
    going = len(found.list) < found.total and bool(found.list)
    return frozenset(ours), str(found.list[-1].id) if going else None
