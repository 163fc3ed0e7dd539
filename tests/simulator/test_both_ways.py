"""Both sides change at random, vendors are flaky, the process dies: once everybody is quiet, both say the same.

`KEEPSTEP_LONG=examples` plays so many stories, longer ones and other ones each time.
"""

import os
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from keepstep_sandbox.judge import fields
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_sandbox.people import Person, address, phone_number
from keepstep_simulator import bothways
from keepstep_simulator.chaos import AFTER, BEFORE
from keepstep_simulator.hands import HOUR, MINUTE, Hands

LONG = int(os.environ.get("KEEPSTEP_LONG", "0"))
NAMES = (("Ann", "Lee"), ("Bob", "Moor"), ("Cat", "Nye"), ("Dan", "Orr"), ("Eve", "Poe"))
LISTS = ("News", "Gala")
who = st.integers(0, len(NAMES) - 1)
one_list = st.sampled_from(LISTS)
some = st.integers(1, 9)


def people() -> tuple[Person, ...]:
    """Five of five households; everybody is on some list."""
    return tuple(
        Person(
            first,
            last,
            f"{first.lower()}@example.org",
            phones=[("mobile", phone_number(number))],
            addresses=[address(number)],
            lists=list(LISTS[: 1 + number % 2]),
        )
        for number, (first, last) in enumerate(NAMES)
    )


class BothWays(RuleBasedStateMachine):
    """A story of two sides. `settle` ends it."""

    @initialize(imports=st.sampled_from(("all", "manual")), carries=st.sampled_from(("everything", "people")))
    def begin(self, imports: str, carries: str) -> None:
        self.hands = Hands(people(), {VIRTUOUS: {"import-run": imports, "merge-carries": carries}})
        self.gone: dict[int, float] = {}
        self.united = 0.0
        self.marked: dict[int, float] = {}
        self.shut: set[int] = set()
        self.by_hand = imports == "manual"
        self.hands.begin()
        self.night(ran=True)
        self.unmapped = bothways.unmapped(self.hands.world)

    # --- at Constant Contact ---

    @rule(who=who, n=some, last=st.booleans())
    def writes_own_name(self, who: int, n: int, last: bool) -> None:
        first, family = NAMES[who]
        self.edits(who, **({"last_name": f"{family}-{n}"} if last else {"first_name": f"{first}-{n}"}))

    @rule(who=who, n=some)
    def has_new_phone(self, who: int, n: int) -> None:
        self.edits(who, phones=[("mobile", phone_number(1000 + 10 * who + n))])

    @rule(who=who, n=some)
    def moves_house(self, who: int, n: int) -> None:
        self.edits(who, addresses=[address(1000 + 10 * who + n)])

    @rule(who=who, name=one_list)
    def joins(self, who: int, name: str) -> None:
        if self.mailable(who):
            self.cc(who, "person_joins", self.hands.lists[name])

    @rule(who=who, name=one_list)
    def leaves(self, who: int, name: str) -> None:
        if self.mailable(who):
            self.cc(who, "person_leaves", self.hands.lists[name])

    @rule(who=who)
    def opts_out(self, who: int) -> None:
        if self.mailable(who):
            self.cc(who, "person_opts_out")

    @rule(who=who)
    def subscribes_again(self, who: int) -> None:
        """Whom staff opted out waits for staff's word then (crm_opt_out_stands), which the judge does not know."""
        if self.permission(who) == "unsubscribed" and not self.deleted(who) and who not in self.shut:
            self.cc(who, "person_opts_in")

    @rule(who=who)
    def is_deleted(self, who: int) -> None:
        """Only of somebody whose tags staff left alone of late: what a list job does to those who are gone is nothing,
        which the judge counts as an echo."""
        if not self.deleted(who) and self.hands.now > self.marked.get(who, 0.0) + 6 * HOUR:
            self.gone[who] = self.hands.now
            self.cc(who, "delete")

    @rule(who=who)
    def is_revived(self, who: int) -> None:
        """Only of a deletion that some poll has seen: nobody can tell that there was another one."""
        if self.deleted(who) and self.hands.now > self.gone[who] + 6 * HOUR:
            self.cc(who, "revive")

    # --- at Virtuous ---

    @rule(who=who, n=some)
    def is_renamed(self, who: int, n: int) -> None:
        self.staff(who, "staff_renames", 1, last_name=f"{NAMES[who][1]}-s{n}")

    @rule(who=who, n=some)
    def is_rephoned(self, who: int, n: int) -> None:
        self.staff(who, "staff_sets_phone", 1, number=phone_number(2000 + 10 * who + n))

    @rule(who=who, n=some)
    def is_readdressed(self, who: int, n: int) -> None:
        new = address(2000 + 10 * who + n)
        parts = {"address1": new["street"], "city": new["city"], "state": new["state"], "postal": new["postal_code"]}
        self.staff(who, "staff_sets_address", 0, **parts, address2=None, country="United States")

    @rule(who=who, name=one_list)
    def is_tagged(self, who: int, name: str) -> None:
        self.staff(who, "staff_adds_tag", 0, tag_name=fields.TAG_PREFIX + name)

    @rule(who=who, name=one_list)
    def is_untagged(self, who: int, name: str) -> None:
        """Only where the last merge or move was read before: without a base nothing is a removal."""
        found = self.hands.individual(who)
        tagged = found is not None and fields.TAG_PREFIX + name in found[0]["tags"]
        if tagged and self.hands.now > self.united + 6 * HOUR:
            self.staff(who, "staff_removes_tag", 0, tag_name=fields.TAG_PREFIX + name)

    @rule(who=who)
    def is_opted_out(self, who: int) -> None:
        self.shut.add(who)
        self.staff(who, "staff_opts", 2, opted_in=False)

    @rule(loser=who, survivor=who)
    def are_merged(self, loser: int, survivor: int) -> None:
        self.two(loser, survivor, "staff_merges", "loser_id", "survivor_id", 0)

    @rule(mover=who, host=who)
    def moves_in(self, mover: int, host: int) -> None:
        self.two(mover, host, "staff_moves_individual", "individual_id", "contact_id", 1)

    @rule(who=who, back=st.booleans())
    def is_archived(self, who: int, back: bool) -> None:
        self.staff(who, "staff_unarchives" if back else "staff_archives", 0)

    # --- between ---

    @rule(what=st.sampled_from(("lose_next", "duplicate_next", "delay_next", "reorder_next")), count=st.integers(1, 3))
    def webhooks_go_astray(self, what: str, count: int) -> None:
        more = {"seconds": 2 * HOUR} if what == "delay_next" else {}
        self.hands.act(VIRTUOUS, what, count, **more)

    @rule(kind=st.sampled_from(BEFORE + AFTER))
    def a_call_goes_wrong(self, kind: str) -> None:
        self.hands.fault(kind)

    @rule(skip=st.integers(0, 40))
    def dies(self, skip: int) -> None:
        self.hands.crash(skip)

    # --- time ---

    @rule(seconds=st.sampled_from((1.0, MINUTE, 20 * MINUTE, HOUR, 5 * HOUR)))
    def time_passes(self, seconds: float) -> None:
        self.hands.wait(seconds)

    @rule(ran=st.booleans())
    def night(self, ran: bool) -> None:
        """The batch runs; where staff run imports by hand, they may not."""
        self.hands.night()
        if self.by_hand and ran:
            self.hands.act(VIRTUOUS, "staff_runs_import")
            self.hands.wait(HOUR)

    # --- the end ---

    def teardown(self) -> None:
        if not hasattr(self, "hands"):
            return
        try:
            self.settle()
        finally:
            self.hands.end()

    def settle(self) -> None:
        """Nobody does anything any more, and nothing goes wrong: two batches to agree, two more without a write."""
        self.hands.heal()
        self.hands.wait(HOUR)
        for _ in range(2):
            self.night(ran=True)
        quiet = self.hands.now
        for _ in range(2):
            self.night(ran=True)
        self.hands.judged()
        now = bothways.unmapped(self.hands.world)
        assert bothways.findings(self.hands.world, self.hands.sim.story, quiet) == {}
        assert {record: now.get(record) for record in self.unmapped} == self.unmapped

    # --- words ---

    def mailable(self, who: int) -> bool:
        return not self.deleted(who) and self.permission(who) != "unsubscribed"

    def deleted(self, who: int) -> bool:
        return "deleted_at" in self.hands.audience(who)

    def permission(self, who: int) -> str:
        return str(self.hands.audience(who)["email_address"]["permission_to_send"])

    def edits(self, who: int, **values: Any) -> None:
        """An edit of somebody deleted would revive them, which no vendor's page offers."""
        if not self.deleted(who):
            self.cc(who, "edit", **values)

    def cc(self, who: int, act: str, *args: Any, **values: Any) -> None:
        self.hands.act(CONSTANT_CONTACT, act, self.hands.ids[who], *args, **values)

    def staff(self, who: int, act: str, record: int, **values: Any) -> None:
        """On the contact (0), the individual (1), the e-mail method (2) of somebody."""
        found = self.hands.individual(who)
        if found is not None:
            self.marked |= {who: self.hands.now} if act.endswith("_tag") else {}
            key = ("contact_id", "individual_id", "method_id")[record]
            self.hands.act(VIRTUOUS, act, **{key: found[record]["id"]}, **values)

    def two(self, one: int, other: int, act: str, first: str, second: str, record: int) -> None:
        """On the contact (0) or individual (1) of one and the contact of another; nothing where these are not two."""
        mine, theirs = self.hands.individual(one), self.hands.individual(other)
        if mine is not None and theirs is not None and mine[0]["id"] != theirs[0]["id"]:
            self.united = self.hands.now
            self.hands.act(VIRTUOUS, act, **{first: mine[record]["id"], second: theirs[0]["id"]})


TestBothWays = BothWays.TestCase
TestBothWays.settings = settings(
    max_examples=LONG or 10,
    stateful_step_count=40 if LONG else 14,
    derandomize=not LONG,
    deadline=None,
    database=None,
    phases=(Phase.generate, Phase.shrink) if LONG else (Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
