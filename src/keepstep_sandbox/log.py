"""What the stand-ins remember for the judge: requests as they arrived, and acts of people, staff and fate."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from keepstep_sandbox.http import Effect

CONSTANT_CONTACT = "constant_contact"
VIRTUOUS = "virtuous"
_PLAIN = ("n", "t", "vendor", "account", "method", "path", "query", "status", "fault", "client")
_SECRET_FIELDS = ("secret", "api_key", "client_secret", "refresh_token", "access_token")


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request as the server saw it, at `t` virtual epoch seconds.

    `key` is whose rate budget it draws from, `client` a fingerprint of the credential, `fault` the scripted fault it
    met, empty for none; `served` are the Constant Contact contacts that a whole 200 answer held. A token request keeps
    neither query nor body.
    """

    n: int
    t: float
    vendor: str
    account: str
    key: str
    method: str
    path: str
    query: str
    status: int
    fault: str
    effects: tuple[Effect, ...]
    client: str
    body: bytes = b""
    served: frozenset[str] = frozenset()

    @property
    def scripted(self) -> bool:
        """Whether the answer was made by a scripted fault."""
        return bool(self.fault)

    def exported(self) -> dict[str, Any]:
        """Without the body, as plain JSON values."""
        return {
            **{name: getattr(self, name) for name in _PLAIN},
            "scripted": self.scripted,
            "served": len(self.served),
            "effects": [_effect(effect) for effect in self.effects],
        }


@dataclass(frozen=True, slots=True)
class Act:
    """Something that people, staff, a batch, a fault or the week's own script did.

    `record` is the bare id it was done to, or that it made; `data` are the act's arguments.
    """

    t: float
    actor: str  # person | staff | batch | fault | week
    side: str  # constant_contact | virtuous | ""
    kind: str
    record: str
    data: dict[str, Any]
    effects: tuple[Effect, ...] = ()

    def exported(self) -> dict[str, Any]:
        """As plain JSON values, secrets blanked."""
        return {
            **{name: getattr(self, name) for name in ("t", "actor", "side", "kind", "record")},
            "data": {name: "***" if name in _SECRET_FIELDS else value for name, value in self.data.items()},
            "effects": [_effect(effect) for effect in self.effects],
        }


@dataclass(slots=True)
class Log:
    """Two lists that only grow."""

    arrivals: list[Arrival] = field(default_factory=list)
    acts: list[Act] = field(default_factory=list)

    def of(self, kind: str) -> Iterator[Act]:
        """The acts of one kind, oldest first."""
        return (act for act in self.acts if act.kind == kind)

    def exported(self) -> dict[str, Any]:
        """Everything as JSON values; no secrets and no bodies."""
        return {
            "arrivals": [arrival.exported() for arrival in self.arrivals],
            "acts": [act.exported() for act in self.acts],
        }


def _effect(effect: Effect) -> dict[str, Any]:
    if any(word in effect.field.lower() for word in ("secret", "token")):
        return asdict(effect) | {"before": "***", "after": "***"}
    return asdict(effect)
