"""Errors are classes of recovery.

Problem                 something the caller must know; its text is for people and holds no personal data
├── Transient           try again later; `retry_after` seconds if the vendor named them
│   └── Unanswered      nobody knows whether the call took effect: look before repeating
├── Blocked             the connection cannot be used until a person acts: pause it and tell its owner
├── Permanent           this call will never succeed: stop this step and show it
│   ├── Missing         the record is not there
│   ├── Conflicting     the record clashes with another one
│   └── NotGranted      this connection was never given this kind of call: go on without it, and say so
├── Refused             bad input from a stranger: answer, record, change nothing
├── Misconfigured       a setting is wrong; holds every problem at once
└── Overloaded          too much is waiting: the sender must come back
"""


class Problem(Exception):
    """Base of everything that Keepstep raises on purpose."""


class Transient(Problem):
    """Try again later. `retry_after` is in seconds, None where the vendor named no time."""

    def __init__(self, text: str, retry_after: float | None = None, status: int | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after
        self.status = status


class Unanswered(Transient):
    """The call may or may not have taken effect."""


class Blocked(Problem):
    """The connection is unusable until somebody acts. `reason` is a short stable key.

    `platform`: whose connection, where the piece of work that failed asks both.
    """

    def __init__(self, reason: str, text: str, platform: str | None = None) -> None:
        super().__init__(text)
        self.reason = reason
        self.platform = platform


class Permanent(Problem):
    """The vendor refused this very call. `status` is the HTTP status, `detail` its own words with no personal data."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.detail = detail


class Missing(Permanent):
    """The record is not there (404)."""


class Conflicting(Permanent):
    """The record clashes with another one (409)."""


class NotGranted(Permanent):
    """What is asked for needs a permission that its owner has not given (403); the connection's other work goes on."""


class Refused(Problem):
    """A stranger's input that is not believed or not understood. `status` is the HTTP status to answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Misconfigured(Problem):
    """Settings that cannot work: every problem at once, each with file, line, key and what would be right."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Overloaded(Problem):
    """More is waiting than may wait."""
