"""What is known of the addresses of a feed's rows, in bulk: some statements for hundreds of rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection

from keepstep.desk import Desk
from keepstep.model.canonical import email
from keepstep.model.consent import unlifted
from keepstep.model.contact import AudienceContact, CrmContact, Side
from keepstep.model.feed_decide import OPTED_OUT, Known, Put, deleted_by
from keepstep.model.instant import Instant
from keepstep.model.party import Act
from keepstep.state import feeds, labels, parties, snapshots, strangers
from keepstep.state.feeds import FeedRow
from keepstep.submit.strangers import as_act

# A row that is one of these goes nowhere, so it stands in no other one's way.
NOWHERE = ("parked", "dead")


@dataclass(frozen=True, slots=True)
class Facts:
    """Of some addresses. people: at the audience side. out: why an address is shut; gone: when the ledger saw it
    deleted. rows: of every feed that the settings name. lists: names and ids to the ids they mean."""

    people: Mapping[str, Sequence[AudienceContact]]
    out: Mapping[str, str]
    gone: Mapping[str, Instant]
    rows: Mapping[str, Sequence[FeedRow]]
    lists: Mapping[str, Sequence[str]] = field(default_factory=dict)


def gather(tx: Connection, desk: Desk, rows: Iterable[FeedRow], shut_there: Iterable[str] = ()) -> Facts:
    """Everything that decides about these rows. shut_there: addresses that the CRM said are opted out, just now."""
    rows = list(rows)
    every = sorted({one for row in rows for one in addresses(row)})
    held = parties.holders(tx, desk.customer_id, "email", every)
    acts = _acts(tx, desk, every)
    out = {one: why for one in every if (why := _out(desk, acts.get(one, ())))}
    out |= dict.fromkeys([*_opted_out_in_crm(tx, desk, held, acts), *shut_there], OPTED_OUT)
    there = feeds.of_addresses(tx, desk.customer_id, every)
    named = {key: [one for one in some if one.feed in desk.route.feeds] for key, some in there.items()}
    gone = {one: at for one in every if (at := _gone(acts.get(one, ()))) is not None}
    return Facts(_people(tx, desk, held), out, gone, named, spelt(labels.every(tx, desk.customer_id)))


def known(row: FeedRow, facts: Facts) -> Known:
    """What the facts say to one row."""
    lists, unknown = meant(row, facts)
    rivals = [one for one in facts.rows.get(row.address or "", ()) if one.party_id != row.party_id]
    newer = [one for one in rivals if one.state not in NOWHERE and _age(one) > _age(row)]
    mine = addresses(row)
    gone = [facts.gone[one] for one in mine if one in facts.gone]
    return Known(
        lists=lists,
        unknown=unknown,
        people=tuple(one for address in mine for one in facts.people.get(address, ())),
        out=next((facts.out[one] for one in mine if one in facts.out), None),
        gone=max(gone, default=None),
        puts=_puts(row, rivals),
        newer=bool(newer),
        claimed=frozenset(one for rival in newer for one in meant(rival, facts)[0]),
    )


def older(row: FeedRow, facts: Facts) -> list[FeedRow]:
    """The rows of its address that wait and that it is newer than."""
    rivals = facts.rows.get(row.address or "", ())
    return [one for one in rivals if one.state == "waiting" and _age(one) < _age(row)]


def meant(row: FeedRow, facts: Facts) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The ids that a row's lists mean, and the names that mean none or several."""
    said = [(str(one), facts.lists.get(_folded(str(one)), ())) for one in row.body["lists"]]
    found = sorted({ids[0] for _, ids in said if len(ids) == 1})
    return tuple(found), tuple(sorted(one for one, ids in said if len(ids) != 1))


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()


def _age(row: FeedRow) -> tuple[Instant, str]:
    """What tells the newest of several rows: when it was read, and among those of one page its place."""
    return row.read_at, row.party_id


def addresses(row: FeedRow) -> list[str]:
    """A row's address, first, and those that earlier versions of it were imported under: whoever left there left."""
    earlier = [str(one["address"]) for one in row.lists.values() if one.get("address")]
    return list(dict.fromkeys([*([row.address] if row.address else []), *earlier]))


def _puts(row: FeedRow, rivals: Iterable[FeedRow]) -> dict[str, Put]:
    """List id to the last import there: of this row, or of another one with its address."""
    every = [(one, key, each) for one in (*rivals, row) for key, each in one.lists.items()]
    every = [found for found in every if found[0] is row or found[2].get("address") in (None, row.address)]
    found: dict[str, Put] = {}
    for one, key, each in sorted(every, key=lambda each: (each[2]["at"], each[0] is row)):
        found[key] = Put(
            version=str(each["version"]),
            at=float(each["at"]),
            state=str(each["state"]),
            address=each.get("address"),
            mine=one is row,
        )
    return found


# --- what tells ------------------------------------------------------------------------------------------------------


def spelt(there: Iterable[labels.Label]) -> dict[str, list[str]]:
    """Names, folded, and ids of the lists that are there to their ids."""
    found: dict[str, list[str]] = {}
    for one in there:
        if one.kind == "list" and one.state != "gone":
            for said in dict.fromkeys([_folded(one.list_name), _folded(one.list_id)]):
                found.setdefault(said, []).append(one.list_id)
    return found


Held = Mapping[str, Sequence[tuple[str, str, str]]]


def _people(tx: Connection, desk: Desk, held: Held) -> dict[str, list[AudienceContact]]:
    ours = desk.route.audience
    ids = {address: [row[2] for row in rows if row[1] == ours] for address, rows in held.items()}
    some = sorted({one for each in ids.values() for one in each})
    read = snapshots.get(tx, desk.customer_id, desk.route.audience, some)
    contacts = {key: desk.audience.snapshot(raw, at) for key, (raw, at, _) in read.items()}
    there = {address: [contacts[one] for one in each if one in contacts] for address, each in ids.items()}
    # What somebody held and does not any more is nobody's of theirs.
    return {address: [one for one in each if email(one.email) == address] for address, each in there.items()}


def _opted_out_in_crm(tx: Connection, desk: Desk, held: Held, acts: Mapping[str, Sequence[Act]]) -> list[str]:
    """Addresses with a method that is opted out, by whomever but us: our own `false` says again what a deletion said,
    or is the default that our imports left."""
    if desk.route.alone:
        return []
    homes = {row[0] for rows in held.values() for row in rows if row[1] == desk.route.crm}
    ids = parties.records_of(tx, desk.customer_id, desk.route.crm, sorted(homes))
    read = snapshots.get(tx, desk.customer_id, desk.route.crm, ids)
    closed = {one for raw, at, _ in read.values() for one in shut(desk.crm.snapshot(raw, at))}
    return [address for address in held if address in closed and not _is_ours(acts.get(address, ()))]


def shut(contact: CrmContact) -> list[str]:
    """The addresses, canonical, that a contact of the CRM has opted out."""
    methods = [method for one in contact.individuals for method in one.methods if method.kind == "email"]
    return [email(method.value) for method in methods if method.opted_in is False]


def _is_ours(acts: Sequence[Act]) -> bool:
    theirs = [act for act in acts if act.side is Side.crm]
    return theirs[-1].kind == "default" if theirs else any(act.kind == "record" for act in unlifted(acts))


def _acts(tx: Connection, desk: Desk, every: Sequence[str]) -> dict[str, list[Act]]:
    """What the ledger has on each address."""
    hashes = {one: hashed for one in every if (hashed := desk.hashed(one))}
    found = strangers.acts_on(tx, desk.customer_id, sorted(set(hashes.values())))
    sides = {desk.route.crm: Side.crm}
    return {
        address: [replace(as_act(row), side=sides.get(row.platform, Side.audience)) for row in found[hashed]]
        for address, hashed in hashes.items()
        if hashed in found
    }


def _out(desk: Desk, acts: Sequence[Act]) -> str | None:
    """Without the ledger's key nobody can tell who is out. A `false` of unknown origin counts: a feed widens."""
    if desk.ledger_key is None:
        return "no_ledger_key"
    meaning = [replace(act, kind="choice") if act.kind == "unknown" else act for act in acts]
    return OPTED_OUT if any(act.kind != "record" for act in unlifted(meaning)) else None


def _gone(acts: Sequence[Act]) -> Instant | None:
    """When the address was last deleted, and nobody came back since."""
    moments = (deleted_by(act.at, act.before) for act in unlifted(acts) if act.kind == "record")
    return max(moments, default=None)
