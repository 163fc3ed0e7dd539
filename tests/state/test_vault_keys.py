"""Where keys come from, and how a file of them changes."""

import base64
import os
from pathlib import Path

import pytest
from sqlalchemy import Engine

from keepstep.model.errors import Misconfigured, Refused
from keepstep.state import keys, places
from keepstep.state.keys import KeyFile, read_key_file, ring_of, write_key_file
from keepstep.state.places import Place
from keepstep.state.vault import Known, Secret, Vault
from tests.wire.hands import HandChance

NEW, OLD = (f"{name}:{base64.b64encode(name[:1].encode() * 32).decode()}" for name in ("new", "old"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_key_file(tmp_path / "keepstep.key", HandChance().token)
    return tmp_path / "keepstep.key"


@pytest.mark.parametrize("between", [",", "\n", " , ", "\n\n# old\n"])
def test_the_environment_holds_one_key_or_several_the_first_seals(between: str) -> None:
    ring = ring_of({"KEEPSTEP_KEY": f"{NEW}{between}{OLD}"})
    assert ring is not None and ring.current == "new" and ring.keys == {"new": b"n" * 32, "old": b"o" * 32}


@pytest.mark.parametrize("environ", [{}, {"KEEPSTEP_KEY": ""}, {"KEEPSTEP_KEY": " \n"}])
def test_an_empty_variable_is_none(environ: dict[str, str]) -> None:
    assert ring_of(environ) is None


@pytest.mark.parametrize("text", ["canary", "canary:short", f"{NEW},canary", f"{NEW},{NEW}", "# nothing", "ü:canary"])
def test_a_broken_variable_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(Misconfigured, match="KEEPSTEP_KEY") as caught:
        ring_of({"KEEPSTEP_KEY": text})
    assert "canary" not in str(caught.value)


def test_a_ring_does_not_render_its_keys() -> None:
    assert "nnnn" not in repr(ring_of({"KEEPSTEP_KEY": NEW}))


def test_a_new_key_is_first_and_the_old_one_stays(path: Path) -> None:
    _, old = read_key_file(path)
    new = keys.put_first(path, os.urandom)
    found, current = read_key_file(path)
    assert current == new and list(found) == [new, old] and path.stat().st_mode & 0o777 == 0o600
    assert keys.keep_first(path) == [old]
    assert list(read_key_file(path)[0]) == [new] and path.stat().st_mode & 0o777 == 0o600


def test_whoever_reads_while_the_file_is_replaced_finds_a_whole_one(path: Path) -> None:
    """An open file is the old one; nothing is written into it."""
    before = path.read_text()
    with path.open() as still_open:
        keys.put_first(path, os.urandom)
        assert still_open.read() == before
    assert path.read_text().endswith(before) and [one.name for one in path.parent.iterdir()] == [path.name]


def test_a_key_file_behind_a_link_stays_behind_it(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.key"
    link.symlink_to(path)
    new = keys.put_first(link, os.urandom)
    assert link.is_symlink() and read_key_file(path)[1] == new


def test_a_changed_file_is_read_again_and_an_unchanged_one_is_not(path: Path) -> None:
    file = KeyFile(path)
    old = file.read()
    assert file.changed() is None
    new = keys.put_first(path, os.urandom)
    ring = file.changed()
    assert ring is not None and ring.current == new and old.current in ring.keys
    assert file.changed() is None


@pytest.mark.parametrize("spoil", ["away", "broken", "open"])
def test_a_file_that_cannot_be_read_any_more_leaves_what_is_known(path: Path, spoil: str) -> None:
    file = KeyFile(path)
    file.read()
    if spoil == "away":
        path.unlink()
    elif spoil == "broken":
        path.write_text("nothing")
    else:
        path.chmod(0o644)
    assert file.changed() is None


def test_two_do_not_change_a_file_at_once(path: Path) -> None:
    with keys.alone(path), pytest.raises(Refused, match="another rotation"), keys.alone(path):
        pass
    with keys.alone(path):
        pass


@pytest.mark.parametrize("how", ["put", "bring", "reseal"])
def test_nothing_is_sealed_under_a_key_that_was_taken_out_meanwhile(path: Path, engine: Engine, how: str) -> None:
    """Whoever seals may have waited for the lock of whoever takes the old key out."""
    file, replaced = KeyFile(path), False
    ring = file.read()

    def token(size: int) -> bytes:
        nonlocal replaced
        if replaced or how != "put":
            return os.urandom(size)
        replaced = True
        _replace(path)
        return os.urandom(size)

    vault = Vault(ring.keys, ring.current, token, file, Known())
    row = ("acme", "virtuous", "api_key")
    with engine.begin() as tx:
        vault.put(tx, *row, Secret("canary"), 1.0)
        if how == "bring":
            sealed = vault.sealed(tx)[row]
            assert sealed is not None
            place = Place("memory", "virtuous/production/acme/api_token", "1", sealed.mark)
            assert places.placed(tx, row, sealed.nonce, place)
            _replace(path)
            assert vault.bring(tx, row, place)
        elif how == "reseal":
            keys.put_first(path, os.urandom)
            assert vault.reseal(tx, "acme") == 1
            keys.keep_first(path)
        assert places.by_key(tx) == {read_key_file(path)[1]: 1}
        assert Vault(*read_key_file(path), os.urandom).get(tx, *row) == Secret("canary")


def _replace(path: Path) -> None:
    keys.put_first(path, os.urandom)
    keys.keep_first(path)
