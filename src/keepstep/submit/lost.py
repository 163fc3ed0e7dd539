"""People whose individual is gone from its household: where they are now. The CRM is asked for the individual by its
id, which is proof, and for whoever has their addresses, which is not."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from keepstep.desk import Desk
from keepstep.model.contact import CrmContact
from keepstep.model.party import Person
from keepstep.model.whereabouts import addresses_of, is_lost

if TYPE_CHECKING:
    from keepstep.submit.load import Case

Missing = tuple["Case", Person]
Found = tuple[str, Any, CrmContact]
MOST = 20  # of a turn: each costs a call of its own


def among(loaded: Sequence["Case"]) -> list[Missing]:
    """Everybody who is to be looked for."""
    ready = [case for case in loaded if not case.postponed]
    return [
        (case, one)
        for case in ready
        for one in case.party.people
        if one.record_id in case.readings.audience and is_lost(one, case.readings.crm)
    ]


async def asked_for(desk: Desk, missing: Sequence[Missing]) -> list[Found]:
    """Every contact that one of them may be on."""
    now = desk.clock.now()
    homes = [home for _, one in missing if (home := await desk.crm.home_of(one.individual or ""))]
    addresses = {address: None for case, one in missing for address in _addresses(case, one)}
    found = {**dict(await desk.crm.find(list(addresses)) if addresses else ()), **dict(await _read(desk, homes))}
    return [(record_id, raw, desk.crm.snapshot(raw, now)) for record_id, raw in found.items()]


def with_whereabouts(case: "Case", found: Sequence[Found], missing: Sequence[Missing]) -> "Case":
    """The case with what was found, for those of its people who are looked for."""
    contacts = tuple(contact for _, _, contact in found)
    mine = {one.record_id: contacts for other, one in missing if other.party.party_id == case.party.party_id}
    return replace(case, readings=replace(case.readings, candidates={**case.readings.candidates, **mine}))


async def _read(desk: Desk, homes: Sequence[str]) -> Sequence[tuple[str, Any]]:
    return await desk.crm.read_many(homes) if homes else ()


def _addresses(case: "Case", person: Person) -> list[str]:
    return addresses_of(person, case.readings.audience[person.record_id])
