"""What a seed draws, element by element: each has a label, and can be struck out without disturbing the others.

A draw is a hash of the seed and a label, never the next number of a stream: whatever is struck, everything else keeps
its draw. What happens now and then (calls, commits) is counted within its hour, so that a call more or less in the
morning leaves the afternoon alone.

| first word of a label | what it is |
|---|---|
| customer, person, order, switch, cadence, net, policy | the setting: who is there, how things stand |
| deed, fault, commit, crash, and every other | an event: something happens |

`order`: tasks that are ready at one moment take turns at random; struck, the first comes first. A struck switch has its
first value, a struck cadence or policy the usual one, a struck net is there.
"""

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

from keepstep.model.customer import Cadence
from keepstep_sandbox.people import ACCOUNT
from keepstep_sandbox.week.scene import Scene
from keepstep_sandbox.world import START, World
from keepstep_simulator import disputes

T = TypeVar("T")
SETTING = ("customer", "person", "order", "switch", "cadence", "net", "policy")
_HOUR = 3600.0
_WHOLE = float(2**56)


@dataclass(frozen=True, slots=True)
class Element:
    """One thing that was drawn and played: when, and what the narrative needs to tell it."""

    label: str
    at: float
    what: dict[str, Any]
    done: bool = False

    @property
    def kind(self) -> str:
        """The first word of the label."""
        return self.label.partition(" ")[0]

    @property
    def event(self) -> bool:
        """Whether something happens; else it belongs to the setting."""
        return self.kind not in SETTING


@dataclass(slots=True)
class Script:
    """The dice of one seed, and what of its draws is played. `only`: the labels that may be
    played; everything else is struck out, whatever it is. None: everything is played. `given`: draws that are said."""

    seed: int
    only: frozenset[str] | None = None
    clock: Callable[[], float] = lambda: START
    played: dict[str, Element] = field(default_factory=dict)
    _counts: Counter[str] = field(default_factory=Counter)
    _moment: tuple[float, int] = (0.0, 0)
    given: Mapping[str, float] = field(default_factory=dict)

    def plays(self, label: str, at: float | None = None, **what: Any) -> bool:
        """Whether an element that was drawn is played; those that are, are remembered. `at`: now, unless said."""
        if self.only is not None and label not in self.only:
            return False
        self.played[label] = Element(label, self.clock() if at is None else at, what)
        return True

    def happens(self, label: str) -> None:
        """It happens now, or begins: what had to wait was drawn for an earlier moment."""
        if label in self.played and not self.played[label].done:
            self.played[label] = replace(self.played[label], at=self.clock(), done=True)

    def draw(self, label: str) -> float:
        """A number in [0, 1) that depends on the seed and the label alone."""
        if label in self.given:
            return self.given[label]
        digest = hashlib.blake2b(f"{self.seed}:{label}".encode("utf-8", "surrogatepass"), digest_size=7).digest()
        return int.from_bytes(digest, "big") / _WHOLE

    def pick(self, label: str, among: Sequence[T]) -> T:
        """One of several."""
        return among[int(self.draw(label) * len(among))]

    def uniform(self, label: str, low: float, high: float) -> float:
        """A number in [low, high)."""
        return low + (high - low) * self.draw(label)

    def occurrence(self, what: str) -> str:
        """A label for this occurrence of something that happens often: the hour since the start, and which of it."""
        hourly = f"{what} in hour {int((self.clock() - START) // _HOUR)}"
        self._counts[hourly] += 1
        return f"{hourly} number {self._counts[hourly]}"

    def here(self) -> str:
        """A label for the next draw of this moment; nobody has it twice."""
        now = self.clock()
        count = self._moment[1] + 1 if self._moment[0] == now else 1
        self._moment = now, count
        return f"{now} {count}"


class Turns(random.Random):
    """The loop's chance: who comes next depends on the moment, not on how often it was asked before."""

    def __init__(self, script: Script) -> None:
        super().__init__(0)
        self._script = script
        self._moment, self._count = 0.0, 0
        self._fifo = not script.plays("order")

    def random(self) -> float:
        """In [0, 1); always 0 where the order is struck out."""
        if self._fifo:
            return 0.0
        now = self._script.clock()
        self._count = self._count + 1 if now == self._moment else 1
        self._moment = now
        return self._script.draw(f"turn {now} {self._count}")


def settings_of(script: Script, chosen: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """What the vendors are like: a switch that is struck out, or has its first value anyhow, is not named."""
    first = {(vendor, one.name): one.values[0] for vendor, registry in disputes.REGISTRIES.items() for one in registry}
    return {
        vendor: {
            name: value
            for name, value in values.items()
            if value != first[vendor, name] and script.plays(f"switch {vendor} {name}", START, value=value)
        }
        for vendor, values in chosen.items()
    }


def cadence_of(script: Script, drawn: Cadence) -> Cadence:
    """How often the product looks; a cadence that is struck out is the usual one."""
    usual = asdict(Cadence())
    return Cadence(
        **{
            name: seconds
            if seconds != usual[name] and script.plays(f"cadence {name}", START, seconds=seconds)
            else usual[name]
            for name, seconds in asdict(drawn).items()
        }
    )


def standing(script: Script, customer: str, scene: Scene) -> frozenset[int]:
    """The people who are left: those struck out leave the account before anybody saw them. Who is left keeps number and
    ids; what Virtuous knew of those who go stays there, as a contact of somebody else."""
    left = set()
    for who, (record, person) in enumerate(zip(scene.ids, scene.people, strict=True)):
        said = {"record": record, "first": person.first_name, "last": person.last_name, "email": person.email}
        if script.plays(f"person {customer} {who}", START, **said):
            left.add(who)
        else:
            remove(scene.world, record)
    return frozenset(left)


def remove(world: World, contact_id: str) -> None:
    """As if this person had never been loaded, and nothing had been done to them: no control door has that."""
    account = world.constant_contact._accounts[ACCOUNT]
    contact = account.contacts.pop(contact_id)
    account.index(contact, contact.address, None)
    acts = world.log.acts
    acts[:] = [one for one in acts if contact_id not in (one.record, one.data.get("contact_id"))]
