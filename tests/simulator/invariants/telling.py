"""Stories told by hand: each function is one fact, as the simulator would tell it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_simulator.story import Final, Story

CUSTOMER = "customer-0"
CC, V = CONSTANT_CONTACT, VIRTUOUS
DATE = "Mon, 02 Mar 2026 15:00:00 GMT"
DATED = 1_772_463_600.0


@dataclass(frozen=True)
class Told:
    """A fact to be: whose and when are said by the one who tells it, where it matters."""

    kind: str
    key: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    process: int = 1
    at: float | None = None
    customer: str = CUSTOMER


def story(*facts: Told, final: Final | None = None) -> Story:
    """These facts, a second apart."""
    made = Story(final=final or Final())
    for number, one in enumerate(facts):
        at = float(number) if one.at is None else one.at
        made.tell(at, one.process, one.customer, one.kind, one.key, **one.data)
    return made


def out(call: str, path: str, method: str = "GET", vendor: str = V, process: int = 1, **more: Any) -> Told:
    """A call."""
    known = {"query": "", "body": "", "token": False, "account": "A", "of": CUSTOMER, "fence": 1}
    write = method != "GET" and "/Query" not in path
    at = more.pop("at", None)
    return Told(
        "OUT", call, {"vendor": vendor, "method": method, "path": path, "write": write, **known, **more}, process, at
    )


def rsp(call: str, status: int | None = 200, body: str = "", process: int = 1, **more: Any) -> Told:
    """Its answer; None for none."""
    known = {"date": DATE, "known": status is not None and status < 500, "fault": ""}
    at = more.pop("at", None)
    return Told("RSP", call, {"status": status, "body": body, **known, **more}, process, at)


def tx(
    *rows: tuple[str, str, Mapping[str, Any]], process: int = 1, fence: int | None = 1, at: float | None = None
) -> Told:
    """A commit with (table, verb, row)."""
    whose = {"customer_id": CUSTOMER}
    touched = tuple((table, verb, {**whose, **row}) for table, verb, row in rows)
    return Told("TX", "commit", {"rows": touched, "of": CUSTOMER, "fence": fence}, process, at)


def eff(record: str, name: str, before: Any, after: Any, actor: str = "product", **more: Any) -> Told:
    """A change of one value of one record."""
    kind = record.partition(":")[0]
    side = more.pop("side", CC if kind == "contact" and not record.removeprefix("contact:").isdigit() else V)
    at = more.pop("at", None)
    return Told(
        "EFF",
        record,
        {"field": name, "before": before, "after": after, "actor": actor, "call": "", "side": side, **more},
        1,
        at,
    )


def act(record: str, what: str, side: str = CC, actor: str = "person", at: float | None = None, **data: Any) -> Told:
    """Something that people or staff do."""
    return Told("ACT", record, {"actor": actor, "side": side, "what": what, "data": data}, 1, at)


def judged(*lines: Sequence[str], waiting: Sequence[str] = ()) -> Told:
    """The judge's opinion: (key, record, reason)."""
    details = [dict(zip(("key", "record", "reason"), line, strict=True)) for line in lines]
    return Told("JUDGED", "", {"report": {"in_step": 3, "details": details}, "waiting": list(waiting)})


def plan(nets: Mapping[str, str] | None = None, **policy: Any) -> Told:
    """What the seed is like."""
    return Told("PLAN", "", {"nets": nets or {}, "policy": policy})


def contact(number: str, email: str, permission: str = "implicit", **more: Any) -> dict[str, Any]:
    """A contact at Constant Contact as it is in the end."""
    return {"contact_id": number, "email_address": {"address": email, "permission_to_send": permission}, **more}


def household(number: int, email: str, reference: str, opted_in: bool = True, **names: str) -> dict[str, Any]:
    """A Virtuous contact with one individual, number + 1, with one method, number + 2."""
    method = {"id": number + 2, "type": "Home Email", "value": email, "isOptedIn": opted_in}
    individual = {"id": number + 1, "firstName": "Ana", "lastName": "Lee", **names, "contactMethods": [method]}
    references = [{"source": "Constant Contact", "id": reference}]
    return {"id": number, "contactReferences": references, "contactIndividuals": [individual]}


def ended(audience: Sequence[Any] = (), crm: Sequence[Any] = (), **store: Any) -> Final:
    """How everything stands at the end."""
    return Final(store=store, audience={CUSTOMER: list(audience)}, crm={CUSTOMER: list(crm)})
