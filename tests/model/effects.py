"""What a step does to a small world when it takes effect, and what must never be in its way."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from keepstep.model.canonical import ADDRESS_PARTS, email
from keepstep.model.contact import Address, AudienceContact, Consent, Method, Phone
from keepstep.model.party import address_parts, audience_fields
from keepstep.model.toward import plain
from tests.model.people import SOURCE

if TYPE_CHECKING:
    from tests.model.world import World

# What a step may carry, by kind (model.change): an unmapped field is in no payload.
CARRIES = {
    "set_person": {"contact", "individual", "first_name", "last_name", "was"},
    "set_email": {"contact", "individual", "method", "value", "was"},
    "set_phone": {"contact", "individual", "method", "kind", "value", "was"},
    "set_address": {"contact", "individual", "address", "kind", "was", *ADDRESS_PARTS},
    "set_custom": {"contact", "values", "was"},
    "set_consent": {"contact", "individual", "method", "opted_in"},
    "add_tag": {"contact", "tag_id", "tag", "list_id"},
    "remove_tag": {"contact", "tag_id", "tag", "list_id"},
    "note": {"contact", "text", "act"},
    "link": {"contact", "record_id", "individual"},
    "unlink": {"contact", "record_id"},
    "drop_phone": {"contact", "individual", "method", "was"},
    "drop_address": {"contact", "individual", "address", "was"},
    "opt_out": {"record_id", "reason", "source"},
    "set_fields": {"record_id", "values", "was"},
    "enrol": {
        *("contact", "individual", "email", "first_name", "last_name", "phone", "address", "list_ids", "evidence"),
    },
    "join": {"record_id", "list_ids"},
    "leave": {"record_id", "list_ids"},
}
UNREAD = "an edit of staff is overwritten unread"


class Stale(Exception):
    """It did not take effect, because what is there is not what was seen."""


# What a write answers; None: it found nothing to do.
Effect = Callable[["World", Mapping[str, Any]], dict[str, Any] | None]


def _set_person(world: "World", payload: Mapping[str, Any]) -> dict[str, Any]:
    who = next(one for one in world.crm.individuals if one.record_id == payload["individual"])
    assert payload["was"] == {"first_name": who.first_name, "last_name": who.last_name}, UNREAD
    named = {name: payload[name] for name in ("first_name", "last_name") if payload[name] is not None}
    world.set_individual(payload["individual"], **named)
    return named


def _set_email(world: "World", payload: Mapping[str, Any]) -> dict[str, Any]:
    assert world.method(payload["method"]).value == payload["was"], UNREAD
    world.set_method(payload["method"], value=payload["value"])
    return {"value": payload["value"]}


def _set_phone(world: "World", payload: Mapping[str, Any]) -> dict[str, Any]:
    """The CRM writes numbers its own way."""
    value = "".join(sign for sign in payload["value"] if sign.isdigit())
    if payload["method"]:
        world.set_method(payload["method"], value=value)
        return {"value": value, "method": payload["method"]}
    made = Method(record_id=f"p{world.now:.0f}", kind="phone", type="Mobile Phone", value=value, opted_in=False)
    owner = next(who for who in world.crm.individuals if who.record_id == payload["individual"])
    world.set_individual(owner.record_id, methods=(*owner.methods, made))
    return {"value": value, "method": made.record_id}


def _set_address(world: "World", payload: Mapping[str, Any]) -> dict[str, Any]:
    assert payload["was"] == (address_parts(world.crm.address) if world.crm.address else None), UNREAD
    parts = {name: payload[name] for name in ADDRESS_PARTS}
    world.staff(address=Address(record_id="801", kind=payload["kind"], **parts))
    return parts


def _set_custom(world: "World", payload: Mapping[str, Any]) -> dict[str, Any]:
    held = dict(world.crm.custom_fields)
    assert payload["was"] == {name: held.get(name) for name in payload["values"]}, UNREAD
    world.staff(custom_fields=tuple(sorted({**held, **payload["values"]}.items())))
    return {"values": dict(payload["values"])}


def _set_consent(world: "World", payload: Mapping[str, Any]) -> dict[str, Any] | None:
    owner = payload["method"].removeprefix("m")
    if world.method(payload["method"]).opted_in is payload["opted_in"]:
        return None
    if payload["opted_in"]:
        assert not world.oracle[owner].out, "out was turned into in"
        assert not world.bounces(owner), "a bounce was lifted by somebody else than its person"
    world.set_method(payload["method"], opted_in=payload["opted_in"])
    return {"opted_in": payload["opted_in"]}


def _add_tag(world: "World", payload: Mapping[str, Any]) -> dict[str, Any]:
    world.staff(tags=tuple(sorted({*world.crm.tags, payload["tag"]})))
    return {}


def _remove_tag(world: "World", payload: Mapping[str, Any]) -> dict[str, Any]:
    world.staff(tags=tuple(one for one in world.crm.tags if one != payload["tag"]))
    return {}


def _note(world: "World", payload: Mapping[str, Any]) -> dict[str, Any]:
    assert payload["act"] not in world.notes, "a note was written twice"
    assert payload["text"].endswith(f"[keepstep {payload['act']}]")
    assert "@" not in payload["text"]
    world.notes = (*world.notes, payload["act"])
    return {}


def _link(world: "World", payload: Mapping[str, Any]) -> dict[str, Any]:
    world.staff(references=(*world.crm.references, (SOURCE, payload["record_id"])))
    return {"contact": payload["contact"]}


def _unlink(world: "World", payload: Mapping[str, Any]) -> dict[str, Any]:
    world.staff(references=tuple(one for one in world.crm.references if one[1] != payload["record_id"]))
    return {}


def _drop_phone(world: "World", payload: Mapping[str, Any]) -> dict[str, Any]:
    owner = next(who for who in world.crm.individuals if who.record_id == payload["individual"])
    assert world.method(payload["method"]).value == payload["was"], UNREAD
    kept = tuple(one for one in owner.methods if one.record_id != payload["method"])
    world.set_individual(owner.record_id, methods=kept)
    return {}


def _drop_address(world: "World", payload: Mapping[str, Any]) -> dict[str, Any]:
    assert world.crm.address is not None
    assert payload["was"] == address_parts(world.crm.address), UNREAD
    world.staff(address=None)
    return {}


def _opt_out(world: "World", payload: Mapping[str, Any]) -> dict[str, Any]:
    assert world.oracle[payload["record_id"]].by_staff, "what no staff had asked for reached the audience side"
    if not world.audience[payload["record_id"]].deleted:  # a write would revive it
        world.edit(payload["record_id"], consent=Consent.opted_out, opt_out_source="Account", opt_out_at=world.now)
    return {"consent": "opted_out"}


def _set_fields(world: "World", payload: Mapping[str, Any]) -> dict[str, Any]:
    """The preferred phone and the first address are what is compared; a new one comes in their place. Read before it is
    written: nothing is written over what nobody saw, nor over somebody who is out."""
    contact = world.audience[payload["record_id"]]
    here = audience_fields(contact)
    if contact.deleted or contact.consent is Consent.opted_out:
        raise Stale
    if payload["was"] != {field: here[field] for field in payload["values"]}:
        raise Stale
    values = dict(payload["values"])
    if phone := values.pop("phone", None):
        world.edit(contact.record_id, phones=(Phone(phone["kind"], phone["raw"]),))
    if place := values.pop("address", None):
        world.edit(contact.record_id, addresses=(Address(**place),))
    world.edit(contact.record_id, **values)
    return {"values": {field: plain(field, value) for field, value in payload["values"].items()}}


def _enrol(world: "World", payload: Mapping[str, Any]) -> dict[str, Any]:
    """Only who is opted in without doubt, at an address that nobody there has, and with a permission."""
    mails = [email(one.email) for one in world.audience.values()]
    assert payload["evidence"] and payload["list_ids"] and email(payload["email"]) not in mails
    owner = next(one for one in world.crm.individuals if one.record_id == payload["individual"])
    said = [one.opted_in for one in owner.methods if one.kind == "email"]
    assert said and all(said), "somebody who is not opted in was created at the audience side"
    record_id = payload["individual"].removeprefix("i")
    names = {name: payload[name] for name in ("first_name", "last_name")}
    world.audience[record_id] = AudienceContact(
        record_id=record_id,
        email=payload["email"],
        consent=Consent.opted_in,
        phones=(Phone(payload["phone"]["kind"], payload["phone"]["raw"]),) if payload["phone"] else (),
        addresses=(Address(**payload["address"]),) if payload["address"] else (),
        lists=tuple(payload["list_ids"]),
        opt_in_source="Account",
        **names,
    )
    return {"record_id": record_id}


def _join(world: "World", payload: Mapping[str, Any]) -> dict[str, Any]:
    contact = world.audience[payload["record_id"]]
    assert not contact.deleted
    assert contact.consent is Consent.opted_in
    assert not world.oracle[contact.record_id].out, "somebody who is out was put on a list"
    assert not world.bounced(contact.record_id), "somebody whose mail bounces was put on a list"
    world.edit(contact.record_id, lists=tuple(sorted({*(contact.lists or ()), *payload["list_ids"]})))
    return {}


def _leave(world: "World", payload: Mapping[str, Any]) -> dict[str, Any]:
    contact = world.audience[payload["record_id"]]
    lists = tuple(one for one in contact.lists or () if one not in payload["list_ids"])
    world.edit(contact.record_id, lists=lists)
    return {}


EFFECTS: dict[str, Effect] = {
    "set_person": _set_person,
    "set_email": _set_email,
    "set_phone": _set_phone,
    "set_address": _set_address,
    "set_custom": _set_custom,
    "set_consent": _set_consent,
    "add_tag": _add_tag,
    "remove_tag": _remove_tag,
    "note": _note,
    "link": _link,
    "unlink": _unlink,
    "drop_phone": _drop_phone,
    "drop_address": _drop_address,
    "opt_out": _opt_out,
    "set_fields": _set_fields,
    "enrol": _enrol,
    "join": _join,
    "leave": _leave,
}
