"""`keepstep explain`: what a vendor's record means to us, without a network."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from keepstep.cli.console import FAILED, FINE, AsJson, show
from keepstep.model.errors import Misconfigured, Refused

_MOST_BYTES = 512 * 1024 * 1024


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(explain)


def explain(
    file: Annotated[str, typer.Argument(help="A JSON file, or - for standard input.")],
    platform: Annotated[str, typer.Option("--platform", help="Whose record it is.")],
    as_json: AsJson = False,
) -> None:
    """The canonical snapshot that a vendor's JSON record maps to. 1 if the file is no JSON."""
    from keepstep.connectors import discover

    connectors = discover()
    if platform not in connectors:
        raise Misconfigured((f"--platform {platform}: no such platform; choose {' or '.join(sorted(connectors))}",))
    value, code = explained(platform, connectors[platform].explain, _bytes(file))
    show(value, as_json)
    raise typer.Exit(code)


def explained(platform: str, explain_value: Any, data: bytes) -> tuple[dict[str, Any], int]:
    """The answer and the exit code, for any bytes whatsoever."""
    import msgspec

    try:
        value = msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError) as error:
        return _unreadable(platform, f"not JSON: {_place(error)}"), FAILED
    try:
        found = [{"platform": platform, **each} for each in explain_value(value)]
    except Exception as error:  # a connector's bug must not become a traceback in front of a user
        return _unreadable(platform, f"cannot be read ({type(error).__name__}); please report this"), FAILED
    if len(found) == 1 and not _is_page(platform, explain_value, value, found):
        return found[0], FINE
    return {"snapshots": found}, FINE


def _bytes(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read(_MOST_BYTES) if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise Refused(400, f"{file}: {error.strerror}; name a file that can be read, or - for standard input") from None


def _unreadable(platform: str, why: str) -> dict[str, Any]:
    return {"platform": platform, "record_type": "unreadable", "warnings": [why]}


def _place(error: Exception) -> str:
    # Only the parser's own words: those of an unexpected error may quote the record.
    return str(error)[:200] if type(error).__module__.startswith("msgspec") else type(error).__name__


def _is_page(platform: str, explain_value: Any, value: Any, found: list[dict[str, Any]]) -> bool:
    """Whether a single snapshot came out of a list or page: one of the value's lists, by itself, gives the same."""
    if not isinstance(value, Mapping):
        return isinstance(value, list)
    if found[0].get("record_type") == "unknown":
        return False
    lists = (part for part in value.values() if isinstance(part, list) and len(part) == 1)
    return any([{"platform": platform, **each} for each in explain_value(part)] == found for part in lists)
