"""`keepstep plan` and `keepstep apply` as they are typed, over both stand-ins."""

import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from keepstep import cli
from keepstep.cli import plan
from tests.flows.crossing import CUSTOMER, Crossing
from tests.flows.test_pairing import at_stage

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Crossing]:
    """A customer with credentials whom nobody serves, people on both sides, and the commands over it."""
    monkeypatch.chdir(tmp_path)
    with Crossing(policy={"stage": "observe"}) as c:
        news = c.a_list("News")
        c.household("bob@example.org", "Bob", "Poe")
        c.person("bob@example.org", "Bob", "Poe", lists=[news])
        c.person("ann@example.org", "Ann", "Lee", lists=[news])
        c.consent(c.refresh_tokens[CUSTOMER])
        c.key("v_key")

        @contextlib.asynccontextmanager
        async def opened(_settings: object) -> AsyncIterator[Any]:
            yield c.service

        monkeypatch.setattr(plan, "open_service", opened)
        yield c


def typed(capsys: Capture, *words: str) -> tuple[int, dict[str, Any]]:
    code = cli.main([*words, "--customer", CUSTOMER, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_without_a_service_plan_reads_both_sides_itself_and_apply_writes(fresh: Crossing, capsys: Capture) -> None:
    code, made = typed(capsys, "plan")
    assert code == 0
    assert (made["people"]["created"], made["people"]["linked"]) == (1, 1)
    assert fresh.writes() == []
    assert typed(capsys, "apply", made["checksum"])[0] == 3
    at_stage(fresh, "both")
    code, done = typed(capsys, "apply", made["checksum"])
    assert (code, done.pop("run")[:5]) == (0, "plan-")
    assert done == {"state": "applied", "steps": 2, "dropped": [], "refused": None}
    assert [one.request.path for one in fresh.made("POST", "/api/ContactReference")] != []


def test_a_plan_for_people_ends_with_what_to_type_next(fresh: Crossing, capsys: Capture) -> None:
    assert cli.main(["plan", "--customer", CUSTOMER]) == 0
    said = capsys.readouterr().out
    assert f"keepstep apply --customer {CUSTOMER} " in said and "nothing is written yet" in said
    assert "ann@example.org" not in said
    checksum = said.split()[-1]
    assert cli.main(["apply", "--customer", CUSTOMER, checksum]) == 3
    assert "nothing is written" in capsys.readouterr().out


def test_a_wrong_checksum_is_wrong_input_and_a_discarded_plan_is_none(fresh: Crossing, capsys: Capture) -> None:
    _, made = typed(capsys, "plan")
    assert typed(capsys, "apply", "0" * 16)[0] == 2
    assert typed(capsys, "plan", "--discard") == (0, {"state": "discarded"})
    assert typed(capsys, "apply", made["checksum"])[0] == 2


def test_a_connection_that_is_blocked_needs_a_person(fresh: Crossing, capsys: Capture) -> None:
    fresh.key("no such key")
    assert typed(capsys, "plan")[0] == 3
