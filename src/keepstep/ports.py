"""The edges: everything that differs between the real world and a simulated one is passed in through here."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from keepstep.model.change import Call, Outcome, Step
from keepstep.model.contact import AudienceContact, CrmContact, Report
from keepstep.model.custom import CustomField
from keepstep.model.feed import Feed, Row
from keepstep.model.instant import Instant
from keepstep.model.plan import Plan


class Clock(Protocol):
    """Time, waiting and tasks. In a simulation all three are virtual, which is why they are one port."""

    def now(self) -> Instant: ...

    async def sleep(self, seconds: float) -> None: ...

    async def until(self, at: Instant | None, woken: "Wake") -> None:
        """Wait for a moment (None: for ever) or for a wake-up, whichever is first."""
        ...

    def wake(self) -> "Wake":
        """A new alarm that this clock's waiters can wait for."""
        ...

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None: ...


class Wake(Protocol):
    """Rings once for whoever waits; rung before anybody waits it is kept."""

    def set(self) -> None: ...


class Chance(Protocol):
    """Randomness and ids."""

    def uniform(self, low: float, high: float) -> float: ...

    def id(self) -> str: ...

    def token(self, size: int) -> bytes:
        """Unguessable bytes, for secrets and nonces."""
        ...


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """Status, header names in lower case, whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Http(Protocol):
    """One HTTP exchange. Raises Transient if nothing can have been sent, Unanswered if it may have been."""

    async def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"", timeout: float = 30.0
    ) -> HttpAnswer: ...


class Permits(Protocol):
    """The right to make one call now, shared by everybody who uses the same application key."""

    async def take(self, key: str) -> int: ...

    async def give_back(self, key: str, permit: int) -> None: ...

    async def stop(self, key: str, until: Instant) -> None:
        """The vendor says that the day is used up, or asks for a moment's rest."""
        ...


class Grant(Protocol):
    """The credential of one connection, kept alive by somebody else."""

    async def bearer(self, refused: str | None = None) -> str:
        """A token to use now. `refused` is one the vendor answered 401 to: get another. Raises Blocked."""
        ...


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a poll: (record id, raw record) pairs, the cursor of the next page, the vendor's own time, and how
    many calls it took."""

    records: tuple[tuple[str, Mapping[str, Any]], ...]
    cursor: str | None
    source_time: Instant | None
    poison: int = 0
    calls: int = 1


@dataclass(frozen=True, slots=True)
class ReportPage:
    """A piece of the mailings' reports, the cursor of the next piece, the vendor's own time. `poison` counts lines and
    reports that cannot be read, `calls` what it took."""

    reports: tuple[Report, ...]
    cursor: str | None
    source_time: Instant | None
    poison: int = 0
    calls: int = 1


class Audience(Protocol):
    """A platform of people on lists, for one connection."""

    async def account(self) -> str: ...

    async def changes(self, poll: str, since: Instant | None, cursor: str | None, size: int | None = None) -> Page:
        """One page of `changed`, `opted_out`, `deleted` or `sweep`, of at most `size` records. A cursor continues a
        round with the size that it began with."""
        ...

    async def reports(self, since: Instant | None, cursor: str | None) -> ReportPage:
        """Bounces and opt-outs that recent mailings' reports show since a moment, in no order; a line may come again,
        with the same id. Raises NotGranted where the owner gave no permission to read reports."""
        ...

    async def lists(self) -> Sequence[tuple[str, str]]: ...

    async def make_list(self, name: str) -> str:
        """A new, empty list; its id. Raises Conflicting where there is one of this name."""
        ...

    async def tags(self) -> Sequence[tuple[str, str]]: ...

    async def fields(self) -> Sequence[CustomField]: ...

    async def read(self, record_id: str) -> Mapping[str, Any] | None: ...

    def snapshot(self, raw: Mapping[str, Any], read_at: Instant) -> AudienceContact: ...

    def moved(self, step: Step, raw: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """A stored record as a step on lists or tags that took effect left it; None for any other step."""
        ...

    def weight(self, step: Step) -> int:
        """Bytes that a row of an import takes of its call, at most."""
        ...

    async def write(self, call: Call) -> Sequence[Outcome]:
        """One outcome a step. Raises Unanswered when it may have taken effect, Transient, Blocked, Permanent."""
        ...

    async def look(self, call: Call) -> Sequence[Outcome]:
        """What became of a call that was accepted or never answered."""
        ...


class Crm(Protocol):
    """A platform of households and institutions, for one connection."""

    async def account(self) -> str: ...

    async def names(self) -> Sequence[str]:
        """Whatever the account is known by: a key of another user, or a new name, leaves one of them as it was."""
        ...

    async def zone(self) -> str:
        """The organization's time zone, an IANA name."""
        ...

    async def changes(self, poll: str, since: Instant | None, cursor: str | None) -> Page:
        """One page of `changed` (modified since) or `sweep` (all)."""
        ...

    async def read_many(self, record_ids: Sequence[str]) -> Sequence[tuple[str, Mapping[str, Any]]]: ...

    async def unarchived(self, record_ids: Sequence[str]) -> frozenset[str]:
        """Those of these contacts that staff have not put away, whether their records say so or not."""
        ...

    async def find(self, emails: Sequence[str]) -> Sequence[tuple[str, Mapping[str, Any]]]: ...

    async def by_reference(self, record_id: str) -> tuple[str, Mapping[str, Any]] | None: ...

    async def home_of(self, individual: str) -> str | None:
        """The contact that an individual belongs to now; None where there is no such individual any more."""
        ...

    async def tags(self) -> Sequence[tuple[str, str]]: ...

    async def fields(self) -> Sequence[CustomField]: ...

    async def segment(self, code: str) -> bool:
        """Does the organization know this origin segment code?"""
        ...

    async def finds_changes(self) -> str | None:
        """By what queries find what was modified since; None where this organization's cannot, and `changed` is all."""
        ...

    async def subscribe(self, url: str, secret: str) -> str:
        """Have every event told to a URL; the subscription's id."""
        ...

    async def subscription(self, vendor_id: str) -> Mapping[str, Any] | None: ...

    async def resubscribe(self, vendor_id: str, url: str, secret: str) -> Literal["good", "repaired", "gone"]:
        """Make a subscription what `subscribe` makes, where it is not that any more."""
        ...

    async def unsubscribe(self, vendor_id: str) -> Literal["deleted", "gone"]:
        """Have nothing told any more; gone: there was no such subscription."""
        ...

    def snapshot(self, raw: Mapping[str, Any], read_at: Instant) -> CrmContact: ...

    async def write(self, call: Call) -> Sequence[Outcome]: ...

    async def look(self, call: Call) -> Sequence[Outcome]: ...


@dataclass(frozen=True, slots=True)
class RowPage:
    """Rows of a feed in order, and where the next page begins (None: this was the last one of the round).

    high: on the last page, what the next round is to be given as `since`; opaque, None where each round reads all.
    source_time: the database's own clock when the round began. cursor and high may hold a key, which may be personal:
    they are kept, never shown.
    """

    rows: tuple[Row, ...]
    cursor: str | None
    source_time: Instant | None
    high: str | None = None


class Table(Protocol):
    """A customer's SQL table, for one feed. It is only read. All of it raises Transient where the database does not
    answer, Blocked where it refuses the credential or cannot prove who it is."""

    async def check(self) -> Sequence[str]:
        """What keeps the feed from being read, each with its remedy; empty where it can be read. Cheap."""
        ...

    async def warnings(self) -> Sequence[str]:
        """What can be read but will not go well, each with its remedy: a closer look, for people who ask."""
        ...

    async def read(self, since: str | None, cursor: str | None, most: int) -> RowPage:
        """The next rows, of at most `most`: those that changed since an earlier round (`high`; None: all), in the order
        of change and key, then those without a change stamp. A cursor continues its round, in any process. Where the
        feed's mapping is not that of `since` or of `cursor` any more, a whole new round begins. Raises Misconfigured
        where the database does not understand the feed's settings."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Connection:
    """What a connector needs to speak for one customer. `memory`: what it keeps while the process lives, however often
    the connection is opened anew."""

    customer_id: str
    base_url: str
    http: Http
    grant: Grant
    permits: Permits | None
    clock: Clock
    chance: Chance
    settings: Mapping[str, Any]
    memory: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuth:
    """How a platform gives grants: paths of its token service, and what it asks for.

    client: whether an application is named at all. authorize, device: None where there is no such flow. password:
    whether a user's name and password are taken. `scopes` are asked for.
    """

    exchange: str
    client: bool = True
    authorize: str | None = None
    device: str | None = None
    password: bool = False
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Topic:
    """Something that a platform tells its technology partners. `uri`: where, None where nobody subscribed."""

    topic_id: str
    name: str
    uri: str | None


@dataclass(frozen=True, slots=True)
class PartnerNotice:
    """What a partner's delivery says. `application`: the key that it names, None in an edition that names none."""

    account_id: str
    event: str
    application: str | None


class Partner(Protocol):
    """What a platform offers a technology partner, for the operator. `edition`: of the vendor's two interfaces."""

    async def topics(self, edition: str) -> Sequence[Topic]: ...

    async def subscribe(self, edition: str, topic_id: str, uri: str) -> None: ...

    async def unsubscribe(self, edition: str, topic_id: str) -> None: ...

    async def test(self, edition: str, topic_id: str) -> None:
        """Ask for an example of a topic at its address."""
        ...

    async def plan(self, account_id: str) -> Plan: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Partnership:
    """How a platform deals with technology partners.

    events: the known ones, by topic id; `shuts` those after which an account may not be written to. hmac, jws: the
    headers that prove a delivery in either edition. oauth: how the partner's token is got.
    """

    open: Callable[[Connection], Partner]
    notice_of: Callable[[bytes], PartnerNotice | None]
    events: Mapping[str, str]
    shuts: frozenset[str]
    hmac: str
    jws: str
    oauth: OAuth


@dataclass(frozen=True, slots=True)
class Notice:
    """What a delivery says of one record, or of none of those that are synced. event: the event's name in small letters
    and digits. changed_at: the record's change stamp as it was then. known: is there an event of this name?"""

    event: str
    record_id: str | None = None
    changed_at: Instant | None = None
    known: bool = True


@dataclass(frozen=True, slots=True)
class Connector:
    """What one platform's folder offers; `open_audience` or `open_crm` is None where it cannot play that role.

    `oauth`: how it gives grants, None where a key is all there is. `partner`: what it offers technology partners.
    `open_table`: reads a feed's rows, given the database's password where there is one.

    `cost`: how many calls the steps of one kind that one job carries come to, with what is read before and after.
    `parse_delivery` says what a webhook speaks of (Refused: it is no delivery; nothing: it names nobody), `account_of`
    the account where the body names one. `takes_access_away`: how a person does that at the vendor, where no call does.
    """

    platform: str
    explain: Callable[[Any], list[dict[str, Any]]]
    open_audience: Callable[[Connection], Audience] | None = None
    open_crm: Callable[[Connection], Crm] | None = None
    parse_delivery: Callable[[bytes], list[Notice]] | None = None
    account_of: Callable[[bytes], str | None] | None = None
    signatures: Callable[[Mapping[str, str]], list[str]] | None = None
    cost: Callable[[str, int], int] | None = None
    oauth: OAuth | None = None
    partner: Partnership | None = None
    open_table: Callable[[Feed, str | None], Table] | None = None
    takes_access_away: str | None = None
