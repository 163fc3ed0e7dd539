"""One frozen value from keepstep.toml and the environment, checked whole before anything starts."""

import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from msgspec import Struct
from msgspec.structs import replace

from keepstep.model.customer import Cadence, Policy, Route
from keepstep.model.errors import Misconfigured
from keepstep.model.feed import Feed
from keepstep.model.retention import Retention
from keepstep.settings import feeds, values
from keepstep.settings import vault as safekeeping
from keepstep.settings.reader import Parser, Reader

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class Service(Struct, frozen=True, kw_only=True):
    """Where the process keeps its data, listens and logs. `clock`: the stand-ins' control door, in virtual time."""

    database: str = "sqlite:///keepstep.db"
    listen: tuple[str, int] = ("127.0.0.1", 8080)
    public_url: str | None = None
    key_file: str = "keepstep.key"
    log: Literal["json", "text"] = "text"
    clock: str | None = None


class Platform(Struct, frozen=True, kw_only=True):
    """Where a platform's API is, and how much of it we may use.

    Limits are None where the vendor says them by itself.
    """

    base_url: str
    auth_url: str | None = None
    application_key: str = "default"
    per_second: int | None = None
    per_day: int | None = None
    per_hour: int | None = None
    signature_headers: tuple[str, ...] | None = None
    partner_v2_url: str | None = None
    partner_auth_url: str | None = None
    partner_keys_url: str | None = None

    @property
    def urls(self) -> tuple[str, ...]:
        """Where calls may go."""
        return (*filter(None, (self.base_url, self.auth_url)), *self.partner_urls)

    @property
    def partner_urls(self) -> tuple[str, ...]:
        """What only a technology partner calls."""
        return tuple(filter(None, (self.partner_v2_url, self.partner_auth_url, self.partner_keys_url)))


class Customer(Struct, frozen=True, kw_only=True):
    """A customer as the file has it."""

    id: str
    name: str
    route: Route


class Settings(Struct, frozen=True, kw_only=True):
    """Everything that the file and the environment say; holds no secret."""

    service: Service
    platforms: Mapping[str, Platform]
    customers: Mapping[str, Customer]
    vault: safekeeping.Vault = safekeeping.Vault()
    path: str | None = None
    retention: Retention = Retention()

    def route(self, customer_id: str) -> Route:
        """The customer's route; all defaults where the file does not name the customer."""
        known = self.customers.get(customer_id)
        return known.route if known else Route(customer_id=customer_id)

    def base_urls(self) -> tuple[str, ...]:
        """Every URL that calls may go to."""
        return tuple(url for each in self.platforms.values() for url in each.urls)


# Sources: CC facts 1 and 3.1; Virtuous facts 2 and 4 (recommended pace).
PLATFORMS: Mapping[str, Platform] = {
    "constant_contact": Platform(
        base_url="https://api.cc.email/v3",
        auth_url="https://authz.constantcontact.com",
        per_second=4,
        per_day=10_000,
        partner_v2_url="https://api.constantcontact.com/v2",
        # The newer of two that the vendor names (CC facts 9).
        partner_auth_url="https://authz.constantcontact.com/partners/oauth2/default/v1/token",
        partner_keys_url="https://developer.constantcontact.com/.well-known/jwks.json",
    ),
    "virtuous": Platform(base_url="https://api.virtuoussoftware.com", per_hour=1_200),
}


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Read and check.

    Raises Misconfigured with every problem, each `file:line: key: what is wrong; what would be right`.
    """
    reader = Reader(path)
    document = reader.document()
    sections = ("service", "platforms", "customers", "retention", "vault")
    top = reader.section(document, (), dict.fromkeys(sections, values.table))
    settings = Settings(
        service=_service(reader, top.get("service", {})),
        platforms={**PLATFORMS, **_platforms(reader, top.get("platforms", {}))},
        customers=_customers(reader, top.get("customers", {})),
        path=str(path) if path else None,
        retention=_retention(reader, top.get("retention", {})),
        vault=safekeeping.read(reader, top.get("vault", {})),
    )
    settings = _overridden(reader, settings, environ)
    if reader.problems:
        raise Misconfigured(tuple(reader.problems))
    return settings


def _service(reader: Reader, table: Mapping[str, Any]) -> Service:
    known: dict[str, Parser] = {
        "database": values.database,
        "listen": values.listen,
        "public_url": values.url,
        "key_file": values.text,
        "log": values.choice("json", "text"),
    }
    return _anchored(Service(**reader.section(table, ("service",), known)), reader.path)


def _retention(reader: Reader, table: Mapping[str, Any]) -> Retention:
    known: dict[str, Parser] = dict.fromkeys((each.name for each in fields(Retention)), values.kept)
    return Retention(
        **reader.section(table, ("retention",), known | dict.fromkeys(values.KEPT_FOR_GOOD, values.for_good))
    )


def _anchored(service: Service, path: Path | None) -> Service:
    """Relative files of a settings file lie beside it, wherever the command is typed."""
    folder = path.parent if path else Path()
    database = service.database
    if database.startswith("sqlite:///") and not database.startswith("sqlite:////"):
        database = f"sqlite:///{folder / database.removeprefix('sqlite:///')}"
    return replace(service, database=database, key_file=str(folder / service.key_file))


def _platforms(reader: Reader, tables: Mapping[str, Any]) -> dict[str, Platform]:
    known: dict[str, Parser] = {
        "base_url": values.url,
        "auth_url": values.url,
        "application_key": values.text,
        "per_second": values.positive,
        "per_day": values.positive,
        "per_hour": values.positive,
        "signature_headers": values.texts,
        "partner_v2_url": values.url,
        "partner_auth_url": values.url,
        "partner_keys_url": values.url,
    }
    found: dict[str, Platform] = {}
    for name, table in reader.section(tables, ("platforms",), dict.fromkeys(tables, values.table)).items():
        given = reader.section(table, ("platforms", name), known)
        if name in PLATFORMS:
            found[name] = replace(PLATFORMS[name], **given)
        elif "base_url" in given:
            found[name] = Platform(**given)
        else:
            reader.wrong(("platforms", name), 'has no base_url; add base_url = "https://..."')
    return found


def _customers(reader: Reader, tables: Mapping[str, Any]) -> dict[str, Customer]:
    found: dict[str, Customer] = {}
    for name, table in reader.section(tables, ("customers",), dict.fromkeys(tables, values.table)).items():
        place = ("customers", name)
        if not _NAME.fullmatch(name):
            reader.wrong(place, "is no customer id; use up to 64 letters, digits, - and _")
        given = reader.section(
            table, place, {"name": values.text, "route": values.table, "cadence": values.table, "feeds": values.table}
        )
        often = dict.fromkeys((each.name for each in fields(Cadence)), values.cadence)
        cadence = Cadence(**reader.section(given.get("cadence", {}), (*place, "cadence"), often))
        route = _route(reader, name, given.get("route", {}), cadence, feeds.read(reader, name, given))
        found[name] = Customer(id=name, name=given.get("name", name), route=route)
    return found


def _route(reader: Reader, name: str, table: Mapping[str, Any], cadence: Cadence, fed: Mapping[str, Feed]) -> Route:
    known = {"audience": values.text, "crm": values.text, **_parsers(Policy)}
    given = reader.section(table, ("customers", name, "route"), known)
    ends = {key: given.pop(key) for key in ("audience", "crm") if key in given}
    policy = Policy(**given)
    for key, problem in values.contradictions(policy):
        reader.wrong(("customers", name, "route", key), problem)
    return Route(customer_id=name, **ends, policy=policy, cadence=cadence, feeds=fed)


def _parsers(kind: type) -> dict[str, Parser]:
    """A parser for every field of a model class, by its type: what the model learns, the file can say."""
    hints = get_type_hints(kind)
    return {each.name: _parser(each.name, hints[each.name], each.default) for each in fields(kind)}


def _parser(name: str, hint: Any, default: Any) -> Parser:
    if name in values.NAMED:
        return values.NAMED[name]
    if get_origin(hint) is tuple:
        return values.texts
    if get_origin(hint) is Literal:
        return values.choice(*get_args(hint))
    if hint is float:
        return values.share if isinstance(default, float) and default < 1 else values.duration
    return {int: values.positive, str: values.anything, bool: values.flag}[hint]


def _nearby(platform: Platform, clock: str | None) -> Platform:
    """In virtual time nobody far away is called: what no stand-in plays is not there."""
    far = {url for url in platform.partner_urls if clock and not values.is_loopback(url)}
    names = ("partner_v2_url", "partner_auth_url", "partner_keys_url")
    return replace(platform, **{name: None for name in names if getattr(platform, name) in far})


def _overridden(reader: Reader, settings: Settings, environ: Mapping[str, str]) -> Settings:
    """The environment's word, for deployment; `KEEPSTEP_<PLATFORM>_URL` and `_AUTH_URL` for every platform."""

    def said(name: str, parse: Parser) -> Any:
        try:
            return parse(environ[name]) if environ.get(name) else None
        except ValueError as error:
            reader.problems.append(f"environment: {name}: {error}")
            return None

    changes = {
        "database": said("KEEPSTEP_DATABASE", values.database),
        "listen": said("KEEPSTEP_LISTEN", values.listen),
        "public_url": said("KEEPSTEP_PUBLIC_URL", values.url),
        "key_file": said("KEEPSTEP_KEY_FILE", values.text),
        "clock": said("KEEPSTEP_CLOCK", values.clock),
    }
    platforms = {}
    for name, platform in settings.platforms.items():
        base_url = said(f"KEEPSTEP_{name.upper()}_URL", values.url) or platform.base_url
        auth_url = said(f"KEEPSTEP_{name.upper()}_AUTH_URL", values.url) or platform.auth_url
        platforms[name] = _nearby(replace(platform, base_url=base_url, auth_url=auth_url), changes["clock"])
    service = replace(settings.service, **{key: value for key, value in changes.items() if value is not None})
    settings = replace(settings, service=service, platforms=platforms)
    if service.clock and (far := [url for url in settings.base_urls() if not values.is_loopback(url)]):
        reader.problems.append(
            f"environment: KEEPSTEP_CLOCK: virtual time with {far[0]}; only stand-ins on loopback keep it"
        )
    if service.clock and safekeeping.far(settings.vault):
        reader.wrong(("vault", "provider"), "is far away and time is virtual; name an endpoint on this machine")
    return settings
