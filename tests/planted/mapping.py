"""Mistakes of mapping: fields, addresses, choices, lists, tags, and who is meant by them."""

from dataclasses import replace
from typing import Any

from pytest import MonkeyPatch

from keepstep.capture import catalogue
from keepstep.connectors.constant_contact import catalogue as cc_catalogue
from keepstep.connectors.constant_contact import mapping as cc_mapping
from keepstep.connectors.virtuous import mapping, origin, submission
from keepstep.model import custom, fields, identify, membership
from keepstep.model.contact import Phone


def lists_by_name(patch: MonkeyPatch) -> None:
    """The recipe finds a list by the name of its tag: a renamed list looks like everybody leaving."""
    true_bind = catalogue.bind

    def bind(known: Any, lists: Any, tags: Any, prefix: str) -> Any:
        found = true_bind(known, lists, tags, prefix)
        return [replace(one, tag_name=f"{prefix}{one.list_name}", state="live", reason=None) for one in found]

    patch.setattr(catalogue, "bind", bind)


def tags_by_comma(patch: MonkeyPatch) -> None:
    """The recipe joins tags with a comma."""
    patch.setattr(submission, "TAG_SEPARATOR", ", ")


def tags_are_objects(patch: MonkeyPatch) -> None:
    """The recipe reads `t.tag` of tags that are strings."""

    def tags(read: mapping.Reader) -> tuple[str, ...]:
        return tuple(sorted(one["tag"] for one in read.values("tags") if isinstance(one, dict)))

    patch.setattr(mapping, "_tags", tags)


def country_is_us(patch: MonkeyPatch) -> None:
    """The recipe writes "US" where nobody said a country."""
    true_address = submission._address

    def address(payload: Any) -> Any:
        parts = true_address(payload)
        return parts and {"country": "US", **parts}

    patch.setattr(submission, "_address", address)


def removes_without_base(patch: MonkeyPatch) -> None:
    """A tag that is not there yet is taken for one that was removed."""
    true_init = membership._Want.__init__

    def init(self: Any, *args: Any) -> None:
        true_init(self, *args)
        self.fresh, self.was_tagged = False, True

    patch.setattr(membership._Want, "__init__", init)
    patch.setattr(membership.Seat, "ours", lambda self, list_id: self.readable and list_id in self.now)


# --- fields ---


def phone_number_field(patch: MonkeyPatch) -> None:
    """The recipe reads `contact.phone_number`, which no contact has."""

    def phones(raw: Any, _warn: Any) -> Any:
        return (Phone("mobile", raw["phone_number"]),) if raw.get("phone_number") else ()

    patch.setattr(cc_mapping, "_phones", phones)


def first_address(patch: MonkeyPatch) -> None:
    """The recipe takes `street_addresses[0]`, whatever its kind."""

    def addresses(raw: Any, warn: Any) -> Any:
        return tuple(cc_mapping._address(row, warn) for row in raw.get("street_addresses", ())[:1])

    patch.setattr(cc_mapping, "_addresses", addresses)


def first_reference(patch: MonkeyPatch) -> None:
    """Only the first reference of a contact is read."""
    true_references = mapping._references
    patch.setattr(mapping, "_references", lambda read: true_references(read)[:1])


def first_of_our_references(patch: MonkeyPatch) -> None:
    """The recipe takes the first reference of its own source: of a household of two, one person."""
    true_references = mapping._references

    def references(read: Any) -> Any:
        first: dict[str, str] = {}
        for source, record_id in true_references(read):
            first.setdefault(source, record_id)
        return tuple(first.items())

    patch.setattr(mapping, "_references", references)


def segment_sent_unasked(patch: MonkeyPatch) -> None:
    """The recipe writes `CONSTANT-CONTACT-SYNC` without asking whether anybody knows it."""

    async def segment(self: Any) -> Any:
        return origin.Segment(self._code, None)

    patch.setattr(origin.Origin, "segment", segment)


def any_word_is_an_option(patch: MonkeyPatch) -> None:
    """The label of a choice is sent as an option, whether or not it is one."""
    patch.setattr(custom, "_option", lambda _binding, word: word)


def options_of_any_case(patch: MonkeyPatch) -> None:
    """Options are compared without case; the vendor compares with it."""

    def option(binding: Any, word: str) -> Any:
        return word if word.casefold() in [one.casefold() for one in binding.crm.choices.values()] else None

    patch.setattr(custom, "_option", option)


def choice_ids_are_text(patch: MonkeyPatch) -> None:
    """Ids are text on contacts, so they are in definitions: those that come as numbers name nothing."""
    true_choices = cc_catalogue._choices

    def choices(rows: Any) -> Any:
        return true_choices([row for row in rows or () if isinstance(row["choice_id"], str)])

    patch.setattr(cc_catalogue, "_choices", choices)


def a_clear_travels(patch: MonkeyPatch) -> None:
    """A name that is missing was emptied, and so it is emptied there."""
    true_verdict = fields._verdict

    def verdict(field: str, sides: Any, pair: Any, terms: Any) -> str:
        if field in fields.NAMES and not sides.here[field] and sides.there[field]:
            sides.here[field] = ""
            return "write"
        return true_verdict(field, sides, pair, terms)

    patch.setattr(fields, "_verdict", verdict)


def latest_wins(patch: MonkeyPatch) -> None:
    """What the poll brings is written over whatever staff have changed since."""
    true_crossing = fields._crossing

    def crossing(field: str, ours: Any, theirs: Any, pair: Any, terms: Any) -> str:
        return "write" if field in fields.NAMES else true_crossing(field, ours, theirs, pair, terms)

    patch.setattr(fields, "_crossing", crossing)


# --- lists and tags ---


def renamed_tag_is_a_removal(patch: MonkeyPatch) -> None:
    """A tag is its name: under another one, everybody has lost it."""
    true_bind = catalogue.bind

    def bind(known: Any, lists: Any, tags: Any, prefix: str) -> Any:
        return [replace(one, state="live", reason=None) for one in true_bind(known, lists, tags, prefix)]

    patch.setattr(catalogue, "bind", bind)


def undefined_list(patch: MonkeyPatch) -> None:
    """The recipe names a list that it does not know "CC: undefined"."""
    true_tags = identify.submitted_tags

    def tags(lists: Any, labels: Any, policy: Any) -> Any:
        ids, names = true_tags(lists, labels, policy)
        unknown = set(lists) - {label.list_id for label in labels}
        return ids, [*names, *(f"{policy.tag_prefix}undefined" for _ in unknown)]

    patch.setattr(identify, "submitted_tags", tags)


def tags_are_lists(patch: MonkeyPatch) -> None:
    """Constant Contact's own tags are written as its lists are."""
    patch.setattr(membership, "STEPS", {"list": ("join", "leave"), "tag": ("join", "leave")})


def everybody_of_the_household(patch: MonkeyPatch) -> None:
    """A tag hangs on the household, so everybody in it is put on the list."""

    def meant(self: Any) -> Any:
        return [seat for seat in self.seats if self.tagged and not self.was_tagged and not seat.holds(self.list_id)]

    patch.setattr(membership._Want, "meant", meant)


def opted_out_left_every_list(patch: MonkeyPatch) -> None:
    """Who opted out shows no lists any more, so their tags go."""
    true_seat = membership._seat

    def seat(person: Any, contact: Any, parked: Any, kind: str) -> Any:
        found = true_seat(person, contact, parked, kind)
        return replace(found, readable=True) if contact is not None and kind == "list" else found

    patch.setattr(membership, "_seat", seat)
