"""Stand-ins and `keepstep serve` as processes of their own, and commands beside them."""

import contextlib
import io
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import aiohttp

from keepstep.cli import main


class Place:
    """A folder with settings, the stand-ins and `keepstep serve` beside it."""

    def __init__(self, home: Path, port: int, ports: dict[str, Any]) -> None:
        self.home, self.port, self.ports = home, port, ports

    def keepstep(self, *arguments: str, said: str = "", code: int = 0) -> Any:
        """One command with --json, beside whatever loop runs here."""
        given = ["-c", str(self.home / "keepstep.toml"), *arguments, "--json"]
        with ThreadPoolExecutor(1) as thread:
            found, output = thread.submit(played, given, said).result(60)
        assert found == code, output
        return json.loads(output)

    async def act(self, vendor: str, name: str, **args: Any) -> Any:
        async with aiohttp.ClientSession() as http:
            body = {"vendor": vendor, "name": name, "args": args}
            async with http.post(f"{self.ports['control']}/act", json=body) as answer:
                assert answer.status == 200, await answer.text()
                return (await answer.json())["result"]


def played(arguments: list[str], said: str, told: io.StringIO | None = None) -> tuple[int, str]:
    """A command as its main function; `told` gets what it says to people."""
    with (
        patch.object(sys, "stdin", io.StringIO(said)),
        contextlib.redirect_stdout(io.StringIO()) as output,
        contextlib.redirect_stderr(told or io.StringIO()),
    ):
        return main(arguments), output.getvalue()


@contextmanager
def serving(home: Path, settings: str) -> Iterator[Place]:
    """Both in this folder until the end. `settings`: with {home}, {port} and the stand-ins' addresses in braces."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ports = home / "ports.json"
    sandbox = subprocess.Popen(
        [sys.executable, "-m", "keepstep_sandbox", "serve", "--ports-file", ports, "--clock", "wall"]
    )
    until(ports.exists)
    found = json.loads(ports.read_text())
    (home / "keepstep.toml").write_text(settings.format(home=home, port=port, **found))
    subprocess.run([sys.executable, "-m", "keepstep.cli", "init", "--json"], cwd=home, check=True, capture_output=True)
    served = subprocess.Popen([sys.executable, "-m", "keepstep.cli", "serve"], cwd=home, stderr=subprocess.DEVNULL)
    try:
        until(lambda: is_open(port))
        yield Place(home, port, found)
    finally:
        for process in (served, sandbox):
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def until(true: Any) -> None:
    for _ in range(400):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("it did not begin")


def is_open(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0
