"""When what happens: the week's events, drawn from the seed before it begins."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from keepstep_sandbox import people as crowd
from keepstep_sandbox.judge import fields
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_sandbox.people import Person
from keepstep_sandbox.week import desk, ground, labels, mail, turns
from keepstep_sandbox.week import happenings as to
from keepstep_sandbox.week.luck import luck
from keepstep_sandbox.week.scene import Scene
from keepstep_sandbox.week.span import DAY, HOUR, MINUTE, Event, Span

LEFT_ALONE = 3  # people to whom nothing happens at all, however small the crowd is
Wanted = Callable[[Person], bool]
Row = tuple[str, str, to.Happening, Wanted, str]
Course = tuple[tuple[tuple[str, str, to.Happening], ...], str, float]


def _any(_person: Person) -> bool:
    return True


def _two_lists(person: Person) -> bool:
    return len(person.lists) > 1


def _reachable(person: Person) -> bool:
    return bool(person.phones and person.addresses)


# To somebody whom nothing else happens to: kind, side, what happens, to whom, in which window of the span.
_ALONE: tuple[Row, ...] = (
    ("opt_out_cc", CONSTANT_CONTACT, to.opts_out, _any, "live"),
    ("opt_out_waiting", CONSTANT_CONTACT, to.opts_out, _any, "waiting"),
    ("opt_out_virtuous", VIRTUOUS, to.is_opted_out, _any, "live"),
    ("email_change", CONSTANT_CONTACT, to.changes_email, _any, "live"),
    ("contact_deleted", CONSTANT_CONTACT, to.is_deleted, _any, "swept"),
    ("bounce_hard", CONSTANT_CONTACT, mail.bounces_hard, _any, "live"),
    ("bounce_soft", CONSTANT_CONTACT, mail.bounces_softly, _any, "live"),
    ("campaign_opt_out", CONSTANT_CONTACT, mail.opts_out_of_campaign, _any, "live"),
    ("complaint", CONSTANT_CONTACT, mail.complains, _any, "live"),
)
# The same where there are people enough; where not, each seed has other ones of them.
_MORE: tuple[Row, ...] = (
    ("bounce_waiting", CONSTANT_CONTACT, mail.bounces_hard, _any, "waiting"),
    ("address_lost", CONSTANT_CONTACT, turns.loses_address, _any, "live"),
    ("entered_by_hand", VIRTUOUS, turns.is_entered, _any, "waiting"),
)
# To somebody to whom other things may happen too: the field comes first.
_FIELDS: tuple[tuple[str, Row], ...] = (
    ("name", ("name_edit_cc", CONSTANT_CONTACT, to.edits_name, _any, "live")),
    ("phone", ("phone_edit_cc", CONSTANT_CONTACT, to.edits_phone, _reachable, "swept")),
    ("address", ("address_edit_cc", CONSTANT_CONTACT, to.edits_address, _reachable, "swept")),
    ("name", ("name_edit_virtuous", VIRTUOUS, to.is_renamed_last, _any, "live")),
    ("phone", ("phone_edit_virtuous", VIRTUOUS, to.is_rephoned, _reachable, "live")),
    ("address", ("address_edit_virtuous", VIRTUOUS, to.is_readdressed, _reachable, "live")),
    ("lists", ("list_join", CONSTANT_CONTACT, to.joins, _any, "swept")),
    ("lists", ("list_leave", CONSTANT_CONTACT, to.leaves, _two_lists, "swept")),
    ("lists", ("tag_added", VIRTUOUS, to.is_tagged, _any, "live")),
    ("lists", ("tag_removed", VIRTUOUS, to.is_untagged, _two_lists, "live")),
    ("odd list", ("list_semicolon", CONSTANT_CONTACT, labels.joins_odd, _any, "swept")),
    ("mail", ("vacation_reply", CONSTANT_CONTACT, mail.answers, _any, "live")),
    *((one, ("custom_edit_cc", CONSTANT_CONTACT, labels.fills_in(one), _any, "swept")) for one in ground.VALUES),
    ("Interests", ("custom_cleared", CONSTANT_CONTACT, labels.clears, _any, "swept")),
    ("staff field", ("custom_edit_virtuous", VIRTUOUS, labels.is_filled_in, _any, "live")),
)
_CONTACT_TAGS: tuple[tuple[str, Row], ...] = (
    ("tags", ("contact_tag_added", CONSTANT_CONTACT, labels.gets_tag, _any, "swept")),
    ("tags", ("contact_tag_staff", VIRTUOUS, labels.is_marked, _any, "live")),
)
# Several things that happen to one person one after the other, at least so many hours apart.
_COURSES: tuple[Course, ...] = (
    (
        (
            ("opt_out_before_return", CONSTANT_CONTACT, to.opts_out),
            ("resubscribe", CONSTANT_CONTACT, to.opts_in),
        ),
        *("swept", 5),
    ),
)
_MORE_COURSES: tuple[Course, ...] = (
    (
        (
            ("moved_before_bounce", CONSTANT_CONTACT, mail.moves_away),
            ("bounce_old_address", CONSTANT_CONTACT, mail.old_address_bounces),
        ),
        *("live", 2),
    ),
    (
        (
            ("bounce_before_move", CONSTANT_CONTACT, mail.bounces_hard),
            ("move_after_bounce", CONSTANT_CONTACT, mail.moves_away),
        ),
        *("live", 4),
    ),
    (
        (
            ("permission_temp_hold", CONSTANT_CONTACT, turns.is_held),
            ("permission_not_set", CONSTANT_CONTACT, turns.is_unset),
            ("permission_pending", CONSTANT_CONTACT, turns.is_asked),
            ("permission_explicit", CONSTANT_CONTACT, turns.is_explicit),
        ),
        *("swept", 2),
    ),
    (
        (
            ("deletion_before_revival", CONSTANT_CONTACT, to.is_deleted),
            ("revival", CONSTANT_CONTACT, turns.comes_back),
        ),
        *("swept", 5),
    ),
    (
        (
            ("opt_out_before_deletion", CONSTANT_CONTACT, to.opts_out),
            ("deletion_of_opted_out", CONSTANT_CONTACT, to.is_deleted),
            ("revival_of_opted_out", CONSTANT_CONTACT, turns.comes_back),
        ),
        *("swept", 4),
    ),
    (
        (
            ("deletion_before_return", CONSTANT_CONTACT, to.is_deleted),
            ("return_after_deletion", CONSTANT_CONTACT, to.opts_in),
        ),
        *("swept", 5),
    ),
)
_PAIRS = (
    ("address_swap", CONSTANT_CONTACT, turns.swaps),
    ("address_handed_over", CONSTANT_CONTACT, turns.hands_over),
)
_HOUSEHOLDS = ("households_merged", VIRTUOUS, turns.are_merged)


def plan(scene: Scene, span: Span) -> list[Event]:
    """Every event of the week, earliest first."""
    scale = max(1, len(scene.people) // 130)
    events = [*_midnight(scene, span), *_single(scene, span), *_office(scene, span), *_unmailable(scene, span)]
    events += luck(scene, span)
    for _ in range(scale):
        events += _sharing(scene, span, _FIELDS)
        events += _tags(scene, span) if scene.tags_prefix else ()
        events += [event for row in _ALONE for event in _personal(scene, span, scene.pick(row[3]), row)]
        events += [event for course in _COURSES for event in _course(scene, span, course)]
        events += _pair(scene, span, *_HOUSEHOLDS)
        events += _more(scene, span)
    return sorted(events, key=lambda event: event.at)


def _more(scene: Scene, span: Span) -> Iterable[Event]:
    """What takes people of its own, in an order drawn from the seed: a small crowd has only some of it."""
    makers: list[Callable[[], Iterable[Event]]] = [
        *((lambda row=row: _personal(scene, span, scene.pick(row[3]), row)) for row in _MORE),
        *((lambda course=course: _course(scene, span, course)) for course in _MORE_COURSES),
        *((lambda pair=pair: _pair(scene, span, *pair)) for pair in _PAIRS),
    ]
    scene.chance.shuffle(makers)
    return [event for make in makers if scene.spare > LEFT_ALONE for event in make()]


def _sharing(scene: Scene, span: Span, rows: Sequence[tuple[str, Row]]) -> Iterable[Event]:
    return [event for what, row in rows for event in _personal(scene, span, scene.pick_for(what, row[3]), row)]


def _tags(scene: Scene, span: Span) -> Iterable[Event]:
    row: Row = ("contact_tag_removed", CONSTANT_CONTACT, labels.loses_tag, _any, "swept")
    who = scene.pick_for("tags", row[3], scene.tagged)
    return [*_sharing(scene, span, _CONTACT_TAGS), *_personal(scene, span, who, row)]


def _personal(scene: Scene, span: Span, who: int | None, row: Row) -> list[Event]:
    what, side, happening, _wanted, window = row
    if who is None:
        return []
    begin, end = getattr(span, window)
    at = round(scene.chance.uniform(begin, end), 1)
    return [Event(at, what, side, scene.ids[who], lambda: happening(scene, who), end)]


def _course(scene: Scene, span: Span, course: Course) -> list[Event]:
    """The steps as far apart as the window allows, up to a day and two hours: what only a sweep shows is then seen."""
    steps, window, hours = course
    who = scene.pick()
    if who is None:
        return []
    begin, end = getattr(span, window)
    gap = max(hours * HOUR, min(DAY + 2 * HOUR, (end - begin) / len(steps)))
    at = scene.chance.uniform(begin, max(begin, end - gap * (len(steps) - 1)))
    mine = scene.ids[who]
    happened: list[float] = []

    def run(place: int, happening: to.Happening) -> bool:
        """A step that comes late puts off those after it: an hourly poll still tells them apart."""
        apart = all(scene.world.now - at >= hours * HOUR - MINUTE for at in happened[-1:])
        done = len(happened) == place and apart and happening(scene, who)
        happened.extend([scene.world.now] * done)
        return done

    return [
        Event(at + gap * place, what, side, mine, partial(run, place, happening), end)
        for place, (what, side, happening) in enumerate(steps)
    ]


def _pair(scene: Scene, span: Span, what: str, side: str, happening: Callable[[Scene, int, int], bool]) -> list[Event]:
    one, other = scene.pick(), scene.pick()
    if one is None or other is None:
        return []
    begin, end = span.live
    at = round(scene.chance.uniform(begin, end), 1)
    return [Event(at, what, side, scene.ids[one], lambda: happening(scene, one, other), end)]


def _unmailable(scene: Scene, span: Span) -> list[Event]:
    """Somebody pending confirms, somebody held is free again, somebody without an address gives one."""
    found = []
    for what, permission, happening in (
        ("pending_confirmed", "pending_confirmation", to.opts_in),
        ("hold_lifted", "temp_hold", turns.is_explicit),
        ("address_given", None, turns.gives_address),
    ):
        row: Row = (what, CONSTANT_CONTACT, happening, _any, "waiting")
        found += _personal(scene, span, scene.pick_unmailable(permission), row)
    return found


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


def _single(scene: Scene, span: Span) -> list[Event]:
    """A newcomer, the late tag, somebody joining the list with the comma."""
    begin, end = span.waiting
    last = max(end, span.quiet - 27 * HOUR)
    events = [
        Event(scene.chance.uniform(begin, last), "new_person", CONSTANT_CONTACT, "", lambda: _newcomer(scene)),
        Event(scene.chance.uniform(begin, end), "late_tag", VIRTUOUS, "", lambda: _late_tags(scene)),
    ]
    commas = [name for name in scene.list_ids if "," in name and name not in scene.late]
    row: Row = ("comma_list", CONSTANT_CONTACT, to.joins_comma, lambda one: not set(commas) <= set(one.lists), "swept")
    return events + (_personal(scene, span, scene.pick_for("lists", row[3]), row) if commas else [])


def _office(scene: Scene, span: Span) -> list[Event]:
    """What the staff of both sides do to no single person."""
    midnight, chance = span.midnights[0], scene.chance
    rows: list[tuple[float, str, str, Callable[[], bool]]] = [
        (span.begin + HOUR, "campaign_sent", CONSTANT_CONTACT, lambda: mail.mails_everybody(scene)),
        (chance.uniform(*span.live), "list_renamed", CONSTANT_CONTACT, lambda: labels.renames_list(scene)),
    ]
    if not ground.knows_segment(scene):
        rows.append((chance.uniform(*span.swept), "segment_added", VIRTUOUS, lambda: labels.adds_segment(scene)))
    if scene.world.virtuous.switches["import-run"] != "all":
        rows += [
            (midnight + 10 * HOUR, "imports_by_staff", VIRTUOUS, lambda: desk.works(scene, first=True)),
            (span.quiet - 2 * HOUR, "imports_late", VIRTUOUS, lambda: desk.works(scene, first=False)),
        ]
    return [Event(at, what, side, "", run) for at, what, side, run in rows]


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
