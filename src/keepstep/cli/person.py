"""Who types."""

import getpass


def login() -> str:
    """The login name, for the journal; `unknown` where the system knows none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"
