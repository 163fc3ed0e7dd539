"""The brake: what counts as only inferred, how much of it a route lets through in a day, what was discarded for good.

A change is inferred where nobody was seen to ask for it: something is absent, a record is deleted, an address bounced,
a CRM says no. One broken read or tool makes many of them look real at once (design section 4, brake).
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from keepstep.model.canonical import fingerprint
from keepstep.model.change import Inferred, Step
from keepstep.model.customer import Policy
from keepstep.model.party import Act, Party

# What is counted is counted for so long, and an opt-out is held no longer.
DAY = 86_400.0
# Steps of several lists at once: which lists share one is decided anew each time.
OF_LISTS = ("leave", "tag_off")
Words = tuple[str, str]


def most(policy: Policy, linked: int) -> int:
    """How many inferred changes may go out within a day, where so many people are linked."""
    # Rounded first: 0.07 x 100 is 7.000000000000001 and 0.29 x 100 is 28.999999999999996.
    return max(policy.brake_floor, int(round(policy.brake_share * linked, 6)))


def trips(fresh: int, counted: int, held: int, limit: int) -> bool:
    """Are these held? While anything is, what is inferred anew joins it."""
    return held > 0 or counted + fresh > limit


def inferred_from(acts: Iterable[Act]) -> Inferred | None:
    """Why an opt-out that rests on these acts is only inferred; None where a dated act of somebody's own is among
    them."""
    found = tuple(acts)
    if any(_is_own(act) for act in found):
        return None
    kinds = [act.kind for act in found]
    return "deletion" if "record" in kinds else "false" if "choice" in kinds else "bounce"


def _is_own(act: Act) -> bool:
    """A choice with a date, with its line of a report, or by a person's answer. A switch that was seen to flip has
    none of them."""
    return act.kind == "choice" and (act.at is not None or act.report is not None or act.source == "answer")


# --- what somebody has discarded -------------------------------------------------------------------------------------


def words(step: Step) -> tuple[Words, ...]:
    """What a step says and what it is inferred from, as (target, fingerprint): one for each list that it is about."""
    return tuple((step.target, fingerprint({**payload, "inferred": step.inferred})) for payload in _apart(step))


def _apart(step: Step) -> list[dict[str, Any]]:
    if step.kind not in OF_LISTS:
        return [dict(step.payload)]
    return [{**step.payload, "list_ids": [list_id]} for list_id in step.payload["list_ids"]]


def without_discarded(party: Party, step: Step) -> Step | None:
    """The step without what somebody has discarded; None where nothing is left of it. Nobody has discarded what was
    asked for, whatever was inferred before in the same words."""
    gone = [pair for person in party.people for pair in person.discarded]
    if not gone or step.inferred is None:
        return step
    if step.kind not in OF_LISTS:
        return None if words(step)[0] in gone else step
    pairs = zip(step.payload["list_ids"], words(step), strict=True)
    left = [list_id for list_id, said in pairs if said not in gone]
    if len(left) == len(step.payload["list_ids"]):
        return step
    payload = {**step.payload, "list_ids": left}
    return replace(step, payload=payload, group=f"{step.kind}:{','.join(left)}") if left else None


def discarded(party: Party, step: Step) -> Party:
    """The party, to which nobody says this again: on whom the step was about, else on its first person."""
    person = party.person(step.member or "") or next(iter(party.people), None)
    if person is None:
        return party
    known = (*(pair for pair in person.discarded if pair not in words(step)), *words(step))
    return party.with_person(replace(person, discarded=known))
