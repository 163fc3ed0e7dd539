"""`keepstep serve` for a month of rotated grants, without a hand; the year is among the faults."""

from pathlib import Path

from tests.tokens.serving import Serving, months


def test_a_month_of_token_rotation_needs_nobody(tmp_path: Path) -> None:
    with Serving(tmp_path) as serving:
        months(serving, 30.0, every=16.0)
        seen = serving.seen
        assert seen.invalid == 0
        assert seen.refreshes > 50
        assert set(seen.spoilt) == {"500", "dropped", "answer lost", "429"}
        assert seen.refused <= serving.restarts == 1
        status = serving.keepstep("status", "--customer", "acme")["customers"][0]
        assert (status["connections"], status["blocked"]) == ({"constant_contact": "ok"}, {})
