"""A process that dies once, at one commit."""


class Crash(BaseException):
    """The process ends here."""


class Once:
    """A hook of the database: the first time that this commit comes to this point. `struck`: whether it did."""

    def __init__(self, point: str, commit: str) -> None:
        self._place, self.struck = (point, commit), False

    def __call__(self, where: str, name: str) -> None:
        if not self.struck and (where, name) == self._place:
            self.struck = True
            raise Crash
