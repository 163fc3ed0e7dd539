"""What the vendor told the operator, as it is shown, and whether it could: the checks of a partner's door."""

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sqlalchemy import Connection as Tx

from keepstep.model.errors import Blocked, Problem
from keepstep.model.instant import format_instant
from keepstep.state import deliveries
from keepstep.state.customers import PARTNER
from keepstep.wiring import partner, reach

if TYPE_CHECKING:
    from keepstep.wiring.service import Service

Row = dict[str, Any]


async def events(service: "Service", platform: str, limit: int) -> list[Row]:
    """Deliveries, newest first: {at, customer, event, edition, state, did}. `customer` is None where it is nobody's."""
    partner.partnership(service, platform)
    return await service.db.run(_events, service, platform, limit)


def _events(tx: Tx, service: "Service", platform: str, limit: int) -> list[Row]:
    rows = deliveries.latest(tx, partner.word(platform), limit)
    return [_shown(tx, service, platform, row) for row in rows]


def _shown(tx: Tx, service: "Service", platform: str, row: Row) -> Row:
    edition = str(row["headers"].get("edition"))
    notice, reason = partner.judged(tx, service, platform, edition, row["body"])
    nobodys = row["customer_id"] == PARTNER
    pauses = notice is not None and notice.event in partner.partnership(service, platform).shuts
    return {
        "at": format_instant(row["received"]),
        "customer": None if nobodys else row["customer_id"],
        "event": notice.event if notice else None,
        "edition": edition,
        "state": "waiting" if row["state"] == "new" else "read",
        "did": f"nothing: unknown {reason or 'account'}" if nobodys else "paused" if pauses else "plan read",
    }


# --- checks ----------------------------------------------------------------------------------------------------------


async def check(service: "Service") -> list[Row]:
    """Rows as wiring/checks makes them; none where the operator is no partner."""
    rows: list[Row] = []
    for platform in partner.platforms(service):
        if partner.editions(await partner.stored(service, platform)):
            for name, found in (
                ("partner account", await _account(service, platform)),
                *await _door(service, platform),
            ):
                row = {"customer": None, "platform": platform, "check": name}
                rows.append({**row, **dict(zip(("state", "detail", "next"), found, strict=True))})
    return rows


async def _account(service: "Service", platform: str) -> tuple[str, str, str]:
    try:
        rows = await partner.topics(service, platform)
    except Blocked as problem:
        return "person", str(problem), "store the credentials again: keepstep partner connect"
    except Problem as problem:
        return "failed", str(problem), "try again in a minute"
    here = sorted({row["topic"] for row in rows if row["leads"] == "here"})
    if not here:
        return "person", "no topic is subscribed", "keepstep partner subscribe TOPIC"
    return "ok", f"{len(here)} topics are told here: {', '.join(here)}", ""


async def _door(service: "Service", platform: str) -> list[tuple[str, tuple[str, str, str]]]:
    hook = await partner.hook(service, platform)
    problem = partner.unreachable(hook)
    if hook is None or problem is not None:
        what = f"service.public_url {problem}"
        return [("partner door", ("person", what, "set service.public_url to where the vendor reaches us"))]
    found = await reach.tried(hook)
    host = urlsplit(hook).hostname
    return [("partner door", _reached(found, str(host)))]


def _reached(found: "reach.Reached", host: str) -> tuple[str, str, str]:
    """Our door answers an unsigned body with 401, and nobody else does."""
    how_to = "see docs/how-to/receive-partner-webhooks.md: proxy, TLS, firewall"
    if found.status is None:
        return "failed", f"{host} cannot be reached by POST ({found.trouble})", how_to
    if found.status != 401:
        return "failed", f"{host} answers {found.status} to a POST, not our door", how_to
    if found.self_signed:
        return "person", f"{host} is reached; its certificate is signed by nobody known", "get a certificate that is"
    return "ok", f"{host} is reached by POST", ""
