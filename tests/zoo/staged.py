"""Seeds in which one thing is done on purpose: a few calm people, drawn vendors, and what it takes to show a mistake.

Who and when is said here; the vendors' disputed facts, the order of things and how long calls take are the seed's.
Moments count from the first night, when everybody has become a contact of Virtuous.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from keepstep.model.customer import Cadence, Policy
from keepstep_sandbox import people as crowd
from keepstep_sandbox.constant_contact.webhooks import SIGNATURE, sign
from keepstep_sandbox.judge import fields
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_sandbox.people import ACCOUNT, ORGANIZATION
from keepstep_sandbox.week import ground
from keepstep_sandbox.week import happenings as to
from keepstep_sandbox.week import mail as mails
from keepstep_sandbox.week import turns
from keepstep_sandbox.week.scene import Scene
from keepstep_simulator import disputes, twins
from keepstep_simulator.acts import Act
from keepstep_simulator.arrival import Arrival
from keepstep_simulator.chaos import Chaos
from keepstep_simulator.run import Plan
from keepstep_simulator.swarm import BACK, NEVER, TAGS_PREFIX, Nets
from keepstep_simulator.town import OTHER_ACCOUNT, Town

MINUTE, HOUR = 60.0, 3600.0
CALM = {f"planted customer-0 {name}": 0.9 for name in ("match", "couple", "several_matches", "name_differs")}
SEEN = Cadence(opted_out=4 * HOUR, changed=4 * HOUR, deleted=4 * HOUR, lists=5 * HOUR, reports=4 * HOUR, crm_changed=4 * HOUR)
Do = Callable[[Scene], Any]
Plans = Callable[[int], Plan]


def does(at: float | None, do: Do, on: str = "") -> Act:
    """Something that people or staff do."""

    def done(town: Town) -> Any:
        assert town.scene is not None
        return do(town.scene)

    return Act(at, done, on)


def to_one(happening: to.Happening, place: int = 0) -> Do:
    """It happens to somebody."""
    return lambda scene: happening(scene, scene.free(place))


def staged(*acts: Act, pinned: Mapping[str, Mapping[str, str]] | None = None, **more: Any) -> Plans:
    """Seeds with these acts; `pinned`: switches that are not the seed's."""

    def plan(seed: int) -> Plan:
        drawn = disputes.of_seed(seed)
        switches = {vendor: {**drawn[vendor], **(pinned or {}).get(vendor, {})} for vendor in drawn}
        usual: dict[str, Any] = {
            "customers": 1,
            "people": (8, 8),
            "nets": Nets(),
            "policy": Policy(contact_tags_prefix=TAGS_PREFIX, fields_to_audience=BACK),
            "cadence": SEEN,
            "chaos": Chaos(seed),
            "deeds": False,
            "mishaps": False,
            "agitation": 0.0,
            "given": CALM,
            "switches": switches,
        }
        return Plan(**{**usual, "acts": acts, **more})

    return plan


def edit(place: int = 0, **values: Any) -> Do:
    return lambda scene: to.edits(scene, scene.free(place), **values)


def staff(act: str, record: int, place: int = 0, **values: Any) -> Do:
    return lambda scene: to.staff(scene, scene.free(place), act, record, **values)


def seconds(count: int, at: float, every: float, do: Callable[[int], Do]) -> tuple[Act, ...]:
    return tuple(does(at + number * every, do(number)) for number in range(count))


CC, V = CONSTANT_CONTACT, VIRTUOUS
MAIL = "contactMethods"


def knows(scene: Scene, individuals: list[dict[str, Any]], **more: Any) -> None:
    """Virtuous knew a household before."""
    scene.act(VIRTUOUS, "add_contact", contactType="Household", name="Household", contactIndividuals=individuals, **more)


def mail(address: str | None, kind: str = "Home Email") -> list[dict[str, Any]]:
    return [{"type": kind, "value": address, "isOptedIn": True, "isPrimary": True}]


def _alike(scene: Scene, place: int, **more: Any) -> dict[str, Any]:
    person = scene.people[scene.free(place)]
    return {"firstName": person.first_name, "lastName": person.last_name, MAIL: mail(person.email), **more}


# --- consent ---
REVIVED = staged(does(HOUR, to_one(to.is_deleted)), does(11 * HOUR, to_one(turns.comes_back)))
RETURNS = staged(
    does(HOUR, to_one(to.opts_in)),
    does(2 * HOUR, to_one(to.opts_out)),
    does(12 * HOUR, to_one(to.opts_in)),
    pinned={CC: {"resubscribe_moves_opt_in_date": "no"}},
)


def _spouse(scene: Scene) -> None:
    mine = _alike(scene, 0)
    knows(scene, [mine, {"firstName": "Bo", "lastName": mine["lastName"], MAIL: mail(mine[MAIL][0]["value"], "Work Email")}])


SPOUSE = staged(does(None, _spouse), does(HOUR, to_one(to.opts_out)))
UNREAD = staged(
    *(does((2 + n) * HOUR, to_one(to.opts_out, n)) for n in range(4)),
    *(does((2 + n) * HOUR + 50 * MINUTE, to_one(to.is_tagged, n)) for n in range(4)),
    cadence=replace(SEEN, opted_out=9 * HOUR),
)


# --- who somebody is ---
def _reference(scene: Scene) -> None:
    who = scene.free(0)
    reference = {"source": fields.REFERENCE_SOURCE, "id": scene.ids[who]}
    knows(scene, [{"firstName": "Zed", "lastName": "Quill", MAIL: mail("zed@example.org")}], contactReferences=[reference])
    scene.world.note("week", VIRTUOUS, "planted", scene.ids[who], reason="reference_without_address")


def _father(scene: Scene) -> None:
    who = scene.free(0)
    knows(scene, [_alike(scene, 0, suffix="Sr.")])
    to.edits(scene, who, last_name=f"{scene.people[who].last_name} Jr.")
    scene.world.note("week", VIRTUOUS, "planted", scene.ids[who], reason="name_differs")


def _moved(scene: Scene) -> Any:
    host = scene.crm(scene.free(1))
    return host is not None and to.staff(scene, scene.free(0), "staff_moves_individual", 1, contact_id=host["id"])


REFERENCE = staged(does(None, _reference), does(2 * HOUR, to_one(to.edits_name)))
FATHER = staged(does(None, _father), does(2 * HOUR, to_one(to.edits_phone)))
MOVED = staged(does(2 * HOUR, to_one(to.is_opted_out)), does(2 * HOUR + 0.2, _moved))


# --- lists ---
def _household(scene: Scene) -> None:
    knows(scene, [_alike(scene, 0), _alike(scene, 1)])


def _tags_both(scene: Scene) -> Any:
    names = [name for name in scene.list_ids if name not in scene.late]
    on = [scene.list_ids[n] for n in names]
    both = [set(scene.audience(scene.free(place))["list_memberships"]) for place in (0, 1)]
    name = next(n for n in names if scene.list_ids[n] not in both[0] | both[1])
    return to.staff(scene, scene.free(0), "staff_adds_tag", 0, tag_name=scene.tag_of(name))


HOUSEHOLD = staged(does(None, _household), does(2 * HOUR, _tags_both))


def _newcomer(scene: Scene) -> None:
    scene.list_ids["Fresh"] = scene.act(CONSTANT_CONTACT, "add_list", name="Fresh")
    person = crowd.newcomer(scene.world.seed, 1)
    person.lists = ["Fresh"]
    crowd.add(scene.world, person, scene.list_ids, age=0.0)


FRESH = staged(does(2 * HOUR, _newcomer), cadence=replace(SEEN, changed=0.5 * HOUR))


def _lists(scene: Scene) -> None:
    for number in range(60):
        scene.act(CONSTANT_CONTACT, "add_list", name=f"Event {number}")
    scene.list_ids["Last"] = scene.act(CONSTANT_CONTACT, "add_list", name="Last")
    scene.act(VIRTUOUS, "add_tag", name=fields.TAG_PREFIX + "Last")
    to.moves(scene, scene.free(0), "person_joins", "Last")


def _tags(scene: Scene) -> None:
    for number in range(12):
        scene.act(VIRTUOUS, "add_tag", name=f"Table {number}")
    scene.list_ids["Last"] = scene.act(CONSTANT_CONTACT, "add_list", name="Last")
    scene.act(VIRTUOUS, "add_tag", name=fields.TAG_PREFIX + "Last")
    to.moves(scene, scene.free(0), "person_joins", "Last")


LISTS = staged(does(None, _lists), pinned={CC: {"list_page": "50"}})
TAGS = staged(does(None, _tags))


# --- hearing ---
def _unsubscribed(town: Town) -> Any:
    subscriptions = town.world.virtuous._organizations[ORGANIZATION].subscriptions
    subscriptions.clear()


def _untoggled(town: Town) -> Any:
    for one in town._subscriptions():
        one.fields["contactUpdate"] = False


WEBHOOKS = Nets(poll="off", crm_sweep="off")
ALONE = replace(SEEN, crm_changed=NEVER, crm_sweep=NEVER, reconcile=NEVER, subscription=5 * HOUR)
_EDITS = does(3 * HOUR, to_one(to.is_renamed_last)), does(3 * HOUR, to_one(to.is_opted_out, 1))
UNSUBSCRIBED = staged(Act(2 * HOUR, _unsubscribed), *_EDITS, nets=WEBHOOKS, cadence=ALONE)
LATER = does(14 * HOUR, to_one(to.is_renamed_last)), does(14 * HOUR, to_one(to.is_opted_out, 1))
UNTOGGLED = staged(Act(2 * HOUR, _untoggled), *LATER, nets=WEBHOOKS, cadence=ALONE)
UNSUBSCRIBED_LATER = staged(Act(2 * HOUR, _unsubscribed), *LATER, nets=WEBHOOKS, cadence=ALONE)


# --- reading ---
def _halved(scene: Scene) -> Any:
    return to.edits(scene, scene.free(0), first_name="Half \ud83d")


HALVED = staged(does(None, _halved), does(2 * HOUR, to_one(to.edits_name, 1)))
DIALECT = staged(does(HOUR, to_one(to.opts_out)), does(15 * HOUR, to_one(to.opts_in)), pinned={CC: {"date_dialect": "offset"}})
BOUNCE = staged(does(HOUR, to_one(mails.moves_away)),
                does(13 * HOUR, to_one(mails.old_address_bounces)))


def _large(town: Town) -> Any:
    town.world.faults.arm("big_page", vendor=CONSTANT_CONTACT, path="/v3/contacts", rows=25, count=10**6)


def _small_again(town: Town) -> Any:
    town.world.faults.clear()


LARGE = staged(Act(None, _large), people=(30, 30))
LARGE_FEW = staged(Act(None, _large))

# --- writing ---
DELETED_TAG = staged(does(3 * HOUR, to_one(to.is_deleted)), does(3 * HOUR + 5, to_one(to.is_tagged)))
DELETED_OUT = staged(does(3 * HOUR, to_one(to.is_deleted)), does(3 * HOUR + 5, to_one(to.is_opted_out)))
DELETED_NAME = staged(does(3 * HOUR, to_one(to.is_deleted)), does(3 * HOUR + 5, to_one(to.is_renamed_last)))
UNREAD_EDIT = staged(
    does(3 * HOUR, edit(last_name="Unread")), does(3 * HOUR + 5, to_one(to.is_renamed_last)),
)
_KEPT = {"prefix": "Dr.", "middleName": "B.", "birthYear": 1970, "passion": "Birds"}
KEPT = staged(
    does(None, lambda scene: knows(scene, [_alike(scene, 0, **_KEPT)])),
    does(2 * HOUR, edit(last_name="Stone")),
    pinned={V: {"put-individual": "replace"}},
)
RACED = staged(
    does(2 * HOUR, to_one(mails.opts_out_of_campaign), on="PUT /v3/contacts/"), does(2 * HOUR, to_one(to.is_renamed_last)),
    pinned={CC: {"reports_scope": "granted"}},
)
RACED_DELETION = staged(
    does(2 * HOUR, to_one(to.is_deleted), on="PUT /v3/contacts/"), does(2 * HOUR, to_one(to.is_renamed_last)),
)


# --- what is done with many customers, accounts, grants ---
def wrong(seed: int) -> Plan:
    """The owner is logged in to another account while connecting, while things happen."""
    drawn = {"operator wrong_account customer-0?": 0.0, "operator wrong_account customer-1?": 0.0}
    return Plan(given=drawn, chaos=Chaos(seed), nets=Nets())


def restored(seed: int) -> Plan:
    """An older disk is put back, and nothing else goes wrong."""
    drawn = {"mishaps restores": 0.99, "mishaps skews": 0.0, "mishaps pauses": 0.0}
    return Plan(given=drawn, chaos=Chaos(seed), nets=Nets())


def unstored(seed: int) -> Plan:
    """Tokens end often, and the disk fails often."""
    kind = {"access_token_lifetime": "short", "refresh_mode": "rotating", "refresh_grace": "0"}
    return Plan(customers=1, people=(4, 4), chaos=Chaos(seed, commit_rate=0.1), switches={CONSTANT_CONTACT: kind})


def bulk(seed: int) -> Plan:
    """Staff tag two contacts at once, and webhooks tell of it."""
    return Plan(given={f"deed customer-{n} are_tagged?": 0.0 for n in (0, 1)}, nets=Nets(), chaos=Chaos(seed))


def _asks_for_a_list(scene: Scene) -> Any:
    scene.act(VIRTUOUS, "add_tag", name=fields.TAG_PREFIX + "Newest")
    return to.staff(scene, scene.free(0), "staff_adds_tag", 0, tag_name=fields.TAG_PREFIX + "Newest")


WRONG = staged(
    does(15 * HOUR, _asks_for_a_list),
    policy=Policy(contact_tags_prefix=TAGS_PREFIX, missing_lists="create"),
    given={**CALM, "operator wrong_account customer-0?": 0.0, "operator wrong_account customer-0": 0.5},
)


# --- the brake, budgets, the door ---
UNTAGGED = staged(
    *(does((2 + n) * HOUR, to_one(to.is_untagged, n)) for n in range(5)),
    policy=Policy(contact_tags_prefix=TAGS_PREFIX, brake_floor=1),
    nets=Nets(operator="connects"),
)


def _spends(town: Town) -> None:
    budget = town.world.virtuous._organizations[ORGANIZATION].budget
    town.world.virtuous.spend(ORGANIZATION, budget.limit - 150, town.sim.loop.time())


SPENT = staged(
    *(Act(2 * HOUR + n * HOUR + 60, _spends) for n in range(3)), cadence=replace(SEEN, crm_changed=10 * MINUTE)
)
SPENT_BY_ONE = staged(
    Act(2 * HOUR + 60, _spends),
    does(2 * HOUR + 2 * MINUTE, to_one(to.is_renamed_last)),
    Act(2 * HOUR + 15 * MINUTE, lambda town: to.is_opted_out(town.scene, town.scene.free(0)), town=1),
    customers=2,
    given=CALM | {name.replace("-0", "-1"): one for name, one in CALM.items()},
)


def _foreign(town: Town) -> Any:
    hook = town.world.constant_contact._webhooks._hooks.get(ACCOUNT)
    if hook is None:
        return False
    url, secret = hook
    event = {"account_id": OTHER_ACCOUNT, "contact_id": town.ids[0], "event_type": "contact.updated"}
    body = json.dumps([event]).encode()
    headers = {"Content-Type": "application/json", SIGNATURE: sign(secret, body)}
    arrival = Arrival(url=url, headers=headers, body=body, door=town.customer, tenant=town.customer, verified=False)
    town.sim.loop.create_task(town.sim.comes(arrival))


HINTS = Policy(contact_tags_prefix=TAGS_PREFIX, contact_webhooks=True)
FOREIGN = staged(
    Act(2 * HOUR, _foreign), policy=HINTS, nets=Nets(hints="come"), pinned={CC: {"contact_webhooks": "array"}}
)


def _not_found(town: Town) -> None:
    town.world.faults.arm("404", vendor=CONSTANT_CONTACT, method="GET", path="/v3/contacts/")


NOT_FOUND = staged(
    Act(2 * HOUR - 1, _not_found),
    does(2 * HOUR, to_one(to.edits_name)),
    policy=HINTS,
    nets=Nets(hints="come"),
    pinned={CC: {"contact_webhooks": "object"}},
)
REPORTED = staged(
    does(2 * HOUR, to_one(mails.opts_out_of_campaign)),
    does(2 * HOUR + MINUTE, to_one(turns.is_explicit)),
    pinned={CC: {"reports_scope": "granted"}},
)


def _odd_choice(scene: Scene) -> Any:
    return ground.sets_field(scene, scene.free(0), "Shirt Size", "2XL")


def _choice(how: str) -> Plans:
    return staged(does(None, _odd_choice), does(2 * HOUR, to_one(to.edits_name)), pinned={V: {"unknown-option": how}})


ODD_CHOICE, REFUSED_CHOICE = _choice("stored"), _choice("refused")
AHEAD = staged(
    *(does(n * 45 * MINUTE, edit(n, first_name=f"Name{n}")) for n in range(20)),
    people=(26, 26),
    cadence=None,
    nets=Nets(sweep="off", crm_sweep="off", reconcile="off"),
    only=twins.Without({"visitor", "operator"}),
    given={**CALM, "twin skew at": 0.35, "twin skew until": 0.99, "twin skew": 0.75},
)


def refused(seed: int) -> Plan:
    """Some writes are refused for good, and somebody replays them."""
    return Plan(chaos=Chaos(seed, call_rate=0.1, kinds=("400",)), nets=Nets(operator="mends"), mishaps=False, agitation=0.0)
