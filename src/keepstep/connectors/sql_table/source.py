"""Rounds of a feed, page by page, in the order of change and key: a page needs nothing but where the last one ended."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from keepstep.connectors.sql_table import stamps
from keepstep.connectors.sql_table.mapping import mapped
from keepstep.connectors.sql_table.place import Place, mark_of, marked, packed, shape, unpacked
from keepstep.connectors.sql_table.stamps import Kind
from keepstep.connectors.sql_table.statements import Reading, kind_of, names, nothing_of, parts
from keepstep.database.foreign import Foreign, Stream
from keepstep.model.errors import Misconfigured
from keepstep.model.feed import Feed
from keepstep.ports import RowPage

Raw = Sequence[Any]
# Rows without a key are in no order: they come on one page, at least so many of them.
_NAMELESS = 100


class Source:
    """One feed's rows, for one thread. Where the next page follows at once, its stream goes on."""

    def __init__(self, feed: Feed, foreign: Foreign) -> None:
        self._feed = feed
        self._foreign = foreign
        self._shape = shape(feed)
        self._parts = parts(feed)
        self._names = names(feed)
        self._kinds: Mapping[str, Kind] | None = None
        self._run: _Run | None = None
        self._at: Place | None = None

    def page(self, since: str | None, cursor: str | None, most: int) -> RowPage:
        """See ports.Table.read."""
        place = unpacked(cursor, self._shape) or self._begun(since)
        rows: list[Raw] = []
        while len(rows) < most and place.part < len(self._parts):
            if rows and self._parts[place.part] == "keyless" and most - len(rows) < _NAMELESS:
                break
            place, found = self._taken(place, most - len(rows))
            rows += found
        read = tuple(mapped(self._feed, dict(zip(self._names, row[:-1], strict=True)), place.clock) for row in rows)
        if place.part < len(self._parts):
            return RowPage(read, packed(place, self._shape), place.clock)
        return RowPage(read, None, place.clock, self._mark(place))

    def kinds(self) -> Mapping[str, Kind]:
        """The types of what is read."""
        if self._kinds is None:
            described = self._foreign.described(nothing_of(self._feed, every=False))
            codes = zip(self._names, described, strict=True)
            self._kinds = {name: kind_of(self._foreign.dialect, code) for name, (_, code) in codes}
        return self._kinds

    def rest(self) -> None:
        """Hold nothing open."""
        self._run = self._at = None
        self._foreign.close()

    def _begun(self, since: str | None) -> Place:
        """A new round. It reads from where the last one came to, less the overlap."""
        self.rest()
        high, clock = mark_of(since, self._shape), self._foreign.now()
        low = None if high is None else self._low(high, clock)
        return Place(part=0, low=low, after=None, high=high, clock=clock)

    def _low(self, high: Any, clock: float) -> Any:
        kind = self.kinds()[self._feed.changed]
        return stamps.low(high, kind, self._feed.zone, self._feed.overlap, clock)

    def _mark(self, place: Place) -> str | None:
        if not self._feed.changed:
            return None
        high = stamps.capped(place.high, self.kinds()[self._feed.changed], self._feed.zone, place.clock)
        return marked(high, self._shape)

    def _taken(self, place: Place, most: int) -> tuple[Place, list[Raw]]:
        """Rows of the part that the place is in; fewer than `most` only at its end, where the place is the next
        part's."""
        run = self._run if self._run is not None and self._at == place and not self._run.is_old else None
        run = run or _Run(self._opened(place, most), place.after)
        rows = run.take(most)
        stamped = self._parts[place.part] == "stamped"
        ended = len(rows) < most or self._parts[place.part] == "keyless"
        last = self._ends(rows[-1]) if rows else place.after
        high = last[0] if last is not None and stamped else place.high
        if ended:
            self.rest()
            return replace(place, part=place.part + 1, after=None, high=high), rows
        self._run, self._at = run, replace(place, after=last, high=high)
        return self._at, rows

    def _ends(self, row: Raw) -> tuple[Any, Any]:
        """What a row is ordered by, as a cursor keeps it."""
        return (row[1] if self._feed.changed else None), row[0]

    def _opened(self, place: Place, most: int) -> Stream:
        kinds = self.kinds()
        reading = Reading(self._feed, self._foreign.dialect, kinds)
        return self._foreign.stream(reading.part(self._parts[place.part], place.low, place.after, most))


class _Run:
    """An open answer of one part. Where it goes on after a row, it begins with that row and its equals: in a database's
    order 'a' and 'A' may be one key, and a page may have ended between them."""

    def __init__(self, stream: Stream, after: tuple[Any, Any] | None) -> None:
        self._stream = stream
        self._resumed = after is not None
        self._held: list[Raw] = []

    @property
    def is_old(self) -> bool:
        return self._stream.is_old

    def take(self, most: int) -> list[Raw]:
        """The next rows. Of one equal, that is the one given last; of more, all come again."""
        rows = self._held + self._stream.take(most + self._resumed - len(self._held))
        if self._resumed:
            self._resumed = False
            equals = sum(row[-1] for row in rows)
            if equals >= most and equals > 1:
                raise Misconfigured((f"{equals} rows or more have one key in its key column; name one that is unique",))
            rows = rows[1:] if equals == 1 else rows
        self._held = rows[most:]
        return rows[:most]
