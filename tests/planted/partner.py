"""Mistakes about what a vendor tells the operator as its partner."""

import json
from typing import Any

from pytest import MonkeyPatch

from keepstep.wire import jws
from keepstep.wiring import events, partner
from keepstep.wiring import partner as door


def host_of_the_body(patch: MonkeyPatch) -> None:
    """The guide says that details are fetched from the `url` that a delivery names."""
    true_judged = partner.judged

    def judged(tx: Any, service: Any, platform: str, edition: str, body: bytes) -> Any:
        try:
            url = json.loads(body)["url"]
        except (ValueError, KeyError, TypeError):
            url = None

        async def fetched() -> None:
            await service.http("GET", str(url), {})

        if url:
            service.clock.spawn(fetched(), "fetch")
        return true_judged(tx, service, platform, edition, body)

    patch.setattr(partner, "judged", judged)


def any_partners_delivery(patch: MonkeyPatch) -> None:
    """The vendor's key signs for all its partners: that a signature is right does not make it ours."""
    true_judged = partner.judged

    def judged(tx: Any, service: Any, platform: str, edition: str, body: bytes) -> Any:
        notice, reason = true_judged(tx, service, platform, edition, body)
        return notice, None if reason == "application" else reason

    patch.setattr(partner, "judged", judged)


def first_header_counts(patch: MonkeyPatch) -> None:
    """Of several signatures one that is right is enough."""
    true_believed = door.Trust.believed

    async def believed(self: Any, platform: str, headers: Any, body: bytes) -> Any:
        signed = [one for one in headers if one[0].startswith("x-ctct")]
        found = [await true_believed(self, platform, [one], body) for one in signed]
        return next((one for one in found if one is not None), None)

    patch.setattr(door.Trust, "believed", believed)


def resumed_by_the_plan(patch: MonkeyPatch) -> None:
    """The plan says that it is open: go on."""

    async def _returned(service: Any, customer_id: str, _data: Any) -> dict[str, Any]:
        await service.resume(customer_id)
        return {}

    patch.setattr(events, "_returned", _returned)


def resumed_without_asking_the_account(patch: MonkeyPatch) -> None:
    """A suspended account's plan is open as well."""

    async def _right_account(_service: Any, _customer_id: str) -> bool:
        return True

    async def _all_opt_outs(_desk: Any, _slot: Any) -> bool:
        return True

    patch.setattr(events, "_right_account", _right_account)
    patch.setattr(events, "_all_opt_outs", _all_opt_outs)


def paused_in_the_customers_turn(patch: MonkeyPatch) -> None:
    """What a delivery says waits until the turn under way has ended."""

    async def came(service: Any, _platform: str, ids: Any) -> None:
        for customer_id in ids:
            await service.wake(customer_id)

    patch.setattr(events, "came", came)


def webhooks_instead_of_polls(patch: MonkeyPatch) -> None:
    """The guide says that webhooks make polling for changes needless."""

    async def plan(_service: Any, mark: Any, _opened: Any) -> Any:
        return dict(mark.data or {})

    patch.setattr(events, "_plan", plan)


def signed_once_is_signed(patch: MonkeyPatch) -> None:
    """What the vendor has signed is the vendor's word, however long ago: whoever has an old one may send it again."""
    patch.setattr(jws, "TOLERANCE", float("inf"))


def topics_known_by_heart(patch: MonkeyPatch) -> None:
    """There are four topics; that the guide promises more is for the next release."""

    async def topics(_service: Any, mark: Any, _opened: Any) -> Any:
        return dict(mark.data or {})

    patch.setattr(events, "_topics", topics)
