"""What the network and the vendors do to us in a week."""

from collections.abc import Callable

from keepstep_sandbox.faults import WRITE
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_sandbox.people import ORGANIZATION
from keepstep_sandbox.week.scene import Scene
from keepstep_sandbox.week.span import HOUR, Event, Span


def luck(scene: Scene, span: Span) -> list[Event]:
    """Refusals, lost answers, webhooks that are lost, late, doubled; all of it is over long before the quiet."""
    world, midnight = scene.world, span.midnights[0]
    arm, act = world.faults.arm, scene.act

    def done(result: object) -> bool:
        return result is None or bool(result)

    rows: list[tuple[float, str, str, Callable[[], object]]] = [
        (span.begin + 60, "reset_after_effect", VIRTUOUS, lambda: arm("reset_after", vendor=VIRTUOUS, method=WRITE)),
        (
            span.begin + 2 * HOUR,
            "rate_storm_cc",
            CONSTANT_CONTACT,
            lambda: arm("throttled", vendor=CONSTANT_CONTACT, count=6),
        ),
        (
            *(span.begin + 3 * HOUR, "rate_storm_virtuous", VIRTUOUS),
            lambda: arm("rate_limited", vendor=VIRTUOUS, count=6, seconds=20),
        ),
        (midnight - 60, "webhook_duplicate", VIRTUOUS, lambda: act(VIRTUOUS, "duplicate_next", n=5)),
        (midnight - 60, "webhook_lost", VIRTUOUS, lambda: act(VIRTUOUS, "lose_next", n=3)),
        (midnight - 60, "webhook_delayed", VIRTUOUS, lambda: act(VIRTUOUS, "delay_next", n=4, seconds=2 * HOUR)),
        (midnight - 59, "webhook_reordered", VIRTUOUS, lambda: act(VIRTUOUS, "reorder_next", n=4)),
        (midnight + 60, "server_error", VIRTUOUS, lambda: arm("503", vendor=VIRTUOUS, count=2)),
        (
            midnight + HOUR,
            "reset_after_effect",
            VIRTUOUS,
            lambda: arm("reset_after", vendor=VIRTUOUS, method=WRITE, count=2),
        ),
        (
            *(midnight + HOUR, "reset_after_effect", CONSTANT_CONTACT),
            lambda: arm("reset_after", vendor=CONSTANT_CONTACT, method=WRITE),
        ),
        (midnight + 2 * HOUR, "webhook_lost", VIRTUOUS, lambda: act(VIRTUOUS, "lose_next", n=2)),
    ]
    return [Event(at, what, side, ORGANIZATION, lambda run=run: done(run())) for at, what, side, run in rows]  # type: ignore[misc]
