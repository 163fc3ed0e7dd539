"""Where secrets lie: the [vault] table."""

import re
from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from keepstep.settings import values
from keepstep.settings.reader import Parser, Reader

_ENV = re.compile(r"[A-Za-z0-9_-]{1,40}")


class Vault(Struct, frozen=True, kw_only=True):
    """`provider` keeps the secrets; `env` is a part of their names there. `region`, `endpoint`: None for what the
    environment of AWS says."""

    provider: Literal["database", "parameter_store", "secrets_manager"] = "database"
    env: str = "production"
    region: str | None = None
    endpoint: str | None = None


def read(reader: Reader, table: Mapping[str, Any]) -> Vault:
    """What is right; what is wrong is noted."""
    known: dict[str, Parser] = {
        "provider": values.choice("database", "parameter_store", "secrets_manager"),
        "env": env,
        "region": values.text,
        "endpoint": values.url,
    }
    return Vault(**reader.section(table, ("vault",), known))


def env(value: Any) -> str:
    """A part of a name that every provider takes."""
    if not _ENV.fullmatch(values.text(value)):
        raise ValueError("is no part of a name; use up to 40 letters, digits, - and _")
    return str(value)


def far(vault: Vault) -> bool:
    """Would a call leave this machine?"""
    return vault.provider != "database" and not (vault.endpoint and values.is_loopback(vault.endpoint))
