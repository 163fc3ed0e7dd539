"""Marks that take more than one fact: what happened while something else was under way, or right after it."""

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

from keepstep_simulator.story import Fact, Story

MINUTE = 60.0
OUT_ACTS = ("person_opts_out", "campaign_opt_out", "complain")
PEOPLE = ("person", "staff")


def waits_for_the_batch(story: Story) -> bool:
    """An opt-out while the row waits for the batch."""
    waiting: set[str] = set()
    for fact in story.of("TX", "ACT"):
        if fact.kind == "ACT":
            if fact.data["what"] in OUT_ACTS and fact.key in waiting:
                return True
            continue
        for table, verb, row in fact.data["rows"]:
            if table == "submission" and verb != "DELETE":
                (waiting.add if row["state"] == "waiting" else waiting.discard)(row["record_id"])
    return False


def under_the_cursor(story: Story) -> bool:
    """Somebody changed a record of the side whose pages are being read."""
    reading: set[tuple[str, str]] = set()
    for fact in story.of("TX", "EFF"):
        if fact.kind == "EFF":
            if fact.data["actor"] in PEOPLE and (fact.customer, fact.data["side"]) in reading:
                return True
            continue
        for table, _verb, row in fact.data["rows"]:
            if table == "mark":
                place = (row["customer_id"], row["platform"])
                (reading.add if row["cursor"] is not None else reading.discard)(place)
    return False


def under_way(story: Story, kind: str, says: Callable[[Fact], bool]) -> bool:
    """Whether such a fact of a customer came between one of its calls and the answer."""
    calls: dict[str, set[str]] = {}
    for fact in story.of("OUT", "RSP", kind):
        open_calls = calls.setdefault(fact.customer, set())
        if fact.kind == "OUT":
            open_calls.add(fact.key)
        elif fact.kind == "RSP":
            open_calls.discard(fact.key)
        elif open_calls and says(fact):
            return True
    return False


def edit_under_way(story: Story) -> bool:
    """Somebody changed something between a call and its answer."""
    return under_way(story, "EFF", lambda fact: fact.data["actor"] in PEOPLE)


def opt_out_under_way(story: Story) -> bool:
    """Somebody opted out between a call and its answer."""
    return under_way(story, "ACT", lambda fact: fact.data["what"] in (*OUT_ACTS, "staff_opts"))


def pause_under_way(story: Story) -> bool:
    """The operator paused a customer between a call and its answer."""
    return under_way(story, "OPERATE", lambda fact: fact.key == "pause")


def _held(story: Story, kind: str) -> Iterator[tuple[Fact, bool]]:
    """Facts of a kind, with whether a turn of their customer was under way."""
    held: set[str] = set()
    for fact in story.of("TX", kind):
        if fact.kind == kind:
            yield fact, fact.customer in held
            continue
        for table, _verb, row in fact.data["rows"]:
            if table == "slot":
                (held.add if row["holder"] is not None else held.discard)(row["customer_id"])


def delivery_in_a_turn(story: Story) -> bool:
    """A delivery came while the customer's turn was under way."""
    return any(held for _fact, held in _held(story, "RECV"))


def opt_out_in_a_turn(story: Story) -> bool:
    """Somebody opted out while the customer's turn was under way."""
    return any(held and fact.data["what"] in OUT_ACTS for fact, held in _held(story, "ACT"))


def _next_of(story: Story, fact: Fact) -> Fact | None:
    """The next thing that the same process did."""
    return next((one for one in story.facts[fact.n + 1 : fact.n + 6] if one.process == fact.process), None)


def _crash_after(story: Story, facts: Iterator[Fact]) -> bool:
    following = (_next_of(story, fact) for fact in facts)
    return any(one is not None and one.kind == "CRASH" for one in following)


def crash_after_decision(story: Story) -> bool:
    """The process died right after it stored a decision."""
    return _crash_after(
        story, (fact for fact in story.of("TX") if any(t == "step" and v == "INSERT" for t, v, _ in fact.data["rows"]))
    )


def crash_after_intent(story: Story) -> bool:
    """The process died right after an intent was stored."""
    return _crash_after(
        story,
        (fact for fact in story.of("TX") if any(t == "job" and r["state"] == "sent" for t, _v, r in fact.data["rows"])),
    )


def crash_after_delivery(story: Story) -> bool:
    """The process died within seconds of acknowledging a delivery."""
    acked: dict[int, float] = {}
    for fact in story.of("ACK", "CRASH"):
        if fact.kind == "ACK":
            acked[fact.process] = fact.t
        elif fact.t - acked.get(fact.process, -MINUTE) < MINUTE / 6:
            return True
    return False


def crashes_in_a_row(story: Story) -> bool:
    """Two crashes within ten minutes."""
    times = [fact.t for fact in story.of("CRASH")]
    return any(later - earlier < 10 * MINUTE for earlier, later in pairwise(times))


def taken_over(story: Story) -> bool:
    """The slot of one that stands still was claimed by another one."""
    still: set[int] = set()
    for fact in story.of("PAUSE", "RESUME", "TX"):
        if fact.kind == "PAUSE":
            still.add(fact.process)
        elif fact.kind == "RESUME":
            still.discard(fact.process)
        elif still - {fact.process} and fact.data.get("fence") is not None and fact.process not in still:
            return True
    return False


def both_work(story: Story) -> bool:
    """Two processes wrote to vendors within a minute."""
    last: dict[int, float] = {}
    for fact in story.of("OUT"):
        if fact.data["write"]:
            if any(fact.t - at < MINUTE for number, at in last.items() if number != fact.process):
                return True
            last[fact.process] = fact.t
    return False


def token_of_another(story: Story) -> bool:
    """A process used a token that another living one had asked for."""
    granted: dict[str, int] = {}
    asked = {fact.key: fact.process for fact in story.of("OUT") if fact.data["token"]}
    for fact in story.of("RSP", "OUT", "CRASH"):
        if fact.kind == "CRASH":
            granted = {one: number for one, number in granted.items() if number != fact.process}
        elif fact.kind == "RSP":
            granted |= dict.fromkeys(fact.data["granted"], asked.get(fact.key, fact.process))
        elif granted.get(fact.data["credential"], fact.process) != fact.process:
            return True
    return False


def fault_in_the_first_load(story: Story) -> bool:
    """A call failed in the first five minutes."""
    begun = story.of("PLAN")[0].t
    return any(fact.t - begun < 5 * MINUTE for fact in story.of("FAULT"))


def faults_in_a_row(story: Story) -> bool:
    """Two calls of one customer failed one after the other."""
    failed: dict[str, bool] = {}
    for fact in story.of("RSP"):
        if fact.data["fault"] and failed.get(fact.customer):
            return True
        failed[fact.customer] = bool(fact.data["fault"])
    return False


def disk_lost_while_waiting(story: Story) -> bool:
    """An older disk was put back that does not know of a submission."""
    waiting: dict[str, float] = {}
    for fact in story.of("TX", "RESTORE"):
        if fact.kind == "RESTORE":
            if any(at > fact.t - fact.data["age"] for at in waiting.values()):
                return True
            continue
        for table, verb, row in fact.data["rows"]:
            if table == "submission" and verb == "INSERT":
                waiting[row["record_id"]] = fact.t
    return False


def work_while_paused(story: Story) -> bool:
    """Somebody changed something while the operator kept the customer paused."""
    paused: set[str] = set()
    for fact in story.of("OPERATE", "EFF"):
        if fact.key == "pause":
            paused.add(fact.customer)
        elif fact.key == "resume":
            paused.discard(fact.customer)
        elif fact.kind == "EFF" and fact.customer in paused and fact.data["actor"] in PEOPLE:
            return True
    return False


COURSES: Mapping[str, Callable[[Story], bool]] = {
    "opt-out while the row waits for the batch": waits_for_the_batch,
    "page changed under the cursor": under_the_cursor,
    "edit between a call and its answer": edit_under_way,
    "opt-out between a call and its answer": opt_out_under_way,
    "customer paused between a call and its answer": pause_under_way,
    "delivery during a turn": delivery_in_a_turn,
    "opt-out during a turn": opt_out_in_a_turn,
    "crash right after a decision": crash_after_decision,
    "crash right after an intent": crash_after_intent,
    "crash right after a delivery": crash_after_delivery,
    "two crashes in a row": crashes_in_a_row,
    "slot of one that stands still taken over": taken_over,
    "two processes write at once": both_work,
    "token of another living process used": token_of_another,
    "fault in the first load": fault_in_the_first_load,
    "two faults in a row": faults_in_a_row,
    "submission forgotten with the disk": disk_lost_while_waiting,
    "edit while the customer is paused": work_while_paused,
}
