"""A connection under way in a browser: one at a time for a customer's platform, sealed like every other secret.

The ticket leads to our page; opening it binds what follows to that browser by a cookie; the vendor sends the browser
back with the state. All three must meet, once, within ten minutes, so that nobody can finish what another began.
"""

import hashlib
import hmac
import json
from dataclasses import asdict, dataclass, replace

from sqlalchemy import Connection

from keepstep.model.errors import Refused
from keepstep.model.instant import Instant
from keepstep.ports import Chance
from keepstep.state.vault import Secret, Vault

LIFE = 600.0
_FIELD = "connecting"
_BETWEEN = "."


@dataclass(frozen=True, slots=True)
class Ticket:
    """`ticket`, `session` and `state` are hashes of what the browser holds; `session` is None until the page was
    opened. `verifier` is PKCE's. `done`: how it ended, for whoever waits on the command line."""

    ticket: str
    verifier: str
    until: Instant
    session: str | None = None
    state: str | None = None
    done: str | None = None


def begin(tx: Connection, vault: Vault, chance: Chance, customer_id: str, platform: str, now: Instant) -> str:
    """Begin a connection; what the address of our page ends in. One that was begun before is over."""
    token = chance.token(32).hex()
    verifier = chance.token(32).hex()
    _put(tx, vault, customer_id, platform, Ticket(_hash(token), verifier, now + LIFE), now)
    return token


def opened(
    tx: Connection, vault: Vault, chance: Chance, customer_id: str, platform: str, token: str, now: Instant
) -> tuple[str, str, str]:
    """The person goes on: session for the cookie, state for the vendor, and PKCE's verifier. Raises Refused."""
    found = known(tx, vault, customer_id, platform, token, now)
    session, state = chance.token(32).hex(), _BETWEEN.join((customer_id, platform, chance.token(32).hex()))
    _put(tx, vault, customer_id, platform, replace(found, session=_hash(session), state=_hash(state)), now)
    return session, state, found.verifier


def known(tx: Connection, vault: Vault, customer_id: str, platform: str, token: str, now: Instant) -> Ticket:
    """The connection that a ticket belongs to. Raises Refused for one that is over or nobody's."""
    found = _get(tx, vault, customer_id, platform)
    if found is None or found.done or now >= found.until or not hmac.compare_digest(found.ticket, _hash(token)):
        raise Refused(404, "this link is over; `keepstep connect` makes a new one")
    return found


def whose(state: str) -> tuple[str, str]:
    """Customer and platform that a state names. Raises Refused for what is no state."""
    parts = state.split(_BETWEEN)
    if len(parts) != 3:
        raise Refused(400, "no connection is under way here")
    return parts[0], parts[1]


def returned(
    tx: Connection, vault: Vault, customer_id: str, platform: str, state: str, session: str, now: Instant
) -> str:
    """The browser is back: the verifier, once. Raises Refused where another browser began it, or none did."""
    found = _get(tx, vault, customer_id, platform)
    whole = found is not None and found.state and found.session and not found.done and now < found.until
    if not whole or found is None or not _same(found.state, state) or not _same(found.session, session):
        raise Refused(400, "this browser began no connection, or it is over; `keepstep connect` makes a new link")
    _put(tx, vault, customer_id, platform, replace(found, state=None, session=None), now)
    return found.verifier


def end(tx: Connection, vault: Vault, customer_id: str, platform: str, how: str, now: Instant) -> None:
    """Say how it ended: `connected`, or why not."""
    found = _get(tx, vault, customer_id, platform)
    if found is not None:
        _put(tx, vault, customer_id, platform, replace(found, done=how, state=None, session=None), now)


def ended(tx: Connection, vault: Vault, customer_id: str, platform: str) -> str | None:
    """How the last connection ended; None while it is under way."""
    found = _get(tx, vault, customer_id, platform)
    return found.done if found else "none was begun"


def _get(tx: Connection, vault: Vault, customer_id: str, platform: str) -> Ticket | None:
    sealed = vault.get(tx, customer_id, platform, _FIELD)
    return Ticket(**json.loads(sealed.reveal())) if sealed else None


def _put(tx: Connection, vault: Vault, customer_id: str, platform: str, ticket: Ticket, now: Instant) -> None:
    vault.put(tx, customer_id, platform, _FIELD, Secret(json.dumps(asdict(ticket))), now)


def _same(kept: str | None, shown: str) -> bool:
    return kept is not None and hmac.compare_digest(kept, _hash(shown))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
