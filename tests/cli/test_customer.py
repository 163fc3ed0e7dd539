"""Credentials come in through standard input, complete and unquoted."""

from pathlib import Path

import pytest

from keepstep.cli.customer import credentials
from keepstep.model.errors import Refused
from tests.flows.beside import played

CC = "client_id=id\nclient_secret = s=e=c \nrefresh_token=r\n"


def revealed(text: str, platform: str | None = None) -> dict[str, dict[str, str]]:
    return {owner: {n: s.reveal() for n, s in fields.items()} for owner, fields in credentials(text, platform).items()}


def test_lines_of_both_kinds_for_both_platforms() -> None:
    found = revealed(f'# comment\n\n{CC}{{"virtuous.api_key": "k"}}\n')
    assert found == {
        "constant_contact": {"client_id": "id", "client_secret": "s=e=c", "refresh_token": "r"},
        "virtuous": {"api_key": "k"},
    }


def test_one_json_line_may_hold_everything_and_an_option_may_name_the_platform() -> None:
    assert revealed('{"api_key": "k"}', "virtuous") == {"virtuous": {"api_key": "k"}}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# only a comment",
        "client_id=id",
        "api_key=",
        "api_key",
        "canary",
        "canary=api_key",
        '{"api_key": 5}',
        '{"api_key": "can\\u0000ary"}',
        "{",
        "{" * 90_000,
        "[]",
        "api_key=canàry",
        "constant_contact.api_key=canary",
        "mailchimp.api_key=canary",
    ],
)
def test_what_is_unknown_or_incomplete_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(Refused) as caught:
        credentials(text)
    assert "canary" not in str(caught.value) and "àry" not in str(caught.value)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(Refused, match=r"constant_contact\.client_secret, constant_contact\.refresh_token"):
        credentials("client_id=id")


def test_a_credential_never_shows() -> None:
    assert "canary" not in repr(credentials("api_key=canary"))


def test_the_address_and_the_secret_of_a_door_are_shown_whole_on_a_narrow_screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.delenv("KEEPSTEP_KEY", raising=False)
    public = f"https://{'a' * 60}.example.org"
    (tmp_path / "keepstep.toml").write_text(f'[service]\npublic_url = "{public}"\n')
    given = ["-c", str(tmp_path / "keepstep.toml")]
    assert played([*given, "init"], "")[0] == 0
    assert played([*given, "customer", "add", "acme"], "virtuous.api_key=k\n")[0] == 0
    code, said = played([*given, "customer", "show", "acme", "--door-secret", "virtuous"], "")
    url, secret = said.splitlines()
    assert code == 0 and url.startswith(f"url: {public}/hooks/virtuous/") and len(url) - len(public) > 50
    assert secret.startswith("secret: ") and len(secret) == len("secret: ") + 43
    _, shown = played([*given, "customer", "show", "acme"], "")
    assert url.removeprefix("url: ") in "".join(
        line.rstrip().rpartition("  ")[2].strip() for line in shown.splitlines()
    )
    assert "…" not in shown
