"""Talking HTTP, vendor-neutral."""
