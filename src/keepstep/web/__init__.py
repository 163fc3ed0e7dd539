"""Doors: vendor webhooks, the pages where accounts are connected, health. They verify, store and answer; they never
sync."""

from keepstep.web.app import build
from keepstep.web.connect import Connecting
from keepstep.web.door import Door, Sender
from keepstep.web.partner import PartnerDoor
from keepstep.web.server import listening, serve

__all__ = ["Connecting", "Door", "PartnerDoor", "Sender", "build", "listening", "serve"]
