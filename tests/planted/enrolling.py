"""Mistakes of creating people whom only the CRM has."""

from dataclasses import replace
from typing import Any

from pytest import MonkeyPatch

from keepstep.connectors.constant_contact import enrol as cc_enrol
from keepstep.model import decide, enrol
from keepstep.model.change import Done, Retry
from keepstep.submit import strangers


def unknown_is_yes(patch: MonkeyPatch) -> None:
    """Who is not opted out is taken for opted in."""
    true_enrolments = decide.enrolments

    def enrolments(party: Any, readings: Any, setting: Any) -> Any:
        return true_enrolments(party, replace(readings, crm=_open(readings.crm)), setting)

    def _open(crm: Any) -> Any:
        people = crm.individuals if crm else ()
        opened = [tuple(replace(m, opted_in=m.opted_in is not False) for m in one.methods) for one in people]
        named = [replace(one, methods=methods) for one, methods in zip(people, opened, strict=True)]
        return replace(crm, individuals=tuple(named)) if crm else None

    true_unfit = enrol.unfit
    patch.setattr(enrol, "unfit", lambda crm: true_unfit(_open(crm)))
    patch.setattr(decide, "enrolments", enrolments)


def a_conflict_is_revived(patch: MonkeyPatch) -> None:
    """The address is there already, so the contact that has it is written over, deleted or not."""
    true_enrol = cc_enrol.enrol

    async def create(api: Any, step: Any) -> Any:
        outcome = await true_enrol(api, step)
        if isinstance(outcome, Done):
            return outcome
        held = await cc_enrol._holder(api, step.payload["email"]) or await cc_enrol._deleted(api, step)
        body = {**cc_enrol.body_of(step.payload), "update_source": "Account"}
        assert held is not None
        await api.put(f"/contacts/{held['contact_id']}", body)
        return Done({"record_id": held["contact_id"]})

    patch.setattr(cc_enrol, "enrol", create)


def ledger_unread(patch: MonkeyPatch) -> None:
    """Only records are asked whether somebody is out, and no record has the address any more."""
    patch.setattr(strangers, "_is_out", lambda _acts, _hashed: False)


def created_again_after_a_lost_answer(patch: MonkeyPatch) -> None:
    """What was never answered did not happen, and what a poll shows with the address is somebody new to the CRM."""

    async def look(_api: Any, _step: Any, _sent_at: Any) -> Any:
        return Retry(0, "not answered")

    true_body = cc_enrol.body_of
    sent: list[str] = []

    def body_of(payload: Any) -> Any:
        body = true_body(payload)
        sent.append(payload["email"])
        if sent.count(payload["email"]) > 1:
            body["email_address"]["address"] = payload["email"].replace("@", "+1@")
        return body

    patch.setattr(cc_enrol, "look", look)
    patch.setattr(cc_enrol, "body_of", body_of)
