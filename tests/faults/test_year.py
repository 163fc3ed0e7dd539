"""`keepstep serve` for a year of rotated grants, without a hand."""

from pathlib import Path

import pytest

from tests.tokens.serving import Serving, months

pytestmark = pytest.mark.faults


def test_a_year_of_token_rotation_needs_nobody(tmp_path: Path) -> None:
    with Serving(tmp_path) as serving:
        months(serving, 365.0)
        seen = serving.seen
        print(
            f"a year: {seen.refreshes} refreshes, {len(seen.sent)} calls of the token endpoint, {seen.spoilt} spoilt, "
            f"{serving.restarts} restarts, {seen.calls} calls, {seen.refused} of them refused, "
            f"{seen.invalid} grants called void"
        )
        assert seen.invalid == 0
        assert seen.refreshes > 600
        assert min(seen.spoilt.values()) > 20
        # A clock that was put back makes a token look younger than it is, once.
        assert seen.refused <= serving.restarts
        status = serving.keepstep("status", "--customer", "acme")["customers"][0]
        assert (status["connections"], status["blocked"]) == ({"constant_contact": "ok"}, {})
