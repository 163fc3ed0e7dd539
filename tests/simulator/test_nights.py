"""Many seeds over several processes: nothing is lost in silence, an interrupted night goes on, doubles are compared."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from checks.finding import ROOT
from keepstep_simulator import night, own, playing, table
from keepstep_simulator.__main__ import _words, main
from keepstep_simulator.crews import Crew, Lost
from keepstep_simulator.figures import Part, Seed, Sum
from keepstep_simulator.night import Night
from keepstep_simulator.playing import Answer, Order
from tests.simulator.crewing import again_if_ten, doubled, odd_ones_die, three_hangs

# --- processes ---


def test_every_task_is_done_once_by_processes_of_different_hash_seeds() -> None:
    found = list(Crew(doubled, 2).results(range(20)))
    assert sorted(one for one, _, _ in found) == [2 * number for number in range(20)]
    assert {seed for _, seed, _ in found} == {"1", "2"}


def test_a_fresh_process_for_each_task() -> None:
    found = list(Crew(doubled, 2, fresh=True).results(range(6)))
    assert len({process for _, _, process in found}) == 6


def test_who_dies_is_named_and_the_rest_is_done() -> None:
    found = list(Crew(odd_ones_die, 2).results(range(6)))
    assert sorted(one.task for one in found if isinstance(one, Lost)) == [1, 3, 5]
    assert sorted(one for one in found if not isinstance(one, Lost)) == [0, 2, 4]


def test_who_hangs_is_given_up() -> None:
    found = list(Crew(three_hangs, 2, patience=3.0).results(range(5)))
    assert [one.task for one in found if isinstance(one, Lost)] == [3]
    assert sorted(one for one in found if not isinstance(one, Lost)) == [0, 1, 2, 4]


@pytest.mark.parametrize("cores", [1, 2])
def test_a_task_that_is_done_twice_is_done_by_two_processes(cores: int) -> None:
    found = {one: process for one, _, process in Crew(doubled, cores, again=again_if_ten).results([10, 20, 30, 5])}
    assert set(found) == {20, 22, 40, 42, 60, 62, 10}
    assert all(found[one] != found[one + 2] for one in (20, 40, 60))


def test_after_the_moment_nothing_is_begun() -> None:
    assert list(Crew(doubled, 2).results(range(100), until=time.monotonic() - 1)) == []


# --- seeds ---


def seed(number: int, *broken: str, premises: dict[str, int] | None = None, digest: str = "") -> Seed:
    violations = tuple((name, 7, "so") for name in broken)
    measures = dict.fromkeys(("customers", "people", "days", "calls", "crashes", "faults", "turns", "facts"), number)
    return Seed(number, 0.5, measures, premises or {"I1": number % 2}, {"crashes": 1}, violations, ("mark",), digest)


def some() -> Sum:
    found = Sum()
    for number in range(5):
        found.add(seed(number, *(["I5"] if number == 3 else [])))
    return found


def test_sums_say_medians_premises_and_what_broke() -> None:
    found = some()
    assert found.seeds == 5 and not found.clean
    assert found.medians()["calls"] == 2
    assert (found.premises["I1"], found.seen["I1"], found.tried["crashes"], found.marks["mark"]) == (2, 2, 5, 5)
    assert found.broken == {3: [("I5", 7, "so")]}


def test_a_sum_survives_the_file_and_sums_add_up() -> None:
    found = Sum.loaded(json.loads(json.dumps(some().dumped())))
    assert found == some()
    found.merge(some())
    assert found.seeds == 10 and found.medians() == some().medians() and found.premises["I1"] == 4


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Seeds are not really played: each answers at once; the second run of 200 is another story."""
    log: list[int] = []

    def results(self: Crew, orders: Any, _until: float | None) -> Any:
        for order in orders:
            log.append(order.seed)
            yield Answer(order, seed(order.seed, digest="a"))
            if (twice := playing.again(order, Answer(order, seed(order.seed)))) is not None:
                yield Answer(twice, seed(order.seed, digest="b" if order.seed == 200 else "a"))

    monkeypatch.setattr(Crew, "results", results)
    return log


def test_one_seed_in_a_hundred_is_played_twice_and_what_differs_is_named(played: list[int]) -> None:
    found = Night(0, 350, 1).play(lambda *_: None)
    assert found.seeds == 350 and len(played) == 350
    assert (found.twice, found.unlike) == (4, [200])
    assert not found.clean


def test_an_interrupted_night_goes_on_where_it_was(played: list[int], tmp_path: Path) -> None:
    file = tmp_path / "night.jsonl"

    def tired(seeds: int, _processor: float, _broken: int) -> None:
        if seeds == 1500:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Night(0, 2500, 1, file=file).play(tired)
    assert [json.loads(line)["last"] for line in file.read_text().splitlines()] == [1000]
    with file.open("a") as broken_off:
        broken_off.write('{"first": 1000, "la')
    broken_off.close()
    played.clear()
    with file.open("a") as more:
        more.write("\n")
    going_on = Night(0, 2500, 1, file=file)
    assert going_on.play(lambda *_: None).seeds == 2500
    assert played == list(range(1000, 2500)) and going_on.kept == 1000


def test_another_program_does_not_go_on_with_it(
    played: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "night.jsonl"
    Night(0, 1000, 1, file=file).play(lambda *_: None)
    monkeypatch.setattr(playing, "code", lambda: "another")
    assert night.read(file) == {}


def test_the_report_names_premises_marks_and_what_waits(played: list[int]) -> None:
    one = Night(0, 10, 1)
    one.play(lambda *_: None)
    said = table.report(one, [])
    by_id = {each["id"]: each for each in said["invariants"]}
    assert by_id["I1"] | {"says": ""} == {
        "id": "I1", "says": "", "premises": 5, "seeds": 5, "share": 0.5, "broken": 0,
    }  # fmt: skip
    assert said["medians"]["people"] == 4.5 and said["clean"]
    assert all("waits" in each or "share" in each for each in said["invariants"])
    table.show(said)


# --- settings of users ---


def test_without_a_file_the_seeds_draw_everything() -> None:
    (part,) = own.parts(None, 4)
    assert part.plan.policy is None and part.plan.nights == 4 and part.mute == frozenset()


def test_customers_of_a_file_take_turns_and_what_the_judge_does_not_know_is_not_judged(tmp_path: Path) -> None:
    path = tmp_path / "keepstep.toml"
    path.write_text(
        '[customers.plain.route]\ncontact_tags_prefix = "Tag: "\n[customers.plain.cadence]\nchanged = "2h"\n'
        '[customers.odd.route]\nlists_to = "custom_field"\nlists_field = "Lists"\n'
        '[customers.lone.route]\ncrm = "none"\n'
    )
    odd, whole, plain = own.parts(path, 3)
    assert plain.plan.policy.contact_tags_prefix == "Tag: " and plain.plan.cadence.changed == 7200
    assert plain.mute == odd.mute == frozenset() and "I10" in whole.mute and "I5" not in whole.mute
    assert odd.plan.policy.lists_to == "tags" and whole.plan.policy.lists_to == "custom_field"


def test_what_is_not_judged_is_not_counted() -> None:
    answer = playing.play(Order(1, Part(mute=own.BY_THE_END)))
    assert "I10" not in answer.found.premises and answer.found.premises["I16"] > 0
    assert answer.found.measures["customers"] >= 1 and answer.found.seconds > 0


# --- the command ---


def test_words_of_the_command_line() -> None:
    assert _words(["7", "--json"]) == ["seed", "7", "--json"]
    assert _words(["--seeds", "3"]) == ["quick", "--seeds", "3"]
    assert _words([]) == ["quick"]
    assert _words(["night"]) == ["night"]


def test_a_run_of_one_seed_over_two_cores_reports_itself() -> None:
    run = [sys.executable, "-m", "keepstep_simulator", "quick", "--seeds", "2", "--cores", "2", "--json"]
    path = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(
        run, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    said = json.loads(done.stdout)
    assert done.returncode == 0 and said["seeds"] == 2 and said["twice"] == {"seeds": 1, "unlike": []}


def test_the_zoo_has_options_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["zoo", "--help"])
    assert ended.value.code == 0 and "at most so many each" in capsys.readouterr().out


def test_an_option_that_nobody_knows_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["night", "--nonsense"])
    assert ended.value.code == 2 and "--nonsense" in capsys.readouterr().err
