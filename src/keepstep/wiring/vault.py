"""Keys and providers of a running Keepstep: where the keys come from, the keeper beside the worker, and what
`keepstep vault` does."""

import asyncio
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection as Tx

from keepstep import telemetry
from keepstep.database import Database
from keepstep.model.errors import Misconfigured, Permanent, Problem, Refused, Transient
from keepstep.ports import Chance, Clock
from keepstep.safes import HERE, Safe, Safes, moving
from keepstep.safes.keeper import Keeper
from keepstep.safes.keeping import Keeping
from keepstep.settings import Settings, load
from keepstep.settings.vault import Vault as Safekeeping
from keepstep.state import keys, places
from keepstep.state.places import Place
from keepstep.state.vault import Secret, Vault
from keepstep.wiring.clock import Standing, VirtualClock

if TYPE_CHECKING:
    from keepstep.wiring.service import Service

T = TypeVar("T")

# A provider that is silent holds each for half a minute.
_THREADS = ThreadPoolExecutor(4, thread_name_prefix="vault")
_LOOK_SECONDS = 10.0
_LONGEST_PAUSE = 600.0
_OWN_KEYS = (
    f"put a new line `id:key` first in {keys.VARIABLE} and keep the old one behind it (a key: `openssl rand -base64 "
    "32`), restart every process with it, then run `keepstep vault rotate` again"
)


def vault_of(settings: Settings, environ: Mapping[str, str], chance: Chance) -> Vault:
    """A vault with the keys of the environment, else of the key file. Raises Misconfigured."""
    ring = keys.ring_of(environ)
    file = keys.KeyFile(Path(settings.service.key_file)) if ring is None else None
    found = ring or (file.read() if file else None)
    assert found is not None
    return Vault(found.keys, found.current, chance.token, file)


def keys_from(settings: Settings, environ: Mapping[str, str]) -> str:
    """Where the keys come from; they are read. Raises Misconfigured."""
    if keys.ring_of(environ) is not None:
        return f"the environment ({keys.VARIABLE})"
    keys.read_key_file(Path(settings.service.key_file))
    return settings.service.key_file


def keeping(db: Database, vault: Vault, settings: Settings) -> Keeping:
    """The database, with what providers keep."""
    return Keeping(db, vault, Safes(settings.vault, look=partial(_as_it_is_now, settings)), away)


def _as_it_is_now(settings: Settings) -> Safekeeping:
    """A service that began before the settings named a provider reads from there what was moved."""
    return load(Path(settings.path), os.environ).vault if settings.path else settings.vault


async def away(work: Callable[[], T]) -> T:
    """boto3 blocks: it has threads of its own, because the loop's look names up for all other calls."""
    return await asyncio.get_running_loop().run_in_executor(_THREADS, work)


def keeper_of(service: "Service", provider: str | None = None, clock: Clock | None = None) -> Keeper:
    """Who sends this installation's secrets to their provider."""
    within = _kept(service)
    known = service.settings.vault
    return Keeper(
        db=within,
        vault=service.vault,
        safes=within.safes,
        clock=clock or service.clock,
        chance=service.chance,
        away=within.away,
        provider=provider or known.provider,
        env=known.env,
    )


def _passing(service: "Service") -> Clock:
    """The clock of a command: it pauses also where time is virtual and nobody moves it."""
    return Standing(service.clock) if isinstance(service.clock, VirtualClock) else service.clock


def _kept(service: "Service") -> Keeping:
    assert isinstance(service.db, Keeping)  # open_service gives no other
    return service.db


# --- beside the worker ---------------------------------------------------------------------------------------------


async def keep(service: "Service") -> None:
    """What is stored goes to its provider, again and again until the service stops. A failure costs a pause: what was
    not sent is sealed here."""
    if not await _anything(service):
        return
    keeper, pause = keeper_of(service), _LOOK_SECONDS
    while not service.stopping:
        pause = _LOOK_SECONDS if await _round(keeper) else min(2 * pause, _LONGEST_PAUSE)
        await service.clock.sleep(pause)


async def keep_once(service: "Service") -> None:
    """The same for a process that ends after its work."""
    if await _anything(service):
        await _round(keeper_of(service, clock=_passing(service)))


async def clear(service: "Service") -> Problem | None:
    """Delete what is left over at providers, at once; what is in the way, None where nothing is or another process is
    the keeper."""
    try:
        return (await keeper_of(service, HERE, _passing(service)).round()).trouble
    except Misconfigured as refused:
        return refused


async def _anything(service: "Service") -> bool:
    if not isinstance(service.db, Keeping):
        return False
    return service.settings.vault.provider != HERE or await service.db.run(places.left_over) > 0


async def _round(keeper: Keeper) -> bool:
    try:
        trouble: Exception | None = (await keeper.round()).trouble
    except Exception as failure:  # a database that fails for a moment must not end a keeper that nobody starts again
        trouble = failure
    if trouble is not None:
        telemetry.note(telemetry.Process.failed, source="vault", **telemetry.trouble_of(trouble))
    return trouble is None


# --- keepstep vault ------------------------------------------------------------------------------------------------


async def status(service: "Service") -> dict[str, Any]:
    """How many secrets each key seals and each place keeps; no values."""
    counts, where, left = await service.db.run(_counted)
    ring = service.vault.ring
    known = [{"key": one, "state": _state(one, ring), "secrets": counts.get(one, 0)} for one in {**ring.keys, **counts}]
    return {
        "keys_from": "environment" if service.vault.file is None else "file",
        "provider": service.settings.vault.provider,
        "keys": known,
        "places": [{"place": place, "secrets": count} for place, count in where.items()],
        "left_over": left,
    }


def _counted(tx: Tx) -> tuple[Mapping[str, int], Mapping[str, int], int]:
    return places.by_key(tx), places.by_place(tx), places.left_over(tx)


def _state(key_id: str, ring: keys.Ring) -> str:
    return "seals" if key_id == ring.current else "opens" if key_id in ring.keys else "missing"


@dataclass(frozen=True, slots=True)
class Rotation:
    """made: the id of a new key, None where one was there already or where the keys are the environment's. missing:
    how many secrets lost keys seal, by id."""

    made: str | None
    current: str
    resealed: int
    older: Mapping[str, int]
    missing: Mapping[str, int] = field(default_factory=dict)
    then: str = ""


async def rotate(service: "Service", told: Callable[[int], None] = lambda _: None) -> Rotation:
    """A new key seals, and everything is sealed anew, while others go on. Broken off it is begun again where it was:
    no second key is made while an older one is in use."""
    vault = service.vault
    with keys.alone(vault.file.path) if vault.file else nullcontext():
        made = await _new_key(service)
        done = await _pass(service, 0, told)
    counts, ring = await service.db.run(places.by_key), vault.ring
    older = {key_id: counts.get(key_id, 0) for key_id in _older(ring)}
    missing = {key_id: count for key_id, count in counts.items() if key_id not in ring.keys}
    then = _OWN_KEYS if vault.file is None and not older else ""
    return Rotation(made, ring.current, done, older, missing, then)


async def _new_key(service: "Service") -> str | None:
    vault = service.vault
    counts = await service.db.run(places.by_key)
    if vault.file is None or any(counts.get(key_id) for key_id in _older(vault.ring)):
        return None
    return keys.put_first(vault.file.path, service.chance.token)


def _older(ring: keys.Ring) -> list[str]:
    return [key_id for key_id in ring.keys if key_id != ring.current]


async def _pass(service: "Service", done: int, told: Callable[[int], None]) -> int:
    """Seal anew what older keys seal, a customer at a time: a transaction locks one slot and at most 200 rows."""
    after = ""
    while some := await service.db.run(places.sealed_by, _older(service.vault.ring), after):
        for customer in some:
            while count := await service.db.run(service.vault.reseal, customer):
                done += count
                told(done)
        after = some[-1]
    return done


async def finish(service: "Service") -> dict[str, Any]:
    """Take older keys out of the key file, if no secret needs one. Raises Refused where the keys are the
    environment's."""
    file = service.vault.file
    if file is None:
        raise Refused(409, f"the keys are in {keys.VARIABLE}: take out what `keepstep vault status` says seals nothing")
    with keys.alone(file.path):
        return await service.db.run(_finished, service.vault, file.path)


def _finished(tx: Tx, vault: Vault, path: Path) -> dict[str, Any]:
    """Nobody stores a secret between the proof and the new file: whoever waits for us seals under the key that
    stays."""
    places.nobody_seals(tx)
    ring = vault.ring
    needed = {key_id: count for key_id, count in places.by_key(tx).items() if key_id != ring.current}
    if needed:
        return {"taken_out": [], "still_needed": needed}
    return {"taken_out": keys.keep_first(path), "still_needed": {}}


async def move(service: "Service", provider: str, told: Callable[[int], None] = lambda _: None) -> moving.Move:
    """See moving.move. Raises Misconfigured where the settings name another provider: a service that reads them would
    keep what is stored next elsewhere."""
    said = service.settings.vault.provider
    if said != provider:
        raise Misconfigured(
            (f'vault.provider: is "{said}"; write provider = "{provider}" below [vault], then move to it',)
        )
    return await moving.move(keeper_of(service, clock=_passing(service)), _kept(service), told)


async def to_move(service: "Service", provider: str) -> tuple[int, int]:
    """(how many secrets are not at this provider, how many there are)."""
    where = await service.db.run(places.by_place)
    return sum(where.values()) - where.get(provider, 0), sum(where.values())


# --- keepstep doctor -----------------------------------------------------------------------------------------------

_HOW_TO = "see docs/how-to/keep-secrets-elsewhere.md, then run `keepstep doctor` again"


async def checked(service: "Service") -> list[dict[str, Any]]:
    """Can every provider in use be used? Rows as wiring/checks makes them; none where all secrets lie here."""
    if not isinstance(service.db, Keeping):
        return []
    where = await service.db.run(places.by_place)
    rows = []
    for one in dict.fromkeys([service.settings.vault.provider, *where]):
        if one != HERE:
            found = dict(zip(("state", "detail", "next"), await _probed(service, one, where), strict=True))
            rows.append({"customer": None, "platform": one, "check": "vault", **found})
    return rows


async def _probed(service: "Service", provider: str, where: Mapping[str, int]) -> tuple[str, str, str]:
    try:
        if provider == service.settings.vault.provider:
            await _tried_out(service, provider)
        place = await service.db.run(places.first_at, provider)
        if place is not None and not await _kept(service).read_again([place]):
            gone = "/".join(places.whose(place.name))
            return "failed", f"does not give back {gone}", f"restore it there or store it again; {_HOW_TO}"
    except Misconfigured as refused:
        return "person", str(refused), _HOW_TO
    except (Transient, Permanent) as trouble:
        return "failed", str(trouble), "nothing is lost, and it is tried again; run `keepstep doctor` in a minute"
    waiting = f", {where.get(HERE, 0)} are here" if provider == service.settings.vault.provider else ""
    return "ok", f"takes and gives back; it keeps {where.get(provider, 0)} secrets{waiting}", ""


async def _tried_out(service: "Service", provider: str) -> None:
    """Whether it lets us write, read and delete is known once it did: a value of no worth, under a name of its own."""
    safes, value = _kept(service).safes, Secret("probe of keepstep doctor")
    name = places.name_of(service.settings.vault.env, ("doctor", "keepstep", service.chance.id()))

    written: list[str] = []

    def tried(safe: Safe) -> bool:
        written.append(safe.put(name, value, service.chance.token(32).hex()))
        try:
            return safe.get([(name, written[0])]).get((name, written[0])) == value
        finally:
            safe.delete(name)
            written.clear()

    try:
        given_back = await away(lambda: safes.ask(provider, tried))
    finally:
        if written:
            await service.db.run(places.leave, Place(provider, name))
    if not given_back:
        raise Transient(f"{provider}: what was just put there is not given back yet")
