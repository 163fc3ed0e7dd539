"""What people and staff do in a seed: which deeds there are, by which road each is seen, who does which."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from keepstep_sandbox.week import happenings as to
from keepstep_sandbox.week import labels, mail, turns
from keepstep_sandbox.week.scene import DOUBTS, Scene, knew, knew_couple, knew_in_doubt
from keepstep_simulator.script import Script
from keepstep_simulator.swarm import HOUR, Nets

# name: the road by which it is seen (Nets.sees), what is done. Whether an edit of a part of a contact moves its change
# stamp is disputed (CC facts 5.4): only a sweep sees it for certain.
HAPPENINGS: Mapping[str, tuple[str, to.Happening]] = {
    "edits_name": ("edit", to.edits_name),
    "edits_phone": ("quiet", to.edits_phone),
    "edits_address": ("quiet", to.edits_address),
    "changes_email": ("edit", to.changes_email),
    "joins": ("quiet", to.joins),
    "leaves": ("quiet", to.leaves),
    "opts_out": ("opt_out", to.opts_out),
    "is_deleted": ("deletion", to.is_deleted),
    "is_renamed_first": ("crm", to.is_renamed_first),
    "is_renamed_last": ("crm", to.is_renamed_last),
    "is_rephoned": ("crm", to.is_rephoned),
    "is_readdressed": ("crm", to.is_readdressed),
    "is_opted_out": ("crm", to.is_opted_out),
    "is_tagged": ("crm", to.is_tagged),
    "is_untagged": ("crm", to.is_untagged),
    "bounces_hard": ("mail", mail.bounces_hard),
    "bounces_softly": ("mail", mail.bounces_softly),
    "answers": ("mail", mail.answers),
    "opts_out_of_campaign": ("mail", mail.opts_out_of_campaign),
    "complains": ("mail", mail.complains),
    "fills_in_text": ("quiet", labels.fills_in("Favorite Program")),
    "fills_in_choice": ("quiet", labels.fills_in("Shirt Size")),
    "is_filled_in": ("crm", labels.is_filled_in),
    "gets_tag": ("quiet", labels.gets_tag),
    "is_marked": ("crm", labels.is_marked),
    "joins_odd": ("quiet", labels.joins_odd),
    "loses_address": ("edit", turns.loses_address),
}
# What happens more often than the rest: it is what the product is for.
_OFTEN = ("opts_out", "opts_out", "is_opted_out", "is_tagged", "is_untagged", "is_renamed_last", "is_rephoned")
# To somebody whom nothing else happens to, one after the other, so many hours apart at least.
_COURSES: Mapping[str, tuple[str, tuple[to.Happening, ...], float]] = {
    "returns": ("quiet", (to.opts_out, to.opts_in), 14 * HOUR),
    "moves_and_bounces": ("move", (mail.moves_away, mail.old_address_bounces), 14 * HOUR),
}
_PAIRS: Mapping[str, tuple[str, Any]] = {
    "are_merged": ("crm", turns.are_merged),
    "are_tagged": ("crm", turns.are_tagged),
    "swaps": ("edit", turns.swaps),
    "hands_over": ("edit", turns.hands_over),
}
_OFFICE = ("lists_renamed",)
LEFT = 2  # people who are left for single deeds, however small a town is
# What becomes of the new address of somebody who is out on the old one, or of edits and joins of somebody deleted (they
# revive), is not for the judge to say: these do not happen to one person.
_MOVES = {"changes_email", "loses_address"}
_BOUNCES = {"bounces_hard", "bounces_softly"}
_TAGS = {"is_tagged", "is_marked"}
_OUT = {"opts_out", "is_deleted", "is_opted_out", "opts_out_of_campaign", "complains", *_BOUNCES}
_OWN = {name for name in HAPPENINGS if not name.startswith("is_")} | {"is_opted_out", "is_marked"}


@dataclass(slots=True)
class Deed:
    """Something that people or staff will do: at a moment, or (agitated) at a boundary of the product's work. `step` is
    the place within a course, `other` the second person of a pair."""

    at: float
    name: str
    who: int
    agitated: bool
    label: str = ""
    offered: int = 0
    step: int = 0
    other: int = -1

    def do(self, scene: Scene) -> bool:
        """Do it; False where it cannot be done yet."""
        if self.name in HAPPENINGS:
            return HAPPENINGS[self.name][1](scene, self.who)
        if self.name in _COURSES:
            return _COURSES[self.name][1][self.step](scene, self.who)
        if self.name in _PAIRS:
            return bool(_PAIRS[self.name][1](scene, self.who, self.other))
        return labels.renames_list(scene)

    def following(self) -> "Deed | None":
        """The next step of a course, once this one is done."""
        if self.name not in _COURSES or self.step + 1 >= len(_COURSES[self.name][1]):
            return None
        return Deed(
            self.at + _COURSES[self.name][2], self.name, self.who, agitated=False, label=self.label, step=self.step + 1
        )


def planted(script: Script, town: str, scene: Scene) -> dict[int, str]:
    """What Virtuous knew before of a town so small: of a week's few oddities some. Gives those who must be parked."""
    there = {name: script.draw(f"planted {town} {name}") < 0.4 for name in ("match", "couple", *DOUBTS)}
    if there["match"] and scene.spare > LEFT:
        knew(scene, [scene.pick()])
    if there["couple"] and scene.spare > LEFT + 1:
        knew_couple(scene)
    wanted = [reason for reason in DOUBTS if there[reason]]
    return {who: reason for reason in wanted if scene.spare > LEFT for who in knew_in_doubt(scene, reason)}


def drawn(
    script: Script, town: str, scene: Scene, nets: Nets, span: tuple[float, float], often: float
) -> Iterator[Deed]:
    """The deeds of a town; `often`: what share of them lurks for the product. Courses and pairs come first and take
    people of their own."""
    # What no net would see is drawn all the same, and left out: striking a net out leaves all deeds as they are.
    begin, end = span
    count = script.pick(f"deeds {town}", (8, 12, 16, 20))
    for name, road in _drawn_of(script, town):
        label = f"deed {town} {name}"
        many = 0 if name in _OFFICE else 2 if name in _PAIRS else 1
        if many and scene.spare < LEFT + many:
            continue
        people = [scene.pick() for _ in range(many)] or [-1]
        if not nets.sees(road):
            continue
        gap = _COURSES[name][2] if name in _COURSES else 0.0
        at = script.uniform(label, begin, max(begin + 1, end - gap))
        yield Deed(at, name, people[0] or 0, agitated=False, label=label, other=people[-1] or 0)
    yield from _single(script, town, scene, nets, (begin, end), count, often)


def _drawn_of(script: Script, town: str) -> list[tuple[str, str]]:
    """Which courses, pairs and works of the office there are."""
    roads = {name: course[0] for name, course in _COURSES.items()} | {name: pair[0] for name, pair in _PAIRS.items()}
    roads |= dict.fromkeys(_OFFICE, "edit")
    return [(name, road) for name, road in roads.items() if script.draw(f"deed {town} {name}?") < 0.15]


def _single(
    script: Script, town: str, scene: Scene, nets: Nets, span: tuple[float, float], count: int, often: float
) -> Iterator[Deed]:
    free = list(iter(scene.pick, None))
    names = [*HAPPENINGS, *_OFTEN]
    busy: dict[int, set[str]] = {}
    for number in range(count if free else 0):
        label = f"deed {town} {number}"
        name, who = script.pick(f"{label} what", names), script.pick(f"{label} who", free)
        agitated = script.draw(f"{label} agitated") < often
        if _clash(name, busy.setdefault(who, set())):
            continue
        busy[who].add(name)
        if nets.sees(HAPPENINGS[name][0]):
            yield Deed(script.uniform(f"{label} at", *span), name, who, agitated, label)


def _clash(name: str, others: set[str]) -> bool:
    if name in others:
        return True
    together = others | {name}
    moved_while_out = bool(together & _MOVES) and bool(together & _OUT)
    # Of somebody who is out already a complaint leaves no trace in any record.
    unseen = "complains" in together and len(together & _OUT) > 1
    # Whom a bounce closed in the CRM no tag of staff puts on a list, though Constant Contact would still mail them.
    withheld = bool(together & _BOUNCES) and bool(together & _TAGS)
    gone = "is_deleted" in together and bool(together & _OWN)
    return moved_while_out or unseen or withheld or gone or together >= _MOVES
