"""Constant Contact: people on lists, polled, since it has no webhook about contacts (CC facts 10)."""

from collections.abc import Mapping, Sequence
from typing import Any

from keepstep.connectors.constant_contact.api import Api
from keepstep.connectors.constant_contact.destination import Destination
from keepstep.connectors.constant_contact.explain import PLATFORM, explain
from keepstep.connectors.constant_contact.mapping import snapshot
from keepstep.connectors.constant_contact.source import Source
from keepstep.model.change import Call, Outcome
from keepstep.model.contact import AudienceContact
from keepstep.model.instant import Instant
from keepstep.ports import Connection, Connector, Page


class ConstantContact:
    """One connection in the audience role (`keepstep.ports.Audience`)."""

    def __init__(self, connection: Connection) -> None:
        api = Api(connection)
        self._source = Source(api)
        self._destination = Destination(api, connection.clock)

    async def account(self) -> str:
        return await self._source.account()

    async def changes(self, poll: str, since: Instant | None, cursor: str | None) -> Page:
        return await self._source.changes(poll, since, cursor)

    async def lists(self) -> Sequence[tuple[str, str]]:
        return await self._source.lists()

    async def read(self, record_id: str) -> Mapping[str, Any] | None:
        return await self._source.read(record_id)

    def snapshot(self, raw: Mapping[str, Any], read_at: Instant) -> AudienceContact:
        return snapshot(raw, read_at)

    async def write(self, call: Call) -> Sequence[Outcome]:
        return await self._destination.write(call)

    async def look(self, call: Call) -> Sequence[Outcome]:
        return await self._destination.look(call)


CONNECTOR = Connector(platform=PLATFORM, explain=explain, open_audience=ConstantContact)
