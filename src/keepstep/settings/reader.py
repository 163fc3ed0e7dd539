"""A settings file's text beside its values, so that a problem can name its line."""

import difflib
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from keepstep.model.errors import Misconfigured

Parser = Callable[[Any], Any]


class Reader:
    """The file's text beside its values, so that a problem can name its line."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.text = ""
        self.problems: list[str] = []

    def document(self) -> dict[str, Any]:
        if self.path is None:
            return {}
        try:
            self.text = self.path.read_text(encoding="utf-8")
            return tomllib.loads(self.text)
        except OSError:
            wrong = f"{self.path}:1: file: cannot be read; make one with `keepstep init` or name another with --config"
        except UnicodeDecodeError:
            wrong = f"{self.path}:1: file: is not UTF-8; save it as UTF-8"
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            said = re.search(r"at line (\d+)", str(error))
            line = said[1] if said else max(self.text.count("\n"), 1)
            wrong = f"{self.path}:{line}: file: is not TOML ({str(error)[:200]}); correct this line"
        raise Misconfigured((wrong,))

    def section(self, table: Mapping[str, Any], where: tuple[str, ...], known: Mapping[str, Parser]) -> dict[str, Any]:
        """The values of one table that are right; what is wrong is noted."""
        read: dict[str, Any] = {}
        for key, value in table.items():
            place = (*where, key)
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                right = f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(known))}"
                self.wrong(place, f"unknown key; {right}")
                continue
            try:
                read[key] = known[key](value)
            except ValueError as error:
                self.wrong(place, str(error))
        return read

    def wrong(self, place: tuple[str, ...], text: str) -> None:
        self.problems.append(f"{self.path}:{self.line(place)}: {'.'.join(place)}: {text}")

    def line(self, place: tuple[str, ...]) -> int:
        """Where a key stands: its own line below its table's header, else the header, else the first line."""
        lines = self.text.splitlines()
        for length in range(len(place), -1, -1):
            start = self._header(lines, place[:length])
            if start is None:
                continue
            rest = place[length:]
            return (self._key(lines, start, rest) if rest else None) or max(start, 1)
        return 1

    def _header(self, lines: list[str], place: tuple[str, ...]) -> int | None:
        if not place:
            return 0
        named = r"\s*\.\s*".join(_quoted(part) for part in place)
        header = re.compile(r"\s*\[{1,2}\s*" + named + r"\s*(?:\.[^\]]*)?\]")
        return next((number for number, line in enumerate(lines, 1) if header.match(line)), None)

    def _key(self, lines: list[str], start: int, place: tuple[str, ...]) -> int | None:
        key = re.compile(r"\s*" + _quoted(place[0]) + r"\s*[.=]")
        for number, line in enumerate(lines[start:], start + 1):
            if line.lstrip().startswith("["):
                return None
            if key.match(line):
                return number
        return None


def _quoted(part: str) -> str:
    return rf"""["']?{re.escape(part)}["']?"""
