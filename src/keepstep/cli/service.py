"""The one door from the command line to the service; opening it is when the heavy imports happen. What a command let
go is begun here too."""

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keepstep.settings import Settings
    from keepstep.wiring import Service


def open_service(settings: "Settings") -> "AbstractAsyncContextManager[Service]":
    """A Service for the length of a block."""
    from keepstep import wiring

    return wiring.open_service(settings)


async def work_due(service: "Service", customer: str) -> None:
    """What is due now is done here, where nobody serves; whoever serves does it anyway."""
    from keepstep import worker
    from keepstep.wiring.lock import Served

    try:
        async with service.working():
            await worker.once(service, customer)
    except Served:
        pass
