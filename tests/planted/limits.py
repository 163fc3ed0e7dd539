"""Mistakes with limits and grants: whose budget it is, how long to wait, and what a token is good for."""

from typing import Any

from pytest import MonkeyPatch

from keepstep.connectors.constant_contact import api as cc_api
from keepstep.connectors.virtuous import api as v_api
from keepstep.state import installation
from keepstep.state.vault import Vault
from keepstep.tokens import grant
from keepstep.wire.permits import SharedPermits


def one_limiter_for_all(patch: MonkeyPatch) -> None:
    """The global-limiter anti-pattern: one customer's budget is everybody's."""
    shared: list[Any] = []
    true_init = v_api.Api.__init__

    def init(self: Any, conn: Any) -> None:
        true_init(self, conn)
        shared[:] = shared or [self._pace]
        self._pace = shared[0]

    patch.setattr(v_api.Api, "__init__", init)


def no_headroom(patch: MonkeyPatch) -> None:
    """The whole hour's budget is taken for ours."""
    patch.setattr(v_api, "HEADROOM", 0.0)


def retry_after_is_ignored(patch: MonkeyPatch) -> None:
    """A 429 is tried again when it suits us."""
    patch.setattr(v_api, "_retry_after", lambda _text, _now: 1.0)


def one_kind_of_429(patch: MonkeyPatch) -> None:
    """A used-up day is taken for a moment's throttling."""

    async def stop(_self: Any, _key: str, _until: float) -> None:
        return None

    patch.setattr(SharedPermits, "stop", stop)
    patch.setattr(cc_api, "_pause", lambda _key, _now: 1.0)


def old_refresh_token(patch: MonkeyPatch) -> None:
    """The rotated refresh token is used once and not stored."""
    true_put = Vault.put

    def put(self: Any, tx: Any, customer_id: str, platform: str, name: str, secret: Any, now: float) -> None:
        if name == "refresh_token" and self.get(tx, customer_id, platform, name) is not None:
            return
        true_put(self, tx, customer_id, platform, name, secret, now)

    patch.setattr(Vault, "put", put)


def a_day_for_each_customer(patch: MonkeyPatch) -> None:
    """The limits of an application key are taken for those of each account."""
    true_init = cc_api.Api.__init__

    def init(self: Any, connection: Any) -> None:
        true_init(self, connection)
        self._key = connection.customer_id

    patch.setattr(cc_api.Api, "__init__", init)


def budget_is_a_constant(patch: MonkeyPatch) -> None:
    """The hour's budget is what some page says, not what the headers say."""
    patch.setattr(v_api.Pace, "learn", lambda _self, _now, _headers: None)


def tokens_live_a_day(patch: MonkeyPatch) -> None:
    """One of the three lifetimes that are stated is built in."""
    patch.setattr(grant, "lifetime", lambda _said, _now: 86_400.0)


def a_turn_is_waited_for_blindly(patch: MonkeyPatch) -> None:
    """A refresh is sent after however long a wait, though another process has taken it over."""
    patch.setattr(grant.OAuthGrant, "_about_to_send", lambda *_: True)


def a_copy_is_ours(patch: MonkeyPatch) -> None:
    """Whoever has the rows has the right."""
    patch.setattr(installation, "belongs", lambda *_: True)
