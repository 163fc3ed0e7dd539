"""Which deliveries that the vendor signed with its own key are believed: F23."""

import base64
import json
import random

import pytest
from joserfc import jws
from joserfc.jwk import RSAKey

from keepstep.wire.jws import TOLERANCE, keys_of, verify

NOW = 1_790_000_000.0
BODY = b'{"url":"https://api.cc.email/v3/partner/accounts/a07e/plan","api_key":"k","event_type":"tier.increase"}'
KEY, OTHER = RSAKey.generate_key(2048), RSAKey.generate_key(2048)
ANY = jws.JWSRegistry(algorithms=["RS256", "RS512", "PS256"], strict_check_header=False)
HEADER = {"alg": "RS256", "b64": False, "crit": ["b64"], "ts": int(NOW)}


def signed(body: bytes = BODY, key: RSAKey = KEY, **header: object) -> str:
    whole = jws.serialize_compact({**HEADER, **header}, body, key, registry=ANY)
    return f"{whole.partition('.')[0]}..{whole.rpartition('.')[2]}"


GOOD = signed()


def test_the_vendors_signature_is_believed_under_any_of_its_keys() -> None:
    assert verify(BODY, [GOOD], [KEY], NOW)
    assert verify(BODY, ["nonsense", GOOD], [OTHER, KEY], NOW)


@pytest.mark.parametrize(("seconds", "believed"), [(TOLERANCE, True), (TOLERANCE + 1, False)])
def test_an_old_delivery_and_one_from_the_future_are_not(seconds: float, believed: bool) -> None:
    assert verify(BODY, [GOOD], [KEY], NOW + seconds) is believed
    assert verify(BODY, [GOOD], [KEY], NOW - seconds) is believed


@pytest.mark.parametrize("ts", [None, "1790000000", True, [], {}, 1e308])
def test_a_moment_that_is_none_is_not_believed(ts: object) -> None:
    assert not verify(BODY, [signed(ts=ts)], [KEY], NOW)


@pytest.mark.parametrize("alg", ["RS512", "PS256"])
def test_another_algorithm_is_not_believed(alg: str) -> None:
    assert not verify(BODY, [signed(alg=alg)], [KEY], NOW)


def test_a_signature_over_the_encoded_body_is_not_the_vendors() -> None:
    whole = jws.serialize_compact({"alg": "RS256", "ts": int(NOW)}, BODY, KEY, registry=ANY)
    head, _, sign = whole.split(".")
    assert not verify(BODY, [f"{head}..{sign}", whole], [KEY], NOW)


def test_no_algorithm_and_a_public_key_used_as_a_secret_are_not_believed() -> None:
    def encoded(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    for alg in ("none", "HS256"):
        assert not verify(
            BODY, [f"{encoded({**HEADER, 'alg': alg})}..", f"{encoded({**HEADER, 'alg': alg})}..AAAA"], [KEY], NOW
        )


def test_a_critical_word_that_nobody_understands_is_refused() -> None:
    head = {**HEADER, "crit": ["b64", "exp"], "exp": 1}
    part = base64.urlsafe_b64encode(json.dumps(head).encode()).decode().rstrip("=")
    assert not verify(BODY, [f"{part}..{GOOD.rpartition('.')[2]}"], [KEY], NOW)


def mutated(luck: random.Random) -> tuple[str, bytes, str]:
    """The class of a mutation, the body and the text."""
    kind = luck.choice(
        ["flipped_text", "flipped_body", "truncated", "other_key", "serialized", "encoding", "empty", "doubled"]
    )
    if kind == "flipped_text":
        place = luck.randrange(len(GOOD))
        letter = luck.choice([one for one in "AZaz09-_." if one != GOOD[place]])
        return kind, BODY, GOOD[:place] + letter + GOOD[place + 1 :]
    if kind == "flipped_body":
        place = luck.randrange(len(BODY))
        return kind, BODY[:place] + bytes([BODY[place] ^ (1 << luck.randrange(8))]) + BODY[place + 1 :], GOOD
    if kind == "truncated":
        return kind, BODY, GOOD[: luck.randrange(len(GOOD))]
    if kind == "other_key":
        return kind, BODY, FOREIGN
    if kind == "serialized":
        return kind, luck.choice([BODY + b"\n", BODY.replace(b":", b": "), BODY.replace(b"/", b"\\/")]), GOOD
    if kind == "encoding":
        return (
            kind,
            BODY,
            luck.choice([GOOD + "=", GOOD.replace("-", "+").replace("_", "/"), GOOD.encode().hex(), GOOD.swapcase()]),
        )
    return (kind, BODY, luck.choice(["", ".", "..", " "])) if kind == "empty" else (kind, BODY, f"{GOOD}, {GOOD}")


FOREIGN = signed(key=OTHER)


def test_no_mutation_is_believed() -> None:
    luck, seen = random.Random(7), dict[str, int]()
    for _ in range(3000):
        kind, body, text = mutated(luck)
        if (body, text) != (BODY, GOOD):
            assert not verify(body, [text], [KEY], NOW), (kind, text)
            seen[kind] = seen.get(kind, 0) + 1
    assert len(seen) == 8
    assert verify(BODY, [GOOD], [KEY], NOW)


def test_a_published_set_gives_its_rsa_keys_and_nothing_else() -> None:
    good = KEY.as_dict(private=False)
    rows = [good, {"kty": "EC"}, {"kty": "RSA", "n": "?"}, {"kty": "RSA", "n": 3, "e": None}, "RSA", None]
    assert [one.as_dict(private=False)["n"] for one in keys_of({"keys": rows})] == [good["n"]]
    assert [keys_of(one) for one in (None, [], {"keys": 3} if False else {"keys": None}, "x")] == [[], [], [], []]
