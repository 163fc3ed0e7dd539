"""Both vendors, one moment, one log: everything outside the service under test, without sockets."""

import heapq
import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from typing import Any, cast
from zoneinfo import ZoneInfo

from keepstep_sandbox.constant_contact import ConstantContact, ContactDelivery
from keepstep_sandbox.credentials import Credentials, is_token
from keepstep_sandbox.faults import HELD, Faults
from keepstep_sandbox.http import Effect, Request, Response
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS, Act, Arrival, Log
from keepstep_sandbox.virtuous import Delivery, Virtuous

START = datetime(
    2026, 3, 2, 14, 0, tzinfo=UTC
).timestamp()  # a Monday, 9:00 in New York; daylight saving starts six days later

# Whose act each control method is. What is not named here cannot be done through the control door.
ACTORS: Mapping[str, Mapping[str, str]] = {
    CONSTANT_CONTACT: {
        **dict.fromkeys(("person_opts_out", "person_opts_in", "person_joins", "person_leaves", "edit"), "person"),
        **dict.fromkeys(("campaign_opt_out", "complain"), "person"),
        **dict.fromkeys(
            ("add_account", "add_list", "rename_list", "delete_list", "add_person", "delete", "revive"), "staff"
        ),
        **dict.fromkeys(("add_tag", "rename_tag", "delete_tag", "person_tagged", "person_untagged"), "staff"),
        **dict.fromkeys(("add_custom_field", "rename_custom_field", "delete_custom_field"), "staff"),
        **dict.fromkeys(("add_choice", "remove_choice", "set_custom_field"), "staff"),
        **dict.fromkeys(("set_contact_webhook",), "staff"),
        **dict.fromkeys(("lose_next", "duplicate_next", "delay_next"), "fault"),
        **dict.fromkeys(("draft_campaign", "send_campaign", "bounce", "add_segment", "revoke_grant"), "staff"),
        **dict.fromkeys(("register_app", "register_partner", "change_tier", "cancel_account"), "staff"),
        **dict.fromkeys(("disable_account", "enable_account", "set_billing_status", "add_topic"), "staff"),
        **dict.fromkeys(("rotate_partner_keys", "send_topic"), "staff"),
    },
    VIRTUOUS: {
        **dict.fromkeys(("add_organization", "add_user", "add_tag", "add_contact", "resolve", "rename_tag"), "staff"),
        **dict.fromkeys(("add_custom_field", "add_custom_option", "remove_custom_field", "add_segment"), "staff"),
        **dict.fromkeys(("revoke_key", "set_enabled"), "staff"),
        **dict.fromkeys(("add_custom_field", "add_segment"), "staff"),
        **dict.fromkeys(("spend", "lose_next", "duplicate_next", "delay_next", "reorder_next"), "fault"),
        **dict.fromkeys(("silence_webhooks",), "fault"),
    },
}


@dataclass(frozen=True, slots=True)
class Held:
    """A request whose answer waits for the driver; `response.drop` where it may only be dropped."""

    n: int
    vendor: str
    method: str
    path: str
    response: Response


class World:
    """Constant Contact, Virtuous, the clock's value, the faults and the log. Every moment is epoch seconds UTC."""

    def __init__(
        self, seed: int = 0, switches: Mapping[str, Mapping[str, str]] | None = None, now: float = START
    ) -> None:
        chosen = switches or {}
        self.seed, self.now = seed, now
        self.constant_contact = ConstantContact(chosen.get(CONSTANT_CONTACT), seed)
        self.virtuous = Virtuous(chosen.get(VIRTUOUS), seed)
        self.log, self.faults, self.held = Log(), Faults(), dict[int, Held]()
        self._credentials = Credentials()
        self._midnights: list[tuple[float, str, str]] = []  # due, organization, time zone

    # what the service does

    def call(self, vendor: str, request: Request) -> Response:
        """One request to a vendor, now. A delay of faults.HELD: answer when released; until then it is in `held`."""
        caller = self._credentials.caller(vendor, request)
        stand_in = self._vendor(vendor)
        response, fault = self.faults.meet(vendor, request, lambda: stand_in.handle(request, self.now))
        self._credentials.learn(vendor, request, response)
        secret = is_token(vendor, request.path)
        n = len(self.log.arrivals)
        self.log.arrivals.append(
            Arrival(
                n,
                self.now,
                vendor,
                caller.account,
                caller.key,
                request.method,
                request.path,
                "" if secret else request.query,
                response.status,
                fault,
                response.effects,
                caller.client,
                b"" if secret else request.body,
                _served(vendor, request, response, fault),
            )
        )
        if response.delay == HELD:
            self.held[n] = Held(n, vendor, request.method, request.path, response)
        return response

    def release(self, n: int, answered: bool) -> Response:
        """End a hold: the real answer, or the connection dropped."""
        held = self.held.pop(n)
        return replace(held.response, delay=0.0, drop=held.response.drop or not answered)

    # what people and staff do

    def connect_account(self, account_id: str, client_id: str, client_secret: str) -> dict[str, Any]:
        """A Constant Contact account connected to an application key; its refresh token is in the answer."""
        made = self.constant_contact.add_account(account_id, client_id, client_secret, self.now)
        self._credentials.grant(str(made["refresh_token"]), account_id, client_id)
        return {**made, "client_id": client_id, "client_secret": client_secret}

    def open_organization(self, organization: str, api_key: str, time_zone: str) -> dict[str, Any]:
        """A Virtuous organization; its batch runs at each midnight of its time zone, or of UTC."""
        self.virtuous.add_organization(organization, api_key, self.now, time_zone)
        self._credentials.key(api_key, organization)
        # Whose midnight the batch waits for is unconfirmed (Virtuous facts 10.3).
        zone = time_zone if self.virtuous.switches["import-midnight"] == "organization" else "UTC"
        heapq.heappush(self._midnights, (next_midnight(self.now, zone), organization, zone))
        return {"organization": organization, "api_key": api_key, "time_zone": time_zone}

    def act(self, side: str, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """One act of people, staff or the network's own luck: a control method of a vendor by name, without its `now`.

        Written to the act log under the record it was done to. Raises ValueError for a name that is no act, KeyError
        for an unknown record, TypeError for wrong arguments.
        """
        method = self._control(side, name)
        form = _Form.of(method)
        data = form.given(args, kwargs, self.now)
        result = method(**data)
        data.pop("now", None)
        effects = result if isinstance(result, tuple) else ()
        record = _record(form, data, result)
        self.log.acts.append(Act(self.now, actor_of(side, name), side, name, record, data, effects))
        return result

    def parameters(self, side: str, name: str) -> list[str]:
        """The names of an act's arguments. Raises ValueError for a name that is no act."""
        return list(_Form.of(self._control(side, name)).names)

    def note(
        self, actor: str, side: str, kind: str, record: str = "", effects: tuple[Effect, ...] = (), **data: Any
    ) -> None:
        """Write one act to the log."""
        self.log.acts.append(Act(self.now, actor, side, kind, record, data, effects))

    # time

    def next_due(self) -> float | None:
        """The next moment at which something happens by itself: an activity, a delivery, a nightly batch."""
        midnight = self._midnights[0][0] if self._midnights else None
        dues = (self.constant_contact.next_due(), self.virtuous.next_due(), midnight)
        return min([due for due in dues if due is not None], default=None)

    def advance(self, now: float) -> None:
        """Move time on and let the activities and the nightly batches run that fall due on the way. Never goes back."""
        while self._midnights and self._midnights[0][0] <= now:
            due, organization, zone = heapq.heappop(self._midnights)
            self._settle(due)
            self.run_batch(organization)
            heapq.heappush(self._midnights, (next_midnight(due, zone), organization, zone))
        self._settle(now)

    def run_batch(self, organization: str) -> dict[str, Any]:
        """Run the organization's import batch now."""
        before = len(self.virtuous.background)
        summary = cast(dict[str, Any], self.virtuous.run_batch(organization, self.now))
        effects = tuple(effect for _t, effect in self.virtuous.background[before:])
        self.note("batch", VIRTUOUS, "run_batch", organization, effects=effects, summary=summary)
        return summary

    def due_deliveries(self) -> list[Delivery | ContactDelivery]:
        """Webhooks to be posted now; report each with `delivered`."""
        return [*self.virtuous.due_deliveries(self.now), *self.constant_contact.due_deliveries(self.now)]

    def delivered(self, delivery: Delivery | ContactDelivery, status: int | None) -> None:
        """What became of a delivery; None for no answer."""
        if isinstance(delivery, ContactDelivery):
            self.constant_contact.delivered(delivery, status, self.now)
        else:
            self.virtuous.delivered(delivery, status, self.now)

    def _settle(self, now: float) -> None:
        self.now = max(self.now, now)
        self.constant_contact.settle(self.now)

    def _vendor(self, side: str) -> ConstantContact | Virtuous:
        if side not in ACTORS:
            raise ValueError(f"no vendor {side!r}")
        return self.constant_contact if side == CONSTANT_CONTACT else self.virtuous

    def _control(self, side: str, name: str) -> Any:
        vendor = self._vendor(side)
        # A partner's contract is of one vendor only and lies over all its accounts.
        found = getattr(vendor, name, getattr(getattr(vendor, "partner", None), name, None))
        if not actor_of(side, name) or found is None:
            raise ValueError(f"{name!r} is no act on {side}")
        return found


def actor_of(side: str, name: str) -> str:
    """Who does this act: person, staff or fault; empty where it is none."""
    by_name = "staff" if side == VIRTUOUS and name.startswith(("staff_", "bulk_")) else ""
    return ACTORS.get(side, {}).get(name, by_name)


def next_midnight(now: float, time_zone: str) -> float:
    """The first midnight of a time zone after `now`."""
    zone = ZoneInfo(time_zone)
    day = datetime.fromtimestamp(now, zone).date() + timedelta(days=1)
    return datetime.combine(day, time(), zone).timestamp()


@dataclass(frozen=True, slots=True)
class _Form:
    """What an act may be given: `names` without `self`, in order; `loose` is the name of a `**fields` parameter."""

    signature: inspect.Signature
    names: tuple[str, ...]
    needed: frozenset[str]
    loose: str | None

    @classmethod
    def of(cls, method: Any) -> "_Form":
        """Reading a signature takes longer than most acts: once for each method of a class."""
        plain = getattr(method, "__func__", None)
        return _form(inspect.signature(method)) if plain is None else _form_of(plain)

    def given(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], now: float) -> dict[str, Any]:
        """Every argument by name, in the signature's order, loose ones last. Raises TypeError."""
        extra = {"now": now} if "now" in self.names else {}
        found = dict(**dict(zip((one for one in self.names if one != "now"), args, strict=False)), **kwargs, **extra)
        if self.needed - found.keys() or (self.loose is None and found.keys() - set(self.names)):
            self.signature.bind(**found)
        named = {name: found[name] for name in self.names if name in found and name != self.loose}
        return named | found


def _form(signature: inspect.Signature) -> _Form:
    kinds = signature.parameters.values()
    loose = next((one.name for one in kinds if one.kind is one.VAR_KEYWORD), None)
    needed = frozenset(one.name for one in kinds if one.default is one.empty and one.name != loose)
    return _Form(signature, tuple(signature.parameters), needed, loose)


@lru_cache(maxsize=256)
def _form_of(function: Any) -> _Form:
    whole = inspect.signature(function)
    return _form(whole.replace(parameters=list(whole.parameters.values())[1:]))


def _record(form: _Form, data: Mapping[str, Any], result: Any) -> str:
    """The record an act was done to: the second argument where it names one, else what was made."""
    if isinstance(result, (str, int)):
        return str(result)
    named = [one for name, one in data.items() if name in form.names and name != form.loose]
    return str(named[1]) if len(named) > 1 and isinstance(named[1], (str, int)) else ""


def _served(vendor: str, request: Request, response: Response, fault: str) -> frozenset[str]:
    """The contact ids in a whole 200 answer of Constant Contact."""
    whole = response.status == 200 and fault in ("", "slow") and not response.drop
    if (
        vendor != CONSTANT_CONTACT
        or not whole
        or request.method != "GET"
        or not request.path.startswith("/v3/contacts")
    ):
        return frozenset()
    return _contact_ids(response.body)


@lru_cache(maxsize=64)
def _contact_ids(body: bytes) -> frozenset[str]:
    """Polls are served the same page again and again."""
    page = json.loads(body)
    rows = page.get("contacts", [page]) if isinstance(page, dict) else []
    return frozenset(row["contact_id"] for row in rows if isinstance(row, dict) and "contact_id" in row)
