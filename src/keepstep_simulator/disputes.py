"""The disputed facts of both vendors as settings for seeds: among as many seeds as there are rows, every two values of
two switches meet."""

from functools import lru_cache

from keepstep_sandbox.constant_contact.registry import SWITCHES as CC
from keepstep_sandbox.log import CONSTANT_CONTACT, VIRTUOUS
from keepstep_sandbox.virtuous import SWITCHES as V
from keepstep_simulator.pairs import Row, pairwise

Chosen = dict[str, dict[str, str]]
_SELDOM_AT_CC = (
    "confirmed_opt_in conflict_wording contact_webhooks cursor_extra email_finds_deleted error_body hard_bounce_holds "
    "import_counts import_duplicates import_email_size import_error_text import_foreign_phone import_home_country "
    "import_revives import_status import_unknown_field list_job_adds_unsubscribed put_subresources put_without_email "
    "refresh_grace refresh_reuse report_counts report_last_page segment_answer signup_conflict timed_out_spelling"
).split()
_SELDOM_AT_VIRTUOUS = (
    "archived-read batch-bad-row error-body find-shared-email import-email merge-carries merged-read put-address "
    "query-date reference-clash tag-twice unauthorized-body unknown-segment webhook-exhausted"
).split()
REGISTRIES = {CONSTANT_CONTACT: CC, VIRTUOUS: V}
# So many weeks are played with the settings of the seeds 0, 1, 2, ...: every value of every switch is among them.
WEEKS = 20
# What not every week asks for, since the product seldom or never makes such a call: tests of their own play these.
UNREACHED = frozenset(
    {
        *((CONSTANT_CONTACT, name) for name in _SELDOM_AT_CC),
        *((VIRTUOUS, name) for name in _SELDOM_AT_VIRTUOUS),
    }
)


def of_seed(seed: int) -> Chosen:
    """What the vendors of one seed are like: vendor to switch to value."""
    found = rows()
    return by_vendor(found[seed % len(found)])


@lru_cache(maxsize=1)
def rows() -> tuple[Row, ...]:
    """Every pair of values together in some row; the first one holds the defaults."""
    every = {f"{vendor} {switch.name}": switch.values for vendor, registry in REGISTRIES.items() for switch in registry}
    return tuple(pairwise(every))


def by_vendor(row: Row) -> Chosen:
    """A row as the stand-ins take it."""
    chosen: Chosen = {vendor: {} for vendor in REGISTRIES}
    for name, value in row.items():
        vendor, _, switch = name.partition(" ")
        chosen[vendor][switch] = value
    return chosen
