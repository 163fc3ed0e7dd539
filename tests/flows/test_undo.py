"""Undoing a run: everything it wrote goes back, but for what somebody has changed since, consent, and what it made."""

import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keepstep import cli
from keepstep.cli import undo as command
from keepstep.model.errors import Refused
from keepstep.wiring import plans, proof, undo
from keepstep_sandbox.http import Request, Response
from tests.flows.crossing import CUSTOMER, Crossing
from tests.flows.test_lost_answers import SOON
from tests.flows.test_pairing import applied, at_stage, drawn

Capture = pytest.CaptureFixture[str]
Seen = dict[str, dict[str, Any]]
HOME = {"kind": "home", "street": "1 Elm St", "city": "Salem", "state": "MA", "postal_code": "01970", "country": "US"}


def at_crm(c: Crossing) -> Seen:
    """Every contact of the CRM with all that it holds, an empty value as none."""
    return {str(one["id"]): _contact(c, one) for one in c.everybody()}


def _contact(c: Crossing, one: dict[str, Any]) -> dict[str, Any]:
    tags = sorted(tag["name"] if isinstance(tag, dict) else tag for tag in one["tags"])
    references = sorted((ref["source"], ref["id"]) for ref in one["contactReferences"])
    custom = {field["name"]: field["value"] for field in one["customFields"] or () if field["value"]}
    place = one["address"] or {}
    return {
        "tags": tags,
        "references": references,
        "custom": custom,
        "address": {name: place.get(name) or None for name in ("address1", "city", "state", "postal")},
        "names": [(who["firstName"] or None, who["lastName"] or None) for who in one["contactIndividuals"]],
        "methods": sorted((m["type"], m["value"]) for who in one["contactIndividuals"] for m in who["contactMethods"]),
        "consent": sorted(
            (m["value"], m["isOptedIn"]) for who in one["contactIndividuals"] for m in who["contactMethods"]
        ),
    }


def at_cc(c: Crossing) -> Seen:
    """Every contact of the list service: what a run may write there."""
    return {
        one["contact_id"]: {
            "lists": sorted(one["list_memberships"]),
            "names": (one.get("first_name"), one.get("last_name")),
            "consent": one["email_address"]["permission_to_send"],
        }
        for one in c.cc.contacts(CUSTOMER)
    }


def differences(before: Seen, after: Seen) -> dict[str, list[str]]:
    """Record by record what is not as it was; a record that was not there is `new`."""
    found = {key: ["new"] for key in after if key not in before}
    for key, was in before.items():
        other = [name for name in was if was[name] != after[key][name]]
        found |= {key: other} if other else {}
    return found


def a_world(c: Crossing) -> dict[str, list[str]]:
    """Sixty people: to be linked and tagged, joined, updated, filled, created, and opted out on either side."""
    news, gala = c.a_list("News"), c.a_list("Gala")
    found: dict[str, list[str]] = {"news": [news], "gala": [gala]}
    found["linked"] = [known(c, f"link{n}", lists=[news, gala][: 1 + n % 2]) for n in range(20)]
    found["tagged"] = [known(c, f"tag{n}", tags=["CC: News"]) for n in range(10)]
    found["filled"] = [known(c, f"fill{n}", phones=[("home", f"617-253-10{n:02}")], addresses=[HOME]) for n in range(8)]
    found["out_there"] = [known(c, f"false{n}", opted_in=False, lists=[news]) for n in range(2)]
    found["out_here"] = [known(c, f"out{n}", lists=[news]) for n in range(8)]
    found["new"] = [c.person(f"new{n}@example.org", "New", f"Person{n}", lists=[news]) for n in range(12)]
    for record in found["out_here"]:
        c.opts_out(record)
    return found


def known(c: Crossing, name: str, opted_in: bool = True, tags: list[str] | None = None, **more: Any) -> str:
    """Somebody who is on both sides already."""
    c.household(f"{name}@example.org", name, "Person", opted_in=opted_in, tags=tags or [])
    return c.person(f"{name}@example.org", name, "Person", **more)


def undone(c: Crossing, run: str, minutes: float = 30) -> dict[str, Any]:
    """What `keepstep undo RUN` does, until nothing is left to restore."""
    c.ask(undo.begin(c.service, CUSTOMER, run))
    c.wait(minutes=minutes)
    return dict(c.ask(undo.foreseen(c.service, CUSTOMER, run)))


Applied = tuple[Crossing, dict[str, list[str]], Seen, Seen, str]


@pytest.fixture
def a_run() -> Iterator[Applied]:
    """A plan that was applied and has come to rest: the world before it on both sides, and the run."""
    with Crossing(policy={"stage": "observe"}) as c:
        world = a_world(c)
        c.connect()
        plan = drawn(c)
        crm, cc = at_crm(c), at_cc(c)
        at_stage(c, "both")
        run = applied(c, plan["checksum"])["run"]
        c.night()
        c.wait(hours=3)
        yield c, world, crm, cc, run


@pytest.fixture
def an_update(a_planned_update: Applied) -> Applied:
    """The same plan, applied and come to rest."""
    c, world, crm, cc, checksum = a_planned_update
    run = applied(c, checksum)["run"]
    c.wait(hours=3)
    return c, world, crm, cc, run


@pytest.fixture
def a_planned_update() -> Iterator[Applied]:
    """A later plan: everything of people who were in step has changed at the list service, and tags in the CRM."""
    with Crossing(cc=SOON | {"updated_at_on_custom_field": "yes"}) as c:
        shirt = c.cc.add_custom_field(CUSTOMER, "Shirt", c.now(), "string")
        c.v.add_custom_field(CUSTOMER, "Shirt", c.now())
        news, gala = c.a_list("News"), c.a_list("Gala")
        world = {"news": [news], "gala": [gala], "shirt": [shirt]}
        for group in ("names", "mail", "phone", "address", "moved", "custom", "joins", "leaves", "untagged"):
            lists = {"leaves": [news], "untagged": [gala]}.get(group, [])
            world[group] = [a_member(c, f"{group}{n}", lists) for n in range(5)]
        c.connect()
        c.night()
        c.wait(hours=3)
        c.ask(plans.begin(c.service, CUSTOMER))
        change(c, world)
        c.wait(hours=2)
        plan = dict(c.ask(plans.draw(c.service, CUSTOMER)))
        yield c, world, at_crm(c), at_cc(c), plan["checksum"]


def a_member(c: Crossing, name: str, lists: list[str]) -> str:
    moved = {"addresses": [HOME]} if name.startswith(("moved", "names")) else {}
    return c.person(f"{name}@example.org", name, "Person", phones=[("mobile", number_of(name))], lists=lists, **moved)


def number_of(name: str) -> str:
    return f"202-555-{sum(map(ord, name)) % 9000 + 1000}"


def change(c: Crossing, world: dict[str, list[str]]) -> None:
    """What the plan is made of: one kind of change a group."""
    for n in range(5):
        c.edits(world["names"][n], first_name="Other")
        c.edits(world["mail"][n], email=f"elsewhere{n}@example.org")
        c.edits(world["phone"][n], phones=[("mobile", f"303-555-01{n:02}")])
        c.edits(world["address"][n], addresses=[HOME])
        c.edits(world["moved"][n], addresses=[{**HOME, "street": "2 Oak Ave", "city": "Lynn"}])
        c.cc.set_custom_field(CUSTOMER, world["custom"][n], world["shirt"][0], c.now(), "L")
        c.cc.person_joins(CUSTOMER, world["joins"][n], world["news"][0], c.now())
        c.cc.person_leaves(CUSTOMER, world["leaves"][n], world["news"][0], c.now())
        c.v.staff_removes_tag(CUSTOMER, c.there(world["untagged"][n])["id"], "CC: Gala", c.now())


def test_all_that_nobody_has_touched_is_as_before_and_stays_so(a_run: Applied) -> None:
    c, world, crm, cc, run = a_run
    assert differences(crm, at_crm(c)) and differences(cc, at_cc(c))
    said = undone(c, run)
    assert said["restoring"] == said["touched"] == said["refused"] == 0
    created = {str(c.there(record)["id"]): ["new"] for record in world["new"]}
    closed = {
        key: ["consent"] for key, was in at_crm(c).items() if key in crm and was["consent"] != crm[key]["consent"]
    }
    assert differences(crm, at_crm(c)) == created | closed
    assert differences(cc, at_cc(c)) == {}
    assert said["created"] == sorted(world["new"])
    written = len(c.writes())
    c.night()
    c.night()
    assert len(c.writes()) == written
    assert differences(crm, at_crm(c)) == created | closed
    assert c.standing(world["linked"][0]) == ("left_out", "left_alone")
    assert c.letters() == []


def test_values_tags_and_memberships_of_an_update_go_back_whoever_owns_them(an_update: Applied) -> None:
    c, world, crm, cc, run = an_update
    changed = differences(crm, at_crm(c))
    assert {word for words in changed.values() for word in words} == {
        *("names", "methods", "consent", "address", "custom", "tags"),
    }
    assert differences(cc, at_cc(c)) == {record: ["lists"] for record in world["untagged"]}
    said = undone(c, run, minutes=60)
    assert said["restoring"] == said["touched"] == said["refused"] == said["stays"] == 0
    assert said["restored"] == 45
    assert differences(crm, at_crm(c)) == {}
    assert differences(cc, at_cc(c)) == {}
    written = len(c.writes())
    c.night()
    c.night()
    assert len(c.writes()) == written
    assert c.letters() == []


def test_what_is_changed_after_an_undo_crosses_as_ever(an_update: Applied) -> None:
    c, world, _, _, run = an_update
    undone(c, run, minutes=60)
    c.edits(world["names"][0], first_name="Newest")
    c.edits(world["phone"][0], phones=[("mobile", "303-555-0199")])
    c.cc.person_leaves(CUSTOMER, world["joins"][0], world["news"][0], c.now())
    c.wait(hours=2)
    c.cc.person_joins(CUSTOMER, world["joins"][0], world["news"][0], c.now())
    c.v.staff_adds_tag(CUSTOMER, c.there(world["joins"][1])["id"], "CC: Gala", c.now())
    c.wait(hours=2)
    there = at_crm(c)
    assert there[str(c.there(world["names"][0])["id"])]["names"] == [("Newest", "Person")]
    assert "303-555-0199" in str(there[str(c.there(world["phone"][0])["id"])]["methods"])
    assert c.there(world["joins"][0])["tags"] == ["CC: News"]
    assert c.here(world["joins"][1])["list_memberships"].count(world["gala"][0]) == 1


def test_what_somebody_has_changed_since_is_left_and_listed(an_update: Applied) -> None:
    c, world, crm, _, run = an_update
    there = {group: c.there(world[group][0]) for group in world if group not in ("news", "gala", "shirt")}
    c.v.staff_renames(CUSTOMER, there["names"]["contactIndividuals"][0]["id"], c.now(), first_name="Staff")
    c.v.staff_sets_phone(CUSTOMER, there["phone"]["contactIndividuals"][0]["id"], c.now(), "404-555-0111")
    c.v.staff_sets_address(CUSTOMER, there["moved"]["id"], c.now(), address1="9 Elm Ct")
    c.v.staff_sets_custom(CUSTOMER, there["custom"]["id"], c.now(), "Shirt", "S")
    c.v.staff_removes_tag(CUSTOMER, there["joins"]["id"], "CC: News", c.now())
    c.v.staff_adds_tag(CUSTOMER, there["untagged"]["id"], "CC: Gala", c.now())
    c.wait(minutes=30)
    crm_then, cc_then = at_crm(c), at_cc(c)
    said = undone(c, run, minutes=60)
    left = sorted(row["record"] for row in said["records"] if row["state"] == "touched")
    assert left == sorted(world[group][0] for group in ("names", "phone", "moved", "custom", "joins", "untagged"))
    assert said["for_a_person"] == 6
    mine = {str(one["id"]) for group, one in there.items() if group in ("names", "phone", "moved", "custom")}
    assert set(differences(crm, at_crm(c))) >= mine
    assert {key: at_crm(c)[key] for key in mine} == {key: crm_then[key] for key in mine}
    assert at_cc(c)[world["untagged"][0]] == cc_then[world["untagged"][0]]
    written = len(c.writes())
    c.night()
    c.night()
    assert len(c.writes()) == written


def test_an_undo_puts_nobody_back_on_a_list_who_has_opted_out_since(an_update: Applied) -> None:
    c, world, _, _, run = an_update
    gone = world["untagged"][0]
    c.opts_out(gone)
    c.wait(minutes=30)
    said = undone(c, run, minutes=60)
    [row] = [row for row in said["records"] if row["record"] == gone]
    assert row["state"] in ("touched", "stays")
    assert c.permission(gone) == "unsubscribed"
    assert c.here(gone)["list_memberships"] == []
    assert set(c.consents(gone)) == {False}


def test_an_undo_is_done_once_and_is_not_undone(an_update: Applied) -> None:
    c, _, _, _, run = an_update
    said = undone(c, run, minutes=60)
    written, line = len(c.writes()), c.ask(undo.listed(c.service, CUSTOMER))
    assert undone(c, run, minutes=60) == said
    assert len(c.writes()) == written
    assert c.ask(undo.listed(c.service, CUSTOMER)) == line
    assert [(one["kind"], one["state"], one["of"]) for one in line] == [
        ("undo", "ended", run),
        ("plan", "undone", None),
    ]
    with pytest.raises(Refused):
        c.ask(undo.begin(c.service, CUSTOMER, line[0]["run"]))
    with pytest.raises(Refused):
        c.ask(undo.begin(c.service, CUSTOMER, "plan-19700101-1"))


def test_a_crash_between_the_writes_and_lost_answers_change_nothing_of_it(an_update: Applied) -> None:
    c, _, crm, cc, run = an_update
    lost = Losing(c)
    c.wire = lost
    c.ask(undo.begin(c.service, CUSTOMER, run))
    for _ in range(6):
        c.wait(minutes=0.4)
        c.open()
    c.wire = None
    c.wait(hours=3)
    said = c.ask(undo.foreseen(c.service, CUSTOMER, run))
    assert lost.dropped >= 3
    assert (said["restoring"], said["restored"], said["touched"], said["refused"]) == (0, 45, 0, 0)
    assert differences(crm, at_crm(c)) == {} and differences(cc, at_cc(c)) == {}


class Losing:
    """Every fourth write takes effect and is not answered."""

    def __init__(self, c: Crossing) -> None:
        self.c, self.count, self.dropped = c, 0, 0

    def __call__(self, _vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
        answer = handle()
        self.count += bool(answer.effects)
        if answer.effects and self.count % 4 == 0:
            self.dropped += 1
            return replace(answer, drop=True)
        return answer


def test_what_a_run_has_not_sent_yet_is_not_sent_any_more() -> None:
    with Crossing(policy={"stage": "observe"}) as c:
        world = a_world(c)
        c.connect()
        plan = drawn(c)
        crm, cc = at_crm(c), at_cc(c)
        at_stage(c, "both")
        run = applied(c, plan["checksum"])["run"]
        c.wait(minutes=1)
        written = {"references": 0} | dict.fromkeys(("tags", "new"), 0)
        for words in differences(crm, at_crm(c)).values():
            written |= {word: written.get(word, 0) + 1 for word in words}
        assert 0 < written["references"] < 48, "the undo comes in the middle"
        said = undone(c, run, minutes=60)
        assert said["not_sent"] > 20 and said["restoring"] == 0
        c.night()
        c.night()
        left = differences(crm, at_crm(c))
        assert {word for words in left.values() for word in words} <= {"new", "consent"}
        assert len(said["created"]) == sum(words == ["new"] for words in left.values())
        assert differences(cc, at_cc(c)) == {}
        assert c.status()["steps_held"].get("plan", 0) > 20
        assert c.standing(world["linked"][19])[0] in ("pending", "left_out")


def test_what_lands_after_the_undo_is_taken_back_too_and_later_edits_cross(a_planned_update: Applied) -> None:
    c, world, crm, cc, checksum = a_planned_update
    run = applied(c, checksum)["run"]
    c.wait(minutes=0.2)
    assert c.status()["steps_held"].get("plan") is None
    jobs = c.made("POST", "/v3/activities/remove_list_memberships")
    assert jobs, "a job on lists is under way"
    c.ask(undo.begin(c.service, CUSTOMER, run))
    c.wait(minutes=10)
    c.edits(world["phone"][0], last_name="Later")
    c.wait(hours=3)
    said = c.ask(undo.foreseen(c.service, CUSTOMER, run))
    assert (said["restoring"], said["touched"], said["refused"]) == (0, 0, 0)
    assert said["not_sent"] > 0 and said["restored"] >= 5
    assert set(differences(crm, at_crm(c))) <= {str(c.there(world["phone"][0])["id"])}
    assert differences(cc, at_cc(c)) == {world["phone"][0]: ["names"]}
    written = len(c.writes())
    c.night()
    c.night()
    assert len(c.writes()) == written


# --- as it is typed --------------------------------------------------------------------------------------------------


@pytest.fixture
def typed(an_update: Applied, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """The command over the customer whom nobody serves: its exit code and what it prints."""
    c = an_update[0]
    monkeypatch.chdir(tmp_path)

    @contextlib.asynccontextmanager
    async def opened(_settings: object) -> AsyncIterator[Any]:
        yield c.service

    monkeypatch.setattr(command, "open_service", opened)
    monkeypatch.setattr(command, "settings", lambda: None)

    def type_(capsys: Capture, *words: str) -> tuple[int, str]:
        code = cli.main(["undo", "--customer", CUSTOMER, *words])
        return code, capsys.readouterr().out

    return type_


def test_the_command_lists_runs_foretells_and_does_it_itself(
    an_update: Applied, typed: Callable[..., tuple[int, str]], capsys: Capture
) -> None:
    c, world, crm, _, run = an_update
    code, out = typed(capsys, "--json")
    assert (code, [(one["run"], one["kind"], one["state"], one["writes"]) for one in json.loads(out)]) == (
        0,
        [(run, "plan", "ended", 45)],
    )
    written = len(c.writes())
    code, out = typed(capsys, run, "--dry-run", "--json")
    foretold = json.loads(out)
    assert (code, foretold["restored"], foretold["state"], len(c.writes())) == (0, 45, "ended", written)
    there = c.there(world["names"][0])["contactIndividuals"][0]["id"]
    c.v.staff_renames(CUSTOMER, there, c.now(), first_name="Staff")
    code, out = typed(capsys, run)
    assert code == 3 and "44" in out and "touched" in out
    assert len(differences(crm, at_crm(c))) == 1
    code, out = typed(capsys, run, "--json")
    assert (code, json.loads(out)["touched"], json.loads(out)["restored"]) == (3, 1, 44)
    assert typed(capsys, "no-such-run")[0] == 2


def test_what_an_undo_made_differ_is_in_the_log_with_both_values(an_update: Applied) -> None:
    c, world, _, _, run = an_update
    undone(c, run, minutes=60)
    found = c.ask(proof.conflicts(c.service, CUSTOMER, 200))
    [row] = [one for one in found if one["record"] == world["names"][1]]
    assert (row["field"], row["audience"], row["crm"], row["kept"], row["undone"]) == (
        "first_name",
        "Other",
        "names1",
        "both",
        run,
    )
