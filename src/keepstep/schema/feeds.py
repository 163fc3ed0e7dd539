"""The tables of what is fed from SQL tables, and of what their owners are told."""

from sqlalchemy import Index, Table, text

from keepstep.schema import columns as c

metadata = c.metadata

# One row of a feed's table as last read. row_id is a hash of its key (a key may be personal), party_id its place in the
# queue. version: a hash of everything mapped of it. address: the canonical email. body: the mapped values.
# state: waiting -> sent -> done | left_out | parked | dead, and back to waiting with a new version; reason says why.
# lists: {list id: {version, at, address, state: on | left | missing}}: what was imported there under which address, and
# what became of it; missing: the vendor's import had dropped it.
# permission_at: when the person gave the permission that the row speaks of.
feed_row = Table(
    "feed_row",
    metadata,
    c.customer(),
    c.words("feed", key=True),
    c.words("row_id", key=True),
    c.words("party_id"),
    c.words("version"),
    c.words("address", null=True),
    c.json("body"),
    c.json("lists"),
    c.instant("permission_at", null=True),
    c.words("state", default="waiting"),
    c.words("reason", null=True),
    c.instant("read_at"),
    c.instant("since"),
    Index(None, "customer_id", "party_id", unique=True),
    Index(None, "customer_id", "address"),
    Index(None, "customer_id", "feed", "state"),
)

# What an owner is told, once a cause: while one with the same subject is open, it is counted and not told again.
# state: new -> sent | unheard (no recipient) ; new stays new while sending fails (tries, due). closed: NULL while the
# cause lasts.
alert = Table(
    "alert",
    metadata,
    c.number(),
    c.plain_customer(),
    c.instant("at"),
    c.words("kind"),
    c.words("subject"),
    c.json("data", null=True),
    c.words("state", default="new"),
    c.count("times", "1"),
    c.count("tries"),
    c.instant("due"),
    c.instant("closed", null=True),
    Index(None, "state", "due"),
    Index(
        "uq_alert_open",
        "customer_id",
        "kind",
        "subject",
        unique=True,
        sqlite_where=text("closed IS NULL"),
        postgresql_where=text("closed IS NULL"),
    ),
    sqlite_autoincrement=True,
)
