"""What one record of either side says, in the words of the field and in no vendor's dialect.

`None` means that the record does not say; `unread` values are None too, and `whole` tells the two apart.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from keepstep.model.instant import Instant


class Side(StrEnum):
    """The two roles that a platform can play."""

    audience = "audience"
    crm = "crm"


class Consent(StrEnum):
    """May this person be mailed? `not_mailable` is no opt-out: it must never invent one (CC facts 5.2)."""

    opted_in = "opted_in"
    opted_out = "opted_out"
    not_mailable = "not_mailable"
    unknown = "unknown"


@dataclass(frozen=True, slots=True)
class Phone:
    """A number as a person wrote it. Kinds: home, work, mobile, other."""

    kind: str
    raw: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A postal address by parts, as given. Kinds: home, work, other."""

    kind: str = "home"
    street: str | None = None
    city: str | None = None
    state: str | None = None
    postal: str | None = None
    country: str | None = None
    record_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AudienceContact:
    """A person on lists. `lists` and `tags` hold ids, sorted; None where they were not read or the record has no say.

    `custom_fields` holds (field id, value) pairs; of a select field the value is its choice ids, joined with commas.
    """

    record_id: str
    read_at: Instant = 0.0
    previous_at: Instant | None = None
    email: str | None = None
    consent: Consent = Consent.unknown
    deleted: bool = False
    deleted_at: Instant | None = None
    first_name: str | None = None
    last_name: str | None = None
    phones: tuple[Phone, ...] = ()
    addresses: tuple[Address, ...] = ()
    lists: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    opt_in_source: str | None = None
    opt_in_at: Instant | None = None
    opt_out_source: str | None = None
    opt_out_at: Instant | None = None
    opt_out_reason: str | None = None
    custom_fields: tuple[tuple[str, str], ...] = ()
    updated_at: Instant | None = None
    whole: bool = True
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One line of a mailing's report: a fact about an address, which no reading of the contact repeats.

    `strength` classes a bounce (delivered: none at all, such as an automatic answer); `code` is the vendor's own word.
    """

    id: str
    record_id: str
    kind: Literal["bounce", "opt_out"]
    at: Instant
    address: str | None = None
    strength: Literal["hard", "soft", "delivered"] | None = None
    code: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One way to reach an individual. `kind` is email, phone or other; `type` is the vendor's own word for it.

    `created_at` and `updated_at`: its own stamps, where the record shows them. `other_hand`: changed last by somebody
    else than who made it.
    """

    record_id: str
    kind: str
    type: str
    value: str
    opted_in: bool | None = None
    primary: bool = False
    created_at: Instant | None = None
    updated_at: Instant | None = None
    other_hand: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Individual:
    """A person of a household or institution."""

    record_id: str
    first_name: str | None = None
    last_name: str | None = None
    suffix: str | None = None
    primary: bool = False
    deceased: bool = False
    methods: tuple[Method, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmContact:
    """A household or institution with its people. `references` are (source, id) pairs; `address` is the primary one."""

    record_id: str
    read_at: Instant = 0.0
    contact_type: str | None = None
    name: str | None = None
    individuals: tuple[Individual, ...] = ()
    address: Address | None = None
    tags: tuple[str, ...] = ()
    references: tuple[tuple[str, str], ...] = ()
    merged_into: str | None = None
    archived: bool = False
    custom_fields: tuple[tuple[str, str], ...] = ()
    created_at: Instant | None = None
    updated_at: Instant | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherRecord:
    """A vendor record that is no contact: a list, a tag, an activity; or one that cannot be read, with its warning."""

    record_type: str
    record_id: str | None = None
    warnings: tuple[str, ...] = field(default=())
