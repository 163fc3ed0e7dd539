"""An address that changes its method: of two people who swap theirs, neither can be written while the other one still
has the address (Virtuous facts 5). So one method goes and a new one comes.

The new method comes first, so that the person is never without one. Where a clash (409) forbids that, the old one goes
first, and the outcome stays unknown until the new one is there: looking at a swap that was begun finishes it.
"""

from keepstep.connectors.virtuous.api import Api, number, segment
from keepstep.connectors.virtuous.mapping import EMAIL_TYPE, Reader, kind_of
from keepstep.model import canonical
from keepstep.model.change import Done, Nothing, Outcome, Retry, Step, Unknown
from keepstep.model.errors import Conflicting, Missing, Transient, Unanswered

AFTER_AN_EDIT = 300.0
# The other one of the two is written in the next turns; if not, it has trouble of its own, and time.
SOON, LATER = 60.0, 600.0


class Swap:
    """One swap. Raises what the API raises."""

    def __init__(self, api: Api, step: Step) -> None:
        self._api = api
        self._ours = step.payload
        self._emails: list[Reader] = []

    async def write(self) -> Outcome:
        """Begin, and finish if nothing is in the way."""
        old, new = await self._read()
        if old is None and new is None:
            return Retry(AFTER_AN_EDIT, "changed since it was read")
        if new is not None and new is old:
            return Nothing()
        if old is not None and not canonical.fits("email", self._ours["was"], old.text("value")):
            return Retry(AFTER_AN_EDIT, "changed since it was read")
        return await self._finish(old, new)

    async def look(self) -> Outcome:
        """Only a call that may have begun is looked at: whatever it left undone is done now."""
        old, new = await self._read()
        if new is not None and new is old:
            return _done(new)
        if old is not None and new is None:
            return Retry(0.0, "not there")
        return await self._finish(old, new)

    async def _read(self) -> tuple[Reader | None, Reader | None]:
        """The method that the step names and the one that has the new address, as they are now."""
        person = await self._api.get(f"/api/ContactIndividual/{segment(self._ours['individual'])}")
        methods = Reader(person, []).items("contactMethods")
        self._emails = [one for one in methods if kind_of(one.text("type") or "") == "email"]
        old = (one for one in self._emails if one.id() == self._ours["method"])
        new = (one for one in self._emails if canonical.same("email", one.text("value"), self._ours["value"]))
        return next(old, None), next(new, None)

    async def _finish(self, old: Reader | None, new: Reader | None) -> Outcome:
        if new is None:
            try:
                new = await self._create(old)
            except Conflicting as problem:
                await self._delete(old)
                return Unknown(SOON if old else LATER, str(problem))
        elif self._opted_in(old) is False and new.flag("isOptedIn") is not False:
            await self._close(new)
        try:
            await self._delete(old)
        except Transient as problem:
            return Unknown(problem.retry_after or SOON, str(problem))
        return _done(new)

    async def _create(self, old: Reader | None) -> Reader:
        """Type, consent and place of the old method; once that is gone, what the step knows, else what imports make."""
        first = not any(one.flag("isPrimary") for one in self._emails)
        body = {
            "contactIndividualId": number(self._ours["individual"]),
            "type": (old.text("type") if old else self._ours.get("type")) or EMAIL_TYPE,
            "value": self._ours["value"],
            "isOptedIn": bool(self._opted_in(old)),
            "setAsPrimary": old.flag("isPrimary") is True if old else first,
        }
        made = Reader(await self._api.write("POST", "/api/ContactMethod", body) or {}, [])
        if made.id() is None:
            raise Unanswered("POST /api/ContactMethod: no id in the answer")
        return made

    def _opted_in(self, old: Reader | None) -> bool | None:
        """The consent to carry: the old method's as it is now, else as it was decided upon."""
        there = old.flag("isOptedIn") if old else None
        decided: bool | None = self._ours.get("opted_in")
        return decided if there is None else there

    async def _close(self, new: Reader) -> None:
        """The address was a further one of the person: the opt-out of the old method holds for it too."""
        body = {"type": new.text("type"), "value": new.text("value"), "isOptedIn": False}
        place = {"setAsPrimary": new.flag("isPrimary") is True}
        await self._api.write("PUT", f"/api/ContactMethod/{segment(new.id() or '')}", body | place, urgent=True)

    async def _delete(self, old: Reader | None) -> None:
        if old is None:
            return
        try:
            await self._api.write("DELETE", f"/api/ContactMethod/{segment(old.id() or '')}")
        except Missing:
            pass  # somebody else took it away in between


def _done(new: Reader) -> Done:
    return Done({"method": new.id(), "value": new.text("value")})
