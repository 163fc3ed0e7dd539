"""The one door from the command line to the service; opening it is when the heavy imports happen."""

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keepstep.settings import Settings
    from keepstep.wiring import Service


def open_service(settings: "Settings") -> "AbstractAsyncContextManager[Service]":
    """A Service for the length of a block."""
    from keepstep import wiring

    return wiring.open_service(settings)
