"""The records of one organization, keyed by the names the vendor uses on the wire (Virtuous facts 7)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Fields = dict[str, Any]

CONTACT_WRITABLE = (
    "contactType", "name", "informalName", "description", "website", "maritalStatus",
    "anniversaryMonth", "anniversaryDay", "anniversaryYear", "originSegmentId", "isPrivate",
)  # fmt: skip
INDIVIDUAL_WRITABLE = (
    "firstName", "lastName", "prefix", "middleName", "suffix", "gender", "birthMonth", "birthDay", "birthYear",
    "approximateAge", "isDeceased", "deceasedDate", "passion", "avatarUrl",
)  # fmt: skip
ADDRESS_WRITABLE = (
    "label", "address1", "address2", "city", "state", "postal", "country",
    "startMonth", "startDay", "endMonth", "endDay",
)  # fmt: skip
WHOLE_NUMBERS = frozenset((
    "anniversaryMonth", "anniversaryDay", "anniversaryYear", "originSegmentId", "birthMonth", "birthDay", "birthYear",
    "approximateAge", "startMonth", "startDay", "endMonth", "endDay",
))  # fmt: skip
YES_OR_NO = frozenset(("isPrivate", "isDeceased", "isOptedIn", "isPrimary", "isSecondary", "isArchived"))

# What a record holds before anybody says anything; nearly everything may be null (Virtuous facts 6).
BLANK_CONTACT: Fields = {
    **dict.fromkeys(CONTACT_WRITABLE), "contactType": "Household", "isPrivate": False, "originSegment": None,
    "formalContactName": None, "alternateContactName": None, "preferredSalutationName": None,
    "preferredAddresseeName": None, "mergedIntoContactId": None, "isArchived": False,
}  # fmt: skip
BLANK_INDIVIDUAL: Fields = {
    **dict.fromkeys(INDIVIDUAL_WRITABLE), "prefix2": None, "preMarriageName": None, "nickname": None,
    "isPrimary": False, "isSecondary": False, "isDeceased": False,
}  # fmt: skip
BLANK_METHOD: Fields = {"type": "Other", "value": "", "isOptedIn": False, "isPrimary": False, "isArchived": False}
BLANK_ADDRESS: Fields = {**dict.fromkeys(ADDRESS_WRITABLE), "isPrimary": False, "isArchived": False}
BLANK_NOTE: Fields = {
    "type": "General", "note": "", "noteDateTime": None, "important": False, "private": False, "timeSpent": None,
}  # fmt: skip

EMAIL_TYPES = ("Home Email", "Work Email", "Other Email")
PHONE_TYPES = ("Home Phone", "Mobile Phone", "Work Phone", "Other Phone", "Fax")
METHOD_TYPES = (
    *EMAIL_TYPES, *PHONE_TYPES, "Facebook", "Instagram", "Twitter", "Foursquare", "Pinterest", "RSS", "Snapchat",
    "Tumblr", "Vimeo", "YouTube", "LinkedIn", "Skype", "Web", "Other",
)  # fmt: skip
CONTACT_TYPES = {
    "Household": "Household", "Foundation": "Foundation", "Organization": "Organization",
    "Church": "Organization", "Company": "Organization",
}  # fmt: skip


@dataclass(slots=True, eq=False)
class Record:
    """What every record has; `created` and `modified` are epoch seconds UTC."""

    id: int
    fields: Fields
    created: float
    created_by: str
    modified: float
    modified_by: str
    kind: str = "record"


@dataclass(slots=True, eq=False)
class Contact(Record):
    """A household or an institution. `tags` maps a tag's id to the join."""

    kind: str = "contact"
    individuals: list[Individual] = field(default_factory=list)
    addresses: list[Address] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    tags: dict[int, Join] = field(default_factory=dict)
    references: list[tuple[str, str]] = field(default_factory=list)
    custom: dict[str, str] = field(default_factory=dict)
    collections: list[Fields] = field(default_factory=list)
    body: bytes | None = None
    body_for: tuple[str, str] = ("", "")

    @property
    def owner(self) -> Contact:
        return self

    @property
    def hidden(self) -> bool:
        """Archived or merged away: absent from queries unless asked for (Virtuous facts 7.6)."""
        return bool(self.fields["isArchived"]) or self.fields["mergedIntoContactId"] is not None

    def methods(self) -> list[Method]:
        """Every live method of every person, in order."""
        return [m for person in self.individuals for m in person.methods if not m.fields["isArchived"]]

    def address(self) -> Address | None:
        """The primary address."""
        return next((a for a in self.addresses if a.fields["isPrimary"] and not a.fields["isArchived"]), None)


@dataclass(slots=True, eq=False)
class Individual(Record):
    """A person."""

    kind: str = "individual"
    owner: Contact = field(kw_only=True)
    methods: list[Method] = field(default_factory=list)
    custom: dict[str, str] = field(default_factory=dict)

    def full_name(self) -> str:
        parts = (self.fields["firstName"], self.fields["lastName"])
        return " ".join(part for part in parts if part)


@dataclass(slots=True, eq=False)
class Method(Record):
    """An e-mail address, a telephone number or another way to reach a person; consent lives here."""

    kind: str = "method"
    individual: Individual = field(kw_only=True)

    @property
    def owner(self) -> Contact:
        return self.individual.owner

    def family(self) -> str:
        """`email`, `phone` or `other`: there is one primary of each family (Virtuous facts 7.3)."""
        return method_family(self.fields["type"])


@dataclass(slots=True, eq=False)
class Address(Record):
    """A postal address of a contact."""

    kind: str = "address"
    owner: Contact = field(kw_only=True)


@dataclass(slots=True, eq=False)
class Note(Record):
    """A note on a contact."""

    kind: str = "note"
    owner: Contact = field(kw_only=True)


@dataclass(slots=True, eq=False)
class Tag:
    """A tag's definition; names are not unique (Virtuous facts 11)."""

    id: int
    name: str
    group: str
    contacts: dict[int, None] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Join:
    """A tag on a contact; its own id is the `contactTagId`."""

    id: int
    tag: Tag
    owner: Contact
    created: float
    created_by: str


def method_family(kind: str) -> str:
    """Which family a method type belongs to; unknown types that say so count too."""
    if kind in EMAIL_TYPES or kind.endswith("Email"):
        return "email"
    return "phone" if kind in PHONE_TYPES or kind.endswith("Phone") else "other"


def email_key(value: str) -> str:
    """E-mail addresses match without regard to case (Virtuous facts 18.4)."""
    return value.strip().lower()


def phone_key(value: str) -> str:
    """Digits only, without the North American country code; empty where too short to mean anything."""
    digits = "".join(c for c in value if c.isdecimal())
    if len(digits) == 11 and digits[0] == "1":
        digits = digits[1:]
    return digits if len(digits) >= 7 else ""


def name_key(value: str | None) -> str:
    """A name or a street line for comparison: letters and digits only, folded."""
    return "".join(c for c in (value or "").casefold() if c.isalnum())
