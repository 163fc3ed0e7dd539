"""Intake: I1, I2 and I4. (I3 is a pair of runs.)"""

from collections import Counter

from keepstep_sandbox.log import VIRTUOUS
from keepstep_simulator.invariants.lines import in_order
from keepstep_simulator.story import Fact, Found, Story, Violation

SETTLED = ("parsed", "refused")
# The longest answer to a stranger; whatever says more says something of the inside.
TERSE = 120
# How often a body was stored, acknowledged or asked to be stored, by its hash.
Bodies = Counter[str]
Names = tuple[tuple[str, str], ...]


def durable(story: Story) -> Found:
    """I1: 2xx implies durable. For each answer 2xx the delivery is in a commit before it, and in the store after every
    later crash; and nothing is stored that never came.

    Bodies are counted: two true events of equal bodies are two rows. An older disk that is put back has lost what came
    since; what it lost was promised on another disk, and only what it holds is looked for from then on.
    """
    acked, committed, came = Bodies(), Bodies(), Bodies()
    found: list[Violation] = []
    for fact, table, verb, row in in_order(story, ("RECV", "ACK", "BOOT", "RESTORE", "END"), ("delivery",)):
        if table:
            committed[row["body"]] += verb == "INSERT"
        elif fact.kind == "RECV":
            came[fact.key] += 1
        elif fact.kind == "ACK":
            acked[fact.key] += _good(fact)
            if acked[fact.key] > committed[fact.key]:
                found.append(Violation("I1", fact.n, f"acknowledged before it was stored: {fact.key}"))
        else:
            stored = Bodies(fact.data["stored"])
            if fact.kind == "RESTORE":
                acked, committed = acked & stored, Bodies(stored)
            found += [Violation("I1", fact.n, f"acknowledged, not stored: {key}") for key in sorted(acked - stored)]
            found += [Violation("I1", fact.n, f"stored, but never came: {key}") for key in sorted(stored - came)]
    return found, sum(map(_good, story.of("ACK")))


def _good(fact: Fact) -> bool:
    return 200 <= int(fact.data["status"]) < 300


def whole(story: Story) -> Found:
    """I2: a delivery of k events stores k rows or none: once it is done with, every record of ours that it names is
    stored as it was then or later, all of them in that commit or before it.

    A record of ours is one of which a reading is stored. The premise: deliveries of several events.
    """
    names: dict[str, Names] = {}
    stamps: dict[tuple[str, str], str] = {}
    found: list[Violation] = []
    premise = 0
    for fact, table, verb, row in in_order(story, ("RECV", "RESTORE"), ("snapshot", "delivery")):
        if fact.kind == "RECV":
            names[fact.key] = fact.data["names"]
        elif fact.kind == "RESTORE":
            stamps.clear()
        elif row["platform"] == VIRTUOUS and table == "snapshot":
            stamps[row["customer_id"], row["record_id"]] = "" if verb == "DELETE" else row["stamp"] or ""
        elif row["platform"] == VIRTUOUS and verb == "UPDATE" and row["state"] in SETTLED:
            ours = [(stamps.get((row["customer_id"], name), ""), since) for name, since in names[row["body"]]]
            premise += len(ours) > 1
            late = sum(len(stamp) > 0 and stamp < since for stamp, since in ours)
            if late:
                why = f"done with, but {late} of the {len(ours)} records it names were not read since"
                found.append(Violation("I2", fact.n, f"{row['body']}: {why}"))
    return found, premise


def strangers(story: Story) -> Found:
    """I4: an unverified request changes nothing but an audit counter, and its answer carries no detail: its body is in
    no row, it is answered 4xx, and every answer of one status is the same few bytes, whoever asks and for whatever
    reason it is not believed.
    """
    true, stored = Bodies(), Bodies()
    forged: set[int] = set()
    answers: dict[int, str] = {}
    found: list[Violation] = []
    for fact, table, verb, row in in_order(story, ("RECV", "ACK"), ("delivery",)):
        if table:
            stored[row["body"]] += verb == "INSERT"
            if stored[row["body"]] > true[row["body"]]:
                found.append(Violation("I4", fact.n, f"a request that nobody signed is stored: {row['body']}"))
        elif fact.kind == "RECV":
            true[fact.key] += bool(fact.data["verified"])
            if not fact.data["verified"]:
                forged.add(fact.data["n"])
        elif fact.data["n"] in forged and (why := _told(fact, answers)):
            found.append(Violation("I4", fact.n, f"{fact.key}: {why}"))
    return found, len(forged)


def _told(fact: Fact, answers: dict[int, str]) -> str:
    """What is wrong with the answer to a stranger; empty for nothing."""
    status, body = fact.data["status"], fact.data["body"]
    if not 400 <= status < 500 and status != 503:
        return f"answered {status}"
    if answers.setdefault(status, body) != body:
        return f"answers of {status} differ: {body!r} and {answers[status]!r}"
    return f"the answer says {len(body)} characters" if len(body) > TERSE else ""
