"""The keys that seal secrets: read from the environment or a file, changed without a moment in which one is missing."""

import base64
import binascii
import fcntl
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from keepstep.model.errors import Misconfigured, Refused

KEY_BYTES = 32
VARIABLE = "KEEPSTEP_KEY"


@dataclass(frozen=True, slots=True, repr=False)
class Ring:
    """Keys by id. What is sealed now is sealed under `current`, the others still open what they sealed."""

    keys: Mapping[str, bytes]
    current: str


class KeyFile:
    """A key file that another process may change while this one runs: a rotation needs no restart."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: tuple[int, ...] | None = None

    def read(self) -> Ring:
        """All keys. Raises Misconfigured, naming what to do."""
        self._known = self._look()
        return Ring(*read_key_file(self.path))

    def changed(self) -> Ring | None:
        """The keys, where the file is another one than it was; None where it is the same or cannot be read now."""
        now = self._look()
        if now is None or now == self._known:
            return None
        try:
            return self.read()
        except Misconfigured:  # what is in memory still opens everything; the next start says what is wrong
            return None

    def _look(self) -> tuple[int, ...] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size


def ring_of(environ: Mapping[str, str]) -> Ring | None:
    """The keys of the environment, None where it holds none. Raises Misconfigured."""
    text = environ.get(VARIABLE, "")
    if not text.strip():
        return None
    return Ring(*_keys(VARIABLE, text.replace(",", "\n"), "correct the variable, the first key is the one that seals"))


def write_key_file(path: Path, token: Callable[[int], bytes]) -> str:
    """Make a key file that only its owner can read; the id of its key. Raises FileExistsError: a lost key is lost
    secrets."""
    key_id, line = _new(token)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        _durably(file, line)
    return key_id


def read_key_file(path: Path) -> tuple[dict[str, bytes], str]:
    """Keys by id and the current one's id (the first line's). Raises Misconfigured, naming what to do."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        text = path.read_text(encoding="ascii")
    except (OSError, ValueError):
        raise Misconfigured((f"{path}: key file cannot be read; make one with `keepstep init`",)) from None
    if mode & 0o077:
        raise Misconfigured((f"{path}: key file has mode {mode:04o}, others can read it; run `chmod 600 {path}`",))
    return _keys(str(path), text, "restore the key file from a backup or make one with `keepstep init`")


def put_first(path: Path, token: Callable[[int], bytes]) -> str:
    """A new key seals from now on, in front of those there are; its id. Within `alone`."""
    keys, _ = read_key_file(path)
    key_id, line = _new(token)
    if key_id in keys:
        raise Refused(409, "the new key got the id of an old one; run it again")
    _replaced(path, line + path.read_text(encoding="ascii"))
    return key_id


def keep_first(path: Path) -> list[str]:
    """Only the key that seals stays; the ids of those that went. Within `alone`."""
    keys, current = read_key_file(path)
    _replaced(path, _line(current, keys[current]))
    return [key_id for key_id in keys if key_id != current]


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Nobody else changes the file for the length of a block: of two that each add a key, one key would be lost.

    Raises Refused while somebody does."""
    folder = os.open(path.resolve().parent, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Refused(409, f"{path}: another rotation is under way; wait for its end") from None
        yield
    finally:
        os.close(folder)


def _replaced(path: Path, text: str) -> None:
    """Whoever reads finds the old file or the new one, also after a power cut."""
    path = path.resolve()  # a link stays a link
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        _durably(file, text)
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _durably(file: TextIO, text: str) -> None:
    file.write(text)
    file.flush()
    os.fsync(file.fileno())


def _new(token: Callable[[int], bytes]) -> tuple[str, str]:
    key_id = token(4).hex()
    return key_id, _line(key_id, token(KEY_BYTES))


def _line(key_id: str, key: bytes) -> str:
    return f"{key_id}:{base64.b64encode(key).decode()}\n"


def _keys(place: str, text: str, remedy: str) -> tuple[dict[str, bytes], str]:
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    found = [_key(place, line) for line in lines]
    keys = dict(found)
    if not keys:
        raise Misconfigured((f"{place}: holds no key; {remedy}",))
    if len(keys) != len(found):
        raise Misconfigured((f"{place}: two keys have one id; give each key an id of its own",))
    return keys, next(iter(keys))


def _key(place: str, line: str) -> tuple[str, bytes]:
    key_id, _, encoded = line.partition(":")
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key_id or len(key) != KEY_BYTES:
        # The line itself is a key: it is not quoted.
        raise Misconfigured((f"{place}: a line is no `id:base64 of {KEY_BYTES} bytes`; put the right key back",))
    return key_id, key
