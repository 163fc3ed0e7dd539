"""The tables of what looks after the sync: the brake, what was seen by which road, reconciliation, runs that can be
undone, and people whom only the CRM has."""

from sqlalchemy import Index, Table

from keepstep.schema import columns as c

metadata = c.metadata

# A change that is only inferred, counted over a rolling day. why: absence | deletion | bounce | false.
# state: counted (it went out) | held -> approved | discarded | overdue (an opt-out that waited for a day goes out).
# A discarded one is never sent in these words (fingerprint of the step's payload).
inferred = Table(
    "inferred",
    metadata,
    c.customer(),
    c.words("party_id", key=True),
    c.words("side", key=True),
    c.words("target", key=True),
    c.words("fingerprint", key=True),
    c.words("kind"),
    c.words("why"),
    c.count("lane"),
    c.instant("since"),
    c.words("state", default="counted"),
    Index(None, "customer_id", "state", "since"),
)

# One change of a CRM record as one road showed it. stamp: the record's own change stamp, else a hash of its body.
# source: hook | poll | sweep; event: the webhook's own word, of a hook. Pruned with the deliveries.
sighting = Table(
    "sighting",
    metadata,
    c.customer(),
    c.words("platform", key=True),
    c.words("record_id", key=True),
    c.words("stamp", key=True),
    c.words("source", key=True),
    c.words("event", null=True),
    c.instant("at"),
    Index(None, "customer_id", "platform", "at"),
)

# The reconciliation log: append only, kept for a year. category: stuck | needs_update | missed | drift.
reconciliation = Table(
    "reconciliation",
    metadata,
    c.number(),
    c.plain_customer(),
    c.words("run"),
    c.instant("at"),
    c.words("category"),
    c.json("records"),
    c.words("resolution"),
    c.json("details", null=True),
    Index(None, "customer_id", "id"),
    sqlite_autoincrement=True,
)

# Something that a person let go at once and may undo. kind: plan | brake | reconcile | undo.
# state: open (its writes are still made) -> ended -> undone.
run = Table(
    "run",
    metadata,
    c.customer(),
    c.words("id", key=True),
    c.words("kind"),
    c.instant("at"),
    c.words("state", default="open"),
    c.json("doc", null=True),
    Index(None, "customer_id", "at"),
)

# What is written for this party, until it rests, belongs to this run.
run_party = Table("run_party", metadata, c.customer(), c.words("party_id", key=True), c.words("run"))

# One write of a run, with what it found. state: kept -> undone | touched (somebody has changed it since).
written = Table(
    "written",
    metadata,
    c.number(),
    c.plain_customer(),
    c.words("run"),
    c.instant("at"),
    c.words("party_id"),
    c.words("member", null=True),
    c.words("side"),
    c.words("kind"),
    c.words("target"),
    c.json("payload"),
    c.json("answer", null=True),
    c.words("state", default="kept"),
    Index(None, "customer_id", "run", "id"),
    sqlite_autoincrement=True,
)

# A contact that only the CRM has. standing: external (remembered, never asked about again) | wanted -> enrolled |
# left_out, with the reason.
stranger = Table(
    "stranger",
    metadata,
    c.customer(),
    c.words("record_id", key=True),
    c.words("standing"),
    c.words("reason", null=True),
    c.instant("since"),
    Index(None, "customer_id", "standing"),
)
