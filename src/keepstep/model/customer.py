"""A customer's route: which two platforms are kept in step, and the policy that every decision follows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from keepstep.model.contact import Side
from keepstep.model.feed import Feed

# The word in the settings for a customer whose only side is the audience.
NO_CRM = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a route says. The defaults are the design's (section 4); seconds where a number is a time.

    owners: which side wins when both changed a field differently. Email and consent always belong to the audience side.
    soft_bounces: what a soft bounce does: opt out at once, after `soft_bounce_count` of them in `soft_bounce_span`, or
    nothing. lists_to: lists become tags, or one custom field named `lists_field`, of which a person on several lists
    gets the first of `lists_precedence`. fields_to_audience: the fields that staff's edits are written back of.
    missing_lists: a tag of the prefix that is no list's waits, or gets a list made. contact_tags_prefix: the audience
    side's own tags travel under it; empty: not. stage: nothing is written, only the CRM side and opt-outs, or both
    sides. crm_only: people whom only the CRM has are left
    alone, remembered as external, or created at the audience side, on the lists of their tags and on `crm_only_list`,
    with the nonprofit's own `permission_evidence` why they may be mailed. bulk_days, bulk_hours, bulk_zone: when
    bulk work may be written (stage.py).
    """

    reference_source: str = "Constant Contact"
    origin_segment_code: str = "CONSTANT-CONTACT-SYNC"
    tag_prefix: str = "CC: "
    contact_tags_prefix: str = ""
    lists_to: Literal["tags", "custom_field"] = "tags"
    lists_field: str = ""
    lists_precedence: tuple[str, ...] = ()
    custom_fields: Literal["by_name", "off"] = "by_name"
    custom_fields_owner: Literal["crm", "audience"] = "crm"
    soft_bounces: Literal["opt_out", "count", "ignore"] = "opt_out"
    soft_bounce_count: int = 3
    soft_bounce_span: float = 2_592_000.0
    contact_webhooks: bool = False
    fields_to_audience: tuple[str, ...] = ()
    missing_lists: Literal["wait", "create"] = "wait"
    owners: dict[str, Side] = field(
        default_factory=lambda: {
            "first_name": Side.crm,
            "last_name": Side.crm,
            "phone": Side.crm,
            "address": Side.crm,
            "email": Side.audience,
        }
    )
    opted_out_people: Literal["create", "leave_out"] = "create"
    added_tag_goes_to: Literal["primary", "all"] = "primary"
    unknown_tags: Literal["withhold", "send"] = "withhold"
    phone_region: str = "US"
    gate: float = 900.0
    brake_floor: int = 20
    brake_share: float = 0.05
    stage: Literal["observe", "one_way", "both"] = "both"
    crm_only: Literal["leave", "external", "create"] = "leave"
    crm_only_list: str = ""
    permission_evidence: str = ""
    bulk_days: tuple[str, ...] = ()
    bulk_hours: str = ""
    bulk_zone: str = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """How often each chore runs, in seconds. A sweep runs less often where the calls of a day, or of the CRM's hours,
    would not carry it."""

    changed: float = 3600.0
    opted_out: float = 900.0
    deleted: float = 3600.0
    lists: float = 3600.0
    fields: float = 86400.0
    reports: float = 3600.0
    sweep: float = 86400.0
    crm_changed: float = 3600.0
    crm_sweep: float = 86400.0
    obligations: float = 300.0
    subscription: float = 86400.0
    reconcile: float = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """An enabled direction between two connections of one customer, with its mapping and policy. crm: NO_CRM where the
    customer has none and its audience side is only fed. feeds: by name."""

    customer_id: str
    audience: str = "constant_contact"
    crm: str = "virtuous"
    policy: Policy = field(default_factory=Policy)
    cadence: Cadence = field(default_factory=Cadence)
    feeds: Mapping[str, Feed] = field(default_factory=dict)

    @property
    def alone(self) -> bool:
        """Is there no CRM?"""
        return self.crm == NO_CRM
