"""The judge: refutes what the service claims, from the stand-ins' final states, their arrivals and the log of acts.

It shares nothing with the service: not a line of code, not a table of fields, not a normalisation.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from keepstep_sandbox.judge import collateral, lists, traffic
from keepstep_sandbox.judge.consent import Consent
from keepstep_sandbox.judge.evidence import Evidence, Finding, Member
from keepstep_sandbox.judge.values import LOST, WRONG, Values
from keepstep_sandbox.world import World

CLASSES = ("in_step", "pending", "parked", "left_out")
MUST_BE_ZERO = ("lost", "duplicates", "wrong_fields", "echo_writes", "rate_limit_breaches")
Claim = Mapping[str, Any]


def judge(world: World, claims: Iterable[Claim], dead_letters: int = 0) -> dict[str, Any]:
    """The report. `claims`: {record_id, state: in_step|pending|parked|left_out, reason}, one per person known.

    `details` lists every violation by report key, record id and reason; `seconds` is the caller's to add.
    """
    evidence = Evidence(world)
    consent = Consent(evidence)
    findings = [
        *Values(evidence).findings(),
        *lists.findings(evidence),
        *consent.findings(),
        *collateral.collateral(evidence),
        *collateral.duplicates(evidence),
        *traffic.echoes(evidence),
        *traffic.breaches(evidence),
    ]
    spoiled = {finding.record for finding in findings if finding.key in (WRONG, LOST)}
    claimed = {str(claim.get("record_id")): claim for claim in claims}
    classes = {
        number: _class(evidence, member, claimed.get(number), spoiled) for number, member in evidence.members.items()
    }
    findings += _about_claims(evidence, claimed, classes)
    counts = Counter(name for name, _reason in classes.values())
    keys = Counter(finding.key for finding in findings)
    week = next(iter(world.log.of("week")), None)
    days = week.data["days"] if week else round((world.now - _begun(evidence)) / 86_400, 2)
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
        "echo_writes": keys["echo_writes"],
        "rate_limit_breaches": keys["rate_limit_breaches"],
        "calls": traffic.calls(evidence),
        "floor_calls": traffic.floor(evidence, days),
        "events": _events(evidence),
        "virtual_days": days,
        "details": [finding.exported() for finding in findings],
    }


def failed(report: Mapping[str, Any]) -> bool:
    """Whether a report must end a demo with exit code 1."""
    return any(report[key] for key in MUST_BE_ZERO) or report["opt_outs_applied"] < report["opt_outs"]


def _class(evidence: Evidence, member: Member, claim: Claim | None, spoiled: set[str]) -> tuple[str, str]:
    """The one class of a person and, where it is `lost`, why."""
    if claim is None:
        return "lost", "no claim"
    state = str(claim.get("state"))
    refuted = {
        "in_step": _refuted_in_step,
        "pending": lambda _evidence, _member, _claim: "",
        "parked": _refuted_parked,
        "left_out": _refuted_left_out,
    }.get(state)
    if refuted is None:
        return "lost", f"unknown state {state!r}"
    reason = refuted(evidence, member, claim)
    if not reason and state != "pending" and member.id in spoiled:
        reason = "a wrong value or a lost edit"
    return ("lost", f"claimed {state}: {reason}") if reason else (state, "")


def _refuted_in_step(evidence: Evidence, member: Member, _claim: Claim) -> str:
    if member.id not in evidence.captured:
        return "never served"
    if member.id in evidence.planted:
        return f"ambiguous by design ({evidence.planted[member.id]})"
    if member.id in evidence.waiting:
        return "still waiting at the vendor"
    if not member.linked:
        return "not linked" if member.contacts else "not in Virtuous"
    return ""


def _refuted_parked(evidence: Evidence, member: Member, claim: Claim) -> str:
    planted = evidence.planted.get(member.id)
    if planted is None:
        return f"nothing ambiguous ({claim.get('reason')})"
    return "" if planted in str(claim.get("reason")) else f"for {claim.get('reason')}, planted was {planted}"


def _refuted_left_out(_evidence: Evidence, member: Member, _claim: Claim) -> str:
    return "mailable" if member.mailable else ""


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


def _begun(evidence: Evidence) -> float:
    return evidence.acts[0].t if evidence.acts else evidence.now
