"""Invariants as pure functions of the log: facts -> (violations, how often the premise occurred).

A premise that never occurred proves nothing. Safety is decided on what really changed (EFF), never on what the product
believes it did. Polls and their marks have a file of their own.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_simulator import rounds
from keepstep_simulator.story import Fact, Violation

Found = tuple[list[Violation], int]
OUT, IN = "unsubscribed", ("implicit", "explicit")
# An import of unknown fate is not repeated before a later batch was seen to run, or a person looks after 72 hours.
WAITING = ("submission_unknown", "submission_review")
OURS = ("product", "job", "batch")


def acked_is_durable(facts: Sequence[Fact]) -> Found:
    """I1: a delivery that was answered 2xx is in the store, at every boot after it and at the end."""
    acked: Counter[str] = Counter()
    found = []
    for fact in facts:
        if fact.kind == "ACK" and 200 <= fact.data["status"] < 300:
            acked[fact.key] += 1
        elif fact.kind in ("BOOT", "END"):
            missing = acked - Counter(fact.data["stored"])
            found += [Violation("I1", fact.n, f"acknowledged, not stored: {key}") for key in sorted(missing)]
    return found, acked.total()


def consent_never_widens(facts: Sequence[Fact]) -> Found:
    """I5: nothing of ours takes an address from out to in without the person's own later opt-in.

    An opt-out that falls between our reading of the record and the answer of our write is a race that no client can
    exclude: it must be repaired, which I10 sees, and is no violation here.
    """
    reads: dict[tuple[str, str], int] = {}
    out_since: dict[tuple[str, str], int] = {}
    back: dict[tuple[str, str], int] = {}
    found, premise = [], 0
    paths: dict[str, str] = {}
    for fact in facts:
        if fact.kind == "OUT":
            paths[fact.key] = fact.data["path"]
            if not fact.data["write"]:
                reads[fact.customer, fact.data["path"]] = fact.n
        elif fact.kind == "ACT" and fact.data["what"] == "person_opts_in":
            back[fact.customer, fact.key] = fact.n
        elif fact.kind == "EFF" and (turned := _turned(fact)):
            place = (fact.customer, fact.key)
            if turned == "out":
                # What we close ourselves was asked for earlier, on the other side: any return may have come since.
                out_since[place] = fact.n if fact.data["actor"] not in OURS else -1
                premise += 1
            elif fact.data["actor"] in OURS and place in out_since and not _may_return(fact, back, out_since[place]):
                read = reads.get((fact.customer, paths.get(fact.data["call"], "")), fact.n)
                if out_since[place] < read:
                    found.append(Violation("I5", fact.n, f"{fact.key} was taken back in by {fact.data['actor']}"))
    return found, premise


def _turned(fact: Fact) -> str:
    before, after = fact.data["before"], fact.data["after"]
    if fact.data["field"] == "isOptedIn":
        return "out" if after is False else "in" if before is False and after is True else ""
    if fact.data["field"].endswith("permission_to_send"):
        return "out" if after == OUT else "in" if before == OUT and after in IN else ""
    return ""


def _may_return(fact: Fact, back: dict[tuple[str, str], int], out_since: int) -> bool:
    """Whether the person came back after this opt-out. At Virtuous the person is found by the household: any return of
    somebody of this customer after the opt-out counts, which the judge looks at more closely."""
    number = fact.key.partition(":")[2]
    if fact.data["side"] == CONSTANT_CONTACT:
        return back.get((fact.customer, number), -1) > out_since
    return any(n > out_since for (customer, _), n in back.items() if customer == fact.customer)


def converged(facts: Sequence[Fact]) -> Found:
    """I10: after quiescence every mapped field of every linked pair is in its allowed set: the judge's opinion.

    Whoever is pending because the vendor's import holds the row must wait: no staff may ever run it.
    """
    found, premise = [], 0
    for fact in facts:
        if fact.kind != "JUDGED":
            continue
        premise += fact.data["report"]["in_step"]
        for line in fact.data["report"]["details"]:
            held = line["key"] == "pending" and line["record"] in fact.data["waiting"]
            if line["reason"] in WAITING or held:
                continue
            if line["key"] in ("wrong_fields", "lost", "opt_outs_applied", "pending", "captured"):
                why = f"{fact.customer} {line['record']}: {line['key']}: {line['reason']}"
                found.append(Violation("I10", fact.n, why))
    return found, premise


def made_once(facts: Sequence[Fact]) -> Found:
    """I15: at most one record for each source record; no value written twice that nobody changed in between."""
    found, premise = [], 0
    carriers: dict[tuple[str, str], set[int]] = {}
    written: dict[tuple[str, str, str, str], int] = {}
    disturbed: dict[str, int] = {}
    owners: dict[str, str] = {}
    for fact in facts:
        if fact.kind == "JUDGED":
            doubles = [line for line in fact.data["report"]["details"] if line["key"] == "duplicates"]
            found += [Violation("I15", fact.n, f"{line['record']}: {line['reason']}") for line in doubles]
        elif fact.kind == "ACT" or (fact.kind == "EFF" and fact.data["actor"] not in ("product", "job")):
            disturbed[fact.customer] = fact.n
        carried = _carried(carriers, fact)
        if fact.kind != "EFF" or fact.data["actor"] not in OURS:
            continue
        premise += 1
        if carried > 1:
            found.append(Violation("I15", fact.n, f"{fact.key} was put on a second contact"))
        if fact.data["actor"] == "product":
            value = (fact.customer, *_change(fact, owners))
            if disturbed.get(fact.customer, -1) < written.get(value, -1):
                found.append(Violation("I15", fact.n, f"{fact.key} {fact.data['field']}: the same change again"))
            written[value] = fact.n
    return found, premise


def _carried(carriers: dict[tuple[str, str], set[int]], fact: Fact) -> int:
    """On how many contacts a reference is that was put on one just now. Whoever moves it takes it off the other."""
    if fact.kind != "EFF" or not fact.key.startswith("reference:"):
        return 0
    now = carriers.setdefault((fact.customer, fact.key), set())
    now.discard(fact.data["before"])
    if fact.data["after"] is None:
        return 0
    now.add(fact.data["after"])
    return len(now)


def _change(fact: Fact, owners: dict[str, str]) -> tuple[str, str, str]:
    """What was changed; a record that was made is known by its owner and what it says, for its id is new each time."""
    kind, name = fact.key.partition(":")[0], fact.data["field"]
    if name in ("contactIndividualId", "contactId"):
        owners[fact.key] = repr(fact.data["after"])
    made = fact.data["before"] is None and (kind, name) in (("method", "value"), ("note", "note"))
    return (f"{kind} of {owners.get(fact.key)}" if made else fact.key, name, repr(fact.data["after"]))


@dataclass(slots=True)
class _Asked:
    """A call that went out, until it is answered."""

    fact: Fact
    known: bool | None = None


def intent_before_write(facts: Sequence[Fact]) -> Found:
    """I16: each write has an intent committed before it; one of unknown fate is read before it is sent again."""
    open_jobs: dict[str, set[str]] = {}
    asked: dict[str, _Asked] = {}
    unknown: dict[tuple[str, ...], int] = {}
    found, premise = [], 0
    for fact in facts:
        if fact.kind == "TX":
            _jobs(fact, open_jobs)
        elif fact.kind == "OUT":
            asked[fact.key] = _Asked(fact)
            if not fact.data["write"]:
                continue
            premise += 1
            where = f"{fact.data['method']} {fact.data['path']}"
            if not open_jobs.get(fact.customer):
                found.append(Violation("I16", fact.n, f"{where}: no intent is committed"))
            for key in _writes(fact):
                if key in unknown and not _read_between(facts, unknown[key], fact, key[-1]):
                    found.append(Violation("I16", fact.n, f"{where}: sent again without a look"))
                unknown[key] = fact.n
        elif fact.kind == "RSP" and fact.data["known"] and asked[fact.key].fact.data["write"]:
            for key in _writes(asked[fact.key].fact):
                unknown.pop(key, None)
    return found, premise


def _jobs(fact: Fact, open_jobs: dict[str, set[str]]) -> None:
    """Which jobs of a customer were sent and are not settled. One of unknown fate is still an intent: its look may
    finish what was half done, such as an address that is off its method and not on the new one yet."""
    for table, verb, row in fact.data["rows"]:
        if table != "job" or verb != "UPDATE":
            continue
        mine = open_jobs.setdefault(row.get("customer_id_1", ""), set())
        if row.get("state") in ("sent", "unknown") and "id_1" in row:
            mine.add(row["id_1"])
        elif fact.key == "record":
            mine.discard(row.get("id_1", ""))


def _writes(fact: Fact) -> Iterator[tuple[str, ...]]:
    """What a write writes, one key for each thing that must not be written twice; the last part names it in a read."""
    place = (fact.customer, fact.data["vendor"], fact.data["method"], fact.data["path"])
    body = _object(fact.data.get("body", ""))
    rows = [row.get("referenceId") for row in body.get("contacts", ()) if isinstance(row, dict)]
    source = body.get("source")
    members = source.get("contact_ids", ()) if isinstance(source, dict) else ()
    named = [*rows, *members] or [body.get("contactId") or body.get("referenceId") or body.get("contactIndividualId")]
    for name in named:
        yield *place, fact.data["body"] if len(named) == 1 else "", str(name or fact.data["path"].rpartition("/")[2])


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _read_between(facts: Sequence[Fact], begin: int, end: Fact, name: str) -> bool:
    """Whether a read that was answered said something about this record."""
    word = re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])")
    asked: dict[str, Fact] = {}
    for fact in facts[begin + 1 : end.n]:
        if fact.customer != end.customer:
            continue
        if fact.kind == "OUT" and not fact.data["write"] and fact.data["vendor"] == end.data["vendor"]:
            asked[fact.key] = fact
        elif fact.kind == "RSP" and fact.key in asked and fact.data["status"] in (200, 404):
            one = asked[fact.key].data
            texts = (one["path"], one.get("query", ""), one.get("body", ""), fact.data["body"])
            if any(word.search(text) for text in texts):
                return True
    return False


def worker_lives(facts: Sequence[Fact]) -> Found:
    """A living process works: none of its tasks ends by an error that nobody handles."""
    found = [Violation("alive", fact.n, f"{fact.key}: {fact.data['error']}") for fact in facts if fact.kind == "TASK"]
    return found, sum(fact.kind in ("BOOT", "FAULT") for fact in facts)


CHECKERS: dict[str, Callable[[Sequence[Fact]], Found]] = {
    "I1": acked_is_durable,
    "I5": consent_never_widens,
    "I10": converged,
    "I15": made_once,
    "I16": intent_before_write,
    "I23": rounds.cursor_and_mark,
    "alive": worker_lives,
}
__all__ = ["CHECKERS", "VIRTUOUS", "Found"]
