"""Everything that is not as it should be, with what would be done about it, and a checksum over exactly that."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sqlalchemy import Connection

from keepstep.desk import Desk
from keepstep.model.canonical import fingerprint
from keepstep.model.instant import Instant
from keepstep.reconcile.compare import Found, Means, Tally, mapping
from keepstep.state import marks, parties, reconciliations, submissions

Row = dict[str, Any]
Category = Literal["stuck", "needs_update", "missed", "drift"]
CATEGORIES: tuple[Category, ...] = ("stuck", "needs_update", "missed", "drift")
DAY = 86_400.0
# What was repaired in this time and drifts again the same way is not repaired by itself once more.
LATELY = 30 * DAY
NEXT: Mapping[Category, str] = {
    "stuck": "is asked for by its reference every day; nothing to do",
    "needs_update": "look at it in Virtuous, under Imports",
    "missed": "is looked at again; check the webhook subscription",
    "drift": "is decided again",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing to be told. automatic: it may be repaired without anybody asking; `repair`: what would be done."""

    category: Category
    record: str
    what: str
    why: str
    repair: str
    automatic: bool
    party_id: str | None = None
    crm_id: str | None = None
    seen: str = ""

    @property
    def acts(self) -> bool:
        return self.repair != "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """All of it. limit: more repairs than that are a mass change. recovered: who was stuck and is in the CRM now."""

    items: tuple[Item, ...]
    tally: Tally
    limit: int
    sweeps: Mapping[str, Mapping[str, Any]]
    recovered: tuple[str, ...]
    checksum: str

    @property
    def repairs(self) -> int:
        return sum(one.acts for one in self.items if one.category == "drift")

    @property
    def proved(self) -> bool:
        return all(one["trouble"] is None for one in self.sweeps.values())


def limit(desk: Desk, linked: int) -> int:
    """More repairs than that are a mass change, which a person must ask for: as the brake (design section 4)."""
    policy = desk.route.policy
    return max(policy.brake_floor, int(policy.brake_share * linked))


def take(tx: Connection, desk: Desk, means: Means, found: Sequence[Found], tally: Tally, now: Instant) -> Survey:
    """What the ranges showed together with what waits in the batch and what only a sweep saw."""
    items = (*waiting(tx, desk, now), *missed(tx, desk, now), *drifted(tx, desk, found, now))
    return Survey(
        items=items,
        tally=tally,
        limit=limit(desk, tally.linked),
        sweeps=sweeps(tx, desk, means, now),
        recovered=tuple(recovered(tx, desk, now)),
        checksum=seal(desk, mapping(means.setting(tx, desk, now)), items),
    )


def seal(desk: Desk, by: str, items: Iterable[Item]) -> str:
    """The checksum over the findings, the parties as they were, and the mapping."""
    return fingerprint([desk.customer_id, by, sorted(fingerprint(asdict(one)) for one in items)])[:16]


def sweeps(tx: Connection, desk: Desk, means: Means, now: Instant) -> dict[str, dict[str, Any]]:
    """Each platform's last whole sweep; with a trouble it proves nothing."""
    found = means.sweeps(tx, desk, now).values()
    return {one.platform: {"at": one.at, "finished": one.finished, "trouble": one.trouble} for one in found}


# --- the four categories ---------------------------------------------------------------------------------------------


def waiting(tx: Connection, desk: Desk, now: Instant) -> list[Item]:
    """Who was submitted and is not there after a day, and whom a person must look at after three."""
    items = []
    for row in submissions.unresolved(tx, desk.customer_id):
        stage = submissions.stage(row, now)
        if stage != "waiting":
            category: Category = "stuck" if stage == "stuck" else "needs_update"
            repair = "ask" if stage == "stuck" else "none"
            who = {"party_id": row["party_id"], "seen": fingerprint([row["state"], row["since"]])}
            why = "not_in_the_crm_after_a_day" if stage == "stuck" else "not_in_the_crm_after_three_days"
            items.append(_item(category, row["record_id"], "submission", why, repair, **who))
    return items


def missed(tx: Connection, desk: Desk, now: Instant) -> list[Item]:
    """Changes that only a sweep has shown."""
    rows = reconciliations.swept_only(tx, desk.customer_id, sighted(tx, desk, now), told_by(desk, now))
    homes = {
        platform: parties.party_of(tx, desk.customer_id, platform, [row["record_id"] for row in rows])
        for platform in sorted({row["platform"] for row in rows})
    }
    return [
        _item(
            "missed",
            row["record_id"],
            row["platform"],
            "found_by_the_sweep_only",
            "mark",
            party_id=home,
            seen=row["stamp"],
        )
        for row in rows
        if (home := homes[row["platform"]].get(row["record_id"])) is not None
    ]


def told_by(desk: Desk, now: Instant) -> Instant:
    """What was seen until then, the polls had two rounds to tell."""
    return now - 2 * max(desk.route.cadence.crm_changed, desk.route.cadence.changed)


def sighted(tx: Connection, desk: Desk, now: Instant) -> Instant:
    """Up to when sightings were looked at. The first sweep finds everybody, and nobody was missed."""
    data = marks.get(tx, desk.customer_id, desk.route.audience, "reconcile").data or {}
    return float(data.get("sighted") or now)


def drifted(tx: Connection, desk: Desk, found: Sequence[Found], now: Instant) -> list[Item]:
    """What ranges showed. What was repaired lately and came back, a repair does not help."""
    lately = _repaired_lately(tx, desk, now) if found else set()
    return [_drifted(one, (one.finding.record_id, one.finding.what) in lately) for one in found]


def _drifted(one: Found, again: bool) -> Item:
    finding = one.finding
    return _item(
        "drift",
        finding.record_id,
        finding.what,
        finding.why,
        finding.repair,
        automatic=not (again or finding.widens) and finding.repair != "none",
        party_id=one.party_id,
        crm_id=one.crm_id,
        seen=one.seen,
    )


def _repaired_lately(tx: Connection, desk: Desk, now: Instant) -> set[tuple[str, str]]:
    rows = reconciliations.since(tx, desk.customer_id, now - LATELY)
    done = [row for row in rows if row["category"] == "drift" and row["resolution"] == "repaired"]
    return {(record, str((row["details"] or {}).get("what"))) for row in done for record in row["records"]}


def recovered(tx: Connection, desk: Desk, now: Instant) -> list[str]:
    """Who was found in the CRM after more than a day, and is not in the log yet."""
    logged = reconciliations.since(tx, desk.customer_id, now - 2 * LATELY)
    told = {record for row in logged if row["resolution"] == "recovered" for record in row["records"]}
    late = reconciliations.confirmed_late(tx, desk.customer_id, submissions.STUCK, now - LATELY)
    return [record for record in late if record not in told]


def _item(category: Category, record: str, what: str, why: str, repair: str, **more: Any) -> Item:
    more = {"automatic": True, **more}
    return Item(category=category, record=record, what=what, why=why, repair=repair, **more)
