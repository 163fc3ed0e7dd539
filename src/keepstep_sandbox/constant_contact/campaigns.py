"""Mailing people, and what mailed people and their providers do (CC facts 8)."""

from collections.abc import Sequence
from math import floor

from keepstep_sandbox.constant_contact.account import Account
from keepstep_sandbox.constant_contact.changes import Change
from keepstep_sandbox.constant_contact.contact import OUT, Contact
from keepstep_sandbox.constant_contact.mailings import (
    ABUSE,
    BOUNCES,
    CODES,
    OPT_OUTS,
    SENDS,
    Campaign,
    Mailing,
    Track,
)

COMPLAINT = "Spam complaint"


def draft(account: Account, name: str, now: float) -> Campaign:
    """A campaign as it is made: a primary email and a permanent link, neither sent."""
    at, ids = _millis(now), account.ids
    roles = [Mailing(ids.next(), role) for role in ("primary_email", "permalink")]
    campaign_id = f"{ids.next()[:-1]}z"  # as in the vendor's own example: not every id is a UUID (CC facts 1, 12)
    made = Campaign(campaign_id, name, at, at, activities=roles)
    account.campaigns[made.campaign_id] = made
    account.note(f"campaign:{made.campaign_id}", "name", None, name)
    return made


def send(account: Account, campaign: Campaign, contact_ids: Sequence[str] | None, now: float) -> None:
    """Send it to people who may be mailed, each once. A campaign that was sent before is sent as a resend."""
    mailing = campaign.activities[0]
    if mailing.sent is not None:
        mailing = Mailing(account.ids.next(), "resend")
        campaign.activities.append(mailing)
    people = account.contacts if contact_ids is None else dict.fromkeys(contact_ids)
    for contact in [account.contacts[one] for one in people]:
        if contact.mailable and contact.address:
            mailing.tracks.append(Track(SENDS, contact.contact_id, contact.address, _millis(now)))
    mailing.sent = campaign.updated = _millis(now)
    campaign.status = "Done"
    account.note(f"campaign:{campaign.campaign_id}", "status", "Draft", "Done")


def bounce(account: Account, contact: Contact, code: str, now: float) -> None:
    """The last mail to this contact came back. The contact's record does not change (CC facts 8).

    Raises ValueError for an unknown code or a contact without an address.
    """
    if code not in CODES:
        raise ValueError(f"no bounce code {code!r}; there are {', '.join(CODES)}")
    mailing, address = _last(account, contact, now)
    mailing.tracks.append(Track(BOUNCES, contact.contact_id, address, _millis(now), code=code))
    account.note(f"contact:{contact.contact_id}", "bounce", None, code)
    if code == "B" and contact.mailable and account.switches["hard_bounce_holds"] == "yes":
        Change(account, contact, now).permission("temp_hold", "Account")


def opt_out(account: Account, contact: Contact, reason: str | None, now: float) -> None:
    """The person follows the link in the last mail. Raises ValueError for a contact without an address."""
    mailing, address = _last(account, contact, now)
    mailing.tracks.append(Track(OPT_OUTS, contact.contact_id, address, _millis(now), reason=reason))
    Change(account, contact, now).permission(OUT, "Contact", reason)


def complain(account: Account, contact: Contact, now: float) -> None:
    """The person calls the last mail spam: only a count tells, and presumably an opt-out (CC facts 8)."""
    mailing, address = _last(account, contact, now)
    mailing.tracks.append(Track(ABUSE, contact.contact_id, address, _millis(now)))
    account.note(f"contact:{contact.contact_id}", "complaint", None, "abuse")
    way = account.switches["complaint"]
    if way != "count_only":
        reason = COMPLAINT if way == "unsubscribes_with_reason" else None
        Change(account, contact, now).permission(OUT, "Contact", reason)


def _last(account: Account, contact: Contact, now: float) -> tuple[Mailing, str]:
    """The last mail to a contact and the address it went to; somebody never mailed is mailed now."""
    mailings = [one for campaign in account.campaigns.values() for one in campaign.sent()]
    for mailing in sorted(mailings, key=lambda one: one.sent or 0, reverse=True):
        for track in mailing.tracks:
            if track.kind == SENDS and track.contact_id == contact.contact_id:
                return mailing, track.address
    if contact.address is None:
        raise ValueError("the contact has no address to mail to")
    campaign = draft(account, "To one person", now)
    send(account, campaign, (), now)
    mailing = campaign.activities[0]
    mailing.tracks.append(Track(SENDS, contact.contact_id, contact.address, _millis(now)))
    return mailing, contact.address


def _millis(now: float) -> int:
    return floor(now * 1000)
