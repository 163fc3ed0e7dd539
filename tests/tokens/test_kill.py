"""kill -9 at each stage of a refresh: nobody has to connect again who need not, and many processes refresh once."""

import pytest

from tests.safes.moto import moto, moto_server
from tests.tokens.refreshing import STAGES, yard_of
from tests.tokens.stages import at_each_stage, at_expiry

__all__ = ["moto", "moto_server"]


@pytest.mark.parametrize("stage", STAGES)
def test_a_kill_at_any_stage_costs_no_connection(store_url: str, stage: str) -> None:
    at_each_stage(store_url, stage, 10)


def test_many_processes_at_expiry_refresh_once(store_url: str) -> None:
    at_expiry(store_url, 8)


ELSEWHERE = [
    ("sqlite", "parameter_store", "late"),
    ("sqlite", "secrets_manager", "failing"),
    ("postgresql", "parameter_store", "failing"),
    ("postgresql", "secrets_manager", "late"),
]


@pytest.mark.parametrize(("store_url", "provider", "spoil"), ELSEWHERE, indirect=["store_url"])
@pytest.mark.parametrize("stage", STAGES)
def test_a_kill_costs_no_connection_wherever_secrets_are_kept(
    store_url: str, stage: str, provider: str, spoil: str, moto: str
) -> None:
    at_each_stage(store_url, stage, 2, provider=provider, aws=moto, spoil=spoil)


@pytest.mark.parametrize(("store_url", "provider", "spoil"), ELSEWHERE, indirect=["store_url"])
def test_many_processes_refresh_once_wherever_secrets_are_kept(
    store_url: str, provider: str, spoil: str, moto: str
) -> None:
    at_expiry(store_url, 4, provider=provider, aws=moto, spoil=spoil)


@pytest.mark.parametrize("stage", ["sent", "received"])
@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_what_only_the_dead_process_knew_ends_in_one_question_to_a_person(store_url: str, stage: str) -> None:
    """The vendor rotated, keeps no grace, and the new value died with the process."""
    with yard_of(store_url, refresh_grace="0", refresh_reuse="revokes_family") as yard:
        trial, said = yard.play("acme", stage)
        assert (said, trial.tokens, trial.wrong) == ("reauthorize", 2, [])
        yard.reconnect(trial)
        assert yard.go_on(trial) == "used 200"
