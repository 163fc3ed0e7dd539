"""The control door: a JSON API for whoever plays the rest of the world. See README.md for every call."""

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from keepstep_sandbox import people
from keepstep_sandbox.clock import PATIENCE, Clock, Stuck
from keepstep_sandbox.judge import judge
from keepstep_sandbox.judge.canonical import canonical, digests
from keepstep_sandbox.judge.documents import checked
from keepstep_sandbox.judge.fed import rows_of
from keepstep_sandbox.judge.feeds import judge_feed
from keepstep_sandbox.week import Week
from keepstep_sandbox.world import START, World

Values = Mapping[str, Any]
Answer = Callable[[Values], Awaitable[Any]]


class Control:
    """One world at a time, and everything one may ask of it."""

    def __init__(self, session: aiohttp.ClientSession, seed: int = 0, now: float | None = None) -> None:
        self._session, self._now, self._begun = session, now, 0.0
        self._routes: dict[tuple[str, str], Answer] = {
            ("GET", "/time"): self._time,
            ("GET", "/received"): self._received,
            ("GET", "/log"): self._log,
            ("GET", "/state"): self._state,
            ("GET", "/faults"): self._armed,
            ("GET", "/documents"): self._documents,
            ("POST", "/reset"): self._reset,
            ("POST", "/load"): self._load,
            ("POST", "/act"): self._act,
            ("POST", "/faults"): self._arm,
            ("POST", "/batch"): self._batch,
            ("POST", "/release"): self._release,
            ("POST", "/clock/join"): self._join,
            ("POST", "/clock/advance"): self._advance,
            ("POST", "/week/start"): self._week_start,
            ("POST", "/week/step"): self._week_step,
            ("POST", "/judge"): self._judge,
        }
        self._begin(seed, {})

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """The HTTP shell. 400 says what was wrong with a request, 502 that the service broke the clock's protocol."""
        route = self._routes.get((request.method, request.raw_path.partition("?")[0]))
        if route is None:
            return web.json_response({"error": "no such call"}, status=404)
        try:
            values = json.loads(await request.read() or b"{}") if request.method == "POST" else {**request.query}
            if not isinstance(values, dict):
                raise ValueError("the body must be a JSON object")
            return web.json_response(await route(values))
        except Stuck as error:
            return web.json_response({"error": str(error)}, status=502)
        except (ValueError, TypeError, KeyError, OSError) as error:
            return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=400)

    def _begin(self, seed: int, switches: Mapping[str, Mapping[str, str]]) -> None:
        if self._begun:
            self.clock.leave()
            self.clock.release(answered=False)
        self.world = World(seed, switches, START if self._now is None else self._now)
        self.clock: Clock = Clock(self.world, self._session)
        self.week: Week | None = None
        self.credentials = people.first_customer(self.world)
        self._begun = time.monotonic()

    # asking

    async def _time(self, _values: Values) -> Any:
        return {"now": self.world.now}

    async def _received(self, values: Values) -> Any:
        since = int(values.get("since", 0))
        return {"received": [arrival.exported() for arrival in self.world.log.arrivals[since:]]}

    async def _log(self, _values: Values) -> Any:
        return self.world.log.exported()

    async def _state(self, values: Values) -> Any:
        digest = digests(self.world)
        return {**digest, "canonical": canonical(self.world)} if values.get("full") else digest

    async def _armed(self, _values: Values) -> Any:
        return {"faults": self.world.faults.exported()}

    async def _documents(self, _values: Values) -> Any:
        return checked(self.world.log.arrivals)

    async def _judge(self, values: Values) -> Any:
        seconds = round(time.monotonic() - self._begun, 1)
        found = judge(self.world, values["claims"], dead_letters=int(values.get("dead_letters", 0)))
        feeds = {
            name: judge_feed(self.world, rows_of(self.world, name), claims)
            for name, claims in dict(values.get("feeds", {})).items()
        }
        return {**found, **({"feeds": feeds} if feeds else {}), "seconds": seconds}

    # doing

    async def _reset(self, values: Values) -> Any:
        self._begin(int(values.get("seed", 0)), values.get("switches", {}))
        return {"now": self.world.now, "credentials": self.credentials}

    async def _load(self, values: Values) -> Any:
        given = values["people"]
        rows = people.read(Path(given)) if isinstance(given, str) else given
        return {"contacts": people.load(self.world, rows)}

    async def _act(self, values: Values) -> Any:
        vendor, name, args = str(values["vendor"]), str(values["name"]), dict(values.get("args", {}))
        result = self.world.act(vendor, name, **people.with_tenant(self.world, vendor, name, args))
        changed = len(result) if isinstance(result, tuple) else 0
        return {"result": None if isinstance(result, tuple) else result, "changed": changed}

    async def _arm(self, values: Values) -> Any:
        if values.get("clear"):
            self.world.faults.clear()
        else:
            how = dict(values)
            self.world.faults.arm(how.pop("kind"), **how)
        return await self._armed({})

    async def _batch(self, values: Values) -> Any:
        return {"summary": self.world.run_batch(str(values.get("organization", people.ORGANIZATION)))}

    async def _release(self, values: Values) -> Any:
        return {"released": self.clock.release(bool(values.get("answered", False)))}

    async def _join(self, values: Values) -> Any:
        address = str(values["address"])
        if not address.startswith(("http://127.0.0.1:", "http://localhost:", "http://[::1]:")):
            raise ValueError("the clock is kept on loopback only")
        self.clock.join(address)
        return {"now": self.world.now}

    async def _advance(self, values: Values) -> Any:
        self.clock.patience = float(values.get("patience", PATIENCE))
        to = float(values["to"]) if "to" in values else self.world.now + float(values["seconds"])
        arrived = await self.clock.advance(to)
        held = [
            {"n": one.n, "vendor": one.vendor, "method": one.method, "path": one.path}
            for one in self.world.held.values()
        ]
        return {"now": self.world.now, "arrived": arrived, "held": held}

    # the week

    async def _week_start(self, values: Values) -> Any:
        self._begin(int(values.get("seed", 0)), values.get("switches", {}))
        given = values.get("people")
        rows = people.read(Path(given)) if isinstance(given, str) else given
        rows = people.generated(self.world.seed, int(values.get("count", 500))) if rows is None else rows
        days, kills, prefix = int(values.get("days", 5)), values.get("kills", 1), str(values.get("tags_prefix", ""))
        table = values.get("table")
        self.week = Week(self.world, rows, days, kills, prefix, rows=Path(str(table)) if table else None)
        self.clock.schedule = self.week
        return {"now": self.world.now, "people": len(rows), "credentials": self.credentials, **self.week.described()}

    async def _week_step(self, _values: Values) -> Any:
        if self.week is None:
            raise ValueError("no week was started")
        self.clock.release(answered=False)
        await self.clock.present()
        self.week.begin_step()
        while not self.week.checkpoint():
            arrived = await self.clock.advance(self.week.until())
            self.week.reached(held=not arrived)
        if self.week.ask is not None and self.clock.address is not None:
            self.clock.expect()
        return self.week.told()
