"""Mistakes of a sync that goes both ways: nobody's choice, nobody's business, and what only a webhook tells."""

from dataclasses import replace
from typing import Any

from pytest import MonkeyPatch

from keepstep.connectors.virtuous import source
from tests.planted import consent, writing


def imports_opt_out(patch: MonkeyPatch) -> None:
    """What an import left closed is taken for the person's own no."""
    consent.every_false_is_an_opt_out(patch)


def keeps_what_is_mapped(patch: MonkeyPatch) -> None:
    """A write of a person replaces everything else that is known of them."""
    writing.person_of_what_changed(patch)


def webhooks_only(patch: MonkeyPatch) -> None:
    """What no webhook tells is never heard: the polls of the CRM find nothing."""
    right = source.Source.changes

    async def changes(self: Any, *args: Any, **more: Any) -> Any:
        page = await right(self, *args, **more)
        return replace(page, records=())

    patch.setattr(source.Source, "changes", changes)
