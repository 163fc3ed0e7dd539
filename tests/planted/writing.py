"""Mistakes of writing: what is sent, how often, and what is lost by it."""

from dataclasses import replace
from typing import Any

from pytest import MonkeyPatch
from sqlalchemy import Integer, bindparam, select

from keepstep.capture import catalogue
from keepstep.connectors.constant_contact import destination
from keepstep.connectors.constant_contact import replace as replacing
from keepstep.connectors.virtuous import api as v_api
from keepstep.connectors.virtuous import destination as v_destination
from keepstep.connectors.virtuous import edit
from keepstep.model import fields, identify, membership
from keepstep.model.change import Done
from keepstep.model.contact import Consent
from keepstep.model.errors import Permanent, Transient
from keepstep.model.party import audience_fields
from keepstep.queue import jobs, slots
from keepstep.queue.steps import COLUMNS
from keepstep.schema.tables import step as steps
from keepstep.state import readings
from keepstep.submit import calls, custody, patience


def everybody_by_transaction(patch: MonkeyPatch) -> None:
    """The recipe submits every contact, also the opted out, by a call that carries no consent."""
    true_create = identify._create

    def create(party: Any, person: Any, contact: Any, setting: Any) -> Any:
        mailable = replace(contact, consent=Consent.opted_in, opt_in_source=None)
        return true_create(party, replace(person, acts=()), mailable, setting)

    patch.setattr(identify, "_create", create)


def no_seen(patch: MonkeyPatch) -> None:
    """The no-state anti-pattern: what was last seen on each side is not kept."""
    true_save = readings.save

    def save(tx: Any, customer_id: str, changed: Any) -> None:
        blank = [replace(p, people=tuple(replace(one, audience=None, crm=None) for one in p.people)) for p in changed]
        true_save(tx, customer_id, blank)

    patch.setattr(readings, "save", save)


def repeats_unanswered_writes(patch: MonkeyPatch) -> None:
    """A write without an answer is taken for one that did not happen."""
    patch.setattr(calls, "Unanswered", type("Never", (Exception,), {}))


def retries_for_ever(patch: MonkeyPatch) -> None:
    """The infinite-retry anti-pattern: a refusal is tried again without end."""
    true_refused = v_api.Api._refused

    def refused(self: Any, call: Any, answer: Any) -> Any:
        try:
            true_refused(self, call, answer)
        except Permanent as problem:
            raise Transient(problem.detail) from None

    patch.setattr(v_api.Api, "_refused", refused)
    patch.setattr(patience, "TRIES", 10**9)


def put_of_what_changed(patch: MonkeyPatch) -> None:
    """A PUT with only the changed value: Constant Contact empties the rest."""

    def body(raw: Any, _payload: Any) -> Any:
        address = raw["email_address"]["address"]
        return {
            "email_address": {"address": address, "permission_to_send": "unsubscribed"},
            "update_source": "Account",
        }

    patch.setattr(replacing, "opt_out_body", body)


# --- imports ---


def updates_by_import(patch: MonkeyPatch) -> None:
    """The recipe submits whatever changed as another transaction."""

    def writes(pair: Any, sides: Any, verdicts: Any, _terms: Any) -> Any:
        told = {name: sides.here[name] for name in ("first_name", "last_name", "email")}
        payload = {"record_id": pair.person.record_id, **told, "phone": None, "address": None, "custom": {}}
        if "write" not in verdicts.values():
            return []
        return [identify._creation(pair.party, pair.person, "submit", {**payload, "lists": [], "tags": []})]

    patch.setattr(fields, "_writes", writes)


def submits_again_what_waits(patch: MonkeyPatch) -> None:
    """Whoever is not there yet is submitted once more."""
    true_again = identify._sent_again

    def again(party: Any, person: Any, contact: Any, left_out: Any) -> Any:
        if person.submission is not None:
            person = replace(person, submission=replace(person.submission, state="again"))
        return true_again(party, person, contact, left_out)

    patch.setattr(identify, "_sent_again", again)


def confirmed_is_in_step(patch: MonkeyPatch) -> None:
    """The batch ran, so the CRM has what the person says now: but the row was as old as its sending."""
    true_attached = identify._attached

    def attached(party: Any, person: Any, contact: Any, found: Any) -> Any:
        party, person, left = true_attached(party, person, contact, found)
        return party, replace(person, audience=audience_fields(contact)) if person.individual else person, left

    patch.setattr(identify, "_attached", attached)


# --- replacing instead of changing ---


def custom_fields_of_what_changed(patch: MonkeyPatch) -> None:
    """A PUT of the contact with the one field that changed: the others are gone, and so is the rest."""
    patch.setattr(edit, "_contact_model", lambda _raw: {})
    patch.setattr(edit, "custom_values", lambda _raw: {})


def person_of_what_changed(patch: MonkeyPatch) -> None:
    """A PUT of the individual with the new name alone."""
    patch.setattr(edit, "_person_model", lambda _raw: {})


def method_of_what_changed(patch: MonkeyPatch) -> None:
    """A PUT of the method with the new address alone: its consent is lost."""
    patch.setattr(edit, "_method_model", lambda _raw: {})


def tag_id_for_join_id(patch: MonkeyPatch) -> None:
    """A tag is taken off by its own id, where the id of the join is wanted."""

    async def remove(crm: Any, step: Any) -> Any:
        await crm.api.write("DELETE", f"/api/ContactTag/{step.payload['tag_id']}")
        return Done({"tag_id": step.payload["tag_id"]})

    kind = v_destination.Kind(remove, v_destination.KINDS["remove_tag"].look)
    patch.setitem(v_destination.KINDS, "remove_tag", kind)


# --- whose it is ---


def addresses_as_they_come(patch: MonkeyPatch) -> None:
    """A new address is written at once, whoever has it."""
    patch.setattr(custody, "turns", lambda wishes, _holders: {wish.method: "go" for wish in wishes})


def joins_by_form(patch: MonkeyPatch) -> None:
    """The sign-up form puts one contact on one list; it also says that the person asked for it."""

    async def start(self: Any, call: Any) -> Any:
        for step in call.steps:
            raw = await destination.read_contact(self._api, step.payload["record_id"], "list_memberships")
            body = {"email_address": raw["email_address"]["address"], "list_memberships": step.payload["list_ids"]}
            await self._api.post("/contacts/sign_up_form", body)
        return [Done() for _ in call.steps]

    patch.setattr(destination.Destination, "_start_job", start)


def opts_out_the_deleted(patch: MonkeyPatch) -> None:
    """An opt-out is a PUT, whatever has become of the contact: this one revives it."""
    true_read = replacing.Replace.read

    async def read(self: Any, record_id: str) -> Any:
        found = await true_read(self, record_id)
        return replace(found, raw={key: value for key, value in found.raw.items() if key != "deleted_at"})

    patch.setattr(replacing.Replace, "read", read)


def adds_the_deleted(patch: MonkeyPatch) -> None:
    """A job adds whom it is told to add: a deleted contact comes back by it."""
    patch.setattr(destination, "_why_closed", lambda _raw: None)


# --- replacing a contact ---


def permission_with_the_fields(patch: MonkeyPatch) -> None:
    """A write of fields says of consent what it takes for granted: that the person may be mailed."""
    true_body = replacing.fields_body

    def body(raw: Any, payload: Any) -> Any:
        made = true_body(raw, payload)
        return made | {"email_address": made["email_address"] | {"permission_to_send": "explicit"}}

    patch.setattr(replacing, "fields_body", body)


def replaces_whatever_is_there(patch: MonkeyPatch) -> None:
    """What the decision saw is not compared with what is there by now."""
    patch.setattr(replacing, "_stale", lambda _raw, _payload: None)
    patch.setattr(replacing, "_quiet_in", lambda _read: 0.0)


def replaces_the_deleted(patch: MonkeyPatch) -> None:
    """The stored reading is believed: a PUT brings a deleted contact back."""
    patch.setattr(replacing, "_closed", lambda _raw: None)


def races_are_lost(patch: MonkeyPatch) -> None:
    """Nobody looks for what fell between the read and the answer."""

    async def raced(_self: Any, _now: Any, _since: Any) -> None:
        return None

    patch.setattr(replacing.Replace, "_raced", raced)


def writes_while_somebody_is_at_it(patch: MonkeyPatch) -> None:
    """A contact is replaced in the middle of an edit."""
    patch.setattr(replacing, "_quiet_in", lambda _read: 0.0)


def writes_after_a_lost_answer(patch: MonkeyPatch) -> None:
    """What was never answered is forgotten: another write of the same contact goes out at once."""
    patch.setattr(slots, "REPLACING", ())
    patch.setattr(calls, "REPLACING", ())
    free = slots.sendable(bindparam("customer", type_=steps.c.customer_id.type))
    due = select(*COLUMNS).where(free, steps.c.due <= bindparam("now")).order_by(steps.c.lane, steps.c.due, steps.c.id)
    patch.setattr(jobs, "_SENDABLE", due.limit(bindparam("most", type_=Integer)))


def deleted_list_takes_its_tags(patch: MonkeyPatch) -> None:
    """Whoever lost a list has left it: nobody asks whether there still is one."""
    true_seat = membership._seat_of

    def seat(*asked: Any) -> Any:
        return replace(true_seat(*asked), late=False)

    patch.setattr(membership, "_seat_of", seat)


def lists_without_end(patch: MonkeyPatch) -> None:
    """Joins are sent however many lists a person is on."""
    patch.setattr(membership, "MOST", 10**6)


def makes_deleted_lists_again(patch: MonkeyPatch) -> None:
    """A tag whose list was deleted is taken for one that asks for a list."""
    true_bind = catalogue.bind_all

    def bind_all(known: Any, *rest: Any) -> Any:
        return true_bind({key: one for key, one in known.items() if one.kind != "list" or key in rest[0]}, *rest)

    patch.setattr(catalogue, "bind_all", bind_all)
