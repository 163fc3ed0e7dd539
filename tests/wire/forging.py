"""Signatures that nobody made, by class: what a stranger, another customer or a careless proxy makes of a true one."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Headers = list[tuple[str, str]]
CLASSES = (
    "flipped_body",
    "flipped_text",
    "truncated",
    "other_secret",
    "old_secret",
    "serialized",
    "encoding",
    "empty",
    "doubled",
)


@dataclass(frozen=True, slots=True)
class Scheme:
    """A way to sign: `sign` of (body, secret's name) -> the header's text; `others` are spellings of a text that are
    not the vendor's."""

    name: str
    header: str
    sign: Callable[[bytes, str], str]
    others: Callable[[str], list[str]]
    alphabet: str


def forged(scheme: Scheme, body: bytes, luck: random.Random, made: Mapping[str, str]) -> tuple[str, Headers, bytes]:
    """The class, the headers and the body of one. `made`: signatures of the body by "good", "other", "old"."""
    kind, good = luck.choice(CLASSES), made["good"]
    text, sent = good, body
    if kind == "flipped_body":
        place = luck.randrange(len(body))
        sent = body[:place] + bytes([body[place] ^ (1 << luck.randrange(8))]) + body[place + 1 :]
    elif kind == "flipped_text":
        place = luck.randrange(len(good))
        text = good[:place] + luck.choice([one for one in scheme.alphabet if one != good[place]]) + good[place + 1 :]
    elif kind == "truncated":
        text = good[: luck.randrange(1, len(good.rstrip("=")))]  # Virtuous documents no padding as well
    elif kind in ("other_secret", "old_secret"):
        text = made[kind.partition("_")[0]]
    elif kind == "serialized":
        sent = luck.choice([body + b"\n", body.replace(b":", b": "), body.replace(b"/", b"\\/"), b" " + body, body * 2])
    elif kind == "encoding":
        text = luck.choice(scheme.others(good))
    elif kind == "empty":
        text = luck.choice(["", " ", "=", "..", "sha256="])
    headers = [(scheme.header, text)]
    if kind == "doubled":
        again = luck.choice([good, made["other"], "", good[:-1]])
        headers = luck.choice([[(scheme.header, good), (scheme.header, again)], [(scheme.header, f"{good}, {again}")]])
    return kind, headers, sent


def bodies(luck: random.Random, count: int) -> list[bytes]:
    """Deliveries of partners, no two alike."""
    events = ("tier.increase", "tier.decrease", "account.cancel", "account.disable")
    url = "https://api.cc.email/v3/partner/accounts/a{:011x}/plan"
    return [
        b'{"url":"%s","api_key":"partner-key","event_type":"%s"}'
        % (url.format(number).encode(), luck.choice(events).encode())
        for number in range(count)
    ]
