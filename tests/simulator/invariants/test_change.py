"""I39 to I41: hand-made stories in which they are broken, and their neighbours in which they are not."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from keepstep.state import chain
from keepstep_simulator.invariants.change import explained, restored_reads_first, seal, stop_means_stop
from tests.simulator.invariants.telling import CC, CUSTOMER, Told, eff, ended, out, rsp, story, tx

NOON = 1_772_452_800.0  # in UTC; seven in the morning in New York
HOUR = 3600.0
PLAN = Told("PLAN", "", {"zone": "America/New_York"}, at=NOON)
DUE = tx(("mark", "UPDATE", {"platform": CC, "name": "opted_out", "due": NOON + HOUR}), at=NOON)
SAVED = tx(("entry", "INSERT", {}), at=NOON + 100)
BACK = Told("RESTORE", "", {"age": 3 * HOUR}, at=NOON + 200 + 3 * HOUR)
BEGUN = tx(("slot", "UPDATE", {}), at=BACK.at and BACK.at + 1)
IMPORT = "/api/Contact/Transaction"


def late(one: Told, seconds: float = 10.0) -> Told:
    """So long after the backup was put back."""
    return replace(one, at=(BACK.at or 0.0) + seconds)


POLL = late(out("1", "/v3/contacts", vendor=CC, query="status=unsubscribed&optout_after=2026"), 5)
GONE_TOO = late(out("8", "/v3/contacts", vendor=CC, query="status=deleted"), 5)
MAILINGS = late(out("9", "/v3/emails", vendor=CC), 5)
REST = (GONE_TOO, late(rsp("8"), 6), MAILINGS, late(rsp("9"), 6))
READ = late(rsp("1"), 6)
WRITE = late(out("2", "/api/ContactTag", "POST"))
START = (PLAN, DUE, SAVED, BACK, BEGUN)
DONE_TOO = (*START, *REST)
FORBIDDEN = (replace(MAILINGS, key="0", at=NOON + 50), replace(rsp("0", 403), at=NOON + 51))
RESTORED = {
    "read, then written": ((*DONE_TOO, POLL, READ, WRITE), 0),
    "written before deletions": ((*START, POLL, READ, *REST[2:], WRITE), 1),
    "written before reports": ((*START, POLL, READ, *REST[:2], WRITE), 1),
    "reports were forbidden before": ((PLAN, DUE, *FORBIDDEN, SAVED, BACK, BEGUN, POLL, READ, *REST[:2], WRITE), 0),
    "reports are forbidden now": ((*START, POLL, READ, *REST[:3], late(rsp("9", 403), 6), WRITE), 0),
    "written unread": ((*DONE_TOO, WRITE), 1),
    "written while it is read": ((*DONE_TOO, POLL, WRITE), 1),
    "written though the answer was lost": ((*DONE_TOO, POLL, late(rsp("1", None), 6), WRITE), 1),
    "written though the answer was broken": ((*DONE_TOO, POLL, late(rsp("1", fault="truncated"), 6), WRITE), 1),
    "read for somebody else": ((*DONE_TOO, replace(POLL, customer="b"), replace(READ, customer="b"), WRITE), 1),
    "read in another way": ((*DONE_TOO, late(out("1", "/v3/contacts", vendor=CC), 5), READ, WRITE), 1),
    "read before the backup came back": ((*START[:3], replace(POLL, at=NOON + 150), *START[3:], *REST, READ, WRITE), 1),
    "sent to the batch before one ran": ((*DONE_TOO, POLL, READ, late(out("3", IMPORT, "POST"), HOUR)), 1),
    "sent to the batch after the night": ((*DONE_TOO, POLL, READ, late(out("3", IMPORT, "POST"), 24 * HOUR)), 0),
    "another backup before the write": ((*DONE_TOO, late(BACK, 5), late(BEGUN, 6), WRITE), 1),
    "a clock that tells nothing": ((*DONE_TOO, WRITE, Told("SKEW", "", {"ahead": 9.0}, at=NOON + 9 * HOUR)), 0),
}


@pytest.mark.parametrize("case", RESTORED)
def test_after_a_backup_opt_outs_are_read_before_anything_is_written(case: str) -> None:
    """And nobody new is sent before a batch has run."""
    told, count = RESTORED[case]
    found, _ = restored_reads_first(story(*told))
    assert len(found) == count, found


def test_a_backup_that_nobody_can_notice_proves_nothing() -> None:
    """The poll is not overdue by an hour."""
    young = replace(
        DUE, data={**DUE.data, "rows": (("mark", "UPDATE", {**DUE.data["rows"][0][2], "due": NOON + 9 * HOUR}),)}
    )
    assert restored_reads_first(story(PLAN, young, SAVED, BACK, BEGUN, WRITE)) == ([], 0)
    assert restored_reads_first(story(*DONE_TOO, POLL, READ, WRITE))[1] == 1


def state(word: str, at: float, verb: str = "UPDATE") -> Told:
    return tx(("customer", verb, {"state": word}), at=at)


STOPS = {
    "nobody is paused": ((state("active", 0, "INSERT"), out("1", "/v3", at=9)), 0),
    "a call within five seconds": ((state("paused", 0), out("1", "/v3", at=5)), 0),
    "a call after five seconds": ((state("paused", 0), out("1", "/v3", at=5.1)), 1),
    "a write after five seconds": ((state("paused", 0), out("1", "/v3", "POST", at=600)), 1),
    "a call of somebody else": ((state("paused", 0), out("1", "/v3", at=9, of="customer-1")), 0),
    "on again": ((state("paused", 0), state("active", 6), out("1", "/v3", at=9)), 0),
    "paused twice": ((state("paused", 0), state("paused", 6), out("1", "/v3", at=9)), 1),
    "an older disk knows of no pause": ((state("paused", 0), Told("RESTORE", at=6), out("1", "/v3", at=9)), 0),
    "removed": ((state("active", 0, "DELETE"), out("1", "/v3", at=9)), 1),
}


@pytest.mark.parametrize("case", STOPS)
def test_stop_means_stop(case: str) -> None:
    """No call at all, five seconds after."""
    told, count = STOPS[case]
    found = stop_means_stop(story(*told))[0]
    assert len(found) == count, found


GONE = Told("OPERATE", "remove", {"done": "done"})
ROWS: Mapping[str, tuple[str, dict[str, Any], int]] = {
    "a party": ("party", {"party_id": "p"}, 1),
    "a secret": ("secret", {"field": "api_key"}, 1),
    "the key of the hashes": ("secret", {"field": "ledger_key"}, 0),
    "a hash that opted out": ("act", {"direction": "out", "address_hash": "h", "record_id": ""}, 0),
    "a hash that is named": ("act", {"direction": "out", "address_hash": "h", "record_id": "ana"}, 1),
    "a hash that opted in": ("act", {"direction": "in", "address_hash": "h", "record_id": ""}, 1),
}


@pytest.mark.parametrize("case", ROWS)
def test_of_who_is_removed_only_hashes_stay(case: str) -> None:
    """Of addresses that opted out, with their key."""
    table, row, count = ROWS[case]
    final = ended(**{table: ({"customer_id": CUSTOMER, **row},)})
    assert len(list(stop_means_stop(story(GONE, final=final))[0])) == count
    assert stop_means_stop(story(replace(GONE, data={"done": "stopped"}), final=final))[0] == []


STEP = {"party_id": "p", "kind": "add_tag", "side": "crm", "target": "tag:7", "job_id": None}
JOB = {"id": "j", "state": "sent"}
MEANT = tx(("step", "INSERT", STEP))
SENT = tx(("job", "UPDATE", JOB))
CALL = out("1", "/api/ContactTag", "POST")
DONE = eff("contactTag:1", "tagId", None, 7, call="1")
OUTCOME = ("journal", "INSERT", {"party_id": "p", "kind": "outcome", "data": "{}"})
ENDED = tx(("step", "DELETE", {**STEP, "job_id": "j"}), ("job", "DELETE", {**JOB, "state": "done"}), OUTCOME)
WANTED = {"customer_id": CUSTOMER, "party_id": "p", "kind": "decided"}
DECIDED = {**WANTED, "body": json.dumps({"steps": [{"kind": "add_tag", "side": "crm", "target": "tag:7"}]})}
NOTHING = {**WANTED, "body": '{"party":{},"steps":[],"notes":[]}'}
WHOLE = (MEANT, SENT, CALL, DONE, ENDED)
EXPLAINED = {
    "from the decision to the end": (WHOLE, DECIDED, 0),
    "no decision wanted it": (WHOLE, NOTHING, 1),
    "no decision, on an older disk": ((*WHOLE, Told("RESTORE")), NOTHING, 0),
    "no job": ((MEANT, CALL, DONE), DECIDED, 1),
    "a job that ended before": ((*WHOLE, replace(CALL, key="2")), DECIDED, 1),
    "a read needs no job": ((out("1", "/api/Tag"),), DECIDED, 0),
    "an effect of no call": ((MEANT, SENT, DONE), DECIDED, 1),
    "an effect of staff": ((eff("method:1", "value", "a", "b", actor="staff"),), DECIDED, 0),
    "a step that ends without a word": (
        (MEANT, SENT, CALL, DONE, tx(("step", "DELETE", {**STEP, "job_id": "j"}))),
        DECIDED,
        1,
    ),
    "a step of a job that was never sent": ((MEANT, tx(("step", "DELETE", {**STEP, "job_id": "i"}))), DECIDED, 0),
    "a step that was dropped": ((MEANT, tx(("step", "DELETE", STEP))), DECIDED, 0),
    "a row of the ledger is changed": ((tx(("act", "UPDATE", {"id": 1})),), DECIDED, 1),
    "a row of the ledger is added": ((tx(("act", "INSERT", {"id": 1})),), DECIDED, 0),
}


@pytest.mark.parametrize("case", EXPLAINED)
def test_every_effect_is_explained(case: str) -> None:
    """Effect, call, job, step, decision, outcome: no gap."""
    told, history, count = EXPLAINED[case]
    found = explained(story(*told, final=ended(history=(history,))))[0]
    assert len(found) == count, found


def ledger() -> list[dict[str, Any]]:
    """Three rows, sealed by the product, as they are stored."""
    said = {
        "party_id": "p",
        "platform": CC,
        "address_hash": "h",
        "kind": "choice",
        "direction": "out",
        "source": "Contact",
    }
    times = {"after": None, "before": 12.0, "at": 11.5, "seen_at": 13.0}
    made = [
        {"customer_id": CUSTOMER, "record_id": f"r{n}", "evidence": {"id": "ü", "n": n}, **said, **times}
        for n in range(3)
    ]
    rows = chain.linked(made, "")
    return [{**row, "id": n, "evidence": json.dumps(row["evidence"])} for n, row in enumerate(rows, 1)]


def broken(rows: list[dict[str, Any]]) -> int:
    return len(explained(story(SENT, final=ended(act=tuple(rows))))[0])


def test_the_ledger_is_one_chain() -> None:
    """Whole as the product seals it; a row that is changed, gone or put in is seen."""
    rows = ledger()
    assert broken(rows) == 0
    assert seal(rows[0]) == rows[0]["seal"]
    assert broken([rows[0], {**rows[1], "direction": "in"}, rows[2]]) == 1
    assert broken([rows[0], rows[2]]) == 1
    assert broken([rows[0], rows[0] | {"id": 2}, *[one | {"id": one["id"] + 1} for one in rows[1:]]]) == 1
    assert broken(rows[1:]) == 1
    assert broken([{**rows[0], "record_id": ""}, *rows[1:]]) == 0
