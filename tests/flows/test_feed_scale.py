"""Thousands of rows become people on a list by a handful of calls, and everybody is counted."""

from pathlib import Path

from tests.flows.crossing import START
from tests.flows.feeding import LIST, a_feed, fed, generated, made
from tests.flows.test_imports import Fed

ROWS = 5_000


def test_five_thousand_rows_are_people_on_the_list_by_one_import(tmp_path: Path) -> None:
    url = made(tmp_path / "members.db", generated(ROWS))
    with Fed(a_feed(url, schedule="2h"), crm="none") as c:
        members = c.a_list(LIST, tag=False)
        c.consent(c.refresh_tokens["acme"])
        c.wait(hours=2)
        found = fed(c)
        there = {one["email_address"]["address"] for one in found.on(members)}
        assert len(there) == ROWS - sum(found.rows.get("parked", {}).values())
        assert {state: sum(rows.values()) for state, rows in found.rows.items()} == {"done": ROWS}
        assert found.imports == 1
        assert found.calls < 250, "one call a person would be five thousand"
        before = len(c.writes())
        c.wait(hours=3)
        assert len(c.writes()) == before, "another round finds nothing new"
        assert c.now() > START
