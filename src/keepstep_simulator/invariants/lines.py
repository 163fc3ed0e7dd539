"""Facts and the rows that commits changed, in one line."""

from collections.abc import Sequence

from keepstep_simulator.story import Change, Row, Story

NO_ROW: Row = {}


def in_order(story: Story, kinds: Sequence[str], tables: Sequence[str]) -> list[Change]:
    """Facts of these kinds as (fact, "", "", no row), and the changed rows of these tables, oldest first."""
    facts: list[Change] = [(fact, "", "", NO_ROW) for fact in story.of(*kinds)]
    return sorted([*facts, *story.rows(*tables)], key=_number) if tables else facts


def _number(change: Change) -> int:
    return change[0].n
