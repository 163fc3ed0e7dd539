"""What must happen sometimes: a simulation in which one of these never occurs does not test what it says.

Each mark is a name and a cheap question about a fact, a call, a stored row, or the course of a story. `of` gives those
that occurred in one seed.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_simulator.courses import COURSES
from keepstep_simulator.story import Fact, Story

LEASE = 300.0
LOST = ("reset_after", "html_after", "503_after", "truncated")
DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the product with its answer. `effective`: whether it changed anything there and then."""

    out: Mapping[str, Any]
    rsp: Mapping[str, Any]
    effective: bool

    @property
    def fault(self) -> str:
        """The fault it met."""
        return str(self.rsp.get("fault", ""))

    @property
    def lost(self) -> bool:
        """Whether the vendor did it and the product was not told."""
        return self.fault in LOST

    def asks(self, method: str, path: str) -> bool:
        """Whether it is such a call."""
        return self.out["method"] == method and path in self.out["path"]

    def at(self, vendor: str) -> bool:
        """Whether it goes to this vendor."""
        return bool(self.out["vendor"] == vendor)


CALLS: Mapping[str, Callable[[Call], bool]] = {
    "answer of a refresh lost": lambda c: c.out["token"] and c.lost,
    "refresh that never arrived": lambda c: c.out["token"] and c.fault in ("unreached", "reset_before"),
    "refresh refused for good": lambda c: c.out["token"] and c.rsp.get("status") == 400,
    "refresh answered with an error of the server": lambda c: c.out["token"] and c.fault in ("500", "503"),
    "write took effect and its answer was lost": lambda c: c.out["write"] and c.effective and c.fault == "reset_after",
    "write that may have taken effect did not": lambda c: c.out["write"] and c.fault == "reset_before",
    "write answered with a page of a proxy": lambda c: c.out["write"] and c.fault == "html_after",
    "write answered with 503 after its effect": lambda c: c.out["write"] and c.effective and c.fault == "503_after",
    "write with half an answer": lambda c: c.out["write"] and c.fault == "truncated",
    "write refused by an error of the server": lambda c: c.out["write"] and c.fault in ("500", "503"),
    "write refused for good": lambda c: c.out["write"] and c.fault == "400",
    "write turned away with 401": lambda c: c.out["write"] and c.fault == "401",
    "write throttled": lambda c: c.out["write"] and c.fault == "429",
    "write that never left": lambda c: c.out["write"] and c.fault == "unreached",
    "half a page": lambda c: c.asks("GET", "/v3/contacts") and c.fault == "truncated",
    "page of a query lost": lambda c: c.asks("POST", "/Query/FullContact") and c.fault == "reset_after",
    "read turned away with 401 at Constant Contact": lambda c: (
        c.fault == "401" and c.at(CONSTANT_CONTACT) and not c.out["write"]
    ),
    "call turned away with 401 at Virtuous": lambda c: c.fault == "401" and c.at(VIRTUOUS),
    "throttled at Constant Contact": lambda c: c.fault == "429" and c.at(CONSTANT_CONTACT),
    "rate limit of Virtuous": lambda c: c.fault == "429" and c.at(VIRTUOUS),
    "import sent": lambda c: c.asks("POST", "/api/Contact/Batch"),
    "single transaction sent": lambda c: c.asks("POST", "/api/Contact/Transaction"),
    "answer of an import lost": lambda c: c.asks("POST", "/api/Contact/Batch") and c.lost,
    "contact created directly": lambda c: c.asks("POST", "/api/Contact") and c.out["path"].endswith("/Contact"),
    "answer of a creation lost": lambda c: c.asks("POST", "/api/Contact") and c.out["path"].endswith("ct") and c.lost,
    "reference written": lambda c: c.asks("POST", "/api/ContactReference"),
    "tag written": lambda c: c.asks("POST", "/api/ContactTag"),
    "tag taken off": lambda c: c.asks("DELETE", "/api/ContactTag"),
    "note written": lambda c: c.asks("POST", "/api/ContactNote"),
    "answer of a note lost": lambda c: c.asks("POST", "/api/ContactNote") and c.lost,
    "address taken off": lambda c: c.asks("DELETE", "/api/ContactMethod"),
    "individual renamed": lambda c: c.asks("PUT", "/api/ContactIndividual"),
    "record of Constant Contact replaced": lambda c: c.asks("PUT", "/v3/contacts/"),
    "answer of a replacement lost": lambda c: c.asks("PUT", "/v3/contacts/") and c.lost,
    "list job that adds": lambda c: c.asks("POST", "/activities/add_list"),
    "list job that removes": lambda c: c.asks("POST", "/activities/remove_list"),
    "subscription made": lambda c: c.asks("POST", "/api/Webhook"),
    "record read that is not there": lambda c: c.rsp.get("status") == 404,
    "call for the wrong account": lambda c: c.rsp.get("account") == "account-9",
}

Row = Mapping[str, Any]
ROWS: Mapping[str, Mapping[str, Callable[[str, Row], bool]]] = {
    "alias": {
        "somebody parked": lambda _v, r: r["standing"] == "parked",
        "somebody left out": lambda _v, r: r["standing"] == "left_out",
        "address held by somebody else": lambda _v, r: r["reason"] == "address_held",
        "fate of a submission unknown": lambda _v, r: r["reason"] == "submission_unknown",
        "submission sent again": lambda _v, r: r["reason"] == "submission_again",
    },
    "submission": {
        "submission waits": lambda _v, r: r["state"] == "waiting",
        "submission resolved": lambda _v, r: r["state"] == "resolved",
        "submission in doubt": lambda _v, r: r["state"] == "unknown",
    },
    "job": {
        "job in doubt": lambda _v, r: r["state"] == "unknown",
        "job accepted and not done": lambda _v, r: r["state"] == "accepted",
    },
    "step": {
        "gate held something": lambda _v, r: r["hold"] == "gate",
        "brake held something": lambda _v, r: r["hold"] == "brake",
        "step held for a blocked connection": lambda _v, r: r["hold"] == "blocked",
        "step tried again": lambda _v, r: r["tries"] > 0,
        "step of consent": lambda _v, r: r["lane"] == 0,
        "step that is only inferred": lambda _v, r: r["inferred"] is not None,
    },
    "entry": {
        "party marked again while it waits": lambda _v, r: r["rev"] > 1,
        "party put off": lambda _v, r: r["tries"] > 0,
    },
    "dead_letter": {
        "dead letter": lambda _v, r: r["state"] == "open",
        "dead letter replayed": lambda _v, r: r["state"] == "replayed",
    },
    "connection": {
        "grant is void": lambda _v, r: r["reason"] == "reauthorize",
        "key is void": lambda _v, r: r["reason"] == "unauthorized",
        "wrong account noticed": lambda _v, r: r["reason"] == "wrong_account",
    },
    "delivery": {
        "delivery set aside": lambda _v, r: r["state"] == "aside",
        "delivery refused by what it says": lambda _v, r: r["state"] == "refused",
    },
    "act": {
        "opt-out in the ledger": lambda _v, r: r["direction"] == "out",
        "return in the ledger": lambda _v, r: r["direction"] == "in",
    },
    "label": {"list without its tag": lambda _v, r: r["reason"] == "tag_missing"},
    "inferred": {
        "bounce inferred": lambda _v, r: r["why"] == "bounce",
        "absence inferred": lambda _v, r: r["why"] == "absence",
        "inferred change approved": lambda _v, r: r["state"] == "approved",
    },
    "alert": {
        "alert of a blocked connection": lambda _v, r: r["kind"] == "connection_blocked",
        "alert of a red certificate": lambda _v, r: r["kind"] == "certificate_red",
    },
    "journal": {
        "standstill noticed": lambda _v, r: r["kind"] == "stood_still",
        "turn failed": lambda _v, r: r["kind"] == "turn_failed",
        "read failed": lambda _v, r: r["kind"] == "read_failed",
        "delivery not understood": lambda _v, r: r["kind"] == "delivery_not_understood",
        "households merged": lambda _v, r: r["kind"] == "merged",
        "certificate made": lambda _v, r: r["kind"] == "certificate",
        "both sides reconciled": lambda _v, r: r["kind"] == "reconciled",
    },
}

FACTS: Mapping[str, Mapping[str, Callable[[Fact], bool]]] = {
    "CRASH": {
        "crash before a call": lambda f: f.key.startswith("before call"),
        "crash after the effect of a write": lambda f: f.key.startswith("after effect of P"),
        "crash after an answer": lambda f: f.key.startswith("after answer"),
        "crash before a commit": lambda f: f.key.startswith("before commit"),
        "crash after a commit": lambda f: f.key.startswith("after commit"),
        "crash around a token": lambda f: "/token" in f.key or "desk_in" in f.key or f.key.endswith("_stored"),
        "crash between intent and call": lambda f: f.key.startswith("before call P") and "/Query" not in f.key,
        "disk lost": lambda f: "disk" in f.key,
    },
    "FAULT": {
        "commit failed": lambda f: f.key == "before commit",
        "outcome of a commit unknown": lambda f: f.key == "after commit",
        "outcome of a claim unknown": lambda f: f.key == "after commit" and f.data["what"] in ("claim", "_release"),
        "outcome of a record of an answer unknown": lambda f: f.key == "after commit" and f.data["what"] == "record",
        "door busy": lambda f: f.key == "door",
    },
    "PAUSE": {
        "stood still for a moment": lambda f: f.data["seconds"] < LEASE,
        "stood still for longer than a lease": lambda f: f.data["seconds"] > LEASE,
        "lease expired while writing": lambda f: f.data["seconds"] > LEASE and f.key.startswith("after effect of P"),
        "stood still between intent and call": lambda f: f.key.startswith("before call P"),
    },
    "RESUME": {"came back and another one works": lambda f: bool(f.data["others"])},
    "BOOT": {"two processes at once": lambda f: f.data["double"]},
    "SKEW": {
        "our clock behind": lambda f: f.data["ahead"] < 0,
        "our clock ahead": lambda f: f.data["ahead"] > 0,
        "our clock a day ahead": lambda f: f.data["ahead"] >= DAY,
    },
    "RESTORE": {
        "older disk put back": lambda _f: True,
        "deliveries lost with the disk": lambda f: f.data["lost"] > 0,
        "disk of half a day ago put back": lambda f: f.data["age"] > DAY / 2,
    },
    "RECV": {
        "delivery came again": lambda f: f.data["copy"] > 0,
        "unverified delivery": lambda f: not f.data["verified"],
        "delivery at another customer's door": lambda f: f.data["door"] not in ("", f.data["tenant"]),
        "delivery at no door": lambda f: not f.data["door"],
        "delivery of several records": lambda f: f.data["events"] > 1,
        "delivery nobody can read": lambda f: f.data["delivery"] == "poison",
        "hint of Constant Contact": lambda f: f.data["platform"] == CONSTANT_CONTACT,
    },
    "OPERATE": {
        "customer paused": lambda f: f.key == "pause",
        "account connected again": lambda f: f.key == "reconnect",
        "wrong account connected": lambda f: f.key == "wrong_account",
        "letter replayed by the operator": lambda f: f.key == "replay",
        "brake let go by the operator": lambda f: f.key == "approve",
        "command failed": lambda f: f.key == "failed",
    },
    "ACT": {
        "opt-out by the person": lambda f: f.data["what"] == "person_opts_out",
        "opt-out of a mailing": lambda f: f.data["what"] == "campaign_opt_out",
        "opt-out by staff": lambda f: f.data["what"] == "staff_opts",
        "return of a person": lambda f: f.data["what"] == "person_opts_in",
        "complaint": lambda f: f.data["what"] == "complain",
        "bounce": lambda f: f.data["what"] == "bounce",
        "deletion at Constant Contact": lambda f: f.data["what"] == "delete",
        "merge by staff": lambda f: f.data["what"] == "staff_merges",
        "list renamed": lambda f: f.data["what"] == "rename_list",
        "consent taken back": lambda f: f.data["what"] == "revoke_grant",
        "key replaced": lambda f: f.data["what"] == "revoke_key",
        "tag added by staff": lambda f: f.data["what"] == "staff_adds_tag",
        "tag removed by staff": lambda f: f.data["what"] == "staff_removes_tag",
    },
    "EFF": {
        "opt-out of ours at Virtuous": lambda f: (
            f.data["actor"] == "product" and f.data["field"] == "isOptedIn" and f.data["after"] is False
            and f.data["before"] is True
        ),
        "opt-out of ours at Constant Contact": lambda f: (
            f.data["actor"] == "product" and f.data["field"].endswith("permission_to_send")
            and f.data["after"] == "unsubscribed"
        ),
        "edit of ours at Constant Contact": lambda f: (
            f.data["actor"] == "product" and f.data["side"] == CONSTANT_CONTACT and f.data["field"].endswith("_name")
        ),
    },
}  # fmt: skip

MARKS: tuple[str, ...] = (
    *CALLS,
    *(name for rows in ROWS.values() for name in rows),
    *(name for facts in FACTS.values() for name in facts),
    *COURSES,
)


def of(story: Story) -> frozenset[str]:
    """The marks that occurred in a story."""
    return frozenset((*_calls(story), *_rows(story), *_facts(story), *_courses(story)))


def _calls(story: Story) -> Iterator[str]:
    answers = {fact.key: fact.data for fact in story.of("RSP")}
    effective = {fact.data["call"] for fact in story.of("EFF")}
    wanted = dict(CALLS)
    for fact in story.of("OUT"):
        call = Call(fact.data, answers.get(fact.key, {}), fact.key in effective)
        for name in [name for name, says in wanted.items() if says(call)]:
            del wanted[name]
            yield name


def _rows(story: Story) -> Iterator[str]:
    wanted = {table: dict(rows) for table, rows in ROWS.items()}
    for fact in story.of("TX"):
        for table, verb, row in fact.data["rows"]:
            asked = wanted.get(table)
            if not asked or verb == "DELETE":
                continue
            for name in [name for name, says in asked.items() if says(verb, row)]:
                del asked[name]
                yield name


def _facts(story: Story) -> Iterator[str]:
    for kind, asked in FACTS.items():
        for name, says in asked.items():
            if any(says(fact) for fact in story.of(kind)):
                yield name


def _courses(story: Story) -> Iterator[str]:
    return (name for name, says in COURSES.items() if says(story))
