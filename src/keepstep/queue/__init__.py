"""The durable queue. Plain functions of a connection; one call of `Database.run` is one transaction.

    slots    the customer's mutex: claim, renew, guard, rest, release
    entries  "look at this party": put, take, forget, defer
    steps    decided writes that are not sent: replace, hold, let go
    jobs     vendor calls: form, send, settle, unresolved
    visit    a command's change between two turns

A turn is three commits. T1: claim, unresolved, take. T2: guard, replace_steps, forget, form. T3: settle, give_back,
release.
Every transaction locks the slot row before any other row of the customer, `put` included: entry-then-slot deadlocks.
"""

from keepstep.queue.entries import Entry, defer, forget, put, take
from keepstep.queue.jobs import (
    Job,
    Scale,
    State,
    form,
    give_back,
    job_states,
    part,
    quiet,
    send,
    settle,
    take_out,
    unresolved,
)
from keepstep.queue.slots import (
    Fenced,
    Paused,
    Slot,
    claim,
    expire_leases,
    guard,
    next_claim,
    release,
    renew,
    rest,
    wake,
)
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
    "Scale",
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
    "hold_instead",
    "hold_steps",
    "job_states",
    "let_go",
    "next_claim",
    "occupy",
    "part",
    "put",
    "quiet",
    "release",
    "renew",
    "replace_all_steps",
    "replace_steps",
    "rest",
    "send",
    "settle",
    "steps_of",
    "steps_of_kinds",
    "take",
    "take_out",
    "unresolved",
    "unsent",
    "visit",
    "wake",
]
