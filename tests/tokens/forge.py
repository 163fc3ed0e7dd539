"""Processes by the dozen, each a copy of one that has imported everything: `python -m tests.tokens.forge`.

Lines of JSON. In: {"n", "course"}. Out: {"n", "pid"} as it begins, {"n", "said"} as it ends well, {"gone": pid} always.
"""

import atexit
import functools
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]


def _tell(line: Mapping[str, Any]) -> None:
    os.write(1, json.dumps(line).encode() + b"\n")


def _reap(_number: int, _frame: object) -> None:
    try:
        while (pid := os.waitpid(-1, os.WNOHANG)[0]) > 0:
            _tell({"gone": pid})
    except ChildProcessError:
        return


def _run(n: int, course: Mapping[str, Any]) -> None:
    from tests.tokens.refreshing import Course, refreshed

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.close(0)
    try:
        _tell({"n": n, "said": refreshed(Course(**course))})
    finally:
        os._exit(0)


def main() -> None:
    """Until nobody asks any more."""
    for each in ("boto3", "psycopg", "sqlalchemy.dialects.postgresql.psycopg", "sqlalchemy.dialects.sqlite"):
        importlib.import_module(each)  # otherwise each copy does it
    importlib.import_module("tests.tokens.refreshing")

    signal.signal(signal.SIGCHLD, _reap)
    for line in iter(sys.stdin.readline, ""):
        asked = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _run(asked["n"], asked["course"])
        _tell({"n": asked["n"], "pid": pid})


class Forge:
    """The other end, for tests."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.tokens.forge"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=_ROOT, text=True, bufsize=1
        )
        self._news = threading.Condition()
        self._count = 0
        self._pids: dict[int, int] = {}
        self._said: dict[int, str] = {}
        self._gone: set[int] = set()
        threading.Thread(target=self._listen, daemon=True, name="forge").start()

    def start(self, course: Mapping[str, Any]) -> int:
        """A new process; its number here."""
        assert self._process.stdin is not None
        with self._news:
            self._count += 1
            n = self._count
            self._process.stdin.write(json.dumps({"n": n, "course": course}) + "\n")
        return n

    def kill(self, n: int) -> None:
        """kill -9; returns once it is gone."""
        self._wait(lambda: n in self._pids)
        os.kill(self._pids[n], signal.SIGKILL)
        self.gone(n)

    def gone(self, n: int) -> None:
        """Wait for its end."""
        self._wait(lambda: self._pids.get(n) in self._gone)

    def said(self, n: int) -> str:
        """Wait for its end; what it said, or nothing."""
        self.gone(n)
        return self._said.get(n, "nothing")

    def close(self) -> None:
        """No more."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)

    def _wait(self, true: Any) -> None:
        with self._news:
            assert self._news.wait_for(true, 120), "a process neither ended nor said anything"

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            with self._news:
                if "gone" in told:
                    self._gone.add(told["gone"])
                elif "pid" in told:
                    self._pids[told["n"]] = told["pid"]
                else:
                    self._said[told["n"]] = told["said"]
                self._news.notify_all()


@functools.cache
def forge() -> Forge:
    """One for all tests of a process."""
    made = Forge()
    atexit.register(made.close)
    return made


if __name__ == "__main__":
    main()
