"""The judge: refutes what the service claims, from the stand-ins' final states, their arrivals and the log of acts.

It shares nothing with the service: not a line of code, not a table of fields, not a normalisation.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from keepstep_sandbox.judge import collateral, custom, lists, traffic
from keepstep_sandbox.judge.consent import Consent
from keepstep_sandbox.judge.evidence import Evidence, Finding, Member
from keepstep_sandbox.judge.mail import Mail
from keepstep_sandbox.judge.parkings import Parkings
from keepstep_sandbox.judge.values import LOST, WRONG, Values
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_sandbox.world import World

CLASSES = ("in_step", "pending", "parked", "left_out")
MUST_BE_ZERO = ("lost", "duplicates", "wrong_fields", "echo_writes", "rate_limit_breaches")
Claim = Mapping[str, Any]


def judge(world: World, claims: Iterable[Claim], dead_letters: int = 0) -> dict[str, Any]:
    """The report. `claims`: {record_id, state: in_step|pending|parked|left_out, reason}, one per person known.

    `details` lists every violation by report key, record id and reason; `seconds` is the caller's to add.
    """
    evidence = Evidence(world)
    mail = Mail(evidence)
    consent = Consent(evidence, mail)
    parkings = Parkings(evidence, mail, consent)
    findings = _findings(evidence, mail, consent)
    spoiled = {finding.record for finding in findings if finding.key in (WRONG, LOST)}
    claimed = {str(claim.get("record_id")): claim for claim in claims}
    classes = {
        number: _class(evidence, parkings, member, claimed.get(number), spoiled)
        for number, member in evidence.members.items()
    }
    findings += _about_claims(evidence, claimed, classes)
    counts = Counter(name for name, _reason in classes.values())
    keys = Counter(finding.key for finding in findings)
    days = _days(evidence)
    return {
        "people": len(evidence.members),
        "captured": len(evidence.captured),
        "linked": sum(member.linked for member in evidence.members.values()),
        **{name: counts[name] for name in CLASSES},
        "dead_letters": dead_letters,
        "wrong_fields": keys["wrong_fields"],
        "duplicates": keys["duplicates"],
        "lost": counts["lost"],
        "opt_outs": len(consent.acts),
        "opt_outs_applied": consent.applied(),
        "bounces": len(mail.bounces),
        "bounces_applied": mail.applied(),
        "notes": mail.notes(),
        "notes_due": sum(mail.due[member.id] for member in evidence.members.values() if member.contact is not None),
        "echo_writes": keys["echo_writes"],
        "rate_limit_breaches": keys["rate_limit_breaches"],
        "calls": traffic.calls(evidence),
        "floor_calls": traffic.floor(evidence, days),
        "events": _events(evidence),
        "events_by_side": _by_side(evidence),
        "virtual_days": days,
        "details": [finding.exported() for finding in findings],
    }


def _findings(evidence: Evidence, mail: Mail, consent: Consent) -> list[Finding]:
    """What is wrong, whatever anybody claims."""
    return [
        *Values(evidence).findings(),
        *lists.findings(evidence),
        *custom.findings(evidence),
        *mail.findings(),
        *consent.findings(),
        *collateral.collateral(evidence),
        *collateral.duplicates(evidence),
        *traffic.echoes(evidence),
        *traffic.breaches(evidence),
    ]


def failed(report: Mapping[str, Any]) -> bool:
    """Whether a report must end a demo with exit code 1."""
    return any(report[key] for key in MUST_BE_ZERO) or report["opt_outs_applied"] < report["opt_outs"]


def _class(
    evidence: Evidence, parkings: Parkings, member: Member, claim: Claim | None, spoiled: set[str]
) -> tuple[str, str]:
    """The one class of a person and, where it is `lost`, why."""
    if claim is None:
        return "lost", "no claim"
    state = str(claim.get("state"))
    refuted: Callable[[], str] | None = {
        "in_step": lambda: _refuted_in_step(evidence, parkings, member),
        "pending": lambda: "",
        "parked": lambda: parkings.refuted(member, str(claim.get("reason"))),
        "left_out": lambda: "mailable" if member.mailable else "",
    }.get(state)
    if refuted is None:
        return "lost", f"unknown state {state!r}"
    reason = refuted()
    if not reason and state != "pending" and member.id in spoiled:
        reason = "a wrong value or a lost edit"
    return ("lost", f"claimed {state}: {reason}") if reason else (state, "")


def _refuted_in_step(evidence: Evidence, parkings: Parkings, member: Member) -> str:
    if member.id not in evidence.captured:
        return "never served"
    if must := parkings.must(member):
        return f"nobody but a person can tell ({must})"
    if member.id in evidence.waiting and not evidence.is_behind(member):
        return "still waiting at the vendor"
    if not member.linked and (member.address or member.contact is None):
        return "not linked" if member.contacts else "not in Virtuous"
    return ""


def _about_claims(
    evidence: Evidence, claimed: Mapping[str, Claim], classes: Mapping[str, tuple[str, str]]
) -> Iterator[Finding]:
    for number, (name, reason) in classes.items():
        if name == "lost":
            yield Finding(LOST, number, reason)
        elif name == "pending":
            yield Finding("pending", number, str(claimed[number].get("reason")))
    for number in sorted(evidence.captured ^ claimed.keys()):
        yield Finding("captured", number, "claimed, never served" if number in claimed else "served, not claimed")


def _events(evidence: Evidence) -> dict[str, int]:
    """What happened, by kind; a kind that was planned and never happened is 0."""
    week = next((act for act in evidence.acts if act.kind == "week"), None)
    counts = dict.fromkeys(week.data.get("planned", ()) if week else (), 0)
    counts["nightly_batch"] = sum(act.kind == "run_batch" for act in evidence.acts)
    for act in evidence.acts:
        if act.kind == "event":
            what = str(act.data["what"])
            counts[what] = counts.get(what, 0) + 1
    return dict(sorted(counts.items()))


def _by_side(evidence: Evidence) -> dict[str, dict[str, int]]:
    """What happened at each vendor, by kind: whatever happens at one of them has to reach the other."""
    kinds: dict[str, Counter[str]] = {CONSTANT_CONTACT: Counter(), VIRTUOUS: Counter()}
    for act in evidence.acts:
        if act.kind == "event" and act.side in kinds:
            kinds[act.side][str(act.data["what"])] += 1
    return {side: dict(sorted(counts.items())) for side, counts in kinds.items()}


def _days(evidence: Evidence) -> float:
    """The week's days, or those since the first act where there is no week."""
    week = next((act for act in evidence.acts if act.kind == "week"), None)
    begun = evidence.acts[0].t if evidence.acts else evidence.now
    return int(week.data["days"]) if week else round((evidence.now - begun) / 86_400, 2)
