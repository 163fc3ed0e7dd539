"""A grant that the vendor calls void: the connection waits, its work is kept, and its owner hears of it once."""

from sqlalchemy import select

from keepstep.schema.feeds import alert
from tests.flows.crossing import CUSTOMER, Crossing
from tests.flows.test_consent import linked


def blocks(c: Crossing) -> list[str]:
    """Whose block somebody is told of."""
    wanted = select(alert.c.subject).where(alert.c.customer_id == CUSTOMER, alert.c.kind == "connection_blocked")
    return list(c.ask(c.service.db.run(lambda tx: tx.execute(wanted).scalars().all())))


def test_a_refused_refresh_alerts_once_and_keeps_the_work() -> None:
    with Crossing(cc={"access_token_lifetime": "short"}) as c:
        c.a_list("Newsletter")
        ann = linked(c)
        assert blocks(c) == []
        c.cc.revoke_grant(CUSTOMER)
        c.wait(minutes=10)
        c.v.staff_adds_tag(CUSTOMER, c.there(ann)["id"], "CC: Newsletter", c.now())
        c.wait(hours=3)
        assert c.status()["connections"]["constant_contact"] == "reauthorize"
        assert blocks(c) == ["constant_contact"]
        assert c.status()["blocked"]["constant_contact"]["steps"] == 1
