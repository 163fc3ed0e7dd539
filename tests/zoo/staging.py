"""Seeds in which one thing is done on purpose: a few calm people, drawn vendors, and what it takes to show a mistake.

Who does what, and when, is said; the vendors' disputed facts, the order of things and how long calls take are the
seed's. Moments count from the first night, when everybody has become a contact of Virtuous.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from keepstep.model.customer import Cadence, Policy
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_sandbox.week import happenings as to
from keepstep_sandbox.week.scene import DOUBTS, Scene
from keepstep_simulator import disputes
from keepstep_simulator.acts import Act
from keepstep_simulator.chaos import Chaos
from keepstep_simulator.run import Plan
from keepstep_simulator.swarm import BACK, TAGS_PREFIX, Nets
from keepstep_simulator.town import Town

MINUTE, HOUR = 60.0, 3600.0
Do = Callable[[Scene], Any]
Switches = Mapping[str, Mapping[str, str]]
CC, V = CONSTANT_CONTACT, VIRTUOUS
ROUTE = Policy(contact_tags_prefix=TAGS_PREFIX, fields_to_audience=BACK)
# Nobody was known before: a draw of 0.9 plants nothing (deeds.py).
CALM = {f"planted customer-{one} {what}": 0.9 for one in (0, 1) for what in ("match", "couple", *DOUBTS)}
# Every round runs a few times a day.
SEEN = Cadence(**dict.fromkeys(("opted_out", "changed", "deleted", "reports", "crm_changed"), 4 * HOUR), lists=5 * HOUR)


class Staged:
    """A plan by its seed. `pinned`: switches that are not the seed's; `more`: what else the plan says."""

    def __init__(self, *acts: Act, pinned: Switches | None = None, **more: Any) -> None:
        self._acts, self._pinned, self._more = acts, pinned or {}, more

    def __call__(self, seed: int) -> Plan:
        """One customer's eight people, to whom nothing happens but this."""
        drawn = disputes.of_seed(seed)
        usual: dict[str, Any] = {
            "customers": 1,
            "people": (8, 8),
            "nets": Nets(),
            "policy": ROUTE,
            "cadence": SEEN,
            "chaos": Chaos(seed),
            "deeds": False,
            "mishaps": False,
            "agitation": 0.0,
            "given": CALM,
            "switches": {vendor: {**drawn[vendor], **self._pinned.get(vendor, {})} for vendor in drawn},
        }
        return Plan(**{**usual, "acts": self._acts, **self._more})


def does(at: float | None, do: Do, on: str = "", town: int = 0) -> Act:
    """Something that people or staff do."""

    def done(there: Town) -> Any:
        assert there.scene is not None
        return do(there.scene)

    return Act(at, done, on, town)


def one(happening: to.Happening, place: int = 0) -> Do:
    """It happens to somebody, by place among those to whom nothing else happens."""
    return lambda scene: happening(scene, scene.free(place))


def edits(place: int = 0, **values: Any) -> Do:
    """Somebody's record is edited at Constant Contact."""
    return lambda scene: to.edits(scene, scene.free(place), **values)


def mail(address: str | None, kind: str = "Home Email") -> list[dict[str, Any]]:
    """The methods of somebody with one address."""
    return [{"type": kind, "value": address, "isOptedIn": True, "isPrimary": True}]


def alike(scene: Scene, place: int = 0, **more: Any) -> dict[str, Any]:
    """Somebody as Virtuous knew them."""
    person = scene.people[scene.free(place)]
    named = {"firstName": person.first_name, "lastName": person.last_name}
    return {**named, "contactMethods": mail(person.email), **more}


def knew(scene: Scene, individuals: Sequence[dict[str, Any]], **more: Any) -> None:
    """Virtuous has had a household for long."""
    values = {"contactType": "Household", "name": "Household", "contactIndividuals": list(individuals), **more}
    scene.act(VIRTUOUS, "add_contact", **values)


def must_wait(scene: Scene, reason: str) -> None:
    """Nobody but a person can match the first of them."""
    scene.world.note("week", VIRTUOUS, "planted", scene.ids[scene.free(0)], reason=reason)
