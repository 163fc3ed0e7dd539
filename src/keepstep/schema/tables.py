"""Every table, with the states of its rows. Instants are epoch seconds (float, UTC); NULL in an instant means never.

`customer_id` leads every key, so that a customer's rows lie together and the tables can be split by customer later.
Tables without it:
`permit` and `application_key`, which belong to an application key over all customers.
"""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, Table, literal_column, text

from keepstep.schema import columns as c

metadata = c.metadata

# state: active -> paused -> active. A paused customer is never claimed and sends nothing; its work is kept.
customer = Table(
    "customer",
    metadata,
    c.customer(),
    c.words("state", default="active"),
    c.json("config"),
    c.instant("created"),
)

# health: ok -> blocked (reason says what the owner must do) -> ok.
connection = Table(
    "connection",
    metadata,
    c.customer(),
    c.words("platform", key=True),
    c.words("account_id", null=True),
    c.words("health", default="ok"),
    c.words("reason", null=True),
    c.json("data"),
)

# Sealed here (key_id, nonce, ciphertext), or kept elsewhere: `place` names provider, name and version of one immutable
# value. A new value is always sealed here first and leaves when the provider has given it back.
secret = Table(
    "secret",
    metadata,
    c.customer(),
    c.words("platform", key=True),
    c.words("field", key=True),
    c.words("key_id", null=True),
    Column("nonce", LargeBinary, nullable=True),
    Column("ciphertext", LargeBinary, nullable=True),
    c.instant("updated"),
    c.words("place", null=True),
)

# The customer's mutex. Free: lease_until <= now. Claimed: fence + 1, holder, lease_until ahead. Released: lease_until
# 0, holder NULL.
# wake (NULL = nothing to do) and lease_until are two columns: one for both let a second worker in. Locked first in
# every transaction.
slot = Table(
    "slot",
    metadata,
    c.customer(),
    c.instant("wake", null=True),
    c.instant("lease_until", default="0"),
    c.words("holder", null=True),
    Column("fence", BigInteger, nullable=False, server_default="0"),
    Index(None, "wake"),
)

# state: new -> parsed | refused | aside; aside -> parsed. Aside: its records cannot be read now.
# Stored by the door before anything is understood; read by the slot's holder only.
delivery = Table(
    "delivery",
    metadata,
    c.words("id", key=True),
    c.plain_customer(),
    c.words("platform"),
    c.instant("received"),
    c.json("headers"),
    Column("body", LargeBinary, nullable=False),
    c.words("state", default="new"),
    Index(
        "ix_delivery_new",
        "customer_id",
        "received",
        sqlite_where=text("state = 'new'"),
        postgresql_where=text("state = 'new'"),
    ),
    Index(None, "customer_id", "received"),
)
# Written out, not bound: only the value tells whether the partial index serves, so SQLite would compile a statement
# that binds it anew at every execution, which took ten times as long as the statement.
is_new = delivery.c.state == literal_column("'new'")

# standing: linked -> parked | left_out | stub | gone, and back; reason says why. One record belongs to one party.
alias = Table(
    "alias",
    metadata,
    c.customer(),
    c.words("platform", key=True),
    c.words("record_id", key=True),
    c.words("party_id"),
    c.words("standing", default="linked"),
    c.words("reason", null=True),
    c.instant("since"),
    Index(None, "customer_id", "party_id"),
)

# kind: email | phone, value canonical. Several records may hold one value; who does is what keeps a recycled address
# apart.
custody = Table(
    "custody",
    metadata,
    c.customer(),
    c.words("kind", key=True),
    c.words("value", key=True),
    c.words("platform", key=True),
    c.words("record_id", key=True),
    c.words("party_id"),
    Index(None, "customer_id", "party_id"),
)

# doc: what was last seen on each side, per party and per person. rev counts saves.
party = Table("party", metadata, c.customer(), c.words("party_id", key=True), c.json("doc"), c.count("rev", "1"))

# previous_at: when it was last read with another body.
# One record as last read, raw. whole = every part that we ask for was asked for and answered; read_no counts reads.
snapshot = Table(
    "snapshot",
    metadata,
    c.customer(),
    c.words("platform", key=True),
    c.words("record_id", key=True),
    c.count("read_no", "1"),
    c.instant("read_at"),
    c.json("body"),
    Column("whole", Boolean, nullable=False),
    c.instant("previous_at", null=True),
)

# The consent ledger: append only. kind: choice | address | record; direction: out | in. [after, before] is the
# interval in which it
# must have happened. Holds keyed hashes of addresses, never addresses, so that erasure and proof can both hold.
# seal: a hash of the row and of `previous`, the seal of the customer's row before it: state/chain.py.
act = Table(
    "act",
    metadata,
    c.number(),
    c.plain_customer(),
    c.words("party_id"),
    c.words("platform"),
    c.words("record_id"),
    c.words("address_hash", null=True),
    c.words("kind"),
    c.words("direction"),
    c.instant("after", null=True),
    c.instant("before", null=True),
    c.instant("at", null=True),
    c.words("source"),
    c.json("evidence", null=True),
    c.instant("seen_at"),
    c.words("previous", default="unsealed"),
    c.words("seal", default="unsealed"),
    Index(None, "customer_id", "party_id"),
    Index(None, "customer_id", "platform", "record_id"),
    Index(None, "customer_id", "id"),
    sqlite_autoincrement=True,
)

# "Look at this party." Put again: rev + 1, earlier due, lower lane. Taken, then deleted WHERE rev = the one seen, or
# deferred (tries + 1).
# lane: 0 consent, 1 changes, 2 sweep, 3 bulk.
entry = Table(
    "entry",
    metadata,
    c.customer(),
    c.words("party_id", key=True),
    c.count("lane"),
    c.instant("due"),
    c.instant("arrived"),
    c.count("rev", "1"),
    c.count("tries"),
    c.words("fingerprint", null=True),
    Index(None, "customer_id", "lane", "due"),
)

# One concrete write. Unsent: job_id NULL; held while hold is set (plan, shadow, brake, gate, quota, blocked, ...).
# inferred: why it is only inferred (absence | deletion | bounce | false); NULL: somebody's own act or edit.
# unsent -> in a job -> deleted (done or dead) | unsent again (tries + 1). One unsent step per target; a sent one may
# stand beside it.
step = Table(
    "step",
    metadata,
    c.number(),
    c.plain_customer(),
    c.words("party_id"),
    c.words("side"),
    c.words("kind"),
    c.words("target"),
    c.count("lane"),
    c.words("grp"),
    c.instant("since"),
    c.instant("due"),
    c.count("tries"),
    c.words("hold", null=True),
    c.words("job_id", null=True),
    c.words("member", null=True),
    c.json("payload"),
    c.words("inferred", null=True),
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
    c.customer(),
    c.words("record_id", key=True),
    c.words("party_id"),
    c.json("payload"),
    c.words("address", null=True),
    c.words("state", default="waiting"),
    c.instant("since"),
    Index(None, "customer_id", "state"),
)

# One vendor call. intent -> sent -> done | accepted | unknown; accepted -> done | unknown; unknown -> accepted | done.
# intent was never sent and goes back to steps; sent without an answer is unknown. A job that is done is deleted: the
# journal remembers.
job = Table(
    "job",
    metadata,
    c.customer(),
    c.words("id", key=True),
    c.words("side"),
    c.words("grp"),
    c.words("kind"),
    c.words("state", default="intent"),
    c.words("vendor_id", null=True),
    c.instant("look_at", null=True),
    c.instant("sent_at", null=True),
    c.json("payload", null=True),
)

# The right to make one call now, over all customers of an application key. free_at: when this one may be taken again.
# used counts the calls
# of the UTC day `day` (days since 1970). stop: not before this instant, whatever else holds (quota_exceeded).
permit = Table(
    "permit",
    metadata,
    c.words("key", key=True),
    Column("n", Integer, primary_key=True, autoincrement=False),
    c.instant("free_at", default="0"),
    c.count("day"),
    c.count("used"),
    c.instant("stop", default="0"),
)

application_key = Table("application_key", metadata, c.words("key", key=True), c.words("platform"), c.json("data"))

# Polls and chores. mark moves when a round is whole, cursor with every page (NULL = no round under way), due = next
# time to run.
mark = Table(
    "mark",
    metadata,
    c.customer(),
    c.words("platform", key=True),
    c.words("name", key=True),
    c.instant("mark", null=True),
    c.words("cursor", null=True),
    c.instant("due", null=True),
    c.json("data", null=True),
    Index(None, "customer_id", "due"),
)

# kind: list | tag (a tag of the audience side, by its own id).
# state: live -> paused (one side's name changed, reason says which) -> live; live | paused -> gone.
label = Table(
    "label",
    metadata,
    c.customer(),
    c.words("list_id", key=True),
    c.words("list_name"),
    c.words("tag_id", null=True),
    c.words("tag_name", null=True),
    c.words("state", default="live"),
    c.words("reason", null=True),
    c.words("kind", default="list"),
)

# Which custom field goes with which: `audience` and `crm` are the two definitions. state as of a label; crm NULL: no
# field of that name there.
field = Table(
    "field",
    metadata,
    c.customer(),
    c.words("field_id", key=True),
    c.json("audience"),
    c.json("crm", null=True),
    c.words("state", default="live"),
    c.words("reason", null=True),
)

# A line of a mailing's report, kept because no reading repeats it. kind: bounce | opt_out; strength: hard | soft |
# delivered, of a bounce.
report = Table(
    "report",
    metadata,
    c.customer(),
    c.words("platform", key=True),
    c.words("id", key=True),
    c.words("record_id"),
    c.words("kind"),
    c.instant("at"),
    c.words("address", null=True),
    c.words("strength", null=True),
    c.words("code", null=True),
    c.words("reason", null=True),
    c.instant("seen_at"),
    Index(None, "customer_id", "platform", "record_id"),
)

# What the journal's lines are about, as it was: a reading (platform and record say whose) or a party with what was
# decided of it. Append only; it holds personal data and goes with its customer.
history = Table(
    "history",
    metadata,
    c.number(),
    c.plain_customer(),
    c.instant("at"),
    c.words("party_id"),
    c.words("platform", null=True),
    c.words("record_id", null=True),
    c.words("kind"),
    c.json("body"),
    Index(None, "customer_id", "party_id", "id"),
    Index(None, "customer_id", "at"),
    sqlite_autoincrement=True,
)

# What happened and why: append only.
journal = Table(
    "journal",
    metadata,
    c.number(),
    c.plain_customer(),
    c.instant("at"),
    c.words("party_id", null=True),
    c.words("kind"),
    c.json("data", null=True),
    Index(None, "customer_id", "party_id", "id"),
    Index(None, "customer_id", "at"),
    sqlite_autoincrement=True,
)

# state: open -> replayed | discarded | closed, once, at `resolved`. closed: its cause went away by itself.
dead_letter = Table(
    "dead_letter",
    metadata,
    c.customer(),
    c.words("id", key=True),
    c.words("party_id", null=True),
    c.instant("at"),
    c.words("side"),
    c.words("kind"),
    c.json("payload", null=True),
    c.json("answer", null=True),
    c.words("reason"),
    c.count("tries"),
    c.words("state", default="open"),
    c.instant("resolved", null=True),
    Index(None, "customer_id", "state", "at"),
    Index(None, "customer_id", "resolved"),
)

# A first connection, one a customer. state: reading -> open -> applied -> reading (planned again). While it is reading
# or open every step is held; `first`: nobody was in step before, so opt-outs are held as well.
plan = Table(
    "plan",
    metadata,
    c.customer(),
    c.words("state"),
    Column("first", Boolean, nullable=False),
    c.instant("made"),
    c.words("checksum", null=True),
    c.json("doc", null=True),
)

# A party of the plan, with the fingerprint of what was planned for it. state: planned -> dropped (it changed before the
# plan was applied: held until the next plan), planned -> done (what was planned is written).
plan_party = Table(
    "plan_party",
    metadata,
    c.customer(),
    c.words("party_id", key=True),
    c.words("state", default="planned"),
    c.words("fingerprint"),
)
