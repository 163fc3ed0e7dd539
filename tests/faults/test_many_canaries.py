"""The same thousand canaries with every customer served and most people at the audience side."""

from pathlib import Path

import pytest

from tests.flows import canaries
from tests.flows.canaries import Size
from tests.flows.test_canaries import ABOUT_PEOPLE

pytestmark = pytest.mark.faults


def test_nothing_leaks_where_every_customer_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = canaries.lived(tmp_path, monkeypatch, Size(served=100, here=700))
    assert {where for where in said.said if said.secrets(where)} == {"doors"}
    assert {where for where in said.said if said.people(where)} <= ABOUT_PEOPLE
    assert said.counts["refused"] > 150
