"""A customer's route: which two platforms are kept in step, and the policy that every decision follows."""

from dataclasses import dataclass, field
from typing import Literal

from keepstep.model.contact import Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a route says. The defaults are the design's (section 4); seconds where a number is a time.

    owners: which side wins when both changed a field differently. Email and consent always belong to the audience side.
    """

    reference_source: str = "Constant Contact"
    tag_prefix: str = "CC: "
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """How often each chore runs, in seconds."""

    changed: float = 3600.0
    opted_out: float = 900.0
    lists: float = 3600.0
    sweep: float = 86400.0
    crm_changed: float = 3600.0
    crm_sweep: float = 604800.0
    obligations: float = 300.0
    subscription: float = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """An enabled direction between two connections of one customer, with its mapping and policy."""

    customer_id: str
    audience: str = "constant_contact"
    crm: str = "virtuous"
    policy: Policy = field(default_factory=Policy)
    cadence: Cadence = field(default_factory=Cadence)
