"""Who else comes to the door: forgers, the confused, and true deliveries once more."""

from dataclasses import replace
from typing import TYPE_CHECKING

from keepstep_simulator.arrival import Arrival
from keepstep_simulator.script import Script

if TYPE_CHECKING:
    from keepstep_simulator.run import Simulation
    from keepstep_simulator.town import Town

KINDS = ("again", "unsigned", "forged", "cut", "elsewhere", "nowhere", "poison")
SIGNED = ("ignature", "hmac")  # what the headers are called that sign: Virtuous facts 13.4, CC facts 10.3
GARBAGE = b'{"event": "ContactUpdate", "contact": [{"id": {}}, "\\ud800"], "models": 7}'


class Visitors:
    """They come when there is a true delivery to take after."""

    def __init__(self, sim: "Simulation") -> None:
        self._sim = sim
        self._seen: list[tuple[Town, Arrival]] = []

    def begin(self) -> None:
        """Set the alarms."""
        script = self._sim.script
        for number in range(script.pick("visitors", (0, 0, 2, 4))):
            label = f"visitor {number}"
            at, kind = script.uniform(f"{label} at", *self._sim.chaos_span), script.pick(f"{label} kind", KINDS)
            if script.plays(label, at, visitor=kind):
                self._sim.loop.call_at(at, self._come, label, kind)

    def saw(self, town: "Town", arrival: Arrival) -> None:
        """A true delivery came."""
        if not arrival.copy:
            self._seen.append((town, arrival))

    def _come(self, label: str, kind: str) -> None:
        if not self._seen or self._sim.chaos.healed:
            return
        script: Script = self._sim.script
        town, true = script.pick(f"{label} after", self._seen)
        visit = self._visit(kind, town, true)
        if visit is not None:
            script.happens(label)
            self._sim.loop.create_task(self._sim.comes(visit))

    def _visit(self, kind: str, town: "Town", true: Arrival) -> Arrival | None:
        signed = next((name for name in true.headers if any(word in name for word in SIGNED)), "")
        forged = replace(true, delivery="", verified=False)
        if kind == "again":
            return replace(true, copy=1)
        if kind == "unsigned":
            return replace(forged, headers={name: text for name, text in true.headers.items() if name != signed})
        if kind == "forged":
            return replace(forged, headers={**true.headers, signed: true.headers.get(signed, "")[::-1]})
        if kind == "cut":
            return replace(forged, body=true.body[: len(true.body) // 2])
        if kind == "nowhere":
            return replace(forged, url=true.url[:-8], door="")
        if kind == "poison":
            headers = town.signed(GARBAGE)
            return replace(true, headers=headers, body=GARBAGE, delivery="poison") if headers else None
        other = next((one for one in self._sim.towns if one is not town), None)
        url = other.door() if other is not None else None
        return replace(forged, url=url, door=other.customer) if other is not None and url else None
