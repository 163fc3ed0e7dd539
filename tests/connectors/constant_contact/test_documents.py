"""Every request that this connector makes, against the vendor's own API document, where it is at hand."""

import pytest

from keepstep.ports import ReportPage
from keepstep_sandbox.judge.documents import checked, folder
from keepstep_sandbox.log import CONSTANT_CONTACT, Arrival
from tests.connectors.constant_contact.world import ACCOUNT, START, World, call, run

needs_documents = pytest.mark.skipif(folder() is None, reason="not checked: no vendor documents")


async def everything(world: World) -> None:
    """Each port at least once, with second pages."""
    cc, vendor = world.cc, world.vendor
    news, vip = world.new_list("News"), vendor.add_tag(ACCOUNT, "vip", START)
    people = [world.person(email=f"p{number}@example.org", permission="explicit") for number in range(501)]
    vendor.send_campaign(ACCOUNT, world.clock.at)
    for person in people:
        vendor.bounce(ACCOUNT, person, "B", world.clock.at)
    await cc.account()
    for poll in ("changed", "opted_out", "deleted", "sweep"):
        page = await cc.changes(poll, START - 60, None, size=100)
        if page.cursor:
            await cc.changes(poll, START - 60, page.cursor)
    for read in (cc.lists, cc.tags, cc.fields):
        await read()
    piece: ReportPage = await cc.reports(START - 60, None)
    while piece.cursor:
        piece = await cc.reports(START - 60, piece.cursor)
    for kind, label in (("join", news), ("leave", news), ("tag_on", vip), ("tag_off", vip)):
        steps = [{"record_id": person, "list_ids": [label]} for person in people[:25]]
        [accepted, *_] = await cc.write(call(kind, *steps))
        world.later(60)
        await cc.look(call(kind, *steps, vendor_id=accepted.vendor_id))  # type: ignore[union-attr]
    await cc.write(call("opt_out", {"record_id": people[0], "reason": "asked", "source": "Contact"}))


@needs_documents
def test_every_request_keeps_to_the_vendors_document() -> None:
    """0 requests break it, save where the document itself is known to be wrong."""
    world = World()
    run(everything(world))
    arrivals = [
        Arrival(n, 0.0, CONSTANT_CONTACT, "", "", one.method, one.path, one.query, 200, "", (), "", one.body)
        for n, one in enumerate(world.requests)
    ]
    found = checked(arrivals)
    assert {(row["method"], row["path"].split("/")[2], row["what"]) for row in found["violations"]} == set()
    assert found["checked"][CONSTANT_CONTACT] == len(world.requests) > 30
