"""Whoever runs the service: looks every few hours, connects accounts again, mends what it asks for, pauses somebody."""

import asyncio
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import OperationalError

from keepstep.model.errors import Problem
from keepstep.state import customers
from keepstep.wiring import brake, letters
from keepstep_sandbox.log import CONSTANT_CONTACT
from keepstep_simulator.holding import Holding, begin
from keepstep_simulator.process import Dead, Process

if TYPE_CHECKING:
    from keepstep_simulator.run import Simulation
    from keepstep_simulator.town import Town

HOUR = 3600.0
LOOKS = 3 * HOUR
MOST_REPLAYS = 3
NAME = "operator"


class Operator:
    """One for all customers."""

    def __init__(self, sim: "Simulation") -> None:
        self._sim = sim
        self._replayed: dict[str, int] = {}
        self._paused: set[str] = set()

    def begin(self) -> None:
        """From now on."""
        self._sim.loop.create_task(self._looks())
        script = self._sim.script
        span = self._sim.chaos_span
        for town in self._sim.towns:
            for what, chance in (("pause", 0.25), ("wrong_account", 0.12), ("revoked", 0.12), ("key", 0.1)):
                label = f"operator {what} {town.customer}"
                if self._sim.plan.crowd or self._sim.plan.week or script.draw(f"{label}?") >= chance:
                    continue
                at = script.uniform(label, *span)
                if script.plays(label, at, what=what):
                    self._sim.loop.create_task(self._once(what, town, at))

    async def _looks(self) -> None:
        """Who dies between the vendor's new refresh token and the disk has lost the grant, and nothing but a new
        consent helps (CC facts 2.4)."""
        while True:
            await asyncio.sleep(LOOKS)
            for town in self._sim.towns:
                await self._tried(self._look(town), town)

    async def _once(self, what: str, town: "Town", at: float) -> None:
        await asyncio.sleep(at - self._sim.loop.time())
        script, label = self._sim.script, f"operator {what} {town.customer}"
        script.happens(label)
        if what == "pause":
            await self._tried(self._pauses(town, script.uniform(f"{label} for", HOUR, 7 * HOUR)), town)
        elif what == "wrong_account":
            await self._tried(self._connects_wrong(town), town)
        elif what == "revoked":
            town.revoke_grant()
        else:
            town.renew_key()

    async def _tried(self, work: Any, town: "Town") -> None:
        begin(Holding(town.customer, operates=True))
        try:
            await work
        except (Dead, OperationalError, Problem) as failure:
            self._sim.tell("OPERATE", "failed", town.customer, done=type(failure).__name__)

    def _process(self) -> Process:
        process = self._sim.process
        if process is None or not process.alive:
            raise Dead
        return process

    def _told(self, what: str, town: "Town", done: Any = "done", **more: Any) -> None:
        self._sim.tell("OPERATE", what, town.customer, done=done, **more)
        for process in self._sim.alive:  # who serves sees within a second what somebody else has stored (between.py)
            process.service.woken.set()

    async def _look(self, town: "Town") -> None:
        process = self._process()
        known = await process.service.customer(town.customer)
        health = known["connections"]
        if known["state"] == "paused" and town.customer not in self._paused:  # so says a disk that was put back
            await process.service.resume(town.customer)
            self._told("resume", town)
        for platform in [name for name, how in health.items() if how != "ok"]:
            self._told("reconnect", town, platform=platform, health=health[platform])
            await town.reconnect(process, platform)
        if self._sim.nets.operator == "mends":
            await self._replays(process, town)
            await self._approves(process, town)

    async def _replays(self, process: Process, town: "Town") -> None:
        listed = await letters.listed(process.service, town.customer, "open")
        for row in listed["letters"]:
            label = f"{town.customer} {row['record']} {row['kind']} {row['cause']}"
            self._replayed[label] = self._replayed.get(label, 0) + 1
            if self._replayed[label] <= MOST_REPLAYS:
                done = await letters.replayed(process.service, town.customer, row["id"], NAME)
                self._told("replay", town, done["state"], letter=row["id"], cause=row["cause"])

    async def _approves(self, process: Process, town: "Town") -> None:
        shown = await brake.shown(process.service, town.customer)
        if shown["checksum"]:
            done = await brake.approve(process.service, town.customer, shown["checksum"], NAME)
            self._told("approve", town, done["state"], steps=done["steps"])

    async def _pauses(self, town: "Town", seconds: float) -> None:
        if self._sim.script.draw(f"operator pause {town.customer} at once") < self._sim.agitation:
            await self._sim.network.next_call()
        self._paused.add(town.customer)
        try:
            await self._process().service.pause(town.customer)
            self._told("pause", town)
        except OperationalError:  # nobody knows whether it took effect
            self._told("pause", town, "unknown")
        await asyncio.sleep(seconds)
        while True:  # whoever paused must resume, whatever happens to the process
            try:
                await self._process().service.resume(town.customer)
                break
            except (Dead, OperationalError, Problem):
                await asyncio.sleep(60.0)
        self._paused.discard(town.customer)
        self._told("resume", town)

    async def _connects_wrong(self, town: "Town") -> None:
        """The account that is connected first is the right one: before that nobody can tell which is wrong."""
        process = self._process()
        known = await process.service.db.run(customers.get_connection, town.customer, CONSTANT_CONTACT)
        if known is None or known.account_id is None:
            return
        self._told("wrong_account", town)
        await town.connect_wrong(process)
