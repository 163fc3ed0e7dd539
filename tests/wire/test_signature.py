"""Which deliveries are believed: F23."""

import base64
import hashlib
import hmac

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepstep.wire.signature import verify

BODY = b'{"event":"ContactUpdate","contact":{"id":1}}'
SECRET = b"a secret of thirty-two bytes okay"
DIGEST = hmac.new(SECRET, BODY, hashlib.sha256).digest()
PADDED = base64.b64encode(DIGEST).decode()
HEX = DIGEST.hex()
SPELLINGS = [PADDED, PADDED.rstrip("="), HEX, HEX.upper(), f"sha256={PADDED}", f"sha256={HEX}", f" {HEX} "]


@pytest.mark.parametrize("text", SPELLINGS)
def test_every_documented_spelling_is_believed(text: str) -> None:
    assert verify(BODY, [text], [SECRET])


def test_a_second_secret_and_a_second_header_count_too() -> None:
    assert verify(BODY, ["nonsense", HEX], [b"new secret", SECRET])


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "sha256=",
        "=",
        PADDED + "=",
        PADDED.swapcase(),
        HEX.title() + "0",
        HEX[:-1],
        PADDED[:-2] + "+=",
        "é",
        "\ud800",
    ],
)
def test_mutated_texts_are_refused(text: str) -> None:
    assert not verify(BODY, [text], [SECRET])


def test_nothing_given_no_secret_or_an_empty_secret_is_refused() -> None:
    """An empty secret signs for anybody."""
    anybody = hmac.new(b"", BODY, hashlib.sha256).hexdigest()
    assert not verify(BODY, [], [SECRET])
    assert not verify(BODY, [HEX], [])
    assert not verify(BODY, [anybody], [b""])


def test_another_customers_secret_or_a_serialized_body_is_refused() -> None:
    assert not verify(BODY, [HEX], [b"another customer's secret"])
    assert not verify(BODY.replace(b":", b": "), [HEX], [SECRET])


@settings(derandomize=True, deadline=None, max_examples=200)
@given(bit=st.integers(0, len(BODY) * 8 - 1), place=st.integers(0, len(PADDED) - 1), sign=st.characters())
def test_a_flipped_bit_or_changed_sign_is_refused(bit: int, place: int, sign: str) -> None:
    flipped = bytearray(BODY)
    flipped[bit // 8] ^= 1 << bit % 8
    assert not verify(bytes(flipped), [PADDED], [SECRET])
    changed = PADDED[:place] + sign + PADDED[place + 1 :]
    if changed.strip(" \t") not in (PADDED, PADDED.rstrip("=")):
        assert not verify(BODY, [changed], [SECRET])


@settings(derandomize=True, deadline=None, max_examples=200)
@given(body=st.binary(max_size=64), given_texts=st.lists(st.text(st.characters(), max_size=80), max_size=12))
def test_garbage_is_refused_without_an_error(body: bytes, given_texts: list[str]) -> None:
    assert not verify(body, given_texts, [SECRET, b"\x00\xff"])
