"""The stand-in itself: one door for requests, one outbox for webhooks, one control door for people and tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from email.utils import formatdate
from typing import Any
from zoneinfo import ZoneInfo

from keepstep_sandbox.http import Effect, Request, Response, answer
from keepstep_sandbox.switches import Switches
from keepstep_sandbox.virtuous import imports, people, routing, shapes, staff
from keepstep_sandbox.virtuous.budget import HOUR
from keepstep_sandbox.virtuous.calls import Call, Refused
from keepstep_sandbox.virtuous.change import STAFF, Change
from keepstep_sandbox.virtuous.grants import Grants
from keepstep_sandbox.virtuous.organization import Organization
from keepstep_sandbox.virtuous.outbox import Delivery, Outbox
from keepstep_sandbox.virtuous.switchboard import SWITCHES

Effects = tuple[Effect, ...]
DENIED = "Authorization has been denied for this request."


class Virtuous:
    """A pure state machine: no sockets, no clock, no randomness of its own. `now` is always epoch seconds UTC.

    Control methods raise KeyError for an organization or a record that does not exist.
    """

    def __init__(self, switches: Mapping[str, str] | None = None, seed: int = 0) -> None:
        self.switches = Switches(SWITCHES, switches)
        self.background: list[tuple[float, Effect]] = []
        self._outbox = Outbox(self.switches, seed)
        self._grants = Grants(seed)
        self._organizations: dict[str, Organization] = {}
        self._keys: dict[str, str] = {}
        self._revoked: dict[str, str] = {}

    # --- requests ---

    def handle(self, request: Request, now: float) -> Response:
        """Answer one request below /api or at /Token. Every answer tells the server's time, as HTTP has it."""
        response, budget = self._handled(request, now)
        headers = {**response.headers, **budget, "Date": formatdate(int(now), usegmt=True)}
        return Response(response.status, headers, response.body, response.effects)

    def _handled(self, request: Request, now: float) -> tuple[Response, Mapping[str, str]]:
        if request.path == "/Token":
            return (self._grants.answer(request, now) if request.method == "POST" else Response(404)), {}
        organization = self._authorized(request, now)
        if organization is None:
            return self._denied(), self._budget(self._known_organization(request), now)
        if not organization.budget.take(now):
            return _limited(organization, now), self._budget(organization, now)
        return self._answered(organization, request, now), self._budget(organization, now)

    def _answered(self, organization: Organization, request: Request, now: float) -> Response:
        found = routing.find(request.method.upper(), request.path)
        if isinstance(found, Response):
            return found
        handler, place = found
        try:
            return handler(Call(organization, request, now, place))
        except Refused as refused:
            return refused.response(self.switches)

    def _authorized(self, request: Request, now: float) -> Organization | None:
        """Exactly `Bearer <key>` with one space (Virtuous facts 3)."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not token:
            return None
        name = self._keys.get(token) or self._grants.organization(token, now)
        return None if name is None else self._organizations[name]

    def _known_organization(self, request: Request) -> Organization | None:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        return self._organizations.get(self._revoked.get(token, ""))

    def _denied(self) -> Response:
        if self.switches["unauthorized-body"] == "text":
            return Response(401, {"Content-Type": "text/plain", "Www-Authenticate": "Bearer"}, DENIED.encode())
        return answer(401, {"message": DENIED}, Www_Authenticate="Bearer")

    def _budget(self, organization: Organization | None, now: float) -> dict[str, str]:
        """The limit's headers stand on every answer, errors included (Virtuous facts 4)."""
        if organization is not None:
            return organization.budget.headers(now)
        limit = self.switches["hourly-limit"]
        reset = str((int(now // HOUR) + 1) * HOUR)
        return {"X-RateLimit-Limit": limit, "X-RateLimit-Remaining": limit, "X-RateLimit-Reset": reset}

    # --- webhooks ---

    def due_deliveries(self, now: float) -> list[Delivery]:
        """Take what is due, in order; a delivery that is never reported on is lost."""
        return self._outbox.due(now)

    def delivered(self, delivery: Delivery, status: int | None, now: float) -> None:
        """Report the receiver's answer; None is a timeout. Anything but 2xx is tried again, five times in 24 hours."""
        self._outbox.delivered(delivery, status, now)

    def next_due(self) -> float | None:
        """When the next delivery falls due."""
        return self._outbox.next_due()

    def silence_webhooks(self, organization: str, silent: bool) -> None:
        """No event is delivered any more, while the subscription stays active; or again."""
        self._outbox.silence(organization, silent)

    def lose_next(self, n: int) -> None:
        """The next n events are never delivered."""
        self._outbox.lose_next(n)

    def duplicate_next(self, n: int) -> None:
        """The next n events are delivered twice."""
        self._outbox.duplicate_next(n)

    def delay_next(self, n: int, seconds: float) -> None:
        """The next n events come so much later."""
        self._outbox.delay_next(n, seconds)

    def reorder_next(self, n: int) -> None:
        """The next n events come in the opposite order."""
        self._outbox.reorder_next(n)

    # --- control door: the organization ---

    def add_organization(self, organization: str, api_key: str, now: float, time_zone: str = "America/Phoenix") -> None:
        """Make an organization, or give an existing one a further key."""
        ZoneInfo(time_zone)
        if organization not in self._organizations:
            made = Organization(organization, time_zone, now, self.switches, self._outbox)
            self._organizations[organization] = made
        self._keys[api_key] = organization
        self._revoked.pop(api_key, None)

    def organizations(self) -> list[str]:
        return list(self._organizations)

    def add_user(self, organization: str, username: str, password: str, otp: str | None = None) -> None:
        """A user of the password grant; with `otp` it has two factors."""
        self._grants.add_user(self._organizations[organization].name, username, password, otp)

    def revoke_key(self, api_key: str) -> None:
        organization = self._keys.pop(api_key, None)
        if organization is not None:
            self._revoked[api_key] = organization

    def set_enabled(self, organization: str, enabled: bool) -> None:
        """What `Organization/Current` says as `isEnabled`."""
        self._organizations[organization].enabled = enabled

    def spend(self, organization: str, calls: int, now: float) -> None:
        """A stranger's integration uses calls of this hour."""
        self._organizations[organization].budget.spend(calls, now)

    def add_segment(self, organization: str, code: str, name: str = "") -> int:
        """Plant a segment, so that its code is known."""
        segments = self._organizations[organization].segments
        number = 71 + len(segments)
        places = {"communicationId": 7, "communicationName": "Sync", "campaignId": 3, "campaignName": "Sync"}
        own = {"id": number, "name": name or code, "description": None, "code": code}
        segments[code] = {**own, **places, "segmentOrganizerId": None}
        return number

    def add_custom_field(
        self,
        organization: str,
        name: str,
        now: float,
        data_type: str = "Text",
        options: Sequence[str] = (),
        display_name: str = "",
    ) -> None:
        """Define a custom field of contacts and individuals. Types are Text, Number, Date, Boolean, List or any other
        word; how the API spells them is switch custom-field-types."""
        at, fields = shapes.stamp(now), self._organizations[organization].custom_fields
        author = {"createDateTimeUtc": at, "createdByUser": STAFF, "modifiedDateTimeUtc": at, "modifiedByUser": STAFF}
        own = {"dataType": data_type, "name": name, "displayName": display_name or name, "options": list(options)}
        fields[name] = {**own, **author}

    def add_custom_option(self, organization: str, name: str, option: str) -> None:
        """One more option of a field."""
        self._organizations[organization].custom_fields[name]["options"].append(option)

    def remove_custom_field(self, organization: str, name: str) -> None:
        """Take a definition away; values stay on the contacts."""
        del self._organizations[organization].custom_fields[name]

    def add_tag(self, organization: str, name: str, now: float, group: str = "") -> int:
        """A new definition, even where the name exists."""
        return self._change(organization, now).define_tag(name, group).id

    def rename_tag(self, organization: str, tag_id: int, name: str, now: float) -> Effects:
        change = self._change(organization, now)
        change.rename_tag(change.organization.tags[tag_id], name)
        return change.finish()

    # --- control door: imports ---

    def run_batch(self, organization: str, now: float) -> dict[str, int]:
        """The nightly batch: rows per bucket, how many were created and merged, how many still wait."""
        counts, effects = imports.run(self._organizations[organization], now)
        self.background.extend((now, effect) for effect in effects)
        return counts

    def waiting(self, organization: str) -> list[dict[str, Any]]:
        """The rows in the hold with bucket, candidates and reasons."""
        return [row.shape() for row in self._organizations[organization].rows.values()]

    def resolve(self, organization: str, row_id: int, how: str | int, now: float) -> Effects:
        """Staff decides about a row: "create", "discard" or the id of the contact it belongs to."""
        return imports.resolve(self._organizations[organization], row_id, how, now)

    def staff_runs_import(self, organization: str, now: float) -> Effects:
        """Staff runs every row that a night has sorted, late as it may be; rows with an error stay."""
        return imports.run_by_staff(self._organizations[organization], now)

    # --- control door: staff ---

    def add_contact(self, organization: str, now: float, **raw: Any) -> int:
        """Staff makes a contact: names as in `POST /api/Contact`, plus tags, references, notes."""
        return staff.add_contact(self._organizations[organization], now, raw)

    def staff_renames(
        self,
        organization: str,
        individual_id: int,
        now: float,
        first_name: str | None = None,
        last_name: str | None = None,
    ) -> Effects:
        change = self._change(organization, now)
        return staff.renames(change, change.organization.individuals[individual_id], first_name, last_name)

    def staff_sets_phone(
        self,
        organization: str,
        individual_id: int,
        now: float,
        number: str,
        type: str | None = None,  # noqa: A002 - the wire's word
    ) -> Effects:
        change = self._change(organization, now)
        return staff.sets_phone(change, change.organization.individuals[individual_id], number, type)

    def staff_sets_address(self, organization: str, contact_id: int, now: float, **address: Any) -> Effects:
        change = self._change(organization, now)
        return staff.sets_address(change, change.organization.contacts[contact_id], address)

    def staff_sets_custom(self, organization: str, contact_id: int, now: float, name: str, value: str) -> Effects:
        """An option that the field does not have is a ValueError, an unknown field a KeyError."""
        change = self._change(organization, now)
        options = change.organization.custom_fields[name]["options"]
        if value and options and value not in options:
            raise ValueError(f"the field has no option {value!r}")
        change.set_custom(change.organization.contacts[contact_id], {name: value})
        return change.finish()

    def staff_opts(self, organization: str, method_id: int, opted_in: bool, now: float) -> Effects:
        return self._sets_method(organization, method_id, now, {"isOptedIn": opted_in})

    def staff_sets_email(self, organization: str, method_id: int, now: float, value: str) -> Effects:
        return self._sets_method(organization, method_id, now, {"value": value})

    def staff_adds_method(
        self,
        organization: str,
        individual_id: int,
        now: float,
        kind: str,
        value: str,
        opted_in: bool = True,
    ) -> int:
        change = self._change(organization, now)
        individual = change.organization.individuals[individual_id]
        method = people.add_method(change, individual, {"type": kind, "value": value, "isOptedIn": opted_in})
        change.finish()
        return method.id

    def staff_adds_tag(self, organization: str, contact_id: int, tag_name: str, now: float) -> Effects:
        change = self._change(organization, now)
        return staff.adds_tag(change, [change.organization.contacts[contact_id]], tag_name, bulk=False)

    def staff_removes_tag(self, organization: str, contact_id: int, tag_name: str, now: float) -> Effects:
        change = self._change(organization, now)
        return staff.removes_tag(change, change.organization.contacts[contact_id], tag_name)

    def bulk_adds_tag(self, organization: str, contact_ids: Sequence[int], tag_name: str, now: float) -> Effects:
        """One delivery with `models` for all of them."""
        change = self._change(organization, now)
        contacts = [change.organization.contacts[number] for number in contact_ids]
        return staff.adds_tag(change, contacts, tag_name, bulk=True)

    def staff_archives(self, organization: str, contact_id: int, now: float) -> Effects:
        return self._sets_contact(organization, contact_id, now, {"isArchived": True})

    def staff_unarchives(self, organization: str, contact_id: int, now: float) -> Effects:
        return self._sets_contact(organization, contact_id, now, {"isArchived": False})

    def staff_merges(self, organization: str, loser_id: int, survivor_id: int, now: float) -> Effects:
        """Merge two contacts; ValueError for a contact into itself or into one that is merged away."""
        change = self._change(organization, now)
        loser, survivor = (change.organization.contacts[number] for number in (loser_id, survivor_id))
        if loser is survivor or any(c.fields["mergedIntoContactId"] is not None for c in (loser, survivor)):
            raise ValueError("only two living contacts can be merged")
        return staff.merges(change, loser, survivor)

    def staff_sets_deceased(self, organization: str, individual_id: int, now: float) -> Effects:
        change = self._change(organization, now)
        change.set(change.organization.individuals[individual_id], {"isDeceased": True})
        return change.finish()

    def staff_moves_individual(self, organization: str, individual_id: int, contact_id: int, now: float) -> Effects:
        change = self._change(organization, now)
        individual = change.organization.individuals[individual_id]
        return staff.moves_individual(change, individual, change.organization.contacts[contact_id])

    # --- for the judge ---

    def contacts(self, organization: str) -> list[dict[str, Any]]:
        """Every contact in full, archived and merged ones too, with all addresses, tags, references and notes."""
        tenant = self._organizations[organization]
        return [shapes.raw_contact(contact, tenant) for contact in tenant.contacts.values()]

    def contacts_with(self, organization: str, source: str, reference: str) -> list[dict[str, Any]]:
        """The same of those that carry a reference, oldest first."""
        tenant = self._organizations[organization]
        return [shapes.raw_contact(contact, tenant) for contact in tenant.with_reference(source, reference)]

    def tags(self, organization: str) -> list[dict[str, Any]]:
        """Every tag's definition."""
        return [shapes.tag(tag) for tag in self._organizations[organization].tags.values()]

    def _change(self, organization: str, now: float) -> Change:
        return Change(self._organizations[organization], now, STAFF)

    def _sets_method(self, organization: str, method_id: int, now: float, values: dict[str, Any]) -> Effects:
        change = self._change(organization, now)
        change.set(change.organization.methods[method_id], values)
        return change.finish()

    def _sets_contact(self, organization: str, contact_id: int, now: float, values: dict[str, Any]) -> Effects:
        change = self._change(organization, now)
        change.set(change.organization.contacts[contact_id], values)
        return change.finish()


def _limited(organization: Organization, now: float) -> Response:
    """429 with Retry-After and the envelope (Virtuous facts 4)."""
    wait = organization.budget.retry_after(now)
    message = f"Rate limit exceeded. Retry after {wait} seconds."
    error = {"error": {"code": "RATE_LIMITED", "message": message, "details": []}}
    return answer(429, error, Retry_After=str(wait))
