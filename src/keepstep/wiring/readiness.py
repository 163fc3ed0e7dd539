"""Is this customer ready for production? The checklist of the vendor's recipe, line by line, each with evidence from
the customer's own data. Calls no vendor; the live checks are in `checks.py`.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sqlalchemy import Connection as Tx

from keepstep.model.consent import standing_out
from keepstep.model.contact import AudienceContact, Consent, CrmContact, Side
from keepstep.model.instant import Instant, format_instant
from keepstep.model.party import Party, Person, individual_of
from keepstep.state import customers, deliveries, journal, labels, marks, parties, permits, readings, snapshots
from keepstep.wiring import waiting
from keepstep.wiring.waiting import named

if TYPE_CHECKING:
    from keepstep.desk import Desk
    from keepstep.wiring.service import Service

State = Literal["pass", "fail", "not applicable"]
WEEK, DAY, HOUR = 604_800.0, 86_400.0, 3600.0
# A poll may be late by a round and an hour before it counts as missing.
LATE = 3600.0
# No person and no staff change one household so often: more writes than this in a day are a loop.
LOOP = 50
# The hourly limit of the vendor's older documents; the newer ones say more (Virtuous facts 4).
PER_HOUR = 1500
PAGE = 500


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the checklist. `person`: a failure that somebody must mend, by `then`."""

    line: str
    state: State
    evidence: str
    then: str = ""
    person: bool = False


@dataclass(frozen=True, slots=True)
class People:
    """What all parties together say: linked people, those whose contact names them, opt-outs and those applied."""

    linked: int = 0
    referenced: int = 0
    opted_out: int = 0
    applied: int = 0

    def with_one(self, linked: bool, referenced: bool, out: bool, applied: bool) -> "People":
        return People(
            self.linked + linked,
            self.referenced + (linked and referenced),
            self.opted_out + out,
            self.applied + (out and applied),
        )


def readiness(tx: Tx, service: "Service", desk: "Desk", now: Instant) -> list[Line]:
    """Every line of the checklist, in its order."""
    if desk.route.alone:
        # What the recipe says of the CRM, and of people who are in both, has no meaning here.
        return [
            _grant(tx, service, desk),
            _polls(tx, desk, now),
            _isolation(tx, service, desk),
            _cadence(tx, service, desk, now),
        ]
    people = _people(tx, desk)
    return [
        _grant(tx, service, desk),
        _signature(tx, desk),
        _polls(tx, desk, now),
        _references(desk, people),
        _opt_outs(tx, desk, people, now),
        _prefix(tx, desk),
        _echo(tx, desk, now),
        _isolation(tx, service, desk),
        _cadence(tx, service, desk, now),
        _pace(tx, service, desk, now),
    ]


def _grant(tx: Tx, service: "Service", desk: "Desk") -> Line:
    line, platform = "each customer signs in with OAuth", desk.route.audience
    stored = service.vault.stored(tx, desk.customer_id)
    bound = customers.get_connection(tx, desk.customer_id, platform)
    if (platform, "refresh_token") not in stored:
        return Line(line, "fail", "no grant is stored", f"keepstep customer add {desk.customer_id}", person=True)
    if bound and bound.health == "blocked":
        return Line(line, "fail", f"blocked: {bound.reason}", "store a new grant: keepstep customer add", person=True)
    last = stored.get((platform, "access_token"))
    fresh = f"last refreshed {format_instant(last)}" if last else "not used yet"
    account = f"bound to account {bound.account_id}" if bound and bound.account_id else "no account bound yet"
    return Line(line, "pass", f"a grant is stored, {fresh}, {account}")


def _signature(tx: Tx, desk: "Desk") -> Line:
    line, platform = "webhooks are believed by their signature only", desk.route.crm
    if not desk.hook_url:
        return Line(line, "not applicable", "no public address is set: everything is polled")
    if not desk.hook_secret:
        then = f"keepstep customer add {desk.customer_id} makes one"
        return Line(line, "fail", f"no webhook secret for {named(platform)}", then, person=True)
    found = deliveries.counts(tx, desk.customer_id)
    verified, unread = sum(found.values()), found.get("refused", 0)
    subscribed = (marks.get(tx, desk.customer_id, platform, "subscription").data or {}).get("id")
    made = f"subscription {subscribed}" if subscribed else "no subscription yet"
    return Line(line, "pass", f"{made}; {verified} deliveries stored, all verified, {unread} of them named nobody")


def _polls(tx: Tx, desk: "Desk", now: Instant) -> Line:
    line = "polls find what no webhook tells"
    cadence = desk.route.cadence
    late, said = [], []
    for name in ("changed", "opted_out", "deleted", "lists", "fields", "sweep"):
        data = marks.get(tx, desk.customer_id, desk.route.audience, name).data or {}
        finished, every = data.get("finished"), float(data.get("every") or getattr(cadence, name))
        said.append(f"{name} {format_instant(finished) if finished else 'never'}")
        if finished is None or now - finished > 2 * every + LATE:
            late.append(name)
    then = "let the service run: keepstep serve" if late else ""
    return Line(line, "fail" if late else "pass", "last finished: " + ", ".join(said), then)


def _references(desk: "Desk", people: People) -> Line:
    line = "the contact's id is the reference"
    if not people.linked:
        return Line(line, "not applicable", "nobody is linked yet")
    fine = people.referenced == people.linked
    said = f"{people.referenced} of {people.linked} linked people are named by their contact, under "
    source = desk.route.policy.reference_source
    then = "" if fine else "staff took references away: keepstep status --people"
    return Line(line, "pass" if fine else "fail", f"{said}{source!r}", then, person=not fine)


def _opt_outs(tx: Tx, desk: "Desk", people: People, now: Instant) -> Line:
    line = "opt-outs and bounces close the address"
    owed = waiting.owed(tx, desk.route, now)["count"]
    missing = people.opted_out - people.applied
    said = f"{people.opted_out} opt-outs of linked people, {people.applied} applied, {missing} open"
    if not people.opted_out and not owed:
        return Line(line, "not applicable", "nobody has opted out yet")
    then = "keepstep status: consent goes first and never dies" if missing else ""
    return Line(line, "fail" if missing else "pass", f"{said}; {owed} owed to people in the batch", then)


def _prefix(tx: Tx, desk: "Desk") -> Line:
    line, policy = "tags of lists have the prefix", desk.route.policy
    if policy.lists_to != "tags":
        return Line(line, "not applicable", f"lists go to the custom field {policy.lists_field!r}")
    known = [one for one in labels.every(tx, desk.customer_id) if one.kind == "list" and one.state != "gone"]
    live = [one for one in known if one.state == "live" and one.tag_id is not None]
    missing = [one.tag_name or "" for one in known if one.reason == "tag_missing"]
    others = [f"{one.tag_name}: {one.reason}" for one in known if one.state == "paused"]
    said = f"{len(live)} of {len(known)} lists have their tag, prefix {policy.tag_prefix!r}"
    if not missing and not others:
        return Line(line, "pass", said)
    then = "; ".join(([f"create: {', '.join(missing)}"] if missing else []) + others)
    return Line(line, "fail", said, then, person=True)


def _echo(tx: Tx, desk: "Desk", now: Instant) -> Line:
    """A write that comes back must not be written again: nobody is written more often than people act."""
    line = "our own changes do not come back as new ones"
    ended = journal.since(tx, desk.customer_id, "outcome", now - DAY)
    done = Counter(row["party_id"] for row in ended if (row["data"] or {}).get("outcome") == "done")
    so_already = sum((row["data"] or {}).get("outcome") == "nothing" for row in ended)
    most = max(done.values(), default=0)
    said = f"in a day {sum(done.values())} writes, {so_already} found nothing to change; nobody more than {most} times"
    then = "one party is written again and again: keepstep timeline" if most > LOOP else ""
    return Line(line, "fail" if then else "pass", said, then)


def _isolation(tx: Tx, service: "Service", desk: "Desk") -> Line:
    line, mine = "customers are apart: secrets, queue, marks", desk.customer_id
    accounts = {(one.platform, one.account_id) for one in customers.connections(tx, mine) if one.account_id}
    shared = [
        other.customer_id
        for other in customers.every(tx)
        if other.customer_id != mine
        and any((one.platform, one.account_id) in accounts for one in customers.connections(tx, other.customer_id))
    ]
    if shared:
        return Line(line, "fail", f"{', '.join(shared)} uses the same account", "connect each to its own", person=True)
    secrets, polls = len(service.vault.stored(tx, mine)), len(marks.every(tx, mine))
    said = f"{secrets} secrets sealed for {mine} alone, {polls} marks and a queue of its own, no account shared"
    return Line(line, "pass", said)


def _cadence(tx: Tx, service: "Service", desk: "Desk", now: Instant) -> Line:
    line, platform = "the cadence fits the vendor's quota", desk.route.audience
    known = service.settings.platforms[platform]
    quota = known.per_day or 10_000
    used, everybody = permits.used_today(tx, known.application_key, now), len(customers.every(tx))
    asked = _calls_a_day(tx, desk)
    said = f"about {asked} calls a day for polls, {quota // max(everybody, 1)} are this customer's part of {quota}"
    fits = asked * everybody <= quota
    then = "" if fits else "poll less often, or bring an application key of your own"
    return Line(line, "pass" if fits else "fail", f"{said}; {used} used today over all customers", then, not fits)


def _calls_a_day(tx: Tx, desk: "Desk") -> int:
    """Every poll takes a call a round; what has no date filter takes one a page."""
    pages = max(-(-snapshots.count(tx, desk.customer_id, desk.route.audience) // PAGE), 1)
    total = 0.0
    for name in ("changed", "opted_out", "deleted", "lists", "fields", "reports", "sweep"):
        data = marks.get(tx, desk.customer_id, desk.route.audience, name).data or {}
        every = float(data.get("every") or getattr(desk.route.cadence, name))
        total += DAY / every * (pages if name == "sweep" else 1)
    return round(total)


def _pace(tx: Tx, service: "Service", desk: "Desk", now: Instant) -> Line:
    line = f"bulk stays below {PER_HOUR} calls an hour"
    allowed = service.settings.platforms[desk.route.crm].per_hour or PER_HOUR
    ended = journal.since(tx, desk.customer_id, "outcome", now - WEEK, side="crm")
    hours = Counter(int(row["at"] // HOUR) for row in ended)
    busiest = max(hours.items(), key=lambda pair: (pair[1], -pair[0]), default=None)
    most = (
        f"the busiest hour, {format_instant(busiest[0] * HOUR)}, ended {busiest[1]} writes" if busiest else "no write"
    )
    fine = allowed < PER_HOUR
    then = "" if fine else f"set platforms.{desk.route.crm}.per_hour below {PER_HOUR}"
    return Line(line, "pass" if fine else "fail", f"at most {allowed} calls an hour are made; {most}", then, not fine)


# --- everybody -------------------------------------------------------------------------------------------------------


def _people(tx: Tx, desk: "Desk") -> People:
    found = People()
    for party, here, crm in _pages(tx, desk):
        for person in party.people:
            found = _counted(found, desk, person, here.get(person.record_id), crm)
    return found


def _pages(tx: Tx, desk: "Desk") -> Iterator[tuple[Party, dict[str, AudienceContact], CrmContact | None]]:
    last = ""
    while page := parties.ids(tx, desk.customer_id, last):
        last = page[-1]
        loaded = list(readings.load(tx, desk.customer_id, page).values())
        here, there = readings.audience_of(tx, desk.shelf, loaded), readings.crm_of(tx, desk.shelf, loaded)
        for party in loaded:
            known = [one.record_id for one in party.people if one.record_id in here]
            crm = there.get(party.crm_id or "")
            contacts = {key: desk.audience.snapshot(here[key][0], here[key][1]) for key in known}
            yield party, contacts, desk.crm.snapshot(crm[0], crm[1]) if crm else None


def _counted(
    found: People, desk: "Desk", person: Person, contact: AudienceContact | None, crm: CrmContact | None
) -> People:
    linked = person.individual is not None and crm is not None and not crm.archived and not crm.merged_into
    referenced = crm is not None and (desk.route.policy.reference_source, person.record_id) in crm.references
    out = standing_out(person.acts, contact.email if contact else None)
    one = individual_of(crm, person)
    mails = [method for method in one.methods if method.record_id == person.email_method] if one else []
    closed = all(method.opted_in is False for method in mails)
    told = contact is None or contact.consent is Consent.opted_out or contact.deleted
    applied = closed if out is None or out.side is Side.audience else closed and told
    return found.with_one(linked, referenced, out is not None and linked, applied)
