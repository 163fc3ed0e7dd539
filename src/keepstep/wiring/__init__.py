"""The only place that builds things: settings and discovered connectors become a Service."""

import contextlib
import os
from collections.abc import AsyncIterator
from functools import partial

from keepstep import connectors
from keepstep.database import migrate, open_database
from keepstep.settings import Settings
from keepstep.state.vault import Secret
from keepstep.wire.http import AiohttpHttp
from keepstep.wiring import alerts, vault
from keepstep.wiring.chance import SystemChance
from keepstep.wiring.clock import SystemClock, VirtualClock
from keepstep.wiring.service import Service
from keepstep.wiring.standin import join_control_door

__all__ = ["Service", "open_service"]


@contextlib.asynccontextmanager
async def open_service(settings: Settings) -> AsyncIterator[Service]:
    """A Service for the length of a block; the database is migrated first.

    Raises Misconfigured, also for a key file that is missing or readable by others.
    """
    chance = SystemChance()
    sealing = vault.vault_of(settings, os.environ, chance)
    migrate(settings.service.database)
    http = AiohttpHttp((*settings.base_urls(), *filter(None, [settings.service.clock])))
    clock = SystemClock() if not settings.service.clock else VirtualClock(await join_control_door(http, settings))
    db = vault.keeping(open_database(settings.service.database), sealing, settings)
    service = Service(
        settings=settings,
        db=db,
        clock=clock,
        chance=chance,
        http=http,
        vault=sealing,
        connectors=connectors.discover(),
        advance=clock.advance if isinstance(clock, VirtualClock) else None,
        alert_url=Secret(url) if (url := os.environ.get(alerts.ENVIRONMENT)) else None,
    )
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(partial(http.close))
        stack.push_async_callback(partial(db.close))
        yield service
