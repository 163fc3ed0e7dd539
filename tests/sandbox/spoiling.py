"""Short ways to look at a lived week and to ask the judge about it."""

from typing import Any

from keepstep_sandbox.judge import judge
from keepstep_sandbox.judge.evidence import Evidence, Member
from keepstep_sandbox.world import World
from tests.sandbox.oracle import Oracle


def report(world: World, oracle: Oracle, claims: Any = None) -> dict[str, Any]:
    return judge(world, oracle.claims() if claims is None else claims)


def members(world: World) -> dict[str, Member]:
    return Evidence(world).members


def untouched(world: World) -> Member:
    """Somebody mailable and linked whom no act but the loading names, with a telephone and a tag."""
    acts = {act.record for act in world.log.acts if act.kind not in ("add_person",)}
    return next(
        one
        for one in members(world).values()
        if one.linked and one.mailable and one.id not in acts and one.contact and one.individual
        if one.raw.get("first_name") and one.raw.get("last_name")
        if str(one.contact["id"]) not in acts and str(one.individual["id"]) not in acts
        if one.contact["tags"]
        and len(one.individual["contactMethods"]) > 1
        and len(one.contact["contactIndividuals"]) == 1
    )


def loud(world: World) -> None:
    """Forget that the quiet began, so that a write is only judged by what it changed."""
    world.log.acts[:] = [act for act in world.log.acts if act.kind != "quiet"]
