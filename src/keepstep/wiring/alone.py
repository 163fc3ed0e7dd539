"""A customer without a CRM: its audience side is read and fed, and there is nobody at the other end."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NoReturn

from keepstep import certify, reconcile
from keepstep.desk import ACCOUNT, DELIVERIES, Chore, Desk
from keepstep.model.change import Call, Outcome
from keepstep.model.contact import CrmContact
from keepstep.model.custom import CustomField
from keepstep.model.customer import NO_CRM, Route
from keepstep.model.errors import Permanent, Refused
from keepstep.model.instant import Instant
from keepstep.ports import Page

Raw = Mapping[str, Any]
# What calls a CRM or lives on its answers. What else is filed under its name keeps house, and is done.
_ASK = (ACCOUNT, "subscription", DELIVERIES, "crm_sweep", "crm_changed", "watch_batch", "stuck")
# What proves that both sides are the same.
_COMPARE = (certify.NAME, reconcile.NAME)


def wanted(desk: Desk, chores: Iterable[Chore]) -> tuple[Chore, ...]:
    """Of these chores those that make sense for this customer."""
    if not desk.route.alone:
        return tuple(chores)
    return tuple(one for one in chores if one.name not in (_ASK if one.platform == NO_CRM else _COMPARE))


def refuse(route: Route, what: str) -> None:
    """Raises Refused for a command that is about both sides, where there is only one."""
    if route.alone:
        raise Refused(409, f'customer {route.customer_id} has no CRM (crm = "{NO_CRM}"): {what}')


class Nowhere:
    """ports.Crm of a customer that has none: it knows nobody, and takes nothing."""

    async def account(self) -> str:
        return NO_CRM

    async def names(self) -> Sequence[str]:
        return (NO_CRM,)

    async def zone(self) -> str:
        return "UTC"

    async def changes(self, _poll: str, _since: Instant | None, _cursor: str | None) -> Page:
        return Page((), None, None, calls=0)

    async def read_many(self, _record_ids: Sequence[str]) -> Sequence[tuple[str, Raw]]:
        return ()

    async def unarchived(self, _record_ids: Sequence[str]) -> frozenset[str]:
        return frozenset()

    async def find(self, _emails: Sequence[str]) -> Sequence[tuple[str, Raw]]:
        return ()

    async def by_reference(self, _record_id: str) -> tuple[str, Raw] | None:
        return None

    async def home_of(self, _individual: str) -> str | None:
        return None

    async def tags(self) -> Sequence[tuple[str, str]]:
        return ()

    async def fields(self) -> Sequence[CustomField]:
        return ()

    async def segment(self, _code: str) -> bool:
        return False

    async def finds_changes(self) -> str | None:
        return None

    async def subscribe(self, _url: str, _secret: str) -> str:
        _nobody()

    async def subscription(self, _vendor_id: str) -> Raw | None:
        return None

    async def resubscribe(self, _vendor_id: str, _url: str, _secret: str) -> Literal["good", "repaired", "gone"]:
        return "gone"

    async def unsubscribe(self, _vendor_id: str) -> Literal["deleted", "gone"]:
        return "gone"

    def snapshot(self, _raw: Raw, _read_at: Instant) -> CrmContact:
        _nobody()

    async def write(self, _call: Call) -> Sequence[Outcome]:
        _nobody()

    async def look(self, _call: Call) -> Sequence[Outcome]:
        _nobody()


def _nobody() -> NoReturn:
    raise Permanent(404, "this customer has no CRM")
