"""Few settings of many switches in which every pair of values of two switches occurs together."""

from collections.abc import Mapping, Sequence
from itertools import combinations

Row = dict[str, str]
Pair = frozenset[tuple[str, str]]


def pairwise(switches: Mapping[str, Sequence[str]]) -> list[Row]:
    """Rows of one value for every switch; the first one holds every switch's first value, its default.

    Greedy: each row takes, switch by switch, the value that meets most pairs not seen yet. Not the fewest rows
    possible, always the same ones.
    """
    wanted = _pairs(switches)
    rows = [{name: values[0] for name, values in switches.items()}]
    wanted -= _met(rows[0])
    while wanted:
        row = _row(switches, wanted)
        wanted -= _met(row)
        rows.append(row)
    return rows


def _pairs(switches: Mapping[str, Sequence[str]]) -> set[Pair]:
    return {
        frozenset(((one, mine), (other, theirs)))
        for one, other in combinations(switches, 2)
        for mine in switches[one]
        for theirs in switches[other]
    }


def _met(row: Mapping[str, str]) -> set[Pair]:
    return {frozenset(pair) for pair in combinations(row.items(), 2)}


def _row(switches: Mapping[str, Sequence[str]], wanted: set[Pair]) -> Row:
    """A row begins with a pair nobody has met, so that every row brings the end nearer."""
    row: Row = dict(min(wanted, key=sorted))
    for name, values in switches.items():
        if name not in row:
            row[name] = max(values, key=lambda value: (_gain(row, name, value, wanted), -values.index(value)))
    return row


def _gain(row: Mapping[str, str], name: str, value: str, wanted: set[Pair]) -> int:
    return sum(frozenset(((name, value), other)) in wanted for other in row.items())
