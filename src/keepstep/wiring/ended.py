"""Is what an alert told of over? Asked of the state itself, so that no place which mends something has to know that
somebody was told."""

from collections.abc import Callable, Mapping

from sqlalchemy import Connection as Tx
from sqlalchemy import select

from keepstep import certify
from keepstep.model.alerts import Kind
from keepstep.model.customer import Route
from keepstep.reconcile import nightly
from keepstep.schema.tables import dead_letter
from keepstep.state import customers, dead_letters, feeds, marks, rotations
from keepstep.state.alerts import Alert
from keepstep.wiring import brake


def ended(tx: Tx, route: Route, one: Alert) -> bool:
    """Is the cause gone? Of a kind that is closed by whoever raised it nothing is known here."""
    look = _LOOKS.get(one.kind)
    return look is not None and look(tx, route, one)


def _healthy(tx: Tx, route: Route, one: Alert) -> bool:
    if feeds.is_feed(one.subject) and one.subject not in map(feeds.platform, route.feeds):
        return True  # the settings name it no more
    known = customers.get_connection(tx, route.customer_id, one.subject)
    return known is None or known.health == "ok"


def _read(tx: Tx, route: Route, one: Alert) -> bool:
    place = (str(one.data.get("platform")), str(one.data.get("chore")))
    return not (marks.get(tx, route.customer_id, *place).data or {}).get("tries")


def _open_again(tx: Tx, route: Route, _one: Alert) -> bool:
    known = customers.get(tx, route.customer_id)
    return known is None or known.state == "active"


def _proved(tx: Tx, route: Route, _one: Alert) -> bool:
    last = certify.latest(tx, route.customer_id)
    return last is None or last["data"]["verdict"] == "complete"


def _let_go(tx: Tx, route: Route, _one: Alert) -> bool:
    return not brake.in_status(tx, route)["held"]


def _reconciled(name: str) -> "Look":
    def is_over(tx: Tx, route: Route, _one: Alert) -> bool:
        data = marks.get(tx, route.customer_id, route.audience, nightly.NAME).data or {}
        return not (data.get("last") or {}).get(name)

    return is_over


def _answered(tx: Tx, route: Route, one: Alert) -> bool:
    """Every dead letter of that side was replayed, discarded or closed."""
    mine = (dead_letter.c.customer_id == route.customer_id, dead_letter.c.state == "open")
    found = tx.execute(select(dead_letter.c.id).where(*mine, dead_letter.c.side == one.subject).limit(1))
    return found.first() is None


def _grows_no_more(tx: Tx, route: Route, one: Alert) -> bool:
    return not dead_letters.count(tx, route.customer_id) or _reconciled("spike")(tx, route, one)


def _heard(tx: Tx, route: Route, one: Alert) -> bool:
    return not (marks.get(tx, route.customer_id, one.subject, "subscription").data or {}).get("quiet")


def _fed_no_more(_tx: Tx, route: Route, one: Alert) -> bool:
    return one.subject not in route.feeds


def _taken(tx: Tx, route: Route, one: Alert) -> bool:
    known = rotations.get(tx, route.customer_id, one.subject)
    return known is None or known.told is not None


Look = Callable[[Tx, Route, Alert], bool]
_LOOKS: Mapping[Kind, Look] = {
    Kind.connection_blocked: _healthy,
    Kind.reading_fails: _read,
    Kind.partner_shut: _open_again,
    Kind.certificate_red: _proved,
    Kind.brake_holds: _let_go,
    Kind.drift_refused: _reconciled("refused"),
    Kind.dead_letters: _answered,
    Kind.dead_letters_grow: _grows_no_more,
    Kind.webhooks_quiet: _heard,
    Kind.rotation_stuck: _taken,
    Kind.feed_check_failed: _fed_no_more,
    Kind.feed_rows_parked: _fed_no_more,
}
