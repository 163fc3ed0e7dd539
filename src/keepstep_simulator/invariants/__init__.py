"""Every invariant: what it says, and the pure function of the story that decides it.

A checker gives its violations and how often its premise occurred; one whose premise never occurred has proved nothing.
Safety is decided on what really changed (EFF), never on what the product believes it did.
"""

from collections.abc import Callable
from dataclasses import dataclass

from keepstep_simulator.invariants import (
    budgets,
    change,
    consent,
    convergence,
    effects,
    intake,
    queue,
    reading,
    rounds,
    secrecy,
    shares,
    tenants,
    tokens,
    values,
)
from keepstep_simulator.story import Found, Story, Violation

Check = Callable[[Story], Found]
PAIRS = "nothing: one run cannot show it, pairs of runs do (twins.py)"


@dataclass(frozen=True, slots=True)
class Invariant:
    """One statement. `check` is None while it `waits` for something."""

    id: str
    says: str
    check: Check | None = None
    waits: str = ""


INVARIANTS: tuple[Invariant, ...] = (
    # intake
    Invariant("I1", "a delivery that was answered 2xx is stored for good", intake.durable),
    Invariant("I2", "a delivery of many events stores all of them or none", intake.whole),
    Invariant("I3", "duplicates of deliveries change nothing, equal true events are both kept", waits=PAIRS),
    Invariant("I4", "an unverified request changes nothing and is told nothing", intake.strangers),
    # consent
    Invariant("I5", "nothing of ours undoes an opt-out", consent.never_undone),
    Invariant("I6", "every opt-out reaches both sides in time", consent.never_lost),
    Invariant("I7", "an opt-out of somebody who waits for the batch is applied once it ran", consent.paid_in_time),
    Invariant("I8", "only consent's own lane writes consent", consent.one_lane),
    Invariant("I9", "an opt-out follows the address through every identity change", consent.follows_the_address),
    # convergence
    Invariant("I10", "after quiescence every field of every pair is in step", convergence.converged),
    Invariant("I11", "no write echoes: nothing is written once all is in step", convergence.no_echo),
    Invariant("I12", "an edit on one side wins; of two the policy's, and the loser is in the log", values.edits_win),
    Invariant("I13", "every value written was seen on the other side; nothing else changes", values.nothing_invented),
    Invariant("I14", "deletes never cross", convergence.deletes_stay),
    # effects
    Invariant("I15", "at most one effect for each change, one record for each source", effects.made_once),
    Invariant(
        "I16",
        "an intent is committed before each write, an unknown fate read before a repeat",
        effects.intent_before_write,
    ),
    Invariant("I17", "writes to one pair never overlap; who lost the lease writes nothing", effects.never_overlapping),
    # queue
    Invariant("I18", "whatever was accepted is done, waiting, dead or superseded, after every commit", queue.conserved),
    Invariant("I19", "every item ends within its bound; a poison one holds nobody up", queue.ends_in_time),
    Invariant("I20", "refusals are not repeated, backing off is obeyed, tries are few", queue.disciplined),
    Invariant("I21", "dead letters are whole and replayable; consent is never parked in silence", queue.never_silent),
    # reading
    Invariant("I22", "a change is seen within two polls", reading.seen_in_two_polls),
    Invariant("I23", "cursor and mark move only with the rows they stand for", rounds.cursor_and_mark),
    Invariant(
        "I24", "a bulk load loads everybody, and nothing newer is overtaken by an older page", reading.loads_everybody
    ),
    Invariant("I25", "what is only inferred of many stops at the brake", reading.braked),
    Invariant("I26", "nothing is written to an account that is not the bound one", reading.bound_account),
    # budgets
    Invariant("I27", "the vendors' rates hold as they count them", budgets.within),
    Invariant("I28", "no customer and no lane starves another", shares.fair),
    # tenants
    Invariant(
        "I29", "every call uses the credential of its customer, every effect lands there", tenants.own_credential
    ),
    Invariant("I30", "every row touched is of the customer in hand", tenants.own_rows),
    Invariant("I31", "faults of one customer change nothing for another", waits=PAIRS),
    # tokens
    Invariant("I32", "a token is durable before it is used", tokens.durable_before_use),
    Invariant(
        "I33", "one refresh in flight for a customer; a dead grant is told and hurts nobody else", tokens.one_in_flight
    ),
    # secrecy
    Invariant("I34", "no secret stands in any output", secrecy.no_secret_told),
    Invariant("I35", "no person stands in any log", secrecy.no_person_told),
    Invariant("I36", "calls go to the allowed hosts only", secrecy.allowed_hosts),
    # time and change
    Invariant("I37", "our clock decides about delays, never about the outcome", waits=PAIRS),
    Invariant(
        "I38",
        "old and new release beside each other keep everything above",
        waits="an older release that can be upgraded: this one is the first",
    ),
    Invariant("I39", "after an older disk is restored everything above holds", change.restored_reads_first),
    Invariant("I40", "stop means stop", change.stop_means_stop),
    Invariant("I41", "every effect can be explained from the journal", change.explained),
    Invariant("alive", "no task of a living process ends by an error nobody handles", queue.worker_lives),
)
__all__ = ["INVARIANTS", "Check", "Found", "Invariant", "checked"]


def checked(story: Story) -> tuple[tuple[Violation, ...], dict[str, int]]:
    """What every checker says of a story, and how often each had something to check."""
    found: list[Violation] = []
    premises: dict[str, int] = {}
    for one in INVARIANTS:
        if one.check is not None:
            violations, premises[one.id] = one.check(story)
            found += violations
    return tuple(found), premises
