"""What the vendor's partner interface says, in both editions."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from keepstep.connectors.constant_contact.partner import PARTNERSHIP, PartnerApi
from keepstep.model.errors import Blocked, Misconfigured, Permanent, Transient, Unanswered
from keepstep.model.plan import MOST_PARTS, Plan
from keepstep.ports import Connection, HttpAnswer, Topic
from keepstep.state.vault import Secret
from keepstep.wire.signature import verify
from tests.wire.hands import HandChance, HandClock

LAST_LINE = b'    "event_type":"tier.increase"'
# The vendor's own example, from its public client of the older edition.
VECTOR = (
    b"\n".join(
        [b"{", b'    "url":"https://api.constantcontact.com/v2/partner/accounts/<accountId>",', LAST_LINE, b"}"]
    ),
    "VNfTwVDbHBoPqEYqDdM61OqxJdVznRzT4h21+BuwgTg=",
    b"api-secret-key",
)


def test_the_vendors_own_example_is_believed_and_no_other_line_ends() -> None:
    body, signature, secret = VECTOR
    assert verify(body, [signature], [secret])
    assert not verify(body + b"\n", [signature], [secret])
    assert not verify(body.replace(b"\n", b"\r\n"), [signature], [secret])
    assert PARTNERSHIP.notice_of(body) is None  # a placeholder is no account


class Grant:
    """A new token each time that one was refused."""

    def __init__(self) -> None:
        self.n = 0

    async def bearer(self, refused: str | None = None) -> str:
        self.n += refused is not None
        return f"token{self.n}"


class Wire:
    """Answers in order, and what was asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.asked = list(answers), list[tuple[str, str, Mapping[str, str], bytes]]()
        secrets = {"api_key": Secret("k e+y"), "user": Secret("u"), "password": Secret("p")}
        connection = Connection(
            customer_id="_partner",
            base_url="https://api.cc.email/v3",
            http=self,
            grant=Grant(),
            permits=None,
            clock=HandClock(),
            chance=HandChance(),
            settings={**secrets, "v2_url": "https://api.constantcontact.com/v2", "has_v3": True},
        )
        self.api = PartnerApi(connection)

    async def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"", timeout: float = 30.0
    ) -> HttpAnswer:
        self.asked.append((method, url, headers, body))
        found = self.answers.pop(0)
        if isinstance(found, Exception):
            raise found
        status, value = found
        return HttpAnswer(status, {}, value if isinstance(value, bytes) else json.dumps(value).encode())


def run(work: Any) -> Any:
    return asyncio.run(asyncio.wait_for(work, 10))


def test_topics_of_both_editions_are_one_thing() -> None:
    v2 = [{"id": "1", "name": "Up", "is_subscribed": True, "callback_uri": "https://a"}, {"id": "2", "name": "Down"}]
    v3 = [{"topic_id": 1, "topic_name": "Up", "hook_uri": "https://a"}, {"topic_id": 2, "topic_name": "Down"}, None]
    wire = Wire((200, v2), (200, v3))
    want = [Topic("1", "Up", "https://a"), Topic("2", "Down", None)]
    assert [run(wire.api.topics(edition)) for edition in ("v2", "v3")] == [want, want]
    (_, old, basic, _), (_, new, headers, _) = wire.asked
    address = "https://api.constantcontact.com/v2/webhooks/partner/topics"
    assert old == f"{address}?subscription_status=ALL&api_key=k+e%2By" and basic["authorization"] == "Basic dTpw"
    assert new == "https://api.cc.email/v3/partner/webhooks/subscriptions"
    assert (headers["authorization"], headers["x-api-key"]) == ("Bearer token0", "k e+y")


def test_a_topic_is_subscribed_tested_and_unsubscribed_as_each_edition_has_it() -> None:
    wire = Wire((200, {}), (201, {}), (204, b""), (200, {}), (200, {}), (204, b""))
    for edition in ("v3", "v2"):
        run(wire.api.subscribe(edition, "3", "https://here"))
        run(wire.api.test(edition, "3"))
        run(wire.api.unsubscribe(edition, "3"))
    sent = [(method, url.partition("/v")[2].partition("?")[0], body) for method, url, _, body in wire.asked]
    assert sent == [
        ("PUT", "3/partner/webhooks/subscriptions/3", b'{"hook_uri": "https://here"}'),
        ("POST", "3/partner/webhooks/subscriptions/3/tests", b""),
        ("DELETE", "3/partner/webhooks/subscriptions/3", b""),
        ("PUT", "2/webhooks/partner/topics/3", b'{"callback_uri": "https://here", "is_subscribed": true}'),
        ("POST", "2/webhooks/partner/topics/3", b""),
        ("DELETE", "2/webhooks/partner/topics/3", b""),
    ]


def test_a_token_is_got_anew_once_and_a_lost_answer_is_told_from_a_lost_test() -> None:
    wire = Wire((401, b""), (200, []))
    assert run(wire.api.topics("v3")) == []
    assert [one[2]["authorization"] for one in wire.asked] == ["Bearer token0", "Bearer token1"]
    with pytest.raises(Unanswered):
        run(Wire(Unanswered("lost")).api.test("v3", "1"))
    with pytest.raises(Transient) as lost:
        run(Wire(Unanswered("lost")).api.subscribe("v3", "1", "https://here"))
    assert not isinstance(lost.value, Unanswered)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ((401, b""), Blocked),
        ((403, b""), Blocked),
        ((302, b"x"), Permanent),
        ((400, b"x"), Permanent),
        ((503, b"x"), Transient),
        ((200, {"no": "list"}), Transient),
    ],
)
def test_what_is_no_list_of_topics_is_an_error_of_its_kind(answer: Any, problem: type[Exception]) -> None:
    with pytest.raises(problem):
        run(Wire(answer, answer).api.topics("v3"))


def test_a_secret_that_is_not_stored_is_named() -> None:
    wire = Wire()
    del wire.api._connection.settings["user"]  # type: ignore[attr-defined]
    with pytest.raises(Misconfigured, match="user"):
        run(wire.api.topics("v2"))


@pytest.mark.parametrize(
    ("said", "plan"),
    [
        ({"plan_type": "GOLD", "current_tiers": [{"tier": 3}], "billing_status": "Open"}, Plan("GOLD", 3, "Open")),
        ({"plan_type": 1, "current_tiers": [{"tier": 2}, {"tier": 7}, {}, None]}, Plan(None, 7, None)),
        ({"current_tiers": [{"tier": True}, {"tier": "9"}]}, Plan(None, None, None)),
        ({"current_tiers": None, "billing_status": "Trial End"}, Plan(None, None, "Trial End")),
    ],
)
def test_a_plan_is_read_leniently(said: Any, plan: Plan) -> None:
    assert run(Wire((200, said)).api.plan("a b")) == plan


def test_no_tier_takes_everybodys_calls() -> None:
    assert [Plan(None, tier, None).weight for tier in (None, -3, 0, 1, 5, 10_000)] == [1, 1, 1, 1, 5, MOST_PARTS]
