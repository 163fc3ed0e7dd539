"""When what happens: the week's events, drawn from the seed before it begins."""

from collections.abc import Callable
from dataclasses import dataclass, field

from keepstep_sandbox import people as crowd
from keepstep_sandbox.faults import WRITE
from keepstep_sandbox.judge import fields
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_sandbox.people import ORGANIZATION, ZONE, Person
from keepstep_sandbox.week import happenings as to
from keepstep_sandbox.week.scene import Scene
from keepstep_sandbox.world import next_midnight

HOUR = 3600.0
DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Span:
    """The week's moments, epoch seconds. What only a daily sweep can see ends 25 hours before the quiet."""

    begin: float
    midnights: tuple[float, ...]

    @classmethod
    def of(cls, begin: float, days: int) -> "Span":
        """The span of so many nights. Raises ValueError for fewer than three: two are quiet."""
        if days < 3:
            raise ValueError("a week has at least 3 days: the last two nights are quiet")
        midnights = [next_midnight(begin, ZONE)]
        while len(midnights) < days:
            midnights.append(next_midnight(midnights[-1], ZONE))
        return cls(begin, tuple(midnights))

    @property
    def quiet(self) -> float:
        return self.midnights[-2] - HOUR

    @property
    def end(self) -> float:
        return self.midnights[-1] + 2 * HOUR

    @property
    def waiting(self) -> tuple[float, float]:
        """While the first transactions wait for their batch."""
        return self.begin + 2 * HOUR, self.midnights[0] - 2 * HOUR

    @property
    def swept(self) -> tuple[float, float]:
        """For changes at Constant Contact that no poll shows; after the first batch where the week is long enough."""
        last = self.quiet - 25 * HOUR
        return (
            max(self.midnights[0] + HOUR, self.begin) if last > self.midnights[0] + 3 * HOUR else self.begin + HOUR
        ), last

    @property
    def live(self) -> tuple[float, float]:
        """For changes that polls and webhooks show, on records that are linked."""
        return self.midnights[0] + HOUR, self.quiet - 11 * HOUR


@dataclass(slots=True)
class Event:
    """One event: tried at `at` and, where it cannot happen yet, every half hour until `until`."""

    at: float
    what: str
    side: str
    record: str
    run: Callable[[], bool]
    until: float = field(default=0.0)


Wanted = Callable[[Person], bool]


def _any(_person: Person) -> bool:
    return True


def _two_lists(person: Person) -> bool:
    return len(person.lists) > 1


def _reachable(person: Person) -> bool:
    return bool(person.phones and person.addresses)


# kind of event, whose side, what happens, to whom, and in which window of the span
_PERSONAL: tuple[tuple[str, str, to.Happening, Wanted, str], ...] = (
    ("name_edit_cc", CONSTANT_CONTACT, to.edits_name, _any, "live"),
    ("phone_edit_cc", CONSTANT_CONTACT, to.edits_phone, _reachable, "swept"),
    ("address_edit_cc", CONSTANT_CONTACT, to.edits_address, _reachable, "swept"),
    ("name_edit_virtuous", VIRTUOUS, to.is_renamed_last, _any, "live"),
    ("phone_edit_virtuous", VIRTUOUS, to.is_rephoned, _reachable, "live"),
    ("address_edit_virtuous", VIRTUOUS, to.is_readdressed, _reachable, "live"),
    ("list_join", CONSTANT_CONTACT, to.joins, _any, "swept"),
    ("list_leave", CONSTANT_CONTACT, to.leaves, _two_lists, "swept"),
    ("opt_out_cc", CONSTANT_CONTACT, to.opts_out, _any, "live"),
    ("opt_out_waiting", CONSTANT_CONTACT, to.opts_out, _any, "waiting"),
    ("opt_out_virtuous", VIRTUOUS, to.is_opted_out, _any, "live"),
    ("tag_added", VIRTUOUS, to.is_tagged, _any, "live"),
    ("tag_removed", VIRTUOUS, to.is_untagged, _two_lists, "live"),
    ("email_change", CONSTANT_CONTACT, to.changes_email, _any, "live"),
    ("contact_deleted", CONSTANT_CONTACT, to.is_deleted, _any, "swept"),
)


def plan(scene: Scene, span: Span) -> list[Event]:
    """Every event of the week, earliest first."""
    scale = max(1, len(scene.people) // 130)
    events = [*_midnight(scene, span), *_single(scene, span), *_luck(scene, span)]
    for _ in range(scale):
        events += [event for row in _PERSONAL if (event := _personal(scene, span, *row)) is not None]
        events += _back_again(scene, span)
    return sorted(events, key=lambda event: event.at)


def _personal(
    scene: Scene, span: Span, what: str, side: str, happening: to.Happening, wanted: Wanted, window: str
) -> Event | None:
    who = scene.pick(wanted)
    if who is None:
        return None
    begin, end = getattr(span, window)
    at = round(scene.chance.uniform(begin, end), 1)
    return Event(at, what, side, scene.ids[who], lambda: happening(scene, who), end)


def _midnight(scene: Scene, span: Span) -> list[Event]:
    """Edits on either side of a waiting transaction: before the batch at Constant Contact, right after it by staff."""
    midnight = span.midnights[0]
    events = []
    both, one = scene.pick(), scene.pick()
    before = midnight - 20 * 60
    if both is not None:
        mine = scene.ids[both]
        events += [
            Event(before, "edit_before_batch", CONSTANT_CONTACT, mine, lambda: to.edits_name(scene, both)),
            Event(
                midnight, "edit_after_batch", VIRTUOUS, mine, lambda: to.is_renamed_first(scene, both), midnight + HOUR
            ),
        ]
    if one is not None:
        mine = scene.ids[one]
        events += [
            Event(before, "edit_before_batch", CONSTANT_CONTACT, mine, lambda: to.edits_name(scene, one)),
            Event(
                midnight, "edit_after_batch", VIRTUOUS, mine, lambda: to.is_renamed_last(scene, one), midnight + HOUR
            ),
        ]
    return events


def _back_again(scene: Scene, span: Span) -> list[Event]:
    """Somebody opts out and subscribes again by an own act, hours later."""
    who = scene.pick()
    if who is None:
        return []
    begin, end = span.swept
    out = scene.chance.uniform(begin, max(begin, min(end - 6 * HOUR, begin + DAY)))
    back = scene.chance.uniform(out + 5 * HOUR, end)
    mine = scene.ids[who]
    return [
        Event(out, "opt_out_before_return", CONSTANT_CONTACT, mine, lambda: to.opts_out(scene, who)),
        Event(back, "resubscribe", CONSTANT_CONTACT, mine, lambda: to.opts_in(scene, who)),
    ]


def _single(scene: Scene, span: Span) -> list[Event]:
    """A newcomer, the late tag, somebody joining the list with the comma."""
    begin, end = span.waiting
    last = max(end, span.quiet - 27 * HOUR)
    events = [
        Event(scene.chance.uniform(begin, last), "new_person", CONSTANT_CONTACT, "", lambda: _newcomer(scene)),
        Event(scene.chance.uniform(begin, end), "late_tag", VIRTUOUS, "", lambda: _late_tags(scene)),
    ]
    commas = [name for name in scene.list_ids if "," in name and name not in scene.late]
    who = scene.pick(lambda person: not set(commas) <= set(person.lists))
    if commas and who is not None:
        at = scene.chance.uniform(*span.swept)
        mine = scene.ids[who]
        events.append(
            Event(at, "comma_list", CONSTANT_CONTACT, mine, lambda: to.joins_comma(scene, who), span.swept[1])
        )
    return events


def _newcomer(scene: Scene) -> bool:
    person = crowd.newcomer(scene.world.seed, 1)
    known = [name for name in scene.list_ids if name not in scene.late]
    person.lists = known[:2]
    crowd.add(scene.world, person, scene.list_ids, age=0.0)
    return True


def _late_tags(scene: Scene) -> bool:
    for name in scene.late:
        scene.act(VIRTUOUS, "add_tag", name=fields.TAG_PREFIX + name)
    return True


def _luck(scene: Scene, span: Span) -> list[Event]:
    """What the network and the vendors do to us; all of it is over long before the quiet."""
    world, midnight = scene.world, span.midnights[0]
    arm, act = world.faults.arm, scene.act

    def done(result: object) -> bool:
        return result is None or bool(result)

    rows: list[tuple[float, str, str, Callable[[], object]]] = [
        (span.begin + 60, "reset_after_effect", VIRTUOUS, lambda: arm("reset_after", vendor=VIRTUOUS, method=WRITE)),
        (
            span.begin + 2 * HOUR,
            "rate_storm_cc",
            CONSTANT_CONTACT,
            lambda: arm("throttled", vendor=CONSTANT_CONTACT, count=6),
        ),
        (
            *(span.begin + 3 * HOUR, "rate_storm_virtuous", VIRTUOUS),
            lambda: arm("rate_limited", vendor=VIRTUOUS, count=6, seconds=20),
        ),
        (midnight - 60, "webhook_duplicate", VIRTUOUS, lambda: act(VIRTUOUS, "duplicate_next", n=5)),
        (midnight - 60, "webhook_lost", VIRTUOUS, lambda: act(VIRTUOUS, "lose_next", n=3)),
        (midnight - 60, "webhook_delayed", VIRTUOUS, lambda: act(VIRTUOUS, "delay_next", n=4, seconds=2 * HOUR)),
        (midnight - 59, "webhook_reordered", VIRTUOUS, lambda: act(VIRTUOUS, "reorder_next", n=4)),
        (midnight + 60, "server_error", VIRTUOUS, lambda: arm("503", vendor=VIRTUOUS, count=2)),
        (
            midnight + HOUR,
            "reset_after_effect",
            VIRTUOUS,
            lambda: arm("reset_after", vendor=VIRTUOUS, method=WRITE, count=2),
        ),
        (
            *(midnight + HOUR, "reset_after_effect", CONSTANT_CONTACT),
            lambda: arm("reset_after", vendor=CONSTANT_CONTACT, method=WRITE),
        ),
        (midnight + 2 * HOUR, "webhook_lost", VIRTUOUS, lambda: act(VIRTUOUS, "lose_next", n=2)),
    ]
    return [Event(at, what, side, ORGANIZATION, lambda run=run: done(run())) for at, what, side, run in rows]  # type: ignore[misc]
