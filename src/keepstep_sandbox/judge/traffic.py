"""What the arrival log says: writes that changed nothing, budgets overdrawn, calls made and calls needed."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from math import ceil
from typing import Any

from keepstep_sandbox.credentials import is_token
from keepstep_sandbox.faults import UNCERTAIN, is_write
from keepstep_sandbox.judge.evidence import OUT, Evidence, Finding
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS, Arrival

ECHO, BREACH = "echo_writes", "rate_limit_breaches"
PER_SECOND, PER_DAY = 4, 10_000  # CC facts 3.1
DAY, HOUR = 86_400, 3_600
HAIR = 1e-6  # sums of virtual seconds are not exact
AFTER_KILL = 3_600.0  # how far before a kill a write may lie whose answer was lost with the process
PAGE, BATCH, JOB = 500, 500, 500
_WRITTEN = ("edit", "person_joins", "person_leaves", "person_opts_out", "person_opts_in", "campaign_opt_out")


def echoes(evidence: Evidence) -> Iterator[Finding]:
    """Successful writes that changed nothing, repeats after a fault or a kill aside, and every write in the quiet."""
    quiet = next((act.t for act in evidence.acts if act.kind == "quiet"), float("inf"))
    kills = [act.t for act in evidence.acts if act.kind == "kill"]
    referred = _referred(evidence)
    before: dict[tuple[str, ...], list[Arrival]] = defaultdict(list)
    for one in evidence.arrivals:
        if not is_write(one.method, one.path):
            continue
        where = f"{one.vendor} {one.method} {one.path}"
        earlier = before[(one.vendor, one.method, one.path)]
        if one.t >= quiet:
            yield Finding(ECHO, str(one.n), f"{where}: in the quiet")
        elif _changed_nothing(evidence, one, referred) and not _repeats(one, earlier, kills):
            yield Finding(ECHO, str(one.n), f"{where}: changed nothing")
        earlier.append(one)


def _changed_nothing(evidence: Evidence, one: Arrival, referred: dict[str, float]) -> bool:
    if not 200 <= one.status < 300 or one.fault in ("reset_before", "html", "hold_before"):
        return False
    if one.path.endswith("/contacts_json_import"):  # whether a row took effect twice is for the judge of feeds
        return False
    if one.vendor == CONSTANT_CONTACT and one.path.startswith("/v3/activities/"):
        return not one.effects and not _job_changed(evidence, one)
    rows = [str(effect.after) for effect in one.effects if effect.field == "referenceId"]
    if rows and one.path.startswith("/api/Contact/"):
        return all(referred.get(number, float("inf")) < one.t for number in rows)
    return not one.effects


def _job_changed(evidence: Evidence, one: Arrival) -> bool:
    """Whether a list job found anything to change: an effect of its kind on one of its contacts, within the hour."""
    body = one.body.decode("utf-8", "replace")
    return any(
        one.t <= at <= one.t + HOUR and effect.record.partition(":")[2] in body
        for at, effect in evidence.world.constant_contact.background
    )


def _repeats(one: Arrival, earlier: list[Arrival], kills: list[float]) -> bool:
    """Whether the same write was cut short before, by a fault or with the process."""
    same = [other for other in earlier if other.body == one.body or one.method in ("PUT", "DELETE")]
    if any(other.fault in UNCERTAIN for other in same):
        return True
    return any(kill - AFTER_KILL <= other.t <= kill <= one.t for kill in kills for other in same)


def _referred(evidence: Evidence) -> dict[str, float]:
    """When each contact id first stood as a reference in Virtuous."""
    found: dict[str, float] = {}
    for at, effect in sorted(evidence.service_effects(VIRTUOUS), key=lambda row: row[0]):
        kind, _, rest = effect.record.partition(":")
        if kind == "reference" and effect.after is not None:
            found.setdefault(rest.rpartition("/")[2], at)
    return found


def breaches(evidence: Evidence) -> Iterator[Finding]:
    """Refusals that nobody scripted, and windows that held too many calls."""
    for one in evidence.arrivals:
        if one.status == 429 and not one.scripted:
            yield Finding(BREACH, str(one.n), f"{one.vendor} {one.path}: 429")
    by_key: dict[tuple[str, str, bool], list[float]] = defaultdict(list)
    for one in evidence.arrivals:
        by_key[(one.vendor, one.key, is_token(one.vendor, one.path))].append(one.t)
    for (vendor, _key, token), times in by_key.items():
        if vendor == CONSTANT_CONTACT:
            yield from _windows(sorted(times), 1 if token else PER_SECOND, "token" if token else "calls")
        if vendor == CONSTANT_CONTACT and not token:
            yield from _overdrawn(times, DAY, PER_DAY, vendor)
        elif vendor == VIRTUOUS:
            yield from _overdrawn(times, HOUR, int(evidence.world.virtuous.switches["hourly-limit"]), vendor)


def _windows(times: list[float], most: int, what: str) -> Iterator[Finding]:
    for first, after in zip(times, times[most:], strict=False):
        if after - first < 1.0 - HAIR:
            yield Finding(BREACH, "", f"{CONSTANT_CONTACT}: more than {most} {what} in the second from {first:.3f}")


def _overdrawn(times: list[float], span: int, most: int, vendor: str) -> Iterator[Finding]:
    for window, count in Counter(int(at // span) for at in times).items():
        if count > most:
            yield Finding(BREACH, "", f"{vendor}: {count} calls in the {span} s from {window * span}")


def calls(evidence: Evidence) -> dict[str, int]:
    """Requests per vendor, tokens included."""
    counts = Counter(one.vendor for one in evidence.arrivals)
    return {vendor: counts[vendor] for vendor in (CONSTANT_CONTACT, VIRTUOUS)}


def floor(evidence: Evidence, days: float) -> dict[str, int]:
    """The fewest calls that could have done the same: what the judge would need with hourly polls and a daily sweep."""
    people, nights = len(evidence.members), ceil(days)
    kinds = Counter(act.kind for act in evidence.acts)
    outs = [act for act in evidence.acts_of(VIRTUOUS, "staff_opts") if not act.data["opted_in"]]
    tags = list(evidence.acts_of(VIRTUOUS, "staff_adds_tag", "staff_removes_tag"))
    jobs = Counter((int(act.t // DAY), act.kind, str(act.data["tag_name"])) for act in tags)
    polls = 24 * nights
    audience = (
        ceil(people / PAGE) * nights + polls + 4 * polls + 2 * len(outs) + sum(ceil(n / JOB) for n in jobs.values())
    )
    mailable = sum(member.mailable for member in evidence.members.values())
    direct = sum(member.permission == OUT and not _acted(evidence, member.id) for member in evidence.members.values())
    written = sum(kinds[kind] for kind in _WRITTEN)
    noted = kinds["delete"] + kinds["bounce"] + kinds["complain"]
    crm = ceil(mailable / BATCH) + ceil(people / 1000) * nights + polls + direct + written + 2 * noted
    return {CONSTANT_CONTACT: audience, VIRTUOUS: crm + _late(evidence)}


def _acted(evidence: Evidence, number: str) -> bool:
    return any(act.record == number for act in evidence.acts_of(CONSTANT_CONTACT, "person_opts_out"))


def _late(evidence: Evidence) -> int:
    """One call for each tag that could not travel with the import because its definition came late."""
    begun = next((act.t for act in evidence.acts if act.kind == "week"), evidence.now)
    late: set[Any] = {act.data["name"] for act in evidence.acts_of(VIRTUOUS, "add_tag") if act.t > begun}
    return sum(len(late & evidence.lists_of(member)) for member in evidence.members.values()) if late else 0
