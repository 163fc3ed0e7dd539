"""What befalls the process beside crashes: it stands still, a second one is started beside it, our clock jumps, an
older disk is put back."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keepstep_simulator.chaos import HURTS, Crash
from keepstep_simulator.script import Script

if TYPE_CHECKING:
    from keepstep_simulator.run import Simulation

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
# A lease lasts five minutes (desk.py): a pause longer than that ends with another owner of the slot.
PAUSES = (20.0, 200.0, 900.0, 4000.0)
# A clock further behind than minutes makes the product look at whoever left a list again and again (their reading has
# the vendor's date, that of the lists has ours).
SKEWS = (-20 * MINUTE, -2 * MINUTE, 2 * MINUTE, HOUR, 6 * HOUR, 24 * HOUR)
LEAST_LOST = 2 * HOUR


@dataclass(frozen=True, slots=True)
class Skew:
    """Our clock is so far ahead of everybody else's, between two moments."""

    begin: float
    end: float
    ahead: float
    label: str


@dataclass(frozen=True, slots=True)
class Restore:
    """The disk of `saved` is put back at `at`."""

    saved: float
    at: float
    label: str


@dataclass(slots=True)
class Mishaps:
    """Those of one seed. `pauses` strike as crashes do: at some point of a call or a commit."""

    pauses: list[tuple[Crash, float, bool]]
    skews: list[Skew]
    restore: Restore | None

    @classmethod
    def drawn(cls, script: Script, begin: float, end: float, over: float) -> "Mishaps":
        """Each kind is absent from most seeds. `over`: when the seed ends."""
        many = script.pick("mishaps pauses", (0, 0, 1, 2))
        pauses = [_pause(script, f"pause {number}", begin, end) for number in range(many)]
        skews = [
            _skew(script, f"skew {number}", begin, end, over)
            for number in range(script.pick("mishaps skews", (0, 0, 1)))
        ]
        restores = script.pick("mishaps restores", (0, 0, 0, 0, 1))
        return cls(
            sorted(pauses, key=lambda one: one[0].at),
            [one for one in skews if script.plays(one.label, one.begin, ahead=one.ahead, until=one.end)],
            _restore(script, "restore 0", begin, end) if restores else None,
        )

    def arm(self, sim: "Simulation") -> None:
        """Set the alarms."""
        for one in self.skews:
            sim.loop.call_at(one.begin, sim.skew, one.ahead)
            sim.loop.call_at(one.end, sim.skew, 0.0)
        if self.restore is not None:
            sim.loop.call_at(self.restore.saved, sim.save)
            sim.loop.call_at(self.restore.at, sim.restore, self.restore.saved)


def _pause(script: Script, label: str, begin: float, end: float) -> tuple[Crash, float, bool]:
    at, where = script.uniform(f"{label} at", begin, end), script.pick(f"{label} where", HURTS)
    skip = int(script.uniform(f"{label} skip", 0, 60 if where == HURTS[0] else 4))
    seconds = script.pick(f"{label} seconds", PAUSES)
    return Crash(at, skip, label, where), seconds, script.draw(f"{label} double") < 0.6


def _skew(script: Script, label: str, begin: float, end: float, over: float) -> Skew:
    """What ran while our clock was ahead runs again so much later once it is right: a daily round must still come."""
    ahead = script.pick(f"{label} ahead", SKEWS)
    last = min(end, over - DAY - 2 * HOUR - max(ahead, 0.0))
    at = script.uniform(f"{label} at", begin, last - 2 * HOUR)
    return Skew(at, script.uniform(f"{label} until", at + HOUR, last), ahead, label)


def _restore(script: Script, label: str, begin: float, end: float) -> Restore | None:
    saved = script.uniform(f"{label} saved", begin, end - LEAST_LOST)
    found = Restore(saved, script.uniform(f"{label} at", saved + LEAST_LOST, end), label)
    return found if script.plays(label, found.at, age=found.at - saved) else None
