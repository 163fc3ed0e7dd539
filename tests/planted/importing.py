"""Mistakes in importing rows: who may not be, how much at once, and what the vendor's answer is worth."""

import json
from dataclasses import replace
from typing import Any

from pytest import MonkeyPatch

from keepstep.connectors.constant_contact import imports, one
from keepstep.connectors.constant_contact.imports import Imports
from keepstep.model import feed_decide
from keepstep.model.change import Done
from keepstep.model.contact import Side
from keepstep.submit import holds, known, rows

# --- who may not be --------------------------------------------------------------------------------------------------


def whoever_left_is_put_back(patch: MonkeyPatch) -> None:
    """The table says that they are on the list, so they are."""
    patch.setattr(feed_decide, "_away", lambda *_: None)


def put_back_by_the_call(patch: MonkeyPatch) -> None:
    """What was decided is sent, though the vendor tells nobody who has left a list since."""
    patch.setattr(imports, "_why_shut", lambda *_: None)


def the_deleted_come_back(patch: MonkeyPatch) -> None:
    """An import revives whom it meets: nobody asked whether they were deleted."""
    patch.setattr(feed_decide, "_gone", lambda *_: None)


def one_by_one_revives(patch: MonkeyPatch) -> None:
    """Whoever has the address gets the row, deleted or not."""
    true_refusal = one.refusal

    def refusal(found: Any, payload: Any, since: Any, now: Any) -> Any:
        return true_refusal(found, {**payload, "revive": True, "permission_at": float("inf")}, since, now)

    patch.setattr(one, "refusal", refusal)


def a_table_outweighs_a_no(patch: MonkeyPatch) -> None:
    """The table is the customer's own, and newer than what the person once said."""
    true_shut = feed_decide._shut

    def shut(row: Any, what: Any, here: Any, gone: Any) -> Any:
        found = true_shut(row, what, here, gone)
        return None if found == feed_decide.OPTED_OUT else found

    patch.setattr(feed_decide, "_shut", shut)


def feeds_ask_no_ledger(patch: MonkeyPatch) -> None:
    """Who is out stands in their record: of somebody without one nobody knows anything."""
    patch.setattr(known, "_out", lambda _desk, _acts: None)


def only_the_linked_have_a_say(patch: MonkeyPatch) -> None:
    """Whom the CRM alone has is none of ours: nobody asks about them."""
    patch.setattr(rows, "_unheard", lambda _tx, _desk, entries, _now: (list(entries), []))


def the_crm_has_no_say(patch: MonkeyPatch) -> None:
    """A table of the customer's and a list of the vendor's: what staff know in the CRM is no matter of theirs."""
    true_acts = known._acts

    def acts(tx: Any, desk: Any, every: Any) -> Any:
        found = true_acts(tx, desk, every)
        return {address: [act for act in some if act.side is not Side.crm] for address, some in found.items()}

    patch.setattr(known, "_acts", acts)
    patch.setattr(known, "_opted_out_in_crm", lambda *_: [])


def imports_pass_the_gate(patch: MonkeyPatch) -> None:
    """An import is no sync: it waits for no reading of the opt-outs."""
    widens = holds._WIDENS
    patch.setattr(holds, "_WIDENS", holds.and_(widens, holds.step.c.kind.not_in(feed_decide.KINDS)))
    patch.setattr(holds, "_SHUT", holds._shutting())
    of_feed = rows.feeds.of_feed(rows.step.c.party_id)
    patch.setattr(rows, "_FULL", rows.update(rows.step).where(*rows._FILLING, of_feed).values(hold=None))


def asked_and_gone(patch: MonkeyPatch) -> None:
    """What was decided is sent: that the ledger shut an address since is for the next round."""
    patch.setattr(rows, "checked", lambda _tx, _desk, _slot, jobs, _now: list(jobs))


# --- once ------------------------------------------------------------------------------------------------------------


def imported_with_every_run(patch: MonkeyPatch) -> None:
    """The recipe uploads what it has fetched, whether or not it has uploaded it before."""
    true_standing = feed_decide._standing

    def standing(row: Any, list_id: str, what: Any, here: Any) -> str:
        found = true_standing(row, list_id, what, here)
        return "new" if found == "done" else found

    patch.setattr(feed_decide, "_standing", standing)


def an_address_twice_in_a_job(patch: MonkeyPatch) -> None:
    """Two rows are two rows, whoever's address they have: of two in one job nobody knows which counts."""
    true_known = known.known

    def blind(row: Any, facts: Any) -> Any:
        return replace(true_known(row, facts), claimed=frozenset(), newer=False)

    patch.setattr(known, "known", blind)


def posted_again_unread(patch: MonkeyPatch) -> None:
    """Nobody answered, so it is sent again."""

    async def search(_self: Any, call: Any) -> Any:
        return [imports.Retry(0.0, imports.NOT_TAKEN)] * len(call.steps)

    patch.setattr(Imports, "_search", search)


# --- how much --------------------------------------------------------------------------------------------------------


def all_rows_in_one_call(patch: MonkeyPatch) -> None:
    """The recipe uploads the list of agents as a batch, of whatever size."""
    patch.setattr(rows, "scales", lambda _desk: {})


def letters_are_bytes(patch: MonkeyPatch) -> None:
    """A row weighs as many bytes as it has letters."""

    class Letters:
        """Counts them."""

        @staticmethod
        def dumps(value: Any) -> str:
            return json.dumps(value, ensure_ascii=False)

    patch.setattr(imports, "json", Letters)


def a_row_too_many(patch: MonkeyPatch) -> None:
    """Forty thousand is a round number; one more will do."""
    patch.setattr(imports, "ROWS", 40_001)


def abroad_by_import(patch: MonkeyPatch) -> None:
    """A number is a number: those of two countries are taken, the others cost their row."""
    patch.setattr(feed_decide, "_is_slow", lambda *_: False)


def lists_of_settings_by_name(patch: MonkeyPatch) -> None:
    """A list is what it is called: one that staff have renamed is gone, and an id names none."""
    true_spelt = known.spelt

    def spelt(there: Any) -> Any:
        every = list(there)
        ids = {known._folded(one.list_id) for one in every}
        return {said: found for said, found in true_spelt(every).items() if said not in ids}

    patch.setattr(known, "spelt", spelt)


def the_first_list_of_that_name(patch: MonkeyPatch) -> None:
    """Of two lists of one name the first one is meant."""

    def spelt(there: Any) -> Any:
        lists = [label for label in there if label.kind == "list" and label.state != "gone"]
        return {known._folded(said): [label.list_id] for label in lists for said in (label.list_name, label.list_id)}

    patch.setattr(known, "spelt", spelt)


def whole_columns_as_fields(patch: MonkeyPatch) -> None:
    """Every column is sent as a custom field, whether or not the account has it."""
    true_row_of = imports.row_of

    def row_of(payload: Any, _known: Any) -> Any:
        custom = payload.get("custom") or {}
        return true_row_of(payload, {name: name for name in custom})

    patch.setattr(imports, "row_of", row_of)


def one_put_of_the_row(patch: MonkeyPatch) -> None:
    """A PUT of what the row says, though a PUT takes away what it does not say."""
    true_merged = one.merged

    def merged(raw: Any, payload: Any, fields: Any) -> Any:
        bare = {name: raw[name] for name in ("contact_id", "email_address", "update_source") if name in raw}
        return true_merged(bare, payload, fields)

    patch.setattr(one, "merged", merged)


# --- what the answer is worth ----------------------------------------------------------------------------------------


def completed_is_done(patch: MonkeyPatch) -> None:
    """The recipe watches agents get added: a job that has ended has added them."""
    patch.setattr(imports, "_proves", lambda activity, _sent: activity.get("state") == "completed")


def counts_are_not_compared(patch: MonkeyPatch) -> None:
    """No errors were counted, so nothing is missing: how many rows arrived is not compared with how many were sent."""
    true_proves = imports._proves

    def proves(activity: Any, _sent: int) -> bool:
        return true_proves(activity, (activity.get("status") or {}).get("items_total_count"))

    patch.setattr(imports, "_proves", proves)


def broken_off_is_done(patch: MonkeyPatch) -> None:
    """A job that ended is a job that ended: those it did not get to are on no list."""

    async def people(_self: Any, call: Any, _stage: str, _vendor_id: str) -> Any:
        return [Done()] * len(call.steps)

    patch.setattr(Imports, "_people", people)
