"""The tables of what looks after the sync: the brake, what was seen by which road, reconciliation, runs that can be
undone, and people whom only the CRM has."""

from sqlalchemy import Index, Table

from keepstep.schema import columns as c

metadata = c.metadata

# A change that is only inferred, by what the step says (fingerprint of its payload).
# why: absence | deletion | bounce | false. state: counted (it may go out) | held -> approved | overdue (an opt-out that
# waited for a day goes out by itself); a discarded one is deleted, the person remembers it.
# since: when it got into this state. shown: the checksum of the preview that a person last saw it in.
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
    c.instant("since"),
    c.words("state", default="counted"),
    c.words("shown", null=True),
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

# The reconciliation log: append only, kept as long as the settings say.
# category: stuck | needs_update | missed | drift.
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

# A range of parties, those after one id and up to another ("" for all that follow), that was compared and is the same:
# what both sides were read as and what we know then, as a fingerprint.
bucket = Table(
    "bucket",
    metadata,
    c.customer(),
    c.words("after", key=True),
    c.words("upto"),
    c.words("fingerprint"),
    c.json("tally"),
    c.instant("at"),
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

# One value written in a run, with what was found there. `what` names it within the payload: a field, a list.
# state: kept -> undoing -> undone | touched (somebody has changed it since) | stays (it is not undone: why) | refused.
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
    c.words("what"),
    c.json("payload"),
    c.json("answer", null=True),
    c.words("state", default="kept"),
    c.words("why", null=True),
    Index(None, "customer_id", "run", "id"),
    sqlite_autoincrement=True,
)

# A contact that only the CRM has. standing: external (remembered, never asked about again) | wanted -> enrolled |
# left_out, with the reason. evidence: of whom we created, by what permission; kept for good.
stranger = Table(
    "stranger",
    metadata,
    c.customer(),
    c.words("record_id", key=True),
    c.words("standing"),
    c.words("reason", null=True),
    c.words("evidence", null=True),
    c.instant("since"),
    Index(None, "customer_id", "standing"),
)
