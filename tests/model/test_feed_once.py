"""A row's whole life against a vendor that forgets answers, drops rows and revives whom it meets: whatever people and
the table do meanwhile, nobody is on a list who is out, nothing is done twice, and nobody is missing at the end."""

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from keepstep.model.contact import AudienceContact, Consent
from keepstep.model.feed import Row
from keepstep.model.feed_decide import Known, Put, Verdict, decide

ADDRESSES = ("ann@example.org", "bob@example.org")
LISTS = ("L", "M")
MOSTLY = (ADDRESSES[0], ADDRESSES[0], ADDRESSES[1])


@dataclass
class Person:
    """Whoever has an address at the vendor."""

    lists: set[str] = field(default_factory=set)
    out: bool = False
    deleted_at: float | None = None
    took_away: dict[str, float] = field(default_factory=dict)


@dataclass
class Flight:
    """A call under way: what was decided, whether the vendor did it, and whether it did all of it."""

    row: Row
    verdict: Verdict
    took: bool


class Once(RuleBasedStateMachine):
    """One row, which changes, and the vendor. Time moves with every step; a reading shows the vendor as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000_000.5
        self.number = 0
        self.vendor: dict[str, Person] = {}
        self.row = self._a_row(ADDRESSES[0], LISTS[:1], None)
        self.puts: dict[str, Put] = {}
        self.flight: Flight | None = None
        self.settled: str | None = None
        self.effects: list[tuple[str, str]] = []

    def _a_row(self, address: str, lists: tuple[str, ...], permission_at: float | None) -> Row:
        self.number += 1
        said = {"email": address, "first_name": f"Name{self.number}"}
        version = f"v{self.number}"
        return Row(row_id="r", version=version, address=address, fields=said, lists=lists, permission_at=permission_at)

    def _tick(self) -> None:
        self.now += 60.0

    # --- the table ---

    @rule(
        address=st.sampled_from(MOSTLY),
        lists=st.sampled_from([("L",), ("M",), LISTS]),
        again=st.sampled_from([False, False, True]),
    )
    def the_row_changes(self, address: str, lists: tuple[str, ...], again: bool) -> None:
        self._tick()
        # What a list is known by is the last address only: a row does not go back to one it had.
        address = max(address, str(self.row.address))
        self.row, self.settled = self._a_row(address, lists, self.now if again else self.row.permission_at), None

    # --- people and staff ---

    @rule(address=st.sampled_from(MOSTLY), list_id=st.sampled_from(LISTS))
    def leaves(self, address: str, list_id: str) -> None:
        self._tick()
        if (one := self.vendor.get(address)) and list_id in one.lists:
            one.lists.discard(list_id)
            one.took_away[list_id] = self.now

    @precondition(lambda self: self.number > 4)  # it is the end of everything
    @rule(address=st.sampled_from(MOSTLY))
    def opts_out(self, address: str) -> None:
        self._tick()
        if one := self.vendor.get(address):
            one.out, one.lists = True, set()

    @rule(address=st.sampled_from(MOSTLY))
    def is_deleted(self, address: str) -> None:
        self._tick()
        if (one := self.vendor.get(address)) and one.deleted_at is None:
            one.deleted_at, one.lists = self.now, set()

    # --- we ---

    def _people(self) -> tuple[AudienceContact, ...]:
        addresses = dict.fromkeys([self.row.address, *(put.address for put in self.puts.values())])
        return tuple(
            AudienceContact(
                record_id=address,
                read_at=self.now,
                email=address,
                consent=Consent.opted_out if one.out else Consent.opted_in,
                lists=tuple(sorted(one.lists)),
                deleted=one.deleted_at is not None,
                deleted_at=one.deleted_at,
            )
            for address in addresses
            if address and (one := self.vendor.get(address))
        )

    @precondition(lambda self: self.flight is None)
    @rule(took=st.booleans())
    def is_decided_and_sent(self, took: bool) -> None:
        """The call may be taken or lost on the way there; neither is known before it is settled."""
        self._tick()
        verdict = decide(self.row, Known(lists=tuple(sorted(self.row.lists)), people=self._people(), puts=self.puts))
        for one in verdict.left:
            if self.puts[one].state != "left":
                left = Put(version=self.row.version, at=self.now, state="left", address=self.row.address)
                self.puts[one] = left
        if verdict.way is None:
            self.settled = verdict.state
            return
        self.flight = Flight(self.row, verdict, took)
        if took:
            self._meets(self.row, verdict)

    def _meets(self, row: Row, verdict: Verdict) -> None:
        assert row.address is not None
        one = self.vendor.setdefault(row.address, Person())
        assert not one.out, "who opted out is not imported"
        if one.deleted_at is not None:
            assert row.permission_at is not None and row.permission_at > one.deleted_at, "who was deleted stays so"
            one.deleted_at = None
        for list_id in verdict.lists:
            gone = one.took_away.pop(list_id, None) if list_id not in one.lists else None
            newer = gone is None or (row.permission_at is not None and row.permission_at > gone)
            assert newer, "who left a list is not put back"
            if list_id not in verdict.kept:
                assert (row.version, list_id) not in self.effects, "once per version and list"
                self.effects.append((row.version, list_id))
            one.lists.add(list_id)

    @precondition(lambda self: self.flight is not None)
    @rule()
    def is_settled(self) -> None:
        """What reading people shows: those that were taken are recorded, the others are decided anew."""
        self._tick()
        flight, self.flight = self.flight, None
        assert flight is not None
        if flight.took:
            put = Put(version=flight.row.version, at=self.now, state="on", address=flight.row.address)
            self.puts |= dict.fromkeys(flight.verdict.lists, put)
            for one in flight.verdict.kept:
                if one not in flight.verdict.lists:
                    before = self.puts[one]
                    self.puts[one] = Put(
                        version=flight.row.version, at=before.at, state=before.state, address=before.address
                    )

    @precondition(lambda self: self.flight is None)
    @rule()
    def comes_through(self) -> None:
        self.is_decided_and_sent(True)
        if self.flight is not None:
            self.is_settled()

    # --- what holds ---

    @invariant()
    def nobody_is_on_a_list_who_is_out_or_deleted(self) -> None:
        assert not any(one.lists for one in self.vendor.values() if one.out or one.deleted_at is not None)

    def teardown(self) -> None:
        """Left alone it comes to an end, and the row's person is where the row says, or somebody took them away."""
        for _ in range(4):
            if self.flight is not None:
                self.is_settled()
            self.is_decided_and_sent(True)
        assert self.flight is None, "the same version goes on for ever"
        one = self.vendor.get(str(self.row.address), Person())
        missing = set(self.row.lists) - one.lists
        # Whoever the row was imported as before is who it is about.
        gone = [each for each in self.vendor.values() if each.out or each.deleted_at is not None]
        left = {key for each in self.vendor.values() for key in each.took_away}
        left |= {key for key, put in self.puts.items() if put.state == "left"}
        assert not missing or gone or missing <= left, "somebody is missing"


TestOnce = Once.TestCase
TestOnce.settings = settings(max_examples=300, stateful_step_count=30, deadline=None)
