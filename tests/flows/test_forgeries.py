"""Forged deliveries of every scheme: none is believed, and every true one is."""

import base64
import hashlib
import hmac
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from keepstep.connectors.virtuous.delivery import signatures
from keepstep.web.door import _headers
from keepstep.wire import signature
from keepstep.wiring import rotation
from keepstep.wiring.partner import Trust
from keepstep_sandbox.constant_contact.notices import PartnerNotices
from tests.flows.crossing import CUSTOMER, HOUR, Crossing
from tests.flows.test_partner import CC, KNOWN, Partners
from tests.wire.forging import CLASSES, Headers, Scheme, bodies, forged

MANY = 3_000
BODIES = 50
FEW = 1_000
SECRETS = {"good": b"partner-secret", "other": b"another customer's", "old": b"the secret before"}
BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
Believed = Callable[[Headers, bytes], Awaitable[bool]]


def digest(body: bytes, name: str) -> bytes:
    return hmac.new(SECRETS[name], body, hashlib.sha256).digest()


def padded(body: bytes, name: str) -> str:
    return base64.b64encode(digest(body, name)).decode()


def of_v2(text: str) -> list[str]:
    raw = base64.b64decode(text)
    return [
        raw.hex(),
        raw.hex().upper(),
        text.rstrip("="),
        text + "=",
        text.swapcase(),
        f"sha256={text}",
        raw[::-1].hex(),
    ]


def of_virtuous(text: str) -> list[str]:
    raw = base64.b64decode(text) if text.endswith("=") else bytes.fromhex(text)
    urlsafe = base64.urlsafe_b64encode(b"\xff" + raw[1:]).decode()
    return [urlsafe, raw.hex()[::-1], base64.b32encode(raw).decode(), text + "=", raw.hex().title() + "0", repr(raw)]


def of_v3(text: str) -> list[str]:
    head, _, sign = text.partition("..")
    return [text + "=", text.encode().hex(), text.swapcase(), f"{head}.e30.{sign}", f"{head}.{sign}", f"{sign}..{head}"]


V2 = Scheme("v2", "x-ctct-hmac-sha256", padded, of_v2, BASE64)
VIRTUOUS_BASE64 = Scheme("virtuous base64", "x-virtuous-signature", padded, of_virtuous, BASE64)
VIRTUOUS_HEX = Scheme(
    "virtuous hex", "x-virtuous-signature", lambda body, name: digest(body, name).hex(), of_virtuous, "0123456789abcdef"
)


async def counted(scheme: Scheme, believed: Believed, seed: int, many: int) -> Counter[tuple[str, bool]]:
    """How many of each class were believed, and how many true ones."""
    luck, counts = random.Random(seed), Counter[tuple[str, bool]]()
    told = bodies(luck, BODIES)
    made = [{name: scheme.sign(body, name) for name in ("good", "other", "old")} for body in told]
    for number in range(many):
        place = number % BODIES
        kind, headers, body = forged(scheme, told[place], luck, made[place])
        if (headers, body) != ([(scheme.header, made[place]["good"])], told[place]):
            counts[kind, await believed(headers, body)] += 1
    for body, one in zip(told, made, strict=True):
        counts["true", await believed([(scheme.header, one["good"])], body)] += 1
    return counts


def none_believed(counts: Counter[tuple[str, bool]], many: int) -> None:
    assert counts["true", True] == BODIES
    assert [(kind, count) for (kind, yes), count in counts.items() if yes and kind != "true"] == []
    assert {kind for kind, yes in counts if not yes} == set(CLASSES)
    assert counts.total() >= many - 5 + BODIES


def test_no_forgery_of_the_older_edition_is_believed() -> None:
    older(MANY)


def test_no_forgery_of_the_present_edition_is_believed_and_the_keys_are_read_once() -> None:
    present(MANY)


@pytest.mark.parametrize("scheme", [VIRTUOUS_BASE64, VIRTUOUS_HEX], ids=lambda one: one.name)
def test_no_forgery_of_the_crms_webhooks_is_believed(scheme: Scheme) -> None:
    of_the_crm(scheme, MANY)


@pytest.mark.parametrize("form", ["base64", "hex"])
def test_the_secret_of_before_signs_until_its_overlap_is_over_and_never_again(form: str) -> None:
    """Of a real rotation: `old` was the customer's own secret a moment ago."""
    with Crossing(customers=(CUSTOMER, "beta")) as c:
        c.connect()
        path, old = c.hook()
        c.ask(rotation.rotate(c.service, CUSTOMER, "virtuous", False, HOUR))
        _, good = c.hook()
        other = c.ask(c.service.db.run(c.service.vault.get, "beta", "virtuous", "webhook_secret"))
        secrets = {"good": good, "old": old, "other": other.reveal().encode()}

        def sign(body: bytes, name: str) -> str:
            raw = hmac.new(secrets[name], body, hashlib.sha256).digest()
            return raw.hex() if form == "hex" else base64.b64encode(raw).decode()

        async def believed(headers: Headers, body: bytes) -> bool:
            sender = await c.service.sender("virtuous", path.rsplit("/", 1)[1])
            assert sender is not None and sender[0] == CUSTOMER
            scope: Any = {"headers": [(name.encode(), value.encode()) for name, value in headers]}
            return signature.verify(body, signatures(_headers(scope)), sender[1])

        like = VIRTUOUS_HEX if form == "hex" else VIRTUOUS_BASE64
        scheme = Scheme(f"rotated {form}", like.header, sign, like.others, like.alphabet)
        during = c.ask(counted(scheme, believed, 4, FEW))
        assert {kind for kind, yes in during if yes} == {"true", "old_secret"}
        assert during["old_secret", False] == 0 < during["old_secret", True]
        c.wait(hours=2)
        none_believed(c.ask(counted(scheme, believed, 4, FEW)), FEW)


def older(many: int) -> None:
    with Partners() as c:
        trust = Trust(c.service)

        async def believed(headers: Headers, body: bytes) -> bool:
            return await trust.believed(CC, headers, body) is not None

        none_believed(c.ask(counted(V2, believed, 1, many)), many)


def present(many: int) -> None:
    with Partners() as c:
        trust = Trust(c.service)
        strangers = {name: PartnerNotices(_keys=[key_of()]) for name in ("other", "old")}
        signers = {"good": c.cc.partner.notices, **strangers}

        def sign(body: bytes, name: str) -> str:
            return next(iter(signers[name].signature("v3", body, KNOWN, c.now()).values()))

        async def believed(headers: Headers, body: bytes) -> bool:
            return await trust.believed(CC, headers, body) is not None

        scheme = Scheme("v3", "x-ctct-webhook-sig", sign, of_v3, BASE64[:-2] + "-_.")
        none_believed(c.ask(counted(scheme, believed, 2, many)), many)
        assert len(c.made("GET", "/.well-known/jwks.json")) == 1


def of_the_crm(scheme: Scheme, many: int) -> None:
    async def believed(headers: Headers, body: bytes) -> bool:
        scope: Any = {"headers": [(name.encode(), value.encode()) for name, value in headers]}
        return signature.verify(body, signatures(_headers(scope)), [SECRETS["good"]])

    with Partners() as c:
        none_believed(c.ask(counted(scheme, believed, 3, many)), many)


def key_of() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)
