"""What the judge looks at for a feed: every version of every row, what the service sent, and what changed and by whom.

The rows are those that the world itself wrote into the SQL table, not those that the service says it read.
"""

import json
from bisect import insort
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from keepstep_sandbox.http import Effect
from keepstep_sandbox.judge import fields
from keepstep_sandbox.judge.evidence import MAILABLE, OUT, Evidence
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS, Arrival
from keepstep_sandbox.people import ACCOUNT
from keepstep_sandbox.world import World

SQL = "sql_table"
IMPORT = "/v3/activities/contacts_json_import"
BEGINNING = float("-inf")
_NEVER_RAN = ("html", "reset_before", "hold_before")  # an answer that looks well although nothing was queued


@dataclass(frozen=True, slots=True)
class Row:
    """One version of a row. `at`: when it was written. `lists`: ids. `permitted`: when the row says that its person
    agreed. `odd`: why it may wait for a person's look although nothing is wrong with its person."""

    key: str
    at: float
    email: str
    lists: tuple[str, ...]
    values: Mapping[str, str] = field(default_factory=dict)
    permitted: float = BEGINNING
    odd: str = ""

    @property
    def address(self) -> str:
        return fields.email(self.email)


@dataclass(frozen=True, slots=True)
class Sent:
    """One row of an import that the vendor took. `due`: when the job ended."""

    t: float
    due: float
    lists: frozenset[str]
    payload: str


@dataclass(frozen=True, slots=True, order=True)
class Change:
    """One value of a contact that changed, by the service or by somebody else."""

    t: float
    ours: bool
    contact: str
    what: str
    before: Any = field(compare=False)
    after: Any = field(compare=False)

    @property
    def joined(self) -> set[str]:
        return set(self.after or ()) - set(self.before or ()) if self.what == "list_memberships" else set()

    @property
    def left(self) -> set[str]:
        return set(self.before or ()) - set(self.after or ()) if self.what == "list_memberships" else set()


def rows_of(world: World, feed: str) -> list[Row]:
    """Every version of a feed's rows by the log of acts: what the week or a test wrote into the table."""
    return [
        Row(
            act.record,
            act.t,
            str(act.data.get("email") or ""),
            tuple(act.data.get("lists") or ()),
            {name: str(value) for name, value in dict(act.data.get("values") or {}).items() if value},
            BEGINNING if act.data.get("permitted") is None else float(act.data["permitted"]),
            str(act.data.get("odd") or ""),
        )
        for act in world.log.of("row")
        if act.side == SQL and act.data.get("feed") == feed
    ]


class Fed:
    """Everything about one feed, indexed once."""

    def __init__(self, world: World, rows: Sequence[Row], account: str = ACCOUNT) -> None:
        self.world, self.rows = world, sorted(rows, key=lambda one: one.at)
        self.evidence = Evidence(world, account)
        self.account = account
        self.versions: dict[str, list[Row]] = defaultdict(list)
        self._by_address: dict[str, list[Row]] = defaultdict(list)
        for one in self.rows:
            self.versions[one.key].append(one)
            self._by_address[one.address].append(one)
        self.live = {one["list_id"] for one in world.constant_contact.lists(account) if not one.get("deleted_at")}
        self.holders: dict[str, str] = {}  # address -> the contact that has it, or had it last
        self.changes: dict[str, list[Change]] = defaultdict(list)
        self._read_changes()
        self.sent: dict[str, list[Sent]] = defaultdict(list)
        self._read_imports()
        self.outs = self._outs()

    def contact(self, address: str) -> Mapping[str, Any] | None:
        """The contact of an address, as it is now."""
        return self.evidence.audience.get(self.holders.get(address, ""))

    def of_address(self, address: str) -> list[Row]:
        """Every version of every row of an address, oldest first."""
        return self._by_address.get(address, [])

    def permitted(self, address: str, after: float, by: float) -> bool:
        """Whether a row that was there by a moment says that the person agreed after another one."""
        return any(after < one.permitted and one.at <= by for one in self.of_address(address))

    def first_sent(self, address: str, list_id: str) -> float:
        """When the service first sent a person to a list; never is infinity."""
        by_import = [one.t for one in self.sent[address] if list_id in one.lists]
        alone = [one.t for one in self.changes[self.holders.get(address, "")] if one.ours and list_id in one.joined]
        return min([*by_import, *alone], default=float("inf"))

    def left(self, contact: str, list_id: str) -> list[float]:
        """When a contact was taken off a list, by whoever; a deletion takes all lists (CC facts 5.5)."""
        return [one.t for one in self.changes[contact] if list_id in one.left]

    def out_at(self, contact: str, address: str, at: float) -> float | None:
        """Since when a person was opted out at a moment, at either vendor; None where not."""
        since = None
        for t, out in [*self.outs.get(contact, ()), *self.outs.get(address, ())]:
            if t <= at:
                since = (t if since is None else since) if out else None
        return since

    # reading

    def _read_changes(self) -> None:
        for act in self.evidence.acts_of(CONSTANT_CONTACT, "add_person"):
            for name, value in _born(act.data).items():
                self._note(Change(BEGINNING, ours=False, contact=act.record, what=name, before=None, after=value))
        for act in self.evidence.acts:
            if act.side == CONSTANT_CONTACT:
                for effect in act.effects:
                    self._of_effect(act.t, effect, ours=False)
        for t, effect in self.evidence.service_effects(CONSTANT_CONTACT):
            self._of_effect(t, effect, ours=True)
        for number, raw in self.evidence.audience.items():
            if address := fields.email((raw.get("email_address") or {}).get("address")):
                self.holders[address] = number

    def _of_effect(self, t: float, effect: Effect, ours: bool) -> None:
        kind, _, number = effect.record.partition(":")
        if kind == "contact" and effect.account == self.account:
            self._note(Change(t, ours, number, effect.field, effect.before, effect.after))

    def _note(self, one: Change) -> None:
        insort(self.changes[one.contact], one, key=lambda each: each.t)
        if one.what == "email_address.address" and one.after:
            self.holders[fields.email(one.after)] = one.contact

    def _read_imports(self) -> None:
        waiting: dict[float, list[float]] = defaultdict(list)
        for job in self.world.constant_contact.jobs(self.account):
            if job.kind == "contacts_json_import":
                waiting[job.created].append(job.due)
        for one in self.evidence.arrivals:
            if _taken(one) and waiting[one.t]:
                self._read_import(one, waiting[one.t].pop(0))

    def _read_import(self, one: Arrival, due: float) -> None:
        body = json.loads(one.body)
        lists = frozenset(body["list_ids"])
        for row in body["import_data"]:
            payload = json.dumps(row, sort_keys=True)
            self.sent[fields.email(row.get("email"))].append(Sent(one.t, due, lists, payload))

    def _outs(self) -> dict[str, list[tuple[float, bool]]]:
        """By contact (at Constant Contact) and by address (in Virtuous): when somebody was out, and in again."""
        found: dict[str, list[tuple[float, bool]]] = defaultdict(list)
        for number, changes in self.changes.items():
            for one in changes:
                if one.what == "email_address.permission_to_send":
                    found[number].append((one.t, one.after == OUT))
        methods = {str(method["id"]): fields.email(method["value"]) for _c, _i, method in self.evidence.methods()}
        for act in self.evidence.acts_of(VIRTUOUS, "staff_opts"):
            if any(effect.field == "isOptedIn" for effect in act.effects):
                found[methods.get(act.record, "")].append((act.t, not act.data["opted_in"]))
        return found


def joins(fed: Fed, contact: str, list_ids: Sequence[str]) -> Iterator[tuple[float, str]]:
    """When the service itself put a contact on one of these lists."""
    for one in fed.changes[contact]:
        if one.ours:
            yield from ((one.t, each) for each in list_ids if each in one.joined)


def widened(fed: Fed, contact: str) -> Iterator[float]:
    """When the service itself made an opted-out contact mailable."""
    for one in fed.changes[contact]:
        turned = one.what == "email_address.permission_to_send" and one.before == OUT and one.after in MAILABLE
        if one.ours and turned:
            yield one.t


def _born(data: Mapping[str, Any]) -> dict[str, Any]:
    """What a loaded contact began with."""
    given = data.get("email_address") or {}
    return {
        "email_address.address": given.get("address") or data.get("email"),
        "email_address.permission_to_send": given.get("permission_to_send") or data.get("permission", "implicit"),
        "list_memberships": list(data.get("lists") or ()),
    }


def _taken(one: Arrival) -> bool:
    """Whether an import was queued, whatever became of the answer."""
    return one.path == IMPORT and one.method == "POST" and 200 <= one.status < 300 and one.fault not in _NEVER_RAN
