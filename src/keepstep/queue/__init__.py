"""The durable queue. Plain functions of a connection; one call of `Database.run` is one transaction.

    slots    the customer's mutex: claim, renew, guard, release
    entries  "look at this party": put, take, forget, defer
    steps    decided writes that are not sent: replace, hold, let go
    jobs     vendor calls: form, send, settle, unresolved
    visit    a command's change between two turns

A turn is three commits. T1: claim, unresolved, take. T2: guard, replace_steps, forget, form. T3: settle, give_back,
release.
Every transaction locks the slot row before any other row of the customer, `put` included: entry-then-slot deadlocks.
"""

from keepstep.queue.entries import Entry, defer, forget, has_work, put, take
from keepstep.queue.jobs import Job, State, form, give_back, job_states, send, settle, unresolved
from keepstep.queue.slots import Fenced, Paused, Slot, claim, expire_leases, guard, next_claim, release, renew, wake
from keepstep.queue.steps import (
    StepRow,
    backlog,
    hold_instead,
    hold_steps,
    let_go,
    replace_all_steps,
    replace_steps,
    steps_of,
    steps_of_kinds,
    unsent,
)
from keepstep.queue.visit import UnderWay, occupy, visit

__all__ = [
    "Entry",
    "Fenced",
    "Job",
    "Paused",
    "Slot",
    "State",
    "StepRow",
    "UnderWay",
    "backlog",
    "claim",
    "defer",
    "expire_leases",
    "forget",
    "form",
    "give_back",
    "guard",
    "has_work",
    "hold_instead",
    "hold_steps",
    "job_states",
    "let_go",
    "next_claim",
    "occupy",
    "put",
    "release",
    "renew",
    "replace_all_steps",
    "replace_steps",
    "send",
    "settle",
    "steps_of",
    "steps_of_kinds",
    "take",
    "unresolved",
    "unsent",
    "visit",
    "wake",
]
