"""Tokens: I32 and I33."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from keepstep_sandbox.log import CONSTANT_CONTACT
from keepstep_simulator.story import Fact, Found, Row, Story, Violation

# After the product's own time limit a call without an answer is over; latencies here are below a second.
CALL_SECONDS = 30.0
TOLD_WITHIN = 300.0
VOID = "reauthorize"


@dataclass(slots=True)
class _Grant:
    """One customer's grant, as it is durable. `ever`: what was ever stored under each name. `held`: what is stored
    now."""

    held: dict[str, str] = field(default_factory=dict)
    ever: dict[str, set[str]] = field(default_factory=dict)

    def store(self, verb: str, row: Row) -> None:
        """A row of a secret changed."""
        name, print_ = row["field"], row.get("print", "")
        if verb == "DELETE":
            self.held.pop(name, None)
        else:
            self.held[name] = print_
            self.ever.setdefault(name, set()).add(print_)


def durable_before_use(story: Story) -> Found:
    """I32: of every refresh, in this order: the intent is durable, the request is sent, the answer comes, what it holds
    is durable, it is used. The refresh token that was used is kept until the new one is durable and has worked.

    So: no request without a stored intent; no bearer and no refresh token is shown that was not stored before; and
    whatever replaces a refresh token by itself keeps the one that it was given for, whatever another process has shown
    since. A new connection begins anew.
    """
    grants: dict[str, _Grant] = {}
    shown: dict[str, str] = {}  # by call: its refresh token
    granted: dict[str, str] = {}  # refresh tokens, and for which one the vendor gave them
    found: list[Violation] = []
    premise = 0
    for fact in _stream(story, ("secret",), "OUT", "RSP", "RESTORE"):
        if fact.kind == "TX":
            found += _stored(fact, grants, granted)
        elif fact.kind == "RSP":
            granted.update(dict.fromkeys(fact.data["granted"], shown.get(fact.key, "")))
        elif fact.kind == "RESTORE":
            _back(grants)
        elif fact.data["vendor"] == CONSTANT_CONTACT:
            premise += fact.data["token"]
            shown[fact.key] = fact.data["credential"]
            found += _shown(fact, grants.setdefault(fact.data["of"], _Grant()))
    return found, premise


def _stream(story: Story, tables: tuple[str, ...], *kinds: str) -> list[Fact]:
    """The transactions that touch these tables, and the facts of these kinds, in order."""
    stored = {fact.n: fact for fact, _, _, _ in story.rows(*tables)}
    return sorted([*stored.values(), *story.of(*kinds)], key=_number)


def _number(fact: Fact) -> int:
    return fact.n


def _stored(fact: Fact, grants: dict[str, _Grant], granted: Mapping[str, str]) -> list[Violation]:
    """What a transaction does to grants. A refresh token that the vendor gave in exchange for another keeps that one
    beside it; one that a person brought does not."""
    before: dict[str, str | None] = {}
    for table, verb, row in fact.data["rows"]:
        if table == "secret" and row["platform"] == CONSTANT_CONTACT:
            grant = grants.setdefault(row["customer_id"], _Grant())
            before.setdefault(row["customer_id"], grant.held.get("refresh_token"))
            grant.store(verb, row)
    return [
        Violation("I32", fact.n, f"{customer}: the refresh token that was used is not kept")
        for customer, old in before.items()
        if old and _forgets(grants[customer], old, granted)
    ]


def _forgets(grant: _Grant, old: str, granted: Mapping[str, str]) -> bool:
    new = grant.held.get("refresh_token", "")
    return new != old and new in granted and grant.held.get("previous_refresh_token") != granted[new]


def _shown(fact: Fact, grant: _Grant) -> list[Violation]:
    """What a call shows must be durable."""
    shown, customer = fact.data["credential"], fact.data["of"]
    if not fact.data["token"]:
        durable = shown in grant.ever.get("access_token", ())
        return [] if durable else [Violation("I32", fact.n, f"{customer}: a token is used before it is durable")]
    found = []
    if "refresh_intent" not in grant.held:
        found.append(Violation("I32", fact.n, f"{customer}: a refresh is sent without a durable intent"))
    if shown not in grant.ever.get("refresh_token", ()):
        found.append(Violation("I32", fact.n, f"{customer}: a refresh token is used before it is durable"))
    return found


def _back(grants: dict[str, _Grant]) -> None:
    """An older disk: what is stored now is not known here; whatever was ever stored may be on it."""
    for grant in grants.values():
        grant.held.clear()


def one_in_flight(story: Story) -> Found:
    """I33: one refresh in flight for a customer over all processes. A grant is called dead only after the vendor has
    refused every refresh token that is stored and every one that has arrived in the process that calls it so (avoidable
    re-authorizations: none), and its owner is told within five minutes.

    Whose answer never came is in flight for as long as a call may take. That nobody else is touched is I29 and I30.
    """
    found: list[Violation] = []
    premise = 0
    watch = _Watch()
    for fact in _stream(story, ("secret", "connection", "alert"), "OUT", "RSP", "RESTORE"):
        if fact.kind == "OUT" and fact.data["token"]:
            premise += 1
            found += watch.sent(fact)
        elif fact.kind == "RSP":
            watch.answered(fact)
        elif fact.kind == "TX":
            found += watch.stored(fact)
        elif fact.kind == "RESTORE":
            watch.begin()
    return found + watch.untold(story.facts[-1] if story.facts else None), premise


@dataclass(slots=True)
class _Watch:
    """Requests in flight by customer, refresh tokens that were refused, grants that were called dead."""

    flying: dict[str, Fact] = field(default_factory=dict)
    asked: dict[str, Fact] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    held: dict[str, dict[str, str]] = field(default_factory=dict)
    dead: dict[str, Fact] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    arrived: dict[str, Fact] = field(default_factory=dict)
    known: bool = True

    def begin(self) -> None:
        """An older disk has no intent of what is in flight, and what it holds is not known here."""
        self.flying.clear()
        self.held.clear()
        self.blocked.clear()
        self.open.clear()
        self.arrived.clear()
        self.known = False

    def sent(self, fact: Fact) -> list[Violation]:
        before = self.flying.get(fact.customer)
        self.flying[fact.customer] = self.asked[fact.key] = fact
        if before is None or fact.t - before.t >= CALL_SECONDS:
            return []
        return [Violation("I33", fact.n, f"{fact.customer}: a second refresh, the one of {before.key} is in flight")]

    def answered(self, fact: Fact) -> None:
        request = self.asked.get(fact.key)
        if request is None:
            return
        if self.flying.get(request.customer) is request:
            del self.flying[request.customer]
        if fact.data.get("granted") and not fact.data["fault"]:
            self.arrived[request.customer] = fact
        if fact.data["status"] == 400:
            self.refused.add(request.data["credential"])

    def stored(self, fact: Fact) -> list[Violation]:
        found = []
        for table, verb, row in fact.data["rows"]:
            if table == "secret" and row["platform"] == CONSTANT_CONTACT:
                self._keep(verb, row)
            elif table == "connection" and row["platform"] == CONSTANT_CONTACT:
                found += self._turned(fact, row)
            elif table == "alert" and (row["kind"], row["subject"]) == ("connection_blocked", CONSTANT_CONTACT):
                found += self._told(fact, row)
        return found

    def _told(self, fact: Fact, row: Row) -> list[Violation]:
        """The owner's alert is raised or closed."""
        customer = row["customer_id"]
        if row["closed"] is not None:
            self.open.discard(customer)
            return []
        self.open.add(customer)
        dead = self.dead.pop(customer, fact)
        return [_untold(customer, fact)] if fact.t - dead.t > TOLD_WITHIN else []

    def _keep(self, verb: str, row: Row) -> None:
        mine = self.held.setdefault(row["customer_id"], {})
        if row["field"].endswith("_token"):  # a refresh token that stays as it was is not stored again
            self.arrived.pop(row["customer_id"], None)
        if not row["field"].endswith("refresh_token"):
            return
        if verb == "DELETE":
            mine.pop(row["field"], None)
        else:
            mine[row["field"]] = row.get("print", "")

    def _turned(self, fact: Fact, row: Row) -> list[Violation]:
        customer = row["customer_id"]
        why = str(row["reason"]) if row["health"] == "blocked" else ""
        newly, self.blocked[customer] = self.blocked.get(customer, "") != why, why
        if why != VOID or not newly:
            return []
        if customer not in self.open:
            self.dead.setdefault(customer, fact)
        lost = self.arrived.get(customer)
        if lost is not None and lost.process == fact.process:
            return [Violation("I33", fact.n, f"{customer}: called dead, though a new token had arrived ({lost.key})")]
        left = [name for name, one in sorted(self.held.get(customer, {}).items()) if one not in self.refused]
        if not left or not self.known:
            return []
        return [Violation("I33", fact.n, f"{customer}: called dead, {' and '.join(left)} not refused by anybody")]

    def untold(self, last: Fact | None) -> list[Violation]:
        """Of whom nobody was told in time, whatever became of them since."""
        late = [
            (customer, fact) for customer, fact in sorted(self.dead.items()) if last and last.t - fact.t > TOLD_WITHIN
        ]
        return [_untold(customer, fact) for customer, fact in late]


def _untold(customer: str, fact: Fact) -> Violation:
    return Violation("I33", fact.n, f"{customer}: the grant is dead and its owner is not told within five minutes")
