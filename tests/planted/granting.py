"""Mistakes with a grant that rotates: who refreshes it, when it is stored, and what an answer means."""

from typing import Any

from pytest import MonkeyPatch

from keepstep.model.errors import Blocked, Transient
from keepstep.tokens import grant, tickets
from keepstep.tokens.answers import understood
from keepstep.tokens.grant import OAuthGrant


def a_token_manager_beside(patch: MonkeyPatch) -> None:
    """The recipe refreshes in a program of its own that asks nobody whether another one is at it."""

    def announce(self: Any, tx: Any, intent: str, refused: str | None, now: float) -> Any:
        held = self._looked(tx)
        if held.usable(now, refused) is not None and held.refresh_at > now:
            return held, False
        self._put(tx, "refresh_intent", f"{now!r} {intent}", now)
        return held, True

    patch.setattr(OAuthGrant, "_announce", announce)
    patch.setattr(OAuthGrant, "_about_to_send", lambda *_: True)


def every_six_hours(patch: MonkeyPatch) -> None:
    """The recipe's timer: tokens are good for about six hours, so they are renewed that often."""
    true_access_of = grant.access_of

    def access_of(new: Any, now: float, chance: Any) -> dict[str, str]:
        return true_access_of(new, now, chance) | {"refresh_at": repr(now + 6 * 3600)}

    patch.setattr(grant, "access_of", access_of)


def sent_without_a_word(patch: MonkeyPatch) -> None:
    """What is about to be sent is written down nowhere: whoever finds the process dead knows nothing of it."""
    true_put = OAuthGrant._put

    def put(self: Any, tx: Any, name: str, text: str, now: float) -> None:
        if name != "refresh_intent":
            true_put(self, tx, name, text, now)

    patch.setattr(OAuthGrant, "_put", put)
    patch.setattr(OAuthGrant, "_about_to_send", lambda *_: True)


def used_before_it_is_stored(patch: MonkeyPatch) -> None:
    """The new token is handed out, and stored when there is time."""

    async def attempt(self: Any, _intent: str, refresh: Any, latest: float) -> Any:
        new = understood(await self._sent(refresh, latest))
        assert new is not None
        self._received = refresh, new
        return grant.Secret(new["access_token"])

    patch.setattr(OAuthGrant, "_attempt", attempt)


def received_and_lost(patch: MonkeyPatch) -> None:
    """What could not be stored is gone, though the vendor has voided what was before it."""
    true_store = OAuthGrant._store

    async def store(self: Any) -> None:
        received, self._received = self._received, None
        if received is not None:
            self._held = await self.db.run(self._keep, *received, self.clock.now())
        await true_store(self)

    patch.setattr(OAuthGrant, "_store", store)


def void_at_the_first_word(patch: MonkeyPatch) -> None:
    """`invalid_grant` is final, though another process or a person may have stored a new one meanwhile."""
    true_attempt = OAuthGrant._attempt

    async def attempt(self: Any, *asked: Any) -> Any:
        token = await true_attempt(self, *asked)
        if token is None:
            raise Blocked("reauthorize", "void")
        return token

    patch.setattr(OAuthGrant, "_attempt", attempt)


def any_trouble_is_a_void_grant(patch: MonkeyPatch) -> None:
    """A refresh that did not work is a grant that is gone: somebody is called to a browser for a network's trouble."""
    true_attempt = OAuthGrant._attempt

    async def attempt(self: Any, *asked: Any) -> Any:
        try:
            return await true_attempt(self, *asked)
        except Transient:
            raise Blocked("reauthorize", "void") from None

    patch.setattr(OAuthGrant, "_attempt", attempt)


def a_refused_token_lives_on(patch: MonkeyPatch) -> None:
    """Where no new token can be had at once, the next call shows the refused one again."""
    true_bearer = OAuthGrant.bearer

    async def bearer(self: Any, refused: str | None = None) -> str:
        self._refused = None
        return await true_bearer(self, refused)

    patch.setattr(OAuthGrant, "bearer", bearer)


def the_one_before_is_dropped(patch: MonkeyPatch) -> None:
    """A refresh token that was used is of no use any more, whether or not the new one works."""
    true_put = OAuthGrant._put

    def put(self: Any, tx: Any, name: str, text: str, now: float) -> None:
        if name != "previous_refresh_token":
            true_put(self, tx, name, text, now)

    patch.setattr(OAuthGrant, "_put", put)


def a_late_answer_wins(patch: MonkeyPatch) -> None:
    """What comes back is stored, though the account was connected anew while it was under way."""
    true_keep = OAuthGrant._keep

    def keep(self: Any, tx: Any, used: Any, new: Any, now: float) -> Any:
        known = self._read(tx).values()
        return true_keep(self, tx, used if used in known else known[0], new, now)

    patch.setattr(OAuthGrant, "_keep", keep)


def anybodys_browser(patch: MonkeyPatch) -> None:
    """The recipe's server redirects and takes whatever code comes back, from any browser."""
    patch.setattr(tickets, "_same", lambda kept, _shown: kept is not None)
