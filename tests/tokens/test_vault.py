"""Secrets at rest (T7) and in the hand (T8)."""

import copy
import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, select, update

from keepstep.model.errors import Misconfigured
from keepstep.schema.tables import metadata
from keepstep.schema.tables import secret as table
from keepstep.state.keys import read_key_file, write_key_file
from keepstep.state.vault import Secret, Vault
from tests.wire.hands import HandChance

CANARY = "canary-7f3a"


@pytest.fixture
def tx() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.fixture
def vault() -> Vault:
    return Vault({"k1": b"1" * 32}, "k1", HandChance().token)


def test_a_secret_comes_back_and_is_replaced(tx: Connection, vault: Vault) -> None:
    assert vault.get(tx, "acme", "virtuous", "api_key") is None
    for text in ("old", CANARY):
        vault.put(tx, "acme", "virtuous", "api_key", Secret(text), 1.0)
    assert vault.get(tx, "acme", "virtuous", "api_key") == Secret(CANARY)
    assert vault.fields(tx, "acme") == [("virtuous", "api_key")]
    vault.drop(tx, "acme", "virtuous", "api_key")
    assert vault.fields(tx, "acme") == []


def test_the_stored_row_holds_nothing_readable(tx: Connection, vault: Vault) -> None:
    vault.put(tx, "acme", "virtuous", "api_key", Secret(CANARY), 1.0)
    assert CANARY.encode() not in b"".join(bytes(v) for v in tx.execute(select(table)).one() if isinstance(v, bytes))


@pytest.mark.parametrize(
    "moved", [{"customer_id": "other"}, {"platform": "constant_contact"}, {"field": "webhook_secret"}]
)
def test_a_ciphertext_moved_to_another_place_does_not_open(tx: Connection, vault: Vault, moved: dict[str, str]) -> None:
    vault.put(tx, "acme", "virtuous", "api_key", Secret(CANARY), 1.0)
    tx.execute(update(table).values(**moved))
    place = {"customer_id": "acme", "platform": "virtuous", "field": "api_key"} | moved
    with pytest.raises(Misconfigured, match="does not open"):
        vault.get(tx, *place.values())


def test_a_changed_ciphertext_does_not_open(tx: Connection, vault: Vault) -> None:
    vault.put(tx, "acme", "virtuous", "api_key", Secret(CANARY), 1.0)
    sealed = tx.execute(select(table.c.ciphertext)).scalar_one()
    tx.execute(update(table).values(ciphertext=sealed[:-1] + bytes([sealed[-1] ^ 1])))
    with pytest.raises(Misconfigured):
        vault.get(tx, "acme", "virtuous", "api_key")


def test_after_a_key_rotation_old_secrets_open_and_new_ones_use_the_new_key(tx: Connection, vault: Vault) -> None:
    vault.put(tx, "acme", "virtuous", "api_key", Secret("old"), 1.0)
    rotated = Vault({"k2": b"2" * 32, "k1": b"1" * 32}, "k2", HandChance().token)
    assert rotated.get(tx, "acme", "virtuous", "api_key") == Secret("old")
    rotated.put(tx, "acme", "virtuous", "api_key", Secret("new"), 2.0)
    with pytest.raises(Misconfigured, match="no key k2"):
        vault.get(tx, "acme", "virtuous", "api_key")


def test_a_secret_renders_as_stars_everywhere() -> None:
    secret = Secret(CANARY)
    held = {"s": secret}
    shown = [
        repr(held),
        str(secret),
        f"{secret:>20}",
        f"{secret}",
        json.dumps(held, default=str),
        repr(copy.deepcopy(held)),
    ]
    assert not [text for text in shown if CANARY in text] and all("***" in text for text in shown)
    with pytest.raises(TypeError):
        json.dumps(held)
    with pytest.raises(TypeError):
        pickle.dumps(secret)


def test_a_vault_does_not_render_its_keys(vault: Vault) -> None:
    assert "1111" not in repr(vault)


def test_the_key_file_is_private_and_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "keepstep.key"
    key_id = write_key_file(path, HandChance().token)
    keys, current = read_key_file(path)
    assert path.stat().st_mode & 0o777 == 0o600 and current == key_id and len(keys[key_id]) == 32
    with pytest.raises(FileExistsError):
        write_key_file(path, HandChance().token)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "keepstep.key"
    write_key_file(path, HandChance().token)
    path.chmod(mode)
    with pytest.raises(Misconfigured, match="chmod 600"):
        read_key_file(path)


@pytest.mark.parametrize("text", ["", "# nothing\n", "k1", "k1:short", ":" + "A" * 44, "k1:!!!!", "\xff"])
def test_a_broken_key_file_is_refused_and_not_quoted(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keepstep.key"
    path.write_text(text, encoding="latin-1")
    path.chmod(0o600)
    with pytest.raises(Misconfigured) as caught:
        read_key_file(path)
    assert "short" not in str(caught.value)
