"""What must hold wherever a refresh is ended, for few and for many kills."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tests.tokens.forge import forge
from tests.tokens.refreshing import yard_of

_AT_ONCE = 3
# What the vendor never saw, or answers once more: a successor can go on with what is stored.
_LONG_LIVED, _GRACE = {"refresh_mode": "long_lived"}, {"refresh_grace": "60"}
_STRICT = {"refresh_grace": "0", "refresh_reuse": "revokes_family"}


def at_each_stage(url: str, stage: str, kills: int) -> None:
    """No kill costs a connection: against the strictest vendor where the stored value is still good there; where the
    vendor has rotated and nobody stored it, against those who take the old value once more."""
    lost = stage in ("sent", "received")
    with yard_of(url, **(_GRACE if lost else _STRICT)) as yard, ThreadPoolExecutor(_AT_ONCE) as hands:
        done = list(hands.map(lambda n: yard.play(f"c{n}", stage), range(kills)))
    assert [said for _, said in done] == ["used 200"] * kills
    assert [each for trial, _ in done for each in trial.wrong] == []
    calls = 2 if lost or stage == "intent" else 1
    assert [trial.tokens for trial, _ in done] == [calls] * kills


def at_expiry(url: str, processes: int) -> None:
    """All find the token expired in the same moment: one of them refreshes, all of them work."""
    with yard_of(url, 1.0, **_STRICT) as yard:
        trial = yard.connect("acme")
        go = time.time() + 0.5 + 0.06 * processes
        started = [yard.start(trial, go) for _ in range(processes)]
        said = [forge().said(one) for one in started]
    assert Counter(said) == {"used 200": processes}
    assert (trial.tokens, trial.wrong) == (1, [])
