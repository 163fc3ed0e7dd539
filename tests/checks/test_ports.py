"""The ports check finds every way around a port, at its line, and nothing else."""

from pathlib import Path

import pytest

from checks import ports

PLANTED = {
    "clock by module": "import time\nx = time.time()",
    "clock by name": "from time import monotonic\n",
    "clock by alias": "import time as t\nx = t.time_ns",
    "now": "from datetime import datetime, UTC\nx = datetime.now(UTC)",
    "now by alias": "import datetime as dt\nx = dt.datetime.utcnow()",
    "today": "from datetime import date\nx = date.today()",
    "sleep": "import time\ntime.sleep(1)",
    "sleep of asyncio": "import asyncio\nasync def f(): await asyncio.sleep(1)",
    "random": "import random\n",
    "random by name": "from random import Random\n",
    "secrets": "import secrets\n",
    "urandom": "import os\nx = os.urandom(8)",
    "uuid1": "import uuid\nx = uuid.uuid1()",
    "uuid4": "from uuid import uuid4\n",
    "create_task": "import asyncio\nasync def f(): asyncio.create_task(g())",
    "ensure_future": "from asyncio import ensure_future\n",
    "wait": "import asyncio\nasync def f(): await asyncio.wait([])",
    "as_completed": "import asyncio\nx = asyncio.as_completed",
    "gather": "import asyncio\nasync def f(): await asyncio.gather(g())",
    "task group": "import asyncio\nx = asyncio.TaskGroup()",
    "task of a loop": "def f(loop): loop.create_task(g())",
    "threads": "import threading\n",
    "thread of asyncio": "import asyncio\nasync def f(): await asyncio.to_thread(g)",
    "executor": "from concurrent.futures import ThreadPoolExecutor\n",
    "executor of a loop": "def f(loop): loop.run_in_executor(None, g)",
    "network": "import aiohttp\n",
    "network by submodule": "import urllib.request\n",
    "clock in SQL text": "x = 'UPDATE slots SET due = CURRENT_TIMESTAMP'",
    "clock in SQLite text": "x = \"SELECT datetime('now')\"",
    "clock in SQL function": "from sqlalchemy import func\nx = func.now()",
    "dice in SQL": "x = 'SELECT id FROM slots ORDER BY random()'",
    "loop over a set literal": "for x in {1, 2}: pass",
    "loop over set()": "for x in set([1, 2]): pass",
    "loop over frozenset()": "for x in frozenset('ab'): pass",
    "loop over a set comprehension": "for x in {y for y in 'ab'}: pass",
    "comprehension over a set": "x = [y for y in set('ab')]",
    "dict comprehension over a set": "x = {y: 1 for y in set('ab')}",
    "list of a set": "x = list(set('ab'))",
    "join of a set": "x = ','.join({'a', 'b'})",
    "unpacked set": "x = [*set('ab')]",
    "set operation": "a: dict[str, int] = {}\nfor x in a.keys() - {'b'}: pass",
    "named set": "def f():\n    found = set()\n    found.add(1)\n    for x in found: pass",
    "set argument": "def f(found: set[str]):\n    return tuple(found)",
}

FINE = {
    "sorted": "for x in sorted({1, 2}): pass",
    "sorted comprehension": "x = sorted(y for y in {1, 2})",
    "order forgotten": "x = any(y > 1 for y in {1, 2}), sum({1, 2}), {y for y in {1, 2}}",
    "membership": "x = 1 in {1, 2}",
    "a list of the same name": "def f():\n    x = set()\n\ndef g():\n    x = [1]\n    return list(x)",
    "sorted before use": "def f(x: set[int]):\n    y = sorted(x)\n    return list(y)",
    "arithmetic": "def f(a: int, b: int):\n    return range(a - b)",
    "a clock passed in": "def f(clock):\n    return clock.now(), clock.time()",
    "types of datetime": "from datetime import datetime, timedelta, UTC\nx = datetime.fromtimestamp(0, UTC)",
    "uuid5": "import uuid\nx = uuid.uuid5(uuid.NAMESPACE_URL, 'a')",
    "timeouts": "import asyncio\nx = asyncio.Event, asyncio.CancelledError",
    "prose": "'''Never calls time.time() or now() or random().'''",
    "text": "x = 'please do it now'",
}


def found(package: Path, inside: str, source: str) -> list[str]:
    """What the check says of this source at this place of a package."""
    path = package / inside
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, encoding="utf-8")
    return [str(finding) for finding in ports.findings(package)]


@pytest.mark.parametrize("name", PLANTED)
@pytest.mark.parametrize("inside", ["capture.py", "model/decide.py"])
def test_each_way_around_a_port_is_found_at_its_line(tmp_path: Path, name: str, inside: str) -> None:
    findings = found(tmp_path, inside, f"# first line\n{PLANTED[name]}\n")
    assert findings, name
    last = 1 + len(PLANTED[name].strip().splitlines())
    assert findings[-1].startswith(f"{tmp_path / inside}:{last}: ")


@pytest.mark.parametrize("name", FINE)
def test_what_goes_around_no_port_is_left_alone(tmp_path: Path, name: str) -> None:
    assert found(tmp_path, "queue.py", FINE[name] + "\n") == []


@pytest.mark.parametrize("inside", ["wiring.py", "wire/http.py", "database.py", "cli/demo.py", "web/__init__.py"])
def test_the_implementations_of_ports_are_exempt(tmp_path: Path, inside: str) -> None:
    assert found(tmp_path, inside, "import time\nx = time.time()\n") == []


@pytest.mark.parametrize("inside", ["wire/signature.py", "newcomer.py", "connectors/virtuous/api.py", "worker.py"])
def test_every_other_module_is_checked_without_being_listed(tmp_path: Path, inside: str) -> None:
    assert found(tmp_path, inside, "import time\nx = time.time()\n") != []
