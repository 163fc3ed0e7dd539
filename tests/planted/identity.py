"""Mistakes about who somebody is: a link for points, for a reference, for half a name; candidates that nobody is told
of; somebody moved whom nobody looks for."""

from dataclasses import replace
from typing import Any

from pytest import MonkeyPatch

from keepstep.model import identify, match
from keepstep.submit import lost


def links_by_score(patch: MonkeyPatch) -> None:
    """Whoever has the most points is the person."""
    true_match = identify.match

    def best(contact: Any, candidates: Any, *args: Any) -> Any:
        candidates = list(candidates)
        found = true_match(contact, candidates, *args)
        first = next((one for one in found.compared if one.score > 0), None)
        if found.verdict != "parked" or first is None:
            return found
        crm = next(one for one in candidates if one.record_id == first.contact)
        individual = next(one for one in crm.individuals if one.record_id == first.individual)
        return replace(found, verdict="same_person", reason="", crm=crm, individual=individual)

    patch.setattr(identify, "match", best)


def a_reference_is_enough(patch: MonkeyPatch) -> None:
    """Whoever carries our reference is the person, whatever the address."""
    true_confirm = identify.confirm

    def confirm(crm: Any, *args: Any) -> Any:
        found = true_confirm(crm, *args)
        if found.reason != "reference_without_address":
            return found
        return replace(found, verdict="confirmed", reason="", individual=crm.individuals[0])

    patch.setattr(identify, "confirm", confirm)


def father_is_son(patch: MonkeyPatch) -> None:
    """Jr and Sr are not read."""
    true_named = match.named

    def named(*args: Any) -> str:
        found = true_named(*args)
        return "name_equal" if found == "generation_differs" else found

    patch.setattr(match, "named", named)


def one_candidate_is_told(patch: MonkeyPatch) -> None:
    """The likeliest candidate is kept, and the others are dropped without a word."""
    true_explained = match._explained

    def explained(*args: Any) -> Any:
        found = true_explained(*args)
        return replace(found, compared=found.compared[:1])

    patch.setattr(match, "_explained", explained)


def gone_is_gone(patch: MonkeyPatch) -> None:
    """Whoever is no longer in the household is not looked for anywhere else."""
    patch.setattr(lost, "among", lambda _loaded: [])
