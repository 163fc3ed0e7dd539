"""The documents say what the code does: commands, options, JSON keys, settings, tables, steps, and names of tests."""

import json
import re
import textwrap
from collections.abc import Iterator
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

import pytest
import typer.main

from checks import links
from checks.finding import ROOT
from docs import generate
from keepstep.capture import catalogue
from keepstep.cli import app, main
from keepstep.model import change, custom, decide, errors, fields, identify, match, membership
from keepstep.model.customer import Cadence, Policy, Route
from keepstep.model.retention import Retention
from keepstep.schema.tables import metadata
from keepstep.settings import Customer, load
from keepstep_sandbox import people
from keepstep_sandbox.judge import judge
from keepstep_sandbox.world import World, actor_of
from keepstep_simulator import disputes

DOCS = ROOT / "docs"
CLI = DOCS / "reference" / "cli.md"
SETTINGS = DOCS / "reference" / "settings.md"
STEPS = DOCS / "reference" / "steps.md"
ROW = re.compile(r"^\| (.*) \|$", re.MULTILINE)
CODE = re.compile(r"`([^`]+)`")


def test_every_relative_link_leads_to_a_file() -> None:
    assert list(links.findings(ROOT)) == []


def test_a_generated_page_is_what_the_code_says_now() -> None:
    stale = [path.name for path, text in generate.pages().items() if path.read_text(encoding="utf-8") != text]
    assert stale == [], "run .venv/bin/python -m docs.generate"


def test_every_table_is_documented_with_a_meaning() -> None:
    page = (DOCS / "reference" / "tables.md").read_text(encoding="utf-8")
    parts = dict(re.findall(r"^## `(\w+)`\n\n(.*)$", page, re.MULTILINE))
    assert set(parts) == set(metadata.tables)
    assert all(len(meaning) > 20 for meaning in parts.values())


# --- the command line ------------------------------------------------------------------------------------------------


def commands(group: Any = None, above: str = "keepstep") -> Iterator[tuple[str, set[str]]]:
    """Every command that can be typed, with its options."""
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{above} {name}")
        elif not command.hidden:
            options = [one for one in command.params if one.param_type_name == "option" and not one.hidden]
            yield f"{above} {name}", {one.opts[0] for one in options} - {"--help"}


def sections(path: Path) -> dict[str, str]:
    """The parts of a page by heading of the second level."""
    _, *parts = re.split(r"^## ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {part.partition("\n")[0].strip("`"): part for part in parts}


def test_every_command_is_in_the_reference_and_nothing_else() -> None:
    assert {name for name, _ in commands()} == set(sections(CLI))


def test_every_option_is_in_the_reference_and_nothing_else() -> None:
    documented = {
        name: set(re.findall(r"^\| `(--[a-z-]+)`", part, re.MULTILINE)) for name, part in sections(CLI).items()
    }
    assert dict(commands()) == documented


def documented_keys(part: str, header: str) -> set[str]:
    """The code words of the first column of the table with this header."""
    _, _, rest = part.partition(f"| {header} ")
    table = rest.partition("\n\n")[0]
    return {word for row in ROW.findall(table) for word in CODE.findall(row.split(" | ")[0])}


def test_every_key_of_the_demos_report_is_documented() -> None:
    # What the driver adds to the judge's report is said in src/keepstep/cli/demo.py.
    world = World()
    people.first_customer(world)
    made = set(judge(world, [])) | {"feeds", "seconds", "documents", "loaded"}
    assert documented_keys(sections(CLI)["keepstep demo"], "Key of the report") == made


def test_every_key_of_the_status_is_documented(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "credentials").write_text("virtuous.api_key=made-up\n")
    assert main(["init"]) == 0
    with (tmp_path / "credentials").open() as credentials:
        monkeypatch.setattr("sys.stdin", credentials)
        assert main(["customer", "add", "acme"]) == 0
    capsys.readouterr()
    assert main(["status", "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert documented_keys(sections(CLI)["keepstep status"], "Key") == set(status["customers"][0])


# --- settings --------------------------------------------------------------------------------------------------------


def defaults() -> dict[str, str]:
    """Key to default, as the reference has them; the default is TOML, or a word in prose where there is none."""
    cells = [[cell.strip() for cell in row.split(" | ")] for row in ROW.findall(SETTINGS.read_text(encoding="utf-8"))]
    keys = re.compile(r"`((?:service|platforms|customers|retention)\.[A-Za-z0-9_.]+)`")
    return {found[1]: row[1].strip("`") for row in cells if (found := keys.fullmatch(row[0]))}


def known_keys() -> set[str]:
    """Every key that the settings know."""
    service = ("database", "listen", "public_url", "key_file", "log")
    route = {"audience", "crm", *Policy.__dataclass_fields__} - {"owners"}
    return {
        *(f"service.{name}" for name in service),
        *(f"retention.{name}" for name in Retention.__dataclass_fields__),
        "customers.ID.name",
        *(f"customers.ID.route.{name}" for name in route),
        *(f"customers.ID.route.owners.{name}" for name in Policy().owners),
        *(f"customers.ID.cadence.{name}" for name in Cadence.__dataclass_fields__),
        *(f"platforms.constant_contact.{name}" for name in CC_KEYS),
        *(f"platforms.virtuous.{name}" for name in ("base_url", "per_hour", "signature_headers")),
    }


PARTNER_KEYS = ("partner_v2_url", "partner_auth_url", "partner_keys_url")
CC_KEYS = ("base_url", "auth_url", "application_key", "per_second", "per_day", *PARTNER_KEYS)


def test_every_settings_key_is_documented() -> None:
    assert set(defaults()) == known_keys()


def test_the_list_of_known_keys_is_the_settings_own(tmp_path: Path) -> None:
    wrong = "\n".join(f"[{part}]\nnonsense_xyz = 1" for part in ("service", "platforms.virtuous", "customers.a.route"))
    (tmp_path / "keepstep.toml").write_text(wrong)
    with pytest.raises(errors.Misconfigured) as refused:
        load(tmp_path / "keepstep.toml", {})
    told = [problem.partition("known here: ")[2].split(", ") for problem in refused.value.problems]
    route = {key.split(".")[3] for key in known_keys() if key.startswith("customers.ID.route.")} - set(Policy().owners)
    platform = {key.rpartition(".")[2] for key in known_keys() if key.startswith("platforms.")}
    service = {key.rpartition(".")[2] for key in known_keys() if key.startswith("service.")}
    assert [set(names) for names in told] == [service, platform, route | {"owners"}]


def test_the_documented_defaults_are_the_defaults(tmp_path: Path) -> None:
    written = {
        key: value for key, value in defaults().items() if value not in ("none", "the id", "the known spellings")
    }
    lines = [f"{key.replace('ID', 'acme')} = {value}" for key, value in written.items()]
    (tmp_path / "keepstep.toml").write_text("\n".join(lines))
    said = load(tmp_path / "keepstep.toml", {})
    (tmp_path / "keepstep.toml").write_text("")
    own = load(tmp_path / "keepstep.toml", {})
    assert said.service == own.service
    assert said.platforms == own.platforms
    assert said.retention == own.retention
    assert said.customers["acme"] == Customer(id="acme", name="acme", route=Route(customer_id="acme"))


# --- steps -----------------------------------------------------------------------------------------------------------


def test_every_kind_of_step_is_documented() -> None:
    kinds = re.findall(r"^    \| (?:crm|audience) \| ([a-z_, ]+) \|", change.Step.__doc__ or "", re.MULTILINE)
    made = {kind.strip() for row in kinds for kind in row.split(",")}
    assert made, "the table in Step's docstring is read here"
    page = sections(STEPS)["Kinds of steps"]
    assert set(re.findall(r"^\| (?:CRM|audience) \| `(\w+)`", page, re.MULTILINE)) == made


def test_every_outcome_is_documented() -> None:
    page = sections(STEPS)["Outcomes"]
    assert documented_keys(page, "Outcome") == {kind.__name__.lower() for kind in change.Outcome.__args__}


POLICY = (decide, fields, identify, match, membership)


def test_every_reason_in_the_model_is_documented() -> None:
    sources = [Path(module.__file__ or "").read_text(encoding="utf-8") for module in POLICY]
    given = re.compile(r'(?:parked=|left_out=|reason=|Match\("(?:parked|wait)", )"([a-z_]+)"')
    said = {word for text in sources for word in given.findall(text)}
    assert {"name_differs", "address_held", "consent_unknown", "bounced"} <= said
    assert said <= set(CODE.findall(sections(STEPS)["Standings and reasons"]))


def test_every_reason_of_a_binding_is_documented_with_what_to_do() -> None:
    sources = [Path(module.__file__ or "").read_text(encoding="utf-8") for module in (catalogue, custom)]
    given = re.compile(r'"([a-z]+_(?:gone|renamed|missing|shared|name_shared|differ|mapped|such_field))"')
    said = {word for text in sources for word in given.findall(text)}
    assert {"tag_missing", "kinds_differ", "no_such_field", "not_mapped"} <= said
    assert said <= set(CODE.findall(sections(STEPS)["Bindings"]))


# --- what documents refer to -----------------------------------------------------------------------------------------


def pages() -> list[Path]:
    return [*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "src" / "keepstep" / "README.md"]


def test_every_test_that_a_document_names_exists() -> None:
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    files = {path.stem for path in (ROOT / "tests").rglob("test_*.py")}
    for page in pages():
        text = page.read_text(encoding="utf-8")
        for name in re.findall(r"`(test_\w+)`", text):
            assert f"def {name}(" in tests, f"{page.name}: {name}"
        for name in re.findall(r"\[(test_\w+)\]", text):
            assert name in files, f"{page.name}: {name}"


def test_every_source_file_that_the_packages_readme_names_exists() -> None:
    package = ROOT / "src" / "keepstep"
    text = (package / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"`([a-z_/]+(?:\.py|\.md|/))`", text)
    here = [package, package / "model", package / "submit"]
    assert [name for name in named if not any((folder / name).exists() for folder in here)] == []


def test_the_example_in_python_runs() -> None:
    text = (DOCS / "how-to" / "use-the-stand-ins.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {}
    exec(code[1], names)
    assert names["answer"].status == 200


def test_the_settings_of_the_tutorial_are_right(tmp_path: Path) -> None:
    text = (DOCS / "tutorial" / "first-sync.md").read_text(encoding="utf-8")
    code = re.search(r"```toml\n(.*?)```", text, re.DOTALL)
    assert code is not None
    (tmp_path / "keepstep.toml").write_text(code[1])
    settings = load(tmp_path / "keepstep.toml", {})
    assert settings.customers["acme"].route.cadence == changed(Cadence(), changed=60.0, opted_out=60.0)


def test_every_example_of_settings_is_right(tmp_path: Path) -> None:
    """One without a section is of a customer's route."""
    texts = [page.read_text(encoding="utf-8") for page in pages()]
    found = [textwrap.dedent(code) for text in texts for code in re.findall(r"```toml\n(.*?)```", text, re.DOTALL)]
    assert len(found) > 5
    for number, code in enumerate(found):
        path = tmp_path / f"{number}.toml"
        path.write_text(code if "[" in code.split("\n")[0] else f"[customers.acme.route]\n{code}")
        load(path, {})


def test_every_act_in_an_example_can_be_done() -> None:
    acts = {
        (vendor, name)
        for page in pages()
        for vendor, name in re.findall(r'"vendor": "(\w+)", "name": "(\w+)"', page.read_text(encoding="utf-8"))
    }
    assert acts
    assert [act for act in acts if not actor_of(*act)] == []


def test_no_document_names_a_machine_or_a_registry() -> None:
    words = re.compile(r"/(?:work|root|home|tmp)/|pypi|npmjs|\.\./shared")
    found = [
        f"{page.name}: {word}" for page in pages() for word in words.findall(page.read_text(encoding="utf-8").lower())
    ]
    assert found == []


def test_every_disputed_fact_is_explained_under_either_reading() -> None:
    """Some rows name a family: `updated_at_on_list`, `_tag`."""
    page = (DOCS / "explanation" / "disputed-facts.md").read_text(encoding="utf-8")
    named = set(CODE.findall(page))
    families = ("updated_at_on", "activity")
    named |= {f"{family}{name}" for family in families for name in named if name.startswith("_")}
    switches = {switch.name for registry in disputes.REGISTRIES.values() for switch in registry}
    assert switches - named == set()
