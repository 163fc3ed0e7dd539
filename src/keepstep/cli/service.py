"""The one door from the command line to the service; opening it is when the heavy imports happen. What a command let
go is begun here too."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, TypeVar

from keepstep.cli.console import run, settings

if TYPE_CHECKING:
    from keepstep.settings import Settings
    from keepstep.wiring import Service

T = TypeVar("T")


def open_service(known: "Settings") -> "AbstractAsyncContextManager[Service]":
    """A Service for the length of a block."""
    from keepstep import wiring

    return wiring.open_service(known)


def served(work: "Callable[[Service], Awaitable[T]]") -> T:
    """What a piece of work with the service comes to. Ends the command as `console.run` does."""

    async def done() -> T:
        async with open_service(settings()) as service:
            return await work(service)

    return run(done())


async def work_due(service: "Service", customer: str) -> None:
    """What is due now is done here, where nobody serves; whoever serves does it anyway."""
    from keepstep import worker
    from keepstep.wiring.lock import Served

    try:
        async with service.working():
            await worker.once(service, customer)
    except Served:
        pass
