"""What was mailed and what came back of it (CC facts 8). Moments are epoch milliseconds: reports have fractions."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

SENDS, BOUNCES, OPT_OUTS, ABUSE = "em_sends", "em_bounces", "em_optouts", "em_abuse"
# Bounce code -> the count it goes into; S is a suspended address, V an automatic answer that was delivered.
CODES = {
    "B": "em_bounces_nonexistent_address",
    "D": "em_bounces_undeliverable",
    "F": "em_bounces_mailbox_full",
    "S": "em_bounces_suspended",
    "V": "em_bounces_vacation",
    "X": "em_bounces_other",
    "Z": "em_bounces_blocked",
}


@dataclass(frozen=True, slots=True)
class Track:
    """One thing that happened to one contact in one mailing. `address` is the one that was mailed to."""

    kind: str
    contact_id: str
    address: str
    at: int
    code: str | None = None
    reason: str | None = None


@dataclass(slots=True, eq=False)
class Mailing:
    """One activity of a campaign. Only those of role primary_email and resend that were sent have reports."""

    activity_id: str
    role: str
    sent: int | None = None
    tracks: list[Track] = field(default_factory=list)

    def of(self, kind: str) -> list[Track]:
        """Tracks of one kind, newest first; of one moment the later one."""
        found = [one for one in reversed(self.tracks) if one.kind == kind]
        return sorted(found, key=lambda one: -one.at)

    def unique(self, kind: str) -> int:
        """How many contacts it happened to."""
        return len({one.contact_id for one in self.tracks if one.kind == kind})


@dataclass(slots=True, eq=False)
class Campaign:
    """An email campaign with its activities; `updated` moves when it is edited or sent, not when mail bounces."""

    campaign_id: str
    name: str
    created: int
    updated: int
    status: str = "Draft"
    activities: list[Mailing] = field(default_factory=list)

    def sent(self) -> Iterator[Mailing]:
        """The activities that went out."""
        return (one for one in self.activities if one.sent is not None)

    def last_sent(self) -> int | None:
        """When something of it went out last."""
        return max((one.sent for one in self.activities if one.sent is not None), default=None)


def whole(one: Campaign) -> dict[str, Any]:
    """A campaign with everything that came back, for the judge; moments as epoch seconds."""
    rows = [
        {
            "campaign_activity_id": mailing.activity_id,
            "role": mailing.role,
            "tracks": [{**asdict(track), "at": track.at / 1000} for track in mailing.tracks],
        }
        for mailing in one.activities
    ]
    return {"campaign_id": one.campaign_id, "name": one.name, "status": one.status, "activities": rows}
