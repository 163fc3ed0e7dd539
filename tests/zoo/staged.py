"""The seeds of single mistakes (staging.py has the words): what is done in each."""

import json
from dataclasses import replace
from typing import Any

from keepstep_sandbox import people as crowd
from keepstep_sandbox.constant_contact.webhooks import SIGNATURE, sign
from keepstep_sandbox.judge import fields
from keepstep_sandbox.people import ACCOUNT, ORGANIZATION
from keepstep_sandbox.week import ground, turns
from keepstep_sandbox.week import happenings as to
from keepstep_sandbox.week import mail as mails
from keepstep_sandbox.week.scene import Scene
from keepstep_simulator import twins
from keepstep_simulator.acts import Act
from keepstep_simulator.arrival import Arrival
from keepstep_simulator.swarm import NEVER, Nets
from keepstep_simulator.town import OTHER_ACCOUNT, Town
from tests.zoo.staging import (
    CALM,
    CC,
    HOUR,
    MINUTE,
    ROUTE,
    SEEN,
    Staged,
    V,
    alike,
    does,
    edits,
    knew,
    mail,
    must_wait,
    one,
)

READS = {CC: {"reports_scope": "granted"}}
OPEN = {V: {"opt-in-default": "true"}}
PUT = "PUT /v3/contacts/"

# --- consent ---
HELD = Staged(does(HOUR, one(turns.is_held)), does(HOUR + MINUTE, one(to.edits_name)))
DELETED = Staged(does(HOUR, one(to.is_deleted)))
REVIVED = Staged(does(HOUR, one(to.is_deleted)), does(11 * HOUR, one(turns.comes_back)))
RETURNED = Staged(
    does(HOUR, one(to.opts_out)), does(15 * HOUR, one(to.opts_in)), pinned={CC: {"date_dialect": "offset"}}
)
OUT_UNREAD = Staged(
    *(does((2 + place) * HOUR, one(to.opts_out, place)) for place in range(4)),
    *(does((2 + place) * HOUR + 50 * MINUTE, one(to.is_tagged, place)) for place in range(4)),
    cadence=replace(SEEN, opted_out=9 * HOUR),
)
# Staff at Constant Contact undo what somebody has said in a mail; only its report tells.
TURNED_BACK = Staged(
    does(2 * HOUR, one(mails.opts_out_of_campaign)), does(2 * HOUR + MINUTE, one(turns.is_explicit)), pinned=READS
)
MOVED_BEFORE_BOUNCE = Staged(does(HOUR, one(mails.moves_away)), does(13 * HOUR, one(mails.old_address_bounces)))


def _spouse(scene: Scene) -> None:
    """Two of a household share an address."""
    mine = alike(scene)
    copy = mail(mine["contactMethods"][0]["value"], "Work Email")
    knew(scene, [mine, {"firstName": "Bo", "lastName": mine["lastName"], "contactMethods": copy}])


SPOUSE = Staged(does(None, _spouse), does(HOUR, one(to.opts_out)))


# --- who somebody is ---
def _reference(scene: Scene) -> None:
    reference = {"source": fields.REFERENCE_SOURCE, "id": scene.ids[scene.free(0)]}
    zed = {"firstName": "Zed", "lastName": "Quill", "contactMethods": mail("zed@example.org")}
    knew(scene, [zed], contactReferences=[reference])
    must_wait(scene, "reference_without_address")


def _father(scene: Scene) -> None:
    knew(scene, [alike(scene, suffix="Sr.")])
    to.edits(scene, scene.free(0), last_name=f"{scene.people[scene.free(0)].last_name} Jr.")
    must_wait(scene, "name_differs")


def _moves(scene: Scene) -> bool:
    """Staff take somebody over to another household."""
    host = scene.crm(scene.free(1))
    return host is not None and to.staff(scene, scene.free(0), "staff_moves_individual", 1, contact_id=host["id"])


REFERENCE = Staged(does(None, _reference), does(2 * HOUR, one(to.edits_name)))
FATHER = Staged(does(None, _father), does(2 * HOUR, one(to.edits_phone)))
MOVED = Staged(does(2 * HOUR, one(to.is_opted_out)), does(2 * HOUR + 0.2, _moves))


# --- lists and choices ---
def _newcomer(scene: Scene) -> None:
    """Somebody joins a list that was not there a moment ago."""
    scene.list_ids["Fresh"] = scene.act(CC, "add_list", name="Fresh")
    person = crowd.newcomer(scene.world.seed, 1)
    person.lists = ["Fresh"]
    crowd.add(scene.world, person, scene.list_ids, age=0.0)


def _last_list(scene: Scene) -> None:
    scene.list_ids["Last"] = scene.act(CC, "add_list", name="Last")
    scene.act(V, "add_tag", name=fields.TAG_PREFIX + "Last")
    to.moves(scene, scene.free(0), "person_joins", "Last")


def _sixty_lists(scene: Scene) -> None:
    for number in range(60):
        scene.act(CC, "add_list", name=f"Event {number}")
    _last_list(scene)


def _twelve_tags(scene: Scene) -> None:
    for number in range(12):
        scene.act(V, "add_tag", name=f"Table {number}")
    _last_list(scene)


def _odd_choice(scene: Scene) -> bool:
    return ground.sets_field(scene, scene.free(0), "Shirt Size", "2XL")


FRESH_LIST = Staged(does(2 * HOUR, _newcomer), cadence=replace(SEEN, changed=0.5 * HOUR))
SIXTY_LISTS = Staged(does(None, _sixty_lists), pinned={CC: {"list_page": "50"}})
TWELVE_TAGS = Staged(does(None, _twelve_tags))
ODD_CHOICE = Staged(
    does(None, _odd_choice), does(2 * HOUR, one(to.edits_name)), pinned={V: {"unknown-option": "stored"}}
)


# --- hearing ---
def _unsubscribed(town: Town) -> None:
    town.world.virtuous._organizations[ORGANIZATION].subscriptions.clear()


def _unheard(*acts: Act, after: float) -> Staged:
    """Nothing but webhooks tells what staff do, and they end."""
    done = (does(after, one(to.is_renamed_last)), does(after, one(to.is_opted_out, 1)))
    alone = replace(SEEN, crm_changed=NEVER, crm_sweep=NEVER, reconcile=NEVER, subscription=5 * HOUR)
    return Staged(*acts, *done, nets=Nets(poll="off", crm_sweep="off"), cadence=alone)


UNSUBSCRIBED = _unheard(Act(2 * HOUR, _unsubscribed), after=3 * HOUR)
UNSUBSCRIBED_LONG = _unheard(Act(2 * HOUR, _unsubscribed), after=14 * HOUR)
HINTED = {"policy": replace(ROUTE, contact_webhooks=True), "nets": Nets(hints="come")}


def _foreign(town: Town) -> bool:
    """A delivery about another account, signed with this customer's secret."""
    url, secret = town.world.constant_contact._webhooks._hooks[ACCOUNT]
    event = {"account_id": OTHER_ACCOUNT, "contact_id": town.ids[0], "event_type": "contact.updated"}
    body = json.dumps([event]).encode()
    headers = {"Content-Type": "application/json", SIGNATURE: sign(secret, body)}
    arrival = Arrival(url=url, headers=headers, body=body, door=town.customer, tenant=town.customer, verified=False)
    town.sim.loop.create_task(town.sim.comes(arrival))
    return True


FOREIGN = Staged(Act(2 * HOUR, _foreign), pinned={CC: {"contact_webhooks": "array"}}, **HINTED)


# --- reading ---
def _fails(kind: str, at: float | None, **how: Any) -> Act:
    """What calls of Constant Contact's contacts meet from then on."""
    return Act(at, lambda town: town.world.faults.arm(kind, **{"vendor": CC, "method": "GET", **how}))


LARGE = Staged(_fails("big_page", None, path="/v3/contacts", rows=25, count=10**6), people=(30, 30))
HALVED = Staged(does(None, edits(first_name="Half \ud83d")), does(2 * HOUR, one(to.edits_name, 1)))
NOT_FOUND = Staged(
    _fails("404", 2 * HOUR - 1, path="/v3/contacts/"),
    does(2 * HOUR, one(to.edits_name)),
    pinned={CC: {"contact_webhooks": "object"}},
    **HINTED,
)
PROCESSING = Staged(
    does(2 * HOUR, one(to.edits_name)),
    does(2 * HOUR, one(to.opts_out, 1)),
    _fails("202", 2 * HOUR, path="/v3/contacts", count=3),
    nets=Nets(sweep="off", reconcile="off"),
    cadence=replace(SEEN, sweep=NEVER, reconcile=NEVER),
)


# --- writing ---
def _deleted_and(happening: to.Happening) -> Staged:
    """Somebody is deleted at Constant Contact, and staff do something that we write there before we know."""
    return Staged(does(3 * HOUR, one(to.is_deleted)), does(3 * HOUR + 5, one(happening)))


DELETED_AND_TAGGED = _deleted_and(to.is_tagged)
DELETED_AND_SHUT = _deleted_and(to.is_opted_out)
DELETED_AND_RENAMED = _deleted_and(to.is_renamed_last)
RENAMED_TWICE = Staged(does(3 * HOUR, edits(last_name="Unread")), does(3 * HOUR + 5, one(to.is_renamed_last)))
OUT_WITHIN = Staged(
    does(2 * HOUR, one(mails.opts_out_of_campaign), on=PUT), does(2 * HOUR, one(to.is_renamed_last)), pinned=READS
)
_KEPT = {"prefix": "Dr.", "middleName": "B.", "birthYear": 1970, "passion": "Birds"}
KEPT = Staged(
    does(None, lambda scene: knew(scene, [alike(scene, **_KEPT)])),
    does(2 * HOUR, edits(last_name="Stone")),
    pinned={V: {"put-individual": "replace"}},
)


# --- accounts, the brake, budgets, clocks ---
def _asks_for_a_list(scene: Scene) -> bool:
    scene.act(V, "add_tag", name=fields.TAG_PREFIX + "Newest")
    return to.staff(scene, scene.free(0), "staff_adds_tag", 0, tag_name=fields.TAG_PREFIX + "Newest")


def _spends(town: Town) -> None:
    """Another integration of the organization uses up most of the hour."""
    budget = town.world.virtuous._organizations[ORGANIZATION].budget
    budget.spend(budget.limit - 150, town.sim.loop.time())


WRONG_ACCOUNT = Staged(
    does(15 * HOUR, _asks_for_a_list),
    policy=replace(ROUTE, missing_lists="create", fields_to_audience=()),
    given={**CALM, "operator wrong_account customer-0?": 0.0, "operator wrong_account customer-0": 0.5},
)
UNTAGGED = Staged(
    *(does((2 + place) * HOUR, one(to.is_untagged, place)) for place in range(5)),
    policy=replace(ROUTE, brake_floor=1),
    nets=Nets(operator="connects"),
)
SPENT = Staged(
    *(Act((2 + hour) * HOUR + MINUTE, _spends) for hour in range(3)), cadence=replace(SEEN, crm_changed=10 * MINUTE)
)
# Staff shut many at once, and one look at Virtuous tells of all of them.
SHUT_TOGETHER = Staged(
    *(does(2 * HOUR, one(to.is_opted_out, place)) for place in range(6)),
    policy=replace(ROUTE, brake_floor=1),
    nets=Nets(webhooks="none", operator="connects"),
    pinned=OPEN,
)


BACK_AT = 9 * HOUR


def _restored(*acts: Act, saved: float = HOUR, **more: Any) -> Staged:
    """An older disk is put back, of a time when nothing of this had happened."""
    backed_up = Act(saved, lambda town: town.sim.save())
    back = Act(BACK_AT, lambda town: town.sim.restore(town.sim.midnights[0] + saved))
    return Staged(backed_up, back, *acts, **more)


BEFORE_THE_BATCH = _restored(does(BACK_AT + HOUR / 2, _newcomer))
# Our own `false` is there, and the disk that is put back knows neither it nor the bounce.
BOUNCED_AND_FORGOTTEN = _restored(
    does(0.5 * HOUR, mails.mails_everybody),
    does(2 * HOUR, one(mails.bounces_hard)),
    pinned={CC: {"reports_scope": "granted", "hard_bounce_holds": "no"}, **OPEN},
)
# Who came back a moment before the older disk did finds nothing changed.
JOINED_OUT_AND_BACK = _restored(
    does(MINUTE, one(to.joins)),
    does(4.5 * HOUR, one(to.opts_out)),
    does(BACK_AT - 5, one(to.opts_in)),
    saved=4 * HOUR,
    cadence=replace(SEEN, changed=HOUR, opted_out=HOUR),
    pinned={
        CC: {"unsubscribed_keeps_lists": "yes", "updated_at_on_list": "yes", "resubscribe_moves_opt_in_date": "yes"},
        V: {"opt-in-default": "false"},
    },
)
USED_UP = Staged(does(2 * HOUR, lambda scene: scene.world.faults.arm("quota_exceeded", vendor=CC)))
SPENT_BY_ONE = Staged(
    Act(2 * HOUR + MINUTE, _spends),
    does(2 * HOUR + 2 * MINUTE, one(to.is_renamed_last)),
    does(2 * HOUR + 15 * MINUTE, one(to.is_opted_out), town=1),
    customers=2,
)
# Our clock is an hour ahead, and somebody is renamed in every round's blind spot.
AHEAD = Staged(
    *(does(place * 45 * MINUTE, edits(place, first_name=f"Name{place}")) for place in range(20)),
    people=(26, 26),
    cadence=None,
    nets=Nets(sweep="off", crm_sweep="off", reconcile="off"),
    only=twins.Without({"visitor", "operator"}),
    given={**CALM, "twin skew at": 0.35, "twin skew until": 0.99, "twin skew": 0.75},
)
