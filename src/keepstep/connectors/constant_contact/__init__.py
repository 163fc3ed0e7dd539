"""Constant Contact: people on lists, polled, since it has no webhook about contacts (CC facts 10)."""

from collections.abc import Mapping, Sequence
from typing import Any

from keepstep.connectors.constant_contact.api import Api
from keepstep.connectors.constant_contact.catalogue import Catalogue
from keepstep.connectors.constant_contact.cost import cost
from keepstep.connectors.constant_contact.delivery import account_of, parse_delivery, signatures
from keepstep.connectors.constant_contact.destination import Destination, moved
from keepstep.connectors.constant_contact.explain import PLATFORM, explain
from keepstep.connectors.constant_contact.imports import weight
from keepstep.connectors.constant_contact.mapping import snapshot
from keepstep.connectors.constant_contact.partner import PARTNERSHIP
from keepstep.connectors.constant_contact.reports import Reports
from keepstep.connectors.constant_contact.source import Source
from keepstep.model.change import Call, Outcome, Step
from keepstep.model.contact import AudienceContact
from keepstep.model.custom import CustomField
from keepstep.model.instant import Instant
from keepstep.ports import Connection, Connector, OAuth, Page, ReportPage


class ConstantContact:
    """One connection in the audience role (`keepstep.ports.Audience`)."""

    def __init__(self, connection: Connection) -> None:
        api = Api(connection)
        self._source = Source(api)
        self._reports = Reports(api, connection.clock)
        self._catalogue = Catalogue(api)
        self._destination = Destination(api, connection.clock)

    async def account(self) -> str:
        return await self._source.account()

    async def changes(self, poll: str, since: Instant | None, cursor: str | None, size: int | None = None) -> Page:
        return await self._source.changes(poll, since, cursor, size)

    async def reports(self, since: Instant | None, cursor: str | None) -> ReportPage:
        return await self._reports.read(since, cursor)

    async def lists(self) -> Sequence[tuple[str, str]]:
        return await self._catalogue.lists()

    async def make_list(self, name: str) -> str:
        return await self._catalogue.make_list(name)

    async def tags(self) -> Sequence[tuple[str, str]]:
        return await self._catalogue.tags()

    async def fields(self) -> Sequence[CustomField]:
        return await self._catalogue.fields()

    async def read(self, record_id: str) -> Mapping[str, Any] | None:
        return await self._source.read(record_id)

    def snapshot(self, raw: Mapping[str, Any], read_at: Instant) -> AudienceContact:
        return snapshot(raw, read_at)

    def moved(self, step: Step, raw: Mapping[str, Any]) -> Mapping[str, Any] | None:
        return moved(step, raw)

    def weight(self, step: Step) -> int:
        return weight(step)

    async def write(self, call: Call) -> Sequence[Outcome]:
        return await self._destination.write(call)

    async def look(self, call: Call) -> Sequence[Outcome]:
        return await self._destination.look(call)


CONNECTOR = Connector(
    platform=PLATFORM,
    explain=explain,
    open_audience=ConstantContact,
    parse_delivery=parse_delivery,
    account_of=account_of,
    signatures=signatures,
    cost=cost,
    oauth=OAuth(
        exchange="/oauth2/default/v1/token",
        authorize="/oauth2/default/v1/authorize",
        device="/oauth2/default/v1/device/authorize",
        # The least that a sync with bounces needs (CC facts 2.2).
        scopes=("account_read", "contact_data", "campaign_data", "offline_access"),
    ),
    partner=PARTNERSHIP,
    # No document names a call that revokes a grant; the user can (CC facts 2.4).
    takes_access_away="the account's owner takes our application's access away in the account",
)
