"""What a settings file says of its customers, as what seeds are made of.

The judge of the stand-ins knows a few words of a route. Where a route says more, half of its seeds play what the judge
knows, and everything is decided; the other half play the whole route, and whether each field ends as it should is left
to those who wrote it: safety is decided all the same.
"""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from keepstep.model.customer import NO_CRM, Policy, Route
from keepstep.settings import load
from keepstep_simulator.figures import Part
from keepstep_simulator.run import Plan

# What the judge understands, and what changes nothing that it looks at.
JUDGED = frozenset(
    "contact_tags_prefix contact_webhooks fields_to_audience gate brake_floor brake_share unknown_tags".split()
)
# What is decided by how fields, lists and consents ought to stand in the end.
BY_THE_END = frozenset({"I6", "I7", "I10", "I11", "I12", "I13"})


def parts(path: Path | None, nights: int) -> tuple[Part, ...]:
    """For each customer of the file that has both sides; without a file or such a customer, the drawn ones."""
    routes = [one.route for _, one in sorted(load(path, {}).customers.items())]
    own = [part for route in routes if route.crm != NO_CRM for part in _of(route, nights)]
    return tuple(own) or (Part(Plan(nights=nights)),)


def unjudged(policy: Policy) -> frozenset[str]:
    """What a policy says that the judge does not know."""
    usual = asdict(Policy())
    return frozenset(name for name, value in asdict(policy).items() if value != usual[name]) - JUDGED


def _of(route: Route, nights: int) -> Iterator[Part]:
    said = asdict(route.policy)
    known = Policy(**{name: said[name] for name in JUDGED})
    yield Part(Plan(nights=nights, policy=known, cadence=route.cadence))
    if unjudged(route.policy):
        yield Part(Plan(nights=nights, policy=route.policy, cadence=route.cadence), BY_THE_END)
