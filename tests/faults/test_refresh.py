"""kill -9 at each stage of a refresh, a hundred times, and fifty processes that want the same grant at once."""

import pytest

from tests.safes.moto import moto, moto_server
from tests.safes.providing import PROVIDERS
from tests.tokens.conftest import store_url
from tests.tokens.refreshing import STAGES
from tests.tokens.stages import at_each_stage, at_expiry

__all__ = ["moto", "moto_server", "store_url"]
pytestmark = pytest.mark.faults


@pytest.mark.parametrize("stage", STAGES)
def test_no_kill_costs_a_connection(store_url: str, stage: str) -> None:
    at_each_stage(store_url, stage, 100)


def test_fifty_processes_at_expiry_refresh_once(store_url: str) -> None:
    at_expiry(store_url, 50)


@pytest.mark.parametrize("spoil", ["late", "failing"])
@pytest.mark.parametrize("provider", PROVIDERS[1:])
@pytest.mark.parametrize("stage", STAGES)
def test_no_kill_costs_a_connection_wherever_secrets_are_kept(
    store_url: str, stage: str, provider: str, spoil: str, moto: str
) -> None:
    at_each_stage(store_url, stage, 50, provider=provider, aws=moto, spoil=spoil)


@pytest.mark.parametrize("spoil", ["late", "failing"])
@pytest.mark.parametrize("provider", PROVIDERS[1:])
def test_fifty_processes_refresh_once_wherever_secrets_are_kept(
    store_url: str, provider: str, spoil: str, moto: str
) -> None:
    at_expiry(store_url, 50, provider=provider, aws=moto, spoil=spoil)
