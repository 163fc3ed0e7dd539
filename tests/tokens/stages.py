"""What must hold wherever a refresh is ended, for few and for many kills."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.tokens.forge import forge
from tests.tokens.refreshing import yard_of

_AT_ONCE = 3
# What the vendor never saw, or answers once more: a successor can go on with what is stored.
_GRACE: dict[str, Any] = {"refresh_grace": "60"}
_STRICT: dict[str, Any] = {"refresh_grace": "0", "refresh_reuse": "revokes_family"}


def at_each_stage(url: str, stage: str, kills: int, **kept: Any) -> None:
    """No kill costs a connection: against the strictest vendor where the stored value is still good there; where the
    vendor has rotated and nobody stored it, against those who take the old value once more. `kept`: where secrets are
    and how that is spoilt, see refreshing.Yard."""
    lost = stage in ("sent", "received")
    with yard_of(url, **kept, **(_GRACE if lost else _STRICT)) as yard, ThreadPoolExecutor(_AT_ONCE) as hands:
        done = list(hands.map(lambda n: yard.play(f"c{n}", stage), range(kills)))
        again = [yard.go_on(trial) for trial, _ in done] if kept else []
    assert [said for _, said in done] == ["used 200"] * kills
    assert again == ["used 200"] * len(again)
    assert [each for trial, _ in done for each in trial.wrong] == []
    calls = 2 if lost or stage == "intent" else 1
    assert [trial.tokens for trial, _ in done] == [calls] * kills


def at_expiry(url: str, processes: int, **kept: Any) -> None:
    """All find the token expired in the same moment: one of them refreshes, all of them work."""
    with yard_of(url, 1.0, **kept, **_STRICT) as yard:
        trial = yard.connect("acme")
        go = time.time() + 0.5 + 0.06 * processes
        started = [yard.start(trial, go) for _ in range(processes)]
        said = [forge().said(one) for one in started]
    assert Counter(said) == {"used 200": processes}
    assert (trial.tokens, trial.wrong) == (1, [])
