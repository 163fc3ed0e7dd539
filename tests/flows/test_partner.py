"""What the vendor tells the operator as its technology partner: C11."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import select, update

from keepstep import queue
from keepstep.model.errors import Misconfigured
from keepstep.schema.tables import delivery
from keepstep.state import alerts, customers, journal, marks
from keepstep.state.customers import PARTNER
from keepstep.state.vault import Secret
from keepstep.wiring import events, partner
from keepstep.wiring.removal import Wish
from keepstep_sandbox.http import Response
from tests.flows.crossing import CUSTOMER, Crossing

CC = "constant_contact"
KNOWN = {
    "user": "partner-user",
    "password": "partner-password",
    "api_key": "partner-key",
    "api_secret": "partner-secret",
    "client_id": "partner-client",
    "client_secret": "partner-client-secret",
}
V2 = ("user", "password", "api_key", "api_secret")


class Partners(Crossing):
    """A customer in step, and an operator with a contract. `names`: which credentials are stored."""

    def __init__(self, names: tuple[str, ...] = tuple(KNOWN), **how: Any) -> None:
        super().__init__(**how)
        self.names = names
        self.cc.partner.register_partner(**KNOWN)

    def __enter__(self) -> "Partners":
        service = replace(self.service.settings.service, public_url="https://keepstep.example")
        self.service.settings = replace(self.service.settings, service=service)
        self.connect()
        self.ask(partner.connect(self.service, CC, {name: Secret(KNOWN[name]) for name in self.names}))
        self.wait(minutes=1)
        return self

    def subscribe(self, edition: str = "v3", topics: str = "1234") -> None:
        for topic in topics:
            self.ask(partner.subscribe(self.service, CC, topic, edition))

    def state(self, customer: str = CUSTOMER) -> str:
        found = self.ask(self.service.db.run(customers.get, customer))
        return str(found.state)

    def plan(self, customer: str = CUSTOMER) -> dict[str, Any]:
        found = self.ask(self.service.db.run(customers.get_connection, customer, CC))
        return dict(found.data.get("plan") or {})

    def rows(self, customer: str) -> list[tuple[str, str]]:
        """Platform word and state of what is stored of the partner's for a customer."""
        mine = select(delivery.c.platform, delivery.c.state).where(
            delivery.c.customer_id == customer, delivery.c.platform == partner.word(CC)
        )
        return self.ask(self.service.db.run(lambda tx: [tuple(row) for row in tx.execute(mine)]))  # type: ignore[no-any-return]

    def told(self, kind: str, customer: str = CUSTOMER) -> list[dict[str, Any]]:
        rows = self.ask(self.service.db.run(journal.latest, customer, (kind,), 1000))
        return [row["data"] for row in reversed(rows)]

    def path(self) -> str:
        hook = self.ask(partner.hook(self.service, CC))
        return str(hook).removeprefix("https://keepstep.example")

    def signed(self, body: bytes, edition: str = "v3") -> dict[str, str]:
        return self.cc.partner.notices.signature(edition, body, KNOWN, self.now())

    def deliver_body(self, body: bytes, edition: str = "v3") -> int:
        return int(self.ask(self.post(self.path(), self.signed(body, edition), body)))


@pytest.fixture
def c() -> Iterator[Partners]:
    with Partners() as made:
        yield made


def played(test: Callable[..., None], *values: Any) -> None:
    """One of these tests, without pytest's hands."""
    with Partners() as made:
        test(made, *values)


@pytest.mark.parametrize("edition", ["v2", "v3"])
def test_another_tier_reads_the_plan_again_and_shares_the_day_anew(c: Partners, edition: str) -> None:
    c.subscribe(edition)
    assert c.plan() == {"kind": "GOLD", "tier": 1, "status": "Open"}
    before = c.ask(c.service.desk(CUSTOMER)).calls_a_day
    c.cc.partner.change_tier(CUSTOMER, 4, c.now())
    c.wait(minutes=1)
    assert c.rows(CUSTOMER) == [("constant_contact_partner", "parsed")]
    assert c.plan()["tier"] == 4
    assert c.told("partner_event") == [{"platform": CC, "event": "tier.increase", "did": "plan_due"}]
    assert c.state() == "active"
    assert c.ask(c.service.desk(CUSTOMER)).calls_a_day == before


def test_a_bigger_account_gets_a_bigger_part_of_the_day() -> None:
    with Partners(customers=(CUSTOMER, "other")) as c:
        c.subscribe()
        parts = [c.ask(c.service.desk(one)).calls_a_day for one in (CUSTOMER, "other")]
        assert parts == [5000, 5000]
        c.cc.partner.change_tier(CUSTOMER, 3, c.now())
        c.wait(minutes=1)
        assert [c.ask(c.service.desk(one)).calls_a_day for one in (CUSTOMER, "other")] == [7500, 2500]


@pytest.mark.parametrize("edition", ["v2", "v3"])
@pytest.mark.parametrize(
    ("act", "event"), [("cancel_account", "account.cancel"), ("disable_account", "account.disable")]
)
def test_a_shut_account_pauses_its_customer_within_seconds_and_no_call_is_made(
    c: Partners, edition: str, act: str, event: str
) -> None:
    c.subscribe(edition)
    getattr(c.cc.partner, act)(CUSTOMER, c.now())
    c.wait(minutes=0.1)
    assert c.state() == "paused"
    assert c.told("partner_event") == [{"platform": CC, "event": event, "did": "paused"}]
    before = len(c.calls)
    c.wait(hours=5)
    assert [one for one in c.calls[before:] if "partner" not in one.request.path] == []


def test_a_pause_does_not_wait_for_the_turn_that_is_under_way(c: Partners) -> None:
    """The door's own task pauses: a turn may take as long as its calls."""
    c.subscribe()
    c.cc.partner.disable_account(CUSTOMER, c.now())
    (notice,) = c.cc.due_deliveries(c.now() + 2)
    slot = c.ask(c.service.db.run(queue.claim, "somebody", c.now() + 86_400, 300.0, CUSTOMER))
    assert slot is not None
    assert c.ask(c.post(c.path(), notice.headers, notice.body)) == 200
    assert c.state() == "paused"


def test_an_account_that_works_again_is_found_by_its_plan_and_every_opt_out_is_read_first(c: Partners) -> None:
    ann, bob = c.person("ann@example.org"), c.person("bob@example.org", first="Bob")
    c.wait(hours=2)
    c.night()
    c.subscribe()
    c.cc.partner.disable_account(CUSTOMER, c.now(), "Canceled")
    c.wait(minutes=1)
    c.edits(bob, first_name="Robert")
    c.opts_out(ann)
    c.wait(days=2)
    assert c.state() == "paused"
    c.cc.partner.enable_account(CUSTOMER)
    before = len(c.calls)
    c.wait(days=1, hours=2)
    assert c.state() == "active"
    after = [one for one in c.calls[before:] if one.vendor == CC and one.answer.status == 200]
    own = [one.request for one in after if "partner" not in one.request.path and "oauth2" not in one.request.path]
    assert own[0].path == "/v3/account/summary"
    assert own[1].path == "/v3/contacts" and own[1].params()["status"] == "unsubscribed"
    assert "optout_after" not in own[1].params()
    assert c.told("partner_resumed") == [{"paused_by": "account.disable"}]
    c.wait(hours=2)
    assert c.consents(ann) == [False]


def test_an_account_that_answers_nobody_stays_paused_whatever_its_plan_says(c: Partners) -> None:
    c.subscribe()
    c.cc.partner.disable_account(CUSTOMER, c.now(), "Open")
    c.wait(days=3)
    assert c.state() == "paused"
    assert {"why": "blocked"} in c.told("partner_stays_paused")


def test_what_a_person_paused_only_a_person_resumes(c: Partners) -> None:
    c.subscribe()
    c.cc.partner.disable_account(CUSTOMER, c.now())
    c.wait(minutes=1)
    c.ask(c.service.pause(CUSTOMER))
    c.cc.partner.enable_account(CUSTOMER)
    c.wait(days=3)
    assert c.state() == "paused"


def test_a_cancelled_plan_whose_webhook_was_lost_is_found_within_a_day(c: Partners) -> None:
    """After an hour without an answer the event is lost (CC facts 10.3)."""
    c.cc.partner.set_billing_status(CUSTOMER, "Canceled")
    c.wait(days=1, minutes=5)
    assert c.state() == "paused"
    assert c.told("partner_event") == [{"platform": CC, "event": "account.plan", "did": "paused"}]


def test_the_same_event_told_twice_is_one_alert(c: Partners) -> None:
    c.subscribe()
    c.cc.partner.disable_account(CUSTOMER, c.now())
    c.cc.partner.send_topic(CUSTOMER, 4, c.now())
    c.wait(minutes=1)
    assert [one["did"] for one in c.told("partner_event")] == ["paused", "again"]


def body(**said: Any) -> bytes:
    url = f"https://api.cc.email/v3/partner/accounts/{CUSTOMER}/plan"
    return json.dumps({"url": url, "api_key": KNOWN["api_key"], "event_type": "tier.increase", **said}).encode()


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (body(event_type="contact.created"), "event"),
        (body(url="https://api.cc.email/v3/partner/accounts/a07e1my9tbw0/plan"), "account"),
        (body(api_key="another-application"), "application"),
        (body(api_key=None), "shape"),
        (body(url="https://api.cc.email/v3/account/summary"), "shape"),
        (b"[" + body() + b"]", "shape"),
        (b"no json at all", "shape"),
        (b"", "shape"),
    ],
)
def test_what_nobody_knows_is_stored_for_the_operator_answered_and_reported_once(
    c: Partners, sent: bytes, reason: str
) -> None:
    assert [c.deliver_body(sent), c.deliver_body(sent)] == [200, 200]
    c.wait(minutes=1)
    assert c.rows(CUSTOMER) == []
    assert [state for _, state in c.rows(PARTNER)] == ["refused", "refused"]
    assert [one["reason"] for one in c.told("partner_unknown", PARTNER)] == [reason]
    assert c.told("partner_event") == [] and c.plan()["tier"] == 1


def test_a_topic_that_nobody_knew_is_announced_once(c: Partners) -> None:
    c.cc.partner.add_topic(5, "Contact Created", "contact.created")
    c.wait(days=3)
    assert c.told("partner_topic_new", PARTNER) == [{"platform": CC, "topic": "5", "name": "Contact Created"}]


def test_what_a_vendor_calls_a_topic_is_in_no_message(c: Partners) -> None:
    c.ask(c.service.db.run(events._announce, CC, {"call ann@example.org": "x", "6": "y"}, c.now()))
    found = c.ask(c.service.db.run(alerts.listed, PARTNER))
    assert sorted(one.subject for one in found) == ["***", "6"]


def test_a_delivery_that_was_stored_and_not_read_is_read_by_the_next_turn(c: Partners) -> None:
    c.subscribe()
    c.cc.partner.disable_account(CUSTOMER, c.now())
    (notice,) = c.cc.due_deliveries(c.now() + 2)

    path = c.path()

    async def dies() -> None:
        """The process ends between the answer and the reading."""
        before = c.clock.spawn
        c.clock.spawn = lambda work, _name: work.close()  # type: ignore[method-assign]
        assert await c.post(path, notice.headers, notice.body) == 200
        c.clock.spawn = before  # type: ignore[method-assign]

    c.ask(dies())
    assert c.state() == "active"
    c.wait(minutes=1)
    assert c.state() == "paused"


def test_what_was_stored_for_the_operator_is_forgotten_like_anybodys(c: Partners) -> None:
    def aged(tx: Any) -> None:
        tx.execute(update(delivery).where(delivery.c.customer_id == PARTNER).values(received=c.now() - 31 * 86_400))

    assert c.deliver_body(body(event_type="contact.created")) == 200
    c.wait(minutes=1)
    c.ask(c.service.db.run(aged))
    assert c.deliver_body(body(event_type="contact.deleted")) == 200
    c.wait(minutes=1)
    assert len(c.rows(PARTNER)) == 1


def test_the_operators_own_account_is_nobody_who_is_served(c: Partners) -> None:
    assert [one["customer"] for one in c.ask(c.service.customers())] == [CUSTOMER]
    assert [one["customer"] for one in c.ask(c.service.status(None))["customers"]] == [CUSTOMER]


def test_a_customer_who_went_and_came_again_has_its_plan_read_again(c: Partners) -> None:
    def dues() -> list[str]:
        found = c.ask(c.service.db.run(marks.every, PARTNER))
        return sorted(one.name for one in found if one.due is not None)

    assert dues() == [CUSTOMER, "topics"]
    c.ask(c.service.remove(CUSTOMER, Wish(unexported=True)))
    c.wait(days=1)
    assert dues() == ["topics"]
    c.cc.partner.plans[CUSTOMER].tier = 2
    c.refresh_tokens[CUSTOMER] = c.cc.add_account(CUSTOMER, "client", "secret", c.now())["refresh_token"]
    c.connect()
    c.wait(days=1)
    assert dues() == [CUSTOMER, "topics"] and c.plan()["tier"] == 2


@pytest.mark.parametrize(
    ("public", "words"),
    [
        (None, "is not set"),
        ("http://sync.example", "is not https"),
        ("https://" + "a" * 500 + ".example", "characters; the vendor takes at most 512"),
    ],
)
def test_an_address_that_no_vendor_takes_is_refused_with_the_remedy(
    c: Partners, public: str | None, words: str
) -> None:
    service = replace(c.service.settings.service, public_url=public)
    c.service.settings = replace(c.service.settings, service=service)
    with pytest.raises(Misconfigured, match=words):
        c.subscribe("v3", "1")


def test_a_plan_that_cannot_be_read_is_asked_for_again_and_changes_nothing(c: Partners) -> None:
    c.subscribe()
    c.wire = lambda _vendor, request, handle: Response(503) if request.path.endswith("/plan") else handle()
    c.cc.partner.change_tier(CUSTOMER, 5, c.now())
    c.wait(hours=1)
    assert (c.plan()["tier"], c.state()) == (1, "active")
    c.wire = None
    c.wait(hours=2)
    assert c.plan()["tier"] == 5


def test_opt_outs_that_cannot_be_read_keep_the_customer_resting(c: Partners) -> None:
    """Half the way is not the way: it goes on where the reading broke off."""
    c.subscribe()
    c.cc.partner.disable_account(CUSTOMER, c.now(), "Canceled")
    c.wait(minutes=1)
    c.cc.partner.enable_account(CUSTOMER)
    c.wire = lambda _vendor, request, handle: (
        Response(503) if request.params().get("status") == "unsubscribed" else handle()
    )
    c.wait(days=2)
    assert c.state() == "paused"
    c.wire = None
    c.wait(days=1)
    assert c.state() == "active"
