"""How long what is kept for a while is kept, by class. Consent and opt-outs are in none: they are kept for good."""

from dataclasses import dataclass

DAY = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Seconds. payloads: raw deliveries after they came, and which road showed which change. dead_letters: after they
    were resolved. reconciliation_log: its rows. journal: its lines, and the history of readings and decisions behind
    them. alerts: after they were closed. The defaults but the last two are the recipe's (Virtuous facts 16.9)."""

    payloads: float = 30 * DAY
    dead_letters: float = 90 * DAY
    reconciliation_log: float = 365 * DAY
    journal: float = 730 * DAY
    alerts: float = 90 * DAY
