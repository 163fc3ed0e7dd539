"""Doors: vendor webhooks and health. They verify, store and answer; they never sync."""

from keepstep.web.app import build
from keepstep.web.door import Door, Sender
from keepstep.web.server import listening, serve

__all__ = ["Door", "Sender", "build", "listening", "serve"]
