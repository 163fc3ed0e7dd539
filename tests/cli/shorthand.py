"""Reads the JSON of the project's fact sheets, which is often written short: `{topic_id, roles[], _links:{…}?}`."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_FENCE = re.compile(r"```\w*\n(.*?)```", re.DOTALL)
_SPAN = re.compile(r"`([^`]+)`")
_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_DOTS = ("…", "..", "...", "?", "…?", "|")


def snippets(sheet: Path) -> list[str]:
    """Every piece of a sheet that is an object or array, or a member of one."""
    text = sheet.read_text(encoding="utf-8")
    fenced = [one for block in _FENCE.findall(text) for one in _balanced(block)]
    spans = [" ".join(span.split()) for span in _SPAN.findall(_FENCE.sub("", text))]
    return [one for one in dict.fromkeys(fenced + spans) if re.match(r'\[?\{|"\w+": *[\[{]', one.strip())]


def _balanced(block: str) -> Iterator[str]:
    """A block as one value or several, each over one line or more."""
    held, depth = "", 0
    for line in block.splitlines():
        held, depth = held + line, depth + sum((sign in "{[") - (sign in "}]") for sign in line)
        if depth <= 0:
            yield held
            held, depth = "", 0


def read(snippet: str) -> Any:
    """Its value: words without quotes are keys or texts, what is left out is left out. Raises ValueError."""
    try:
        return json.loads(snippet)
    except ValueError:
        pass
    tokens = [token for token in _TOKEN.findall(snippet) if token not in _DOTS]
    if tokens and tokens[0].startswith('"'):
        tokens = ["{", *tokens, "}"]
    value = _value(tokens)
    if tokens:
        raise ValueError("more than one value")
    return value


def _value(tokens: list[str]) -> Any:
    token = _taken(tokens)
    if token == "{":
        return _object(tokens)
    if token == "[":
        found = []
        while (ahead := _ahead(tokens)) != "]":
            if ahead in (",", "}", ":"):
                _taken(tokens)
            else:
                found.append(_value(tokens))
        _taken(tokens)
        return found
    return _word(token)


def _object(tokens: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    while _ahead(tokens) != "}":
        token = _taken(tokens)
        if token in (",", ":", "[", "]", "{"):
            continue
        key, ahead = str(_word(token)), _ahead(tokens)
        if ahead == ":":
            _taken(tokens)
            found[key] = None if _ahead(tokens) in (",", "}") else _value(tokens)
        elif ahead in ("{", "["):
            found[key] = _value(tokens)
        elif not key.startswith("("):  # a remark such as (integer)
            found[key] = "x"
        while _ahead(tokens) not in (",", "}"):
            _taken(tokens)
    _taken(tokens)
    return found


def _word(token: str) -> Any:
    try:
        return json.loads(token)
    except ValueError:
        return 1 if token == "n" else token.rstrip("?*")


def _ahead(tokens: list[str]) -> str:
    if not tokens:
        raise ValueError("it ends too early")
    return tokens[0]


def _taken(tokens: list[str]) -> str:
    _ahead(tokens)
    return tokens.pop(0)
