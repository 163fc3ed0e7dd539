"""Webhook subscriptions and the deliveries that are still to be made (Virtuous facts 13). Nothing is sent from here."""

from __future__ import annotations

import base64
import hashlib
import heapq
import hmac
from collections import deque
from dataclasses import dataclass
from typing import Any

from keepstep_sandbox.switches import Switches

TOGGLES = (
    "contactCreate", "contactUpdate", "giftCreate", "giftUpdate", "giftDelete", "projectCreate", "projectUpdate",
    "projectDelete", "formSubmission", "contactNoteCreate", "contactNoteUpdate", "contactNoteDelete", "eventCreate",
    "eventUpdate", "eventDelete",
)  # fmt: skip

# Five tries in 24 hours (Virtuous facts 13.5, 18.7); the steps between them are ours, no source gives them.
RETRY_AFTER = (60.0, 900.0, 7200.0, 43200.0)
SPREAD = {"seconds": 5.0, "none": 0.0, "hours": 26 * 3600.0}
REORDER_STEP = 10.0


@dataclass(slots=True, eq=False)
class Subscription:
    """One webhook subscription; `fields` are its toggles, `payloadUrl`, `secret` and `active`."""

    id: int
    organization: str
    fields: dict[str, Any]
    deleted: bool = False

    def wants(self, toggle: str) -> bool:
        """Inactive subscriptions get nothing, and nothing is kept for them (Virtuous facts 13.1)."""
        return not self.deleted and bool(self.fields["active"]) and bool(self.fields.get(toggle))

    def shape(self) -> dict[str, Any]:
        """As the API shows it, secret included (Virtuous facts 13.1)."""
        return {"id": self.id, **self.fields}


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook request to make. `attempt` counts from 1; `due` is epoch seconds."""

    id: int
    due: float
    organization: str
    url: str
    headers: dict[str, str]
    body: bytes
    attempt: int


@dataclass(slots=True, eq=False)
class _Waiting:
    subscription: Subscription
    body: bytes
    attempt: int = 1


class Outbox:
    """Deliveries of every organization in the order they fall due."""

    def __init__(self, switches: Switches, seed: int) -> None:
        self._switches = switches
        self._seed = seed
        self._heap: list[tuple[float, int, _Waiting]] = []
        self._taken: dict[int, _Waiting] = {}
        self._events = 0
        self._count = 0
        self._lose = 0
        self._duplicate = 0
        self._extra: deque[float] = deque()
        self._silent: set[str] = set()

    def silence(self, organization: str, silent: bool) -> None:
        """Nothing that happens from now on is told, though every subscription looks as it should."""
        (self._silent.add if silent else self._silent.discard)(organization)

    def lose_next(self, n: int) -> None:
        self._lose += n

    def duplicate_next(self, n: int) -> None:
        self._duplicate += n

    def delay_next(self, n: int, seconds: float) -> None:
        self._extra.extend([seconds] * n)

    def reorder_next(self, n: int) -> None:
        """The next n come in the opposite order."""
        self._extra.extend((n - place) * REORDER_STEP for place in range(n))

    def event_id(self) -> str:
        """A fresh event id for the guides' envelope."""
        return f"evt-{self._seed}-{self._events}"

    def post(self, subscription: Subscription, body: bytes, now: float) -> None:
        """Put one event into the outbox, with the scripted faults that wait for it."""
        self._events += 1
        if subscription.organization in self._silent:
            return
        if self._lose:
            self._lose -= 1
            return
        label = f"{subscription.organization}:{self._events}"
        extra = self._extra.popleft() if self._extra else 0.0
        self._put(now + extra + self._draw(label), _Waiting(subscription, body))
        if self._repeats(label):
            self._put(now + extra + self._draw(label + ":again"), _Waiting(subscription, body))

    def due(self, now: float) -> list[Delivery]:
        """Take everything due; a delivery taken and never reported on is lost."""
        taken = []
        while self._heap and self._heap[0][0] <= now:
            due, number, waiting = heapq.heappop(self._heap)
            if waiting.subscription.deleted or not waiting.subscription.fields["active"]:
                continue
            self._taken[number] = waiting
            taken.append(self._delivery(due, number, waiting))
        return taken

    def delivered(self, delivery: Delivery, status: int | None, now: float) -> None:
        """Anything but 2xx, and no answer at all, is tried again (Virtuous facts 13.5)."""
        waiting = self._taken.pop(delivery.id, None)
        if waiting is None or (status is not None and 200 <= status < 300):
            return
        if waiting.attempt <= len(RETRY_AFTER):
            retry = _Waiting(waiting.subscription, waiting.body, waiting.attempt + 1)
            self._put(now + RETRY_AFTER[waiting.attempt - 1], retry)
        elif self._switches["webhook-exhausted"] == "deactivate":
            waiting.subscription.fields["active"] = False

    def next_due(self) -> float | None:
        return self._heap[0][0] if self._heap else None

    def _put(self, due: float, waiting: _Waiting) -> None:
        self._count += 1
        heapq.heappush(self._heap, (due, self._count, waiting))

    def _delivery(self, due: float, number: int, waiting: _Waiting) -> Delivery:
        subscription = waiting.subscription
        headers = {"Content-Type": "application/json; charset=utf-8"}
        secret = subscription.fields.get("secret")
        if secret:
            headers[self._switches["signature-header"]] = self._sign(str(secret), waiting.body)
        url = str(subscription.fields["payloadUrl"])
        return Delivery(number, due, subscription.organization, url, headers, waiting.body, waiting.attempt)

    def _sign(self, secret: str, body: bytes) -> str:
        digest = hmac.new(secret.encode("utf-8", "surrogatepass"), body, hashlib.sha256).digest()
        return digest.hex() if self._switches["signature-encoding"] == "hex" else base64.b64encode(digest).decode()

    def _repeats(self, label: str) -> bool:
        if self._duplicate:
            self._duplicate -= 1
            return True
        return self._switches["webhook-duplicates"] == "sometimes" and self._chance(label + ":repeat") < 0.1

    def _draw(self, label: str) -> float:
        return self._chance(label) * SPREAD[self._switches["webhook-delay"]]

    def _chance(self, label: str) -> float:
        # One independent stream per event, so that dropping an event leaves the delays of the others alone.
        digest = hashlib.blake2b(f"{self._seed}:{label}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64
