"""The benchmark runs and says all its figures; what they are is not judged here."""

import json
import socket
import subprocess
import sys
from pathlib import Path

from keepstep.web.server import _bound

ROOT = Path(__file__).parents[2]


def test_every_figure_is_measured_with_its_spread() -> None:
    command = [sys.executable, "-m", "bench", "--quick", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=True)
    results = json.loads(done.stdout)["results"]
    assert sorted(results) == ["each", "grouped", "none", "turns"]
    for name, figures in results.items():
        rate = figures["entries_per_second" if name == "turns" else "acks_per_second"]
        assert 0 < rate["min"] <= rate["median"] <= rate["max"]
        assert figures.get("refused", {"max": 0})["max"] == 0


def test_the_door_sends_answers_without_waiting_for_acknowledgements() -> None:
    """asyncio turns Nagle's algorithm off only for sockets that say TCP; without it an answer waits 40 ms."""
    with _bound("127.0.0.1", 0) as door:
        assert door.proto == socket.IPPROTO_TCP
