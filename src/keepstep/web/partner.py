"""The door for what a platform tells the operator as its technology partner: verified raw, stored, answered.

It writes no links and calls nobody whom a body names: which customers a delivery is about is only looked up.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from keepstep import telemetry
from keepstep.database import Database
from keepstep.model.errors import Overloaded, Refused, Transient
from keepstep.ports import Chance, Clock
from keepstep.schema.tables import delivery
from keepstep.telemetry import Event
from keepstep.web.answers import Receive, Scope, Send, body_of, say

MOST_BODY = 65_536
_RETRY_SECONDS = 60
_KEPT_HEADERS = ("content-type", "date", "user-agent")
_MOST_VALUE = 500
Headers = Sequence[tuple[str, str]]


@dataclass(slots=True, kw_only=True)
class PartnerDoor:
    """What the web needs, handed in by the wiring.

    opens: does this token open the door of a platform? believed: (platform, headers in lower case as they came, body)
    -> in which edition it is signed, None for no signature of theirs; raises Transient where nobody can say now.
    addressees: (platform, edition, body) -> the platform word that readers know, and under which customers it is
    stored. came: those have news.
    """

    opens: Callable[[str, str], Awaitable[bool]]
    believed: Callable[[str, Headers, bytes], Awaitable[str | None]]
    addressees: Callable[[str, str, bytes], Awaitable[tuple[str, Sequence[str]]]]
    came: Callable[[str, Sequence[str]], Awaitable[None]]
    operator: str
    db: Database
    clock: Clock
    chance: Chance
    refused: Counter[str] = field(default_factory=Counter)

    async def take(self, platform: str, token: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one delivery; 200 only after it is durable. Raises Refused for what a stranger gets."""
        if not await self.opens(platform, token):
            raise Refused(404, "no such door")
        headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        body = await body_of(scope, receive, MOST_BODY)
        try:
            edition = await self.believed(platform, headers, body)
            if edition is None:
                raise self._refused(platform)
            word, customers = await self.addressees(platform, edition, body)
            kept = {"edition": edition, **{name: value for name, value in headers if name in _KEPT_HEADERS}}
            for customer_id in customers:
                await self.db.append(delivery, self._row(customer_id, word, kept, body))
        except (Overloaded, Transient):
            await say(send, 503, retry_after=_RETRY_SECONDS)
            return
        for customer_id in customers:
            telemetry.report(Event.delivery, customer_id, platform=word, bytes=len(body))
        self.clock.spawn(self._told(platform, customers), "partner delivery")
        await say(send, 200, {"ok": True})

    async def _told(self, platform: str, customers: Sequence[str]) -> None:
        try:
            await self.came(platform, customers)
        except Exception as error:  # what is stored is read by the next turn
            telemetry.report(Event.wake_failed, customers[0], error=type(error).__name__)

    def _refused(self, platform: str) -> Refused:
        self.refused[platform] += 1
        count = self.refused[platform]
        # At 1, 10, 100, ...: whoever floods the door must not fill the log.
        if str(count).strip("0") == "1":
            telemetry.report(Event.delivery_refused, self.operator, platform=platform, status=401, count=count)
        return Refused(401, "not this door's")

    def _row(self, customer_id: str, word: str, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        return {
            "id": self.chance.id(),
            "customer_id": customer_id,
            "platform": word,
            "received": self.clock.now(),
            "headers": {name: value[:_MOST_VALUE] for name, value in headers.items()},
            "body": body,
            "state": "new",
        }
