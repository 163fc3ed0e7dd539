"""What a webhook about contacts names, and whose it says it is (CC facts 10, 11)."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepstep.connectors import discover
from keepstep.model.errors import Refused
from keepstep.wire.signature import verify

CC = discover()["constant_contact"]
EVENT = {"account_id": "a07e1example", "contact_id": "c1", "event_type": "contact.updated"}
V2 = {"url": "https://api.constantcontact.com/v2/partner/accounts/a07e1example/plan", "event_type": "tier.increase"}
V3 = {
    "url": "https://api.cc.email/v3/partner/accounts/a07e1example/plan",
    "api_key": "k",
    "event_type": "account.cancel",
}


def ids(value: Any) -> list[str | None]:
    assert CC.parse_delivery is not None
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return [one.record_id for one in CC.parse_delivery(body)]


def account(value: Any) -> str | None:
    assert CC.account_of is not None
    return CC.account_of(value if isinstance(value, bytes) else json.dumps(value).encode())


def test_one_object_or_an_array_names_its_contacts_once() -> None:
    """The recipe batches events into arrays (CC facts 11)."""
    assert ids(EVENT) == ["c1"]
    assert ids([EVENT, {**EVENT, "contact_id": "c2"}, EVENT]) == ["c1", "c2"]
    assert ids([]) == []
    assert ids({"contactId": "c3", "accountId": "a1"}) == ["c3"]


@pytest.mark.parametrize("body", [V2, V3])
def test_a_partners_topic_names_an_account_and_no_contact(body: dict[str, str]) -> None:
    """The account is a segment of the path in `url`, whose host is never called (CC facts 10.1)."""
    assert ids(body) == []
    assert account(body) == "a07e1example"


@pytest.mark.parametrize("body", [b"", b"{", b"5", b'"x"', b"{}", b"[[]]", b'[{"event_type":"x"},7]', b"null"])
def test_what_is_no_delivery_is_refused(body: bytes) -> None:
    with pytest.raises(Refused) as caught:
        ids(body)
    assert caught.value.status == 400
    assert account(body) is None


def test_a_huge_body_is_refused_before_it_is_read() -> None:
    with pytest.raises(Refused) as caught:
        ids(b" " * 10_000_001)
    assert caught.value.status == 413


def test_the_account_where_one_is_named() -> None:
    """In any spelling; a body that names several is nobody's."""
    assert account(EVENT) == "a07e1example"
    assert account({"accountId": 17, "contact_id": "c1"}) == "17"
    assert account({"encoded_account_id": "x"}) == "x"
    assert account({"contact_id": "c1"}) is None
    assert account({"contact_id": "c1", "account_id": ""}) is None
    assert account([EVENT, {"contact_id": "c2"}]) == "a07e1example"
    both = account([EVENT, {**EVENT, "account_id": "other"}])
    assert both not in (None, "a07e1example", "other")


def test_the_signature_is_the_hmac_of_the_raw_body() -> None:
    """Base64 of HMAC-SHA256, before parsing: a newline more breaks it (CC facts 10.3)."""
    assert CC.signatures is not None
    body, secret = json.dumps(EVENT).encode(), b"made-up secret"
    text = base64.b64encode(hmac.new(secret, body, hashlib.sha256).digest()).decode()
    given_ = CC.signatures({"content-type": "application/json", "X-CTCT-Hmac-SHA256": text})
    assert given_ == [text]
    assert verify(body, given_, [secret])
    assert not verify(body + b"\n", given_, [secret])
    assert CC.signatures({"x-ctct-webhook-sig": text}) == []


@settings(derandomize=True, deadline=None, max_examples=200)
@given(body=st.binary(max_size=60) | st.text(alphabet='{}[]",:acount_id1', max_size=60).map(str.encode))
def test_any_body_is_parsed_or_refused(body: bytes) -> None:
    account(body)
    try:
        assert all(isinstance(name, str) for name in ids(body))
    except Refused:
        pass


@pytest.mark.parametrize(
    "event",
    [
        {"account_id": "mine", "accountId": "theirs"},
        {"account_id": "mine", "encoded_account_id": "theirs"},
        {"account_id": "mine", "url": "https://x/partner/accounts/theirs/plan"},
    ],
)
def test_an_event_that_names_two_accounts_is_nobodys(event: dict[str, str]) -> None:
    assert account(event) == "mine,theirs"
    assert account({"account_id": "mine", "accountId": "mine"}) == "mine"
