"""Short stories for the crash sweep: two people who are in step, and one thing that happens to them.

Each ends when the product has done with it what it does; the sweep lets the process die at every point on the way.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from keepstep.model.customer import Cadence
from keepstep_sandbox.judge import fields
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_sandbox.people import Person, address, phone_number
from keepstep_simulator.hands import DAY, HOUR, MINUTE, Hands

Acts = Callable[[Hands], None]
ANA, BEN = 0, 1
# Everything that no webhook tells is seen twice a day, so that an episode is short in calls.
SELDOM = Cadence(
    opted_out=DAY / 2,
    changed=DAY / 2,
    deleted=DAY / 2,
    lists=DAY,
    reports=DAY,
    crm_changed=DAY / 2,
    obligations=DAY / 2,
)
SEEN = 13 * HOUR  # by every poll, and written
TOLD = 30 * MINUTE  # by webhook, and written
_PLACE = {"address1": "9 New St", "city": "Everett", "state": "WA", "postal": "98201"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """before: what happens in calm, once both are in step (or before anything is, where `first`); then `acts`, which
    last `seconds` with what comes of them and are swept; `nights`: batches of the vendor's that belong to it."""

    name: str
    acts: Acts
    before: Acts = lambda _hands: None
    seconds: float = SEEN
    nights: int = 0
    first: bool = False
    switches: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def begin(self) -> Hands:
        """Everything is calm, and what is swept comes next."""
        hands = Hands(_people(), self.switches, SELDOM)
        if not self.first:
            hands.begin()
            hands.night()
        self.before(hands)
        return hands

    def play(self, hands: Hands) -> None:
        """What is swept."""
        if self.first:
            hands.begin()
        self.acts(hands)
        hands.wait(self.seconds)
        for _ in range(self.nights):
            hands.night()

    def settle(self, hands: Hands) -> None:
        """Nothing happens any more: two batches, as a seed ends."""
        hands.heal()
        hands.wait(HOUR)
        hands.night()
        hands.night()


def _people() -> tuple[Person, ...]:
    names = (("Ana", "Lee"), ("Ben", "Moor"))
    return tuple(
        Person(
            first,
            last,
            f"{first.lower()}@example.org",
            phones=[("mobile", phone_number(number))],
            addresses=[address(number)],
            lists=["News", "Gala"][: 1 + number],
        )
        for number, (first, last) in enumerate(names)
    )


# words


def cc(act: str, *args: Any, who: int = ANA, **values: Any) -> Acts:
    """Something at Constant Contact."""
    return lambda hands: hands.act(CONSTANT_CONTACT, act, hands.ids[who], *args, **values)


def listed(act: str, name: str, who: int = ANA) -> Acts:
    """Joining or leaving a list."""
    return lambda hands: hands.act(CONSTANT_CONTACT, act, hands.ids[who], hands.lists[name])


def staff(act: str, record: int, who: int = ANA, **values: Any) -> Acts:
    """Something that staff do at Virtuous to somebody's contact (0), individual (1) or e-mail method (2)."""

    def do(hands: Hands) -> None:
        found = hands.individual(who)
        assert found is not None, f"{act}: nobody there"
        key = ("contact_id", "individual_id", "method_id")[record]
        hands.act(VIRTUOUS, act, **{key: found[record]["id"]}, **values)

    return do


def merged(loser: int, survivor: int) -> Acts:
    """Two households become one."""

    def do(hands: Hands) -> None:
        one, other = hands.individual(loser), hands.individual(survivor)
        assert one is not None and other is not None
        hands.act(VIRTUOUS, "staff_merges", loser_id=one[0]["id"], survivor_id=other[0]["id"])

    return do


def webhooks(what: str, count: int, **more: Any) -> Acts:
    """The next webhooks go astray."""
    return lambda hands: hands.act(VIRTUOUS, what, count, **more)


def then(*acts: Acts) -> Acts:
    """One after the other."""

    def do(hands: Hands) -> None:
        for act in acts:
            act(hands)

    return do


def wait(seconds: float) -> Acts:
    """Some time passes."""
    return lambda hands: hands.wait(seconds)


def mailed(hands: Hands) -> None:
    """A mailing to everybody: who bounces or complains does so of one."""
    hands.act(CONSTANT_CONTACT, "send_campaign")


def list_renamed(hands: Hands) -> None:
    """The list keeps its members and its id."""
    hands.act(CONSTANT_CONTACT, "rename_list", list_id=hands.lists["News"], name="News of ours")


def nothing(_hands: Hands) -> None:
    """Nobody does anything."""


OUT, IN = cc("person_opts_out"), cc("person_opts_in")
SHUT = staff("staff_opts", 2, opted_in=False)
RENAMED = staff("staff_renames", 1, last_name="Lea")
REPHONED = staff("staff_sets_phone", 1, number=phone_number(900))
MOVED = staff("staff_sets_address", 0, ANA, **_PLACE, address2=None, country="United States")
TAGGED = staff("staff_adds_tag", 0, tag_name=fields.TAG_PREFIX + "Gala")
UNTAGGED = staff("staff_removes_tag", 0, who=BEN, tag_name=fields.TAG_PREFIX + "Gala")
EDITED = cc("edit", first_name="Anna")
PHONED = cc("edit", phones=[("mobile", phone_number(800))])
PLACED = cc("edit", addresses=[address(800)])
MAILED = cc("edit", email="ana.lee@example.net")
JOINED, LEFT = listed("person_joins", "Gala"), listed("person_leaves", "Gala", BEN)

EPISODES: tuple[Episode, ...] = (
    Episode(name="first connection", acts=nothing, first=True, seconds=HOUR),
    Episode(name="first night", acts=nothing, first=True, seconds=HOUR, nights=1),
    Episode(name="opt-out at Constant Contact", acts=OUT),
    Episode(name="opt-out before the first night", acts=then(wait(HOUR), OUT), first=True, nights=1),
    Episode(name="opt-out and back", acts=then(OUT, wait(SEEN), IN)),
    Episode(name="opt-out and back between two polls", acts=then(OUT, wait(MINUTE), IN)),
    Episode(name="back after an old opt-out", before=then(OUT, wait(SEEN)), acts=IN),
    Episode(name="opt-out by staff", acts=SHUT, seconds=TOLD),
    Episode(name="opt-out by staff, webhook lost", before=webhooks("lose_next", 3), acts=SHUT),
    Episode(name="opt-outs on both sides", acts=then(OUT, SHUT)),
    Episode(name="complaint", before=mailed, acts=cc("complain")),
    Episode(name="hard bounce", before=mailed, acts=cc("bounce", code="B")),
    Episode(name="deletion", acts=cc("delete")),
    Episode(name="deletion and return", acts=then(cc("delete"), wait(SEEN), cc("revive"))),
    Episode(name="edit of the first name", acts=EDITED),
    Episode(name="edit of the telephone", acts=PHONED),
    Episode(name="edit of the address", acts=PLACED),
    Episode(name="new e-mail address", acts=MAILED),
    Episode(name="edit of everything", acts=then(EDITED, PHONED, PLACED)),
    Episode(name="edit before the first night", acts=then(wait(HOUR), EDITED), first=True, nights=1),
    Episode(name="edits one after the other", acts=then(EDITED, wait(SEEN), cc("edit", first_name="Anne"))),
    Episode(name="rename by staff", acts=RENAMED, seconds=TOLD),
    Episode(name="telephone by staff", acts=REPHONED, seconds=TOLD),
    Episode(name="address by staff", acts=MOVED, seconds=TOLD),
    Episode(name="rename on both sides", acts=then(cc("edit", last_name="Leh"), RENAMED)),
    Episode(name="edits on both sides, of different fields", acts=then(PHONED, RENAMED)),
    Episode(name="joining a list", acts=JOINED),
    Episode(name="leaving a list", acts=LEFT),
    Episode(name="joining and leaving", acts=then(JOINED, wait(SEEN), listed("person_leaves", "Gala"))),
    Episode(name="tag by staff", acts=TAGGED, seconds=HOUR),
    Episode(name="tag removed by staff", acts=UNTAGGED, seconds=HOUR),
    Episode(name="tag by staff, then an opt-out", acts=then(TAGGED, wait(5 * MINUTE), OUT)),
    Episode(name="tag by staff of somebody who is out", before=then(OUT, wait(SEEN)), acts=TAGGED, seconds=HOUR),
    Episode(name="merge of households", acts=merged(BEN, ANA), seconds=TOLD),
    Episode(name="merge, and the one who went opts out", acts=then(merged(BEN, ANA), cc("person_opts_out", who=BEN))),
    Episode(name="webhooks twice", before=webhooks("duplicate_next", 3), acts=RENAMED, seconds=TOLD),
    Episode(name="webhooks in another order", before=webhooks("reorder_next", 3), acts=then(RENAMED, SHUT, TAGGED)),
    Episode(name="webhooks late", before=webhooks("delay_next", 3, seconds=2 * HOUR), acts=then(TAGGED, SHUT)),
    Episode(name="list renamed", acts=list_renamed),
    Episode(name="a quiet night", acts=nothing, seconds=HOUR, nights=1),
    Episode(name="refresh of the grant", acts=nothing, seconds=DAY),
)
