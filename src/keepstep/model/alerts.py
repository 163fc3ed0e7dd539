"""What an owner is told: the closed list of causes, a sentence each, and what to type next.

No name, address or text of a vendor gets in: a cause has words, counts and ids that we made.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from keepstep.model.instant import Instant, format_instant

DAY, HOUR = 86_400.0, 3600.0
# Repeated causes are summed up then: the working day begins from New York to Phoenix.
DIGEST_HOUR = 15
# In the data of a cause: when it was told last. A caller has no such fact.
TOLD = "told"
_FIRST_PAUSE = 60.0
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,63}")
_HIDDEN = "***"


class Kind(StrEnum):
    """Everything that somebody is told."""

    connection_blocked = "connection_blocked"
    connection_works = "connection_works"
    reading_fails = "reading_fails"
    turn_failed = "turn_failed"
    partner_shut = "partner_shut"
    partner_stays_shut = "partner_stays_shut"
    partner_plan = "partner_plan"
    partner_unknown = "partner_unknown"
    partner_topic = "partner_topic"
    certificate_red = "certificate_red"
    brake_holds = "brake_holds"
    drift_refused = "drift_refused"
    dead_letters = "dead_letters"
    dead_letters_grow = "dead_letters_grow"
    optout_refused = "optout_refused"
    webhooks_quiet = "webhooks_quiet"
    rotation_stuck = "rotation_stuck"
    feed_check_failed = "feed_check_failed"
    feed_rows_parked = "feed_rows_parked"
    quota_used = "quota_used"


@dataclass(frozen=True, slots=True)
class Words:
    """What is said of a kind, and the next command. `lasts`: until its cause is gone; what does not last has only
    happened. `by_hand`: only a person's act ends it, so that the next one is news at once. `well`: what is told once
    it is over."""

    says: str
    then: str
    lasts: bool = True
    by_hand: bool = False
    well: Kind | None = None


_STATUS = "keepstep status --customer {customer}"
_LETTERS = "keepstep dead-letters list --customer {customer}"
WORDS: Mapping[Kind, Words] = {
    Kind.connection_blocked: Words(
        "The connection to {subject} is blocked ({reason}). Nothing is lost: what is decided waits.",
        "see the runbook for {reason}, store what is missing, or `keepstep customer resume {customer}`",
        by_hand=True,
        well=Kind.connection_works,
    ),
    Kind.connection_works: Words(
        "The connection to {subject} is blocked no more. What waited goes out.", _STATUS, lasts=False, by_hand=True
    ),
    Kind.reading_fails: Words(
        "Reading from {platform} has failed {tries} times in a row ({chore}). It is tried again.", "keepstep doctor"
    ),
    Kind.turn_failed: Words(
        "A piece of work ended in an error that nobody foresaw ({error}). It is tried again every minute.",
        f"{_STATUS}; then report the line of the log that names the error",
        lasts=False,
    ),
    Kind.partner_shut: Words(
        "{subject} says that the account was shut ({event}). The customer is paused; work is kept.",
        "ask the account's owner; once it is open the service resumes; else `keepstep customer remove {customer}`",
    ),
    Kind.partner_stays_shut: Words(
        "The account is open again by its plan, and the customer stays paused ({why}).",
        "keepstep connect constant_contact --customer {customer}, then `keepstep customer resume {customer}`",
        lasts=False,
    ),
    Kind.partner_plan: Words(
        "The account's plan changes ({event}). It is read again; how often is polled follows it.", _STATUS, lasts=False
    ),
    Kind.partner_unknown: Words(
        "A partner webhook came that is not understood ({reason}, {event}). It is stored; nothing is done about it.",
        "keepstep partner events",
        lasts=False,
    ),
    Kind.partner_topic: Words(
        "The vendor tells partners of something new (topic {subject}). Nobody is subscribed to it.",
        "keepstep partner topics",
        lasts=False,
    ),
    Kind.certificate_red: Words(
        "Last night's certificate of opt-outs is not complete ({verdict}).",
        "keepstep consent --certificate --customer {customer}",
    ),
    Kind.brake_holds: Words(
        "Too many changes that nobody was seen to ask for ({count}) are held until a person has seen them.",
        "keepstep brake show --customer {customer}",
    ),
    Kind.drift_refused: Words(
        "The two sides differ for so many people that nothing is repaired without a person's word.",
        "keepstep reconcile --customer {customer}",
    ),
    Kind.dead_letters: Words(
        "The {subject} side refused a change for good ({kind}). It is kept, with what to do about it.", _LETTERS
    ),
    Kind.dead_letters_grow: Words("There are {failed} dead letters, many more than a day ago.", _LETTERS),
    Kind.optout_refused: Words(
        "The {subject} side refuses an opt-out ({kind}, status {status}). It is tried again every hour.",
        _STATUS,
        lasts=False,
    ),
    Kind.webhooks_quiet: Words(
        "No webhook of {subject} arrives, though there was something to tell. It is polled more often.",
        "keepstep doctor",
    ),
    Kind.rotation_stuck: Words(
        "{subject} has not taken the new webhook secret or address yet. The one before is believed too until it has.",
        "keepstep customer show {customer}",
    ),
    Kind.feed_check_failed: Words(
        "The table of feed {subject} cannot be read as it is set (problems: {problems}). Nothing of it is imported.",
        "keepstep feed check {subject} --customer {customer}",
    ),
    Kind.feed_rows_parked: Words(
        "Rows of feed {subject} wait for a person: {count}.", "keepstep feed rows {subject} --customer {customer}"
    ),
    Kind.quota_used: Words(
        "The day's calls of application key {subject} are used up. Work goes on after midnight UTC.",
        "keepstep status",
        lasts=False,
    ),
}
# What ends a block, by its reason.
_REASONS: Mapping[str, str] = {
    "reauthorize": "the account's owner connects again: `keepstep connect {subject} --customer {customer}`",
    "not_connected": "keepstep connect {subject} --customer {customer}",
    "wrong_account": "connect signed in to the right account: `keepstep connect {subject} --customer {customer}`",
    "copied": "two databases serve one account: stop the other one for good, then `keepstep adopt`",
}
# A feed's connection is named after its platform and itself.
_FEED = "keepstep feed connect {feed} --customer {customer}"


def is_news(kind: Kind, closed: Instant | None, now: Instant) -> bool:
    """Is a cause that was there before a new one? One that comes and goes within a day is the same."""
    if closed is None:
        return False
    return WORDS[kind].by_hand or closed < now - DAY


def next_digest(now: Instant) -> Instant:
    """When what keeps coming is summed up next."""
    today = now - now % DAY + DIGEST_HOUR * HOUR
    return today if today > now else today + DAY


def pause_after(tries: int) -> float:
    """Seconds until a message that was not taken is tried again: a minute, doubling to an hour."""
    return min(HOUR, _FIRST_PAUSE * 2.0 ** min(tries, 10))


def facts(data: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a cause's facts: numbers and words of ours; any other text is hidden."""
    return {name: _safe(value) for name, value in data.items()}


def _safe(value: object) -> object:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return value if isinstance(value, str) and _WORD.fullmatch(value) else _HIDDEN


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause as it is told. `waits`: decided writes that wait for it; None where that says nothing."""

    customer_id: str
    kind: Kind
    subject: str
    data: Mapping[str, Any]
    at: Instant
    times: int = 1
    closed: Instant | None = None
    waits: int | None = None


def title(causes: Sequence[Cause]) -> str:
    """The head of one message about a customer."""
    what = causes[0].kind.replace("_", " ") if len(causes) == 1 else f"{len(causes)} things that keep coming"
    return f"Keepstep, {causes[0].customer_id}: {what}"


def body(causes: Sequence[Cause]) -> str:
    """What happened, and the next command, each in a line."""
    return "\n\n".join(_told(one) for one in causes)


def next_step(kind: Kind, customer_id: str, subject: str, data: Mapping[str, Any]) -> str:
    """The command to type, or what else to do."""
    asks = None
    if kind is Kind.connection_blocked:
        _, is_feed, feed = subject.partition(":")
        asks = _FEED.format(feed=feed, customer=customer_id) if is_feed else _REASONS.get(str(data.get("reason")))
    return (asks or WORDS[kind].then).format_map(_Known(data, customer=customer_id, subject=subject))


def _told(one: Cause) -> str:
    lines = [WORDS[one.kind].says.format_map(_Known(one.data, customer=one.customer_id, subject=one.subject))]
    if one.waits is not None:
        lines.append(f"Writes that wait: {one.waits}.")
    if one.times > 1:
        lines.append(f"It came {one.times} times since {format_instant(one.at)}.")
    if one.closed is not None and WORDS[one.kind].lasts:
        lines.append(f"It is over since {format_instant(one.closed)}.")
    return "\n".join([*lines, f"Next: {next_step(one.kind, one.customer_id, one.subject, one.data)}"])


class _Known(dict[str, Any]):
    """The values of a sentence; what nobody said is `unknown`."""

    def __init__(self, data: Mapping[str, Any], **more: Any) -> None:
        super().__init__({**data, **more})

    def __missing__(self, _name: str) -> str:
        return "unknown"
