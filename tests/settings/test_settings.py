"""keepstep.toml: what is read, and how every mistake is named."""

from dataclasses import replace
from pathlib import Path

import pytest

from keepstep.cli.begin import TEMPLATE
from keepstep.model.contact import Side
from keepstep.model.customer import Cadence, Policy, Route
from keepstep.model.errors import Misconfigured
from keepstep.settings import Settings, load


def read(tmp_path: Path, text: str, **environ: str) -> Settings:
    path = tmp_path / "keepstep.toml"
    path.write_text(text, encoding="utf-8")
    return load(path, environ)


def problems(tmp_path: Path, text: str, **environ: str) -> list[str]:
    with pytest.raises(Misconfigured) as caught:
        read(tmp_path, text, **environ)
    return [line.removeprefix(f"{tmp_path}/") for line in caught.value.problems]


def test_without_a_file_everything_has_a_default() -> None:
    settings = load(None, {})
    assert settings.service.listen == ("127.0.0.1", 8080)
    assert settings.platforms["constant_contact"].per_second == 4
    assert settings.route("anybody") == Route(customer_id="anybody")


def test_the_template_says_exactly_the_defaults(tmp_path: Path) -> None:
    """Also its commented lines, once the comment signs are taken away."""
    assert read(tmp_path, TEMPLATE).platforms == load(None, {}).platforms
    begin = TEMPLATE.index("# [customers.acme]")
    opened = TEMPLATE[:begin] + TEMPLATE[begin:].replace("\n# ", "\n").removeprefix("# ")
    acme = read(tmp_path, opened).customers["acme"]
    assert acme.name == "Acme Foundation" and replace(acme.route, feeds={}) == Route(customer_id="acme")
    assert set(acme.route.feeds) == {"members"}, "an example; by default there is none"


def test_a_route_and_its_cadence_become_the_models_own(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        """
        [customers.acme]
        name = "Acme"
        [customers.acme.route]
        audience = "mailchimp"
        gate = "30m"
        brake_share = 0.1
        opted_out_people = "leave_out"
        owners = { phone = "audience" }
        [customers.acme.cadence]
        sweep = "7d"
        changed = "90s"
        """,
    )
    route = settings.route("acme")
    assert (route.audience, route.crm) == ("mailchimp", "virtuous")
    assert route.policy == Policy(
        gate=1800.0, brake_share=0.1, opted_out_people="leave_out", owners=Policy().owners | {"phone": Side.audience}
    )
    assert route.cadence == Cadence(sweep=604800.0, changed=90.0)


def test_nobody_is_created_without_a_sentence_why_they_may_be_mailed(tmp_path: Path) -> None:
    route = '[customers.acme.route]\ncrm_only = "create"\npermission_evidence = '
    with pytest.raises(Misconfigured) as refused:
        read(tmp_path, f'{route}" "\n')
    [problem] = refused.value.problems
    assert "customers.acme.route.crm_only: needs permission_evidence" in problem
    policy = read(tmp_path, f'{route}"They signed."\ncrm_only_list = "News"\n').route("acme").policy
    assert (policy.crm_only, policy.crm_only_list, policy.permission_evidence) == ("create", "News", "They signed.")
    assert Policy().crm_only == "leave"


def test_a_cadence_is_said_as_people_say_it(tmp_path: Path) -> None:
    said = """
        [customers.acme.cadence]
        opted_out = "15 min"
        changed = "Hourly"
        sweep = "daily"
        crm_sweep = "weekly"
        reports = "1m"
        """
    assert read(tmp_path, said).route("acme").cadence == Cadence(crm_sweep=604_800.0, reports=60.0)


@pytest.mark.parametrize("said", ['"59s"', '"30s"', "3600", '"quarterly"', "true"])
def test_a_cadence_that_is_none_or_under_a_minute_is_refused(tmp_path: Path, said: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        read(tmp_path, f"[customers.acme.cadence]\nsweep = {said}\n")
    [problem] = refused.value.problems
    assert problem.startswith(f"{tmp_path}/keepstep.toml:2: customers.acme.cadence.sweep: is ")
    assert ('"15 min", "hourly"' in problem) == (said in ('"59s"', '"30s"'))


def test_files_named_relatively_lie_beside_the_settings(tmp_path: Path) -> None:
    service = read(tmp_path, '[service]\ndatabase = "sqlite:///a.db"\nkey_file = "a.key"').service
    assert (service.database, service.key_file) == (f"sqlite:///{tmp_path}/a.db", f"{tmp_path}/a.key")


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        '[service]\nlisten = "127.0.0.1:1"',
        KEEPSTEP_LISTEN="[::1]:9000",
        KEEPSTEP_DATABASE="postgresql://u@h/d",
        KEEPSTEP_PUBLIC_URL="https://hooks.example.org/",
        KEEPSTEP_KEY_FILE="/run/key",
        KEEPSTEP_CONSTANT_CONTACT_URL="http://127.0.0.1:9101/v3",
        KEEPSTEP_CONSTANT_CONTACT_AUTH_URL="http://localhost:9101",
        KEEPSTEP_VIRTUOUS_URL="http://[::1]:9102",
        KEEPSTEP_CLOCK="http://127.0.0.1:9100",
    )
    service = settings.service
    assert service.listen == ("::1", 9000) and service.database == "postgresql://u@h/d"
    assert (service.public_url, service.key_file, service.clock) == (
        "https://hooks.example.org",
        "/run/key",
        "http://127.0.0.1:9100",
    )
    assert settings.base_urls() == ("http://127.0.0.1:9101/v3", "http://localhost:9101", "http://[::1]:9102")


def test_virtual_time_is_refused_unless_every_url_is_loopback(tmp_path: Path) -> None:
    found = problems(tmp_path, "", KEEPSTEP_CLOCK="http://127.0.0.1:9100", KEEPSTEP_VIRTUOUS_URL="http://127.0.0.1:1")
    assert len(found) == 1 and "KEEPSTEP_CLOCK" in found[0] and "https://api.cc.email" in found[0]


def test_every_problem_is_named_at_once_with_its_line_and_what_would_be_right(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """[service]
listen = "8080"
datbase = "sqlite:///x.db"
log = "jsn"

[platforms.constant_contact]
base_url = "http://api.cc.email/v3"
per_second = "4"

[platforms.mailchimp]
per_hour = 1

[customers."a b"]

[customers.acme.route]
gate = 15
brake_share = 5
owners = { email = "crm" }
tag_prefix = 1

[customers.acme.cadence]
sweeps = "1d"
lists = "1 fortnight"

[serivce]
""",
        KEEPSTEP_PUBLIC_URL="ftp://x",
    )
    expected = [
        ("keepstep.toml:2: service.listen:", "host:port"),
        ("keepstep.toml:3: service.datbase:", "did you mean database?"),
        ("keepstep.toml:4: service.log:", "did you mean json?"),
        ("keepstep.toml:7: platforms.constant_contact.base_url:", "https://"),
        ("keepstep.toml:8: platforms.constant_contact.per_second:", "whole number"),
        ("keepstep.toml:10: platforms.mailchimp:", "base_url"),
        ("keepstep.toml:13: customers.a b:", "customer id"),
        ("keepstep.toml:16: customers.acme.route.gate:", '"15m"'),
        ("keepstep.toml:17: customers.acme.route.brake_share:", "0 to 1"),
        ("keepstep.toml:18: customers.acme.route.owners:", "email always belongs"),
        ("keepstep.toml:19: customers.acme.route.tag_prefix:", "quotes"),
        ("keepstep.toml:22: customers.acme.cadence.sweeps:", "did you mean sweep?"),
        ("keepstep.toml:23: customers.acme.cadence.lists:", "duration"),
        ("keepstep.toml:25: serivce:", "did you mean service?"),
        ("environment: KEEPSTEP_PUBLIC_URL:", "https://"),
    ]
    for start, words in expected:
        assert [line for line in found if line.startswith(start) and words in line], f"{start} {words}\n" + "\n".join(
            found
        )
    assert len(found) == len(expected)


@pytest.mark.parametrize(
    "text",
    [
        "[service",
        "a = ",
        "\x00",
        "[service]\nlog = 'x'\nlog = 'y'",
        "a = " + "[" * 5000,
        "service = 5",
        "customers = [1]",
    ],
)
def test_a_file_that_is_no_settings_file_is_named_with_a_line(tmp_path: Path, text: str) -> None:
    found = problems(tmp_path, text)
    assert len(found) == 1 and found[0].startswith("keepstep.toml:") and ": " in found[0]


def test_a_file_that_is_not_there_or_no_text_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="keepstep init"):
        load(tmp_path / "none.toml", {})
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(Misconfigured, match="UTF-8"):
        load(tmp_path / "b.toml", {})


@pytest.mark.parametrize(
    "url", ["https://", "http://user:pw@localhost", "https://x:99999", "x", "//x", "https://[", "http://10.0.0.1"]
)
def test_a_url_that_cannot_be_used_is_refused(tmp_path: Path, url: str) -> None:
    assert "KEEPSTEP_VIRTUOUS_URL" in problems(tmp_path, "", KEEPSTEP_VIRTUOUS_URL=url)[0]


def test_a_neighbour_container_may_be_called_without_tls(tmp_path: Path) -> None:
    assert (
        read(tmp_path, "", KEEPSTEP_VIRTUOUS_URL="http://sandbox:9102").platforms["virtuous"].base_url
        == "http://sandbox:9102"
    )


@pytest.mark.parametrize("clock", ["0", "virtual", "https://example.org", "http://sandbox:9100"])
def test_a_clock_that_is_no_control_door_on_this_machine_is_refused(tmp_path: Path, clock: str) -> None:
    urls = {
        f"KEEPSTEP_{name}_URL": "http://127.0.0.1:1"
        for name in ("VIRTUOUS", "CONSTANT_CONTACT", "CONSTANT_CONTACT_AUTH")
    }
    found = problems(tmp_path, "", KEEPSTEP_CLOCK=clock, **urls)
    assert len(found) == 1 and found[0].startswith("environment: KEEPSTEP_CLOCK: ")


@pytest.mark.parametrize(
    ("route", "key"),
    [
        ('contact_tags_prefix = "CC:"', "contact_tags_prefix"),
        ('tag_prefix = "X: "\ncontact_tags_prefix = "x: "', "contact_tags_prefix"),
        ('lists_to = "custom_field"', "lists_to"),
        ('lists_to = "custom_field"\nlists_field = " "', "lists_to"),
        ('missing_lists = "create"\nlists_to = "custom_field"\nlists_field = "Lists"', "missing_lists"),
        ('missing_lists = "create"\ntag_prefix = " "', "missing_lists"),
    ],
)
def test_keys_that_cannot_work_together_are_named(tmp_path: Path, route: str, key: str) -> None:
    (line,) = problems(tmp_path, f"[customers.acme.route]\n{route}\n")
    assert f"customers.acme.route.{key}" in line


def test_prefixes_that_differ_are_fine(tmp_path: Path) -> None:
    read(tmp_path, '[customers.acme.route]\ncontact_tags_prefix = "CC tag: "\n')


def test_fields_that_are_written_back_are_known_ones(tmp_path: Path) -> None:
    """The person owns the address and the consent; custom fields do not go back."""
    good = '[customers.acme.route]\nfields_to_audience = ["phone", "first_name", "phone"]\nmissing_lists = "create"\n'
    policy = read(tmp_path, good).customers["acme"].route.policy
    assert (policy.fields_to_audience, policy.missing_lists) == (("first_name", "phone"), "create")
    for wrong, why in (("email", "audience side owns it"), ("consent", "choose of first_name"), ("Hobby", "no field")):
        (line,) = problems(tmp_path, f'[customers.acme.route]\nfields_to_audience = ["{wrong}"]\n')
        assert "customers.acme.route.fields_to_audience" in line and why in line
