"""Every table, with the states of its rows. Instants are epoch seconds (float, UTC); NULL in an instant means never.

`customer_id` leads every key, so that a customer's rows lie together and the tables can be split by customer later.
Tables without it:
`permit` and `application_key`, which belong to an application key over all customers.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)
from sqlalchemy.types import TypeEngine

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _customer() -> Column[str]:
    return Column("customer_id", Text, primary_key=True)


def _words(name: str, *, key: bool = False, null: bool = False, default: str | None = None) -> Column[str]:
    return Column(name, Text, primary_key=key, nullable=null, server_default=default)


def _instant(name: str, *, null: bool = False, default: str | None = None) -> Column[float]:
    return Column(name, Float, nullable=null, server_default=default)


def _count(name: str, default: str = "0") -> Column[int]:
    return Column(name, Integer, nullable=False, server_default=default)


def _json(name: str, *, null: bool = False) -> Column[object]:
    # JSON, not JSONB: raw vendor records keep their key order and may hold \u0000, which JSONB refuses.
    return Column(name, JSON(none_as_null=True), nullable=null)


def _number(name: str = "id") -> Column[int]:
    # SQLite numbers rows by itself only for the exact type INTEGER.
    kind: TypeEngine[int] = BigInteger().with_variant(Integer, "sqlite")
    return Column(name, kind, primary_key=True, autoincrement=True)


def _plain_customer() -> Column[str]:
    return Column("customer_id", Text, nullable=False)


# state: active -> paused -> active. A paused customer is never claimed and sends nothing; its work is kept.
customer = Table(
    "customer",
    metadata,
    _customer(),
    _words("state", default="active"),
    _json("config"),
    _instant("created"),
)

# health: ok -> blocked (reason says what the owner must do) -> ok.
connection = Table(
    "connection",
    metadata,
    _customer(),
    _words("platform", key=True),
    _words("account_id", null=True),
    _words("health", default="ok"),
    _words("reason", null=True),
    _json("data"),
)

secret = Table(
    "secret",
    metadata,
    _customer(),
    _words("platform", key=True),
    _words("field", key=True),
    _words("key_id"),
    Column("nonce", LargeBinary, nullable=False),
    Column("ciphertext", LargeBinary, nullable=False),
    _instant("updated"),
)

# The customer's mutex. Free: lease_until <= now. Claimed: fence + 1, holder, lease_until ahead. Released: lease_until
# 0, holder NULL.
# wake (NULL = nothing to do) and lease_until are two columns: one for both let a second worker in. Locked first in
# every transaction.
slot = Table(
    "slot",
    metadata,
    _customer(),
    _instant("wake", null=True),
    _instant("lease_until", default="0"),
    _words("holder", null=True),
    Column("fence", BigInteger, nullable=False, server_default="0"),
    Index(None, "wake"),
)

# state: new -> parsed | refused | aside; aside -> parsed. Aside: its records cannot be read now.
# Stored by the door before anything is understood; read by the slot's holder only.
delivery = Table(
    "delivery",
    metadata,
    _words("id", key=True),
    _plain_customer(),
    _words("platform"),
    _instant("received"),
    _json("headers"),
    Column("body", LargeBinary, nullable=False),
    _words("state", default="new"),
    Index(
        "ix_delivery_new",
        "customer_id",
        "received",
        sqlite_where=text("state = 'new'"),
        postgresql_where=text("state = 'new'"),
    ),
    Index(None, "customer_id", "received"),
)

# standing: linked -> parked | left_out | stub | gone, and back; reason says why. One record belongs to one party.
alias = Table(
    "alias",
    metadata,
    _customer(),
    _words("platform", key=True),
    _words("record_id", key=True),
    _words("party_id"),
    _words("standing", default="linked"),
    _words("reason", null=True),
    _instant("since"),
    Index(None, "customer_id", "party_id"),
)

# kind: email | phone, value canonical. Several records may hold one value; who does is what keeps a recycled address
# apart.
custody = Table(
    "custody",
    metadata,
    _customer(),
    _words("kind", key=True),
    _words("value", key=True),
    _words("platform", key=True),
    _words("record_id", key=True),
    _words("party_id"),
    Index(None, "customer_id", "party_id"),
)

# doc: what was last seen on each side, per party and per person. rev counts saves.
party = Table("party", metadata, _customer(), _words("party_id", key=True), _json("doc"), _count("rev", "1"))

# previous_at: when it was last read with another body.
# One record as last read, raw. whole = every part that we ask for was asked for and answered; read_no counts reads.
snapshot = Table(
    "snapshot",
    metadata,
    _customer(),
    _words("platform", key=True),
    _words("record_id", key=True),
    _count("read_no", "1"),
    _instant("read_at"),
    _json("body"),
    Column("whole", Boolean, nullable=False),
    _instant("previous_at", null=True),
)

# The consent ledger: append only. kind: choice | address | record; direction: out | in. [after, before] is the
# interval in which it
# must have happened. Holds keyed hashes of addresses, never addresses, so that erasure and proof can both hold.
act = Table(
    "act",
    metadata,
    _number(),
    _plain_customer(),
    _words("party_id"),
    _words("platform"),
    _words("record_id"),
    _words("address_hash", null=True),
    _words("kind"),
    _words("direction"),
    _instant("after", null=True),
    _instant("before", null=True),
    _instant("at", null=True),
    _words("source"),
    _json("evidence", null=True),
    _instant("seen_at"),
    Index(None, "customer_id", "party_id"),
    Index(None, "customer_id", "platform", "record_id"),
    sqlite_autoincrement=True,
)

# "Look at this party." Put again: rev + 1, earlier due, lower lane. Taken, then deleted WHERE rev = the one seen, or
# deferred (tries + 1).
# lane: 0 consent, 1 changes, 2 sweep, 3 bulk.
entry = Table(
    "entry",
    metadata,
    _customer(),
    _words("party_id", key=True),
    _count("lane"),
    _instant("due"),
    _instant("arrived"),
    _count("rev", "1"),
    _count("tries"),
    _words("fingerprint", null=True),
    Index(None, "customer_id", "lane", "due"),
)

# One concrete write. Unsent: job_id NULL; held while hold is set (plan, shadow, brake, gate, quota, blocked, ...).
# unsent -> in a job -> deleted (done or dead) | unsent again (tries + 1). One unsent step per target; a sent one may
# stand beside it.
step = Table(
    "step",
    metadata,
    _number(),
    _plain_customer(),
    _words("party_id"),
    _words("side"),
    _words("kind"),
    _words("target"),
    _count("lane"),
    _words("grp"),
    _instant("since"),
    _instant("due"),
    _count("tries"),
    _words("hold", null=True),
    _words("job_id", null=True),
    _words("member", null=True),
    _json("payload"),
    Index(
        "uq_step_unsent",
        "customer_id",
        "party_id",
        "side",
        "target",
        unique=True,
        sqlite_where=text("job_id IS NULL"),
        postgresql_where=text("job_id IS NULL"),
    ),
    Index(
        "ix_step_sendable",
        "customer_id",
        "lane",
        "due",
        sqlite_where=text("job_id IS NULL AND hold IS NULL"),
        postgresql_where=text("job_id IS NULL AND hold IS NULL"),
    ),
    Index(
        "ix_step_in_flight",
        "customer_id",
        "party_id",
        sqlite_where=text("job_id IS NOT NULL"),
        postgresql_where=text("job_id IS NOT NULL"),
    ),
    Index(
        "ix_step_job",
        "customer_id",
        "job_id",
        sqlite_where=text("job_id IS NOT NULL"),
        postgresql_where=text("job_id IS NOT NULL"),
    ),
    sqlite_autoincrement=True,
)

# state: waiting -> resolved; waiting -> unknown -> waiting | resolved | review. While one is not resolved, nothing
# else creates that person.
submission = Table(
    "submission",
    metadata,
    _customer(),
    _words("record_id", key=True),
    _words("party_id"),
    _json("payload"),
    _words("address", null=True),
    _words("state", default="waiting"),
    _instant("since"),
    Index(None, "customer_id", "state"),
)

# One vendor call. intent -> sent -> done | accepted | unknown; accepted -> done | unknown; unknown -> accepted | done.
# intent was never sent and goes back to steps; sent without an answer is unknown. A job that is done is deleted: the
# journal remembers.
job = Table(
    "job",
    metadata,
    _customer(),
    _words("id", key=True),
    _words("side"),
    _words("grp"),
    _words("kind"),
    _words("state", default="intent"),
    _words("vendor_id", null=True),
    _instant("look_at", null=True),
    _instant("sent_at", null=True),
    _json("payload", null=True),
)

# The right to make one call now, over all customers of an application key. free_at: when this one may be taken again.
# used counts the calls
# of the UTC day `day` (days since 1970). stop: not before this instant, whatever else holds (quota_exceeded).
permit = Table(
    "permit",
    metadata,
    _words("key", key=True),
    Column("n", Integer, primary_key=True, autoincrement=False),
    _instant("free_at", default="0"),
    _count("day"),
    _count("used"),
    _instant("stop", default="0"),
)

application_key = Table("application_key", metadata, _words("key", key=True), _words("platform"), _json("data"))

# Polls and chores. mark moves when a round is whole, cursor with every page (NULL = no round under way), due = next
# time to run.
mark = Table(
    "mark",
    metadata,
    _customer(),
    _words("platform", key=True),
    _words("name", key=True),
    _instant("mark", null=True),
    _words("cursor", null=True),
    _instant("due", null=True),
    _json("data", null=True),
    Index(None, "customer_id", "due"),
)

# state: live -> paused (one side's name changed, reason says which) -> live; live | paused -> gone.
label = Table(
    "label",
    metadata,
    _customer(),
    _words("list_id", key=True),
    _words("list_name"),
    _words("tag_id", null=True),
    _words("tag_name", null=True),
    _words("state", default="live"),
    _words("reason", null=True),
)

# What happened and why: append only.
journal = Table(
    "journal",
    metadata,
    _number(),
    _plain_customer(),
    _instant("at"),
    _words("party_id", null=True),
    _words("kind"),
    _json("data", null=True),
    Index(None, "customer_id", "party_id", "id"),
    sqlite_autoincrement=True,
)

# state: open -> replayed | discarded, once.
dead_letter = Table(
    "dead_letter",
    metadata,
    _customer(),
    _words("id", key=True),
    _words("party_id", null=True),
    _instant("at"),
    _words("side"),
    _words("kind"),
    _json("payload", null=True),
    _json("answer", null=True),
    _words("reason"),
    _count("tries"),
    _words("state", default="open"),
    Index(None, "customer_id", "state", "at"),
)
