"""The customers' SQL tables that feeds read, opened once: a stream goes on from one turn to the next."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from keepstep.model.customer import Route
from keepstep.model.feed import Feed
from keepstep.ports import Connector, Table
from keepstep.state.feeds import PLATFORM
from keepstep.state.vault import Drawer, Secret


@dataclass(frozen=True, slots=True)
class Tables:
    """The open tables by customer and feed, each with what it was opened with: a password may be stored anew."""

    connectors: Mapping[str, Connector]
    _open: dict[tuple[str, str], tuple[Feed, Secret | None, Table]] = field(default_factory=dict)

    def of(self, route: Route, secrets: Drawer) -> Mapping[str, Table]:
        """What the customer's feeds read, by their names. Nothing is connected yet."""
        opened = {name: self._opened(route.customer_id, feed, secrets) for name, feed in route.feeds.items()}
        return {name: table for name, table in opened.items() if table is not None}

    def _opened(self, customer_id: str, feed: Feed, secrets: Drawer) -> Table | None:
        connector = self.connectors.get(PLATFORM)
        if connector is None or connector.open_table is None:
            return None
        password = secrets.get(PLATFORM, feed.name)
        known = self._open.get((customer_id, feed.name))
        if known is None or known[:2] != (feed, password):
            table = connector.open_table(feed, password.reveal() if password else None)
            known = self._open[customer_id, feed.name] = feed, password, table
        return known[2]
