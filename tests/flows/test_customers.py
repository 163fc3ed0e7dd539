"""Customers come and go: who leaves is erased, stage by stage, and nobody else notices."""

import hashlib
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select

from keepstep.database import Inline, canonical_json
from keepstep.model.errors import Blocked, Refused, Transient
from keepstep.model.instant import format_instant
from keepstep.queue import claim
from keepstep.schema.feeds import alert, feed_row
from keepstep.schema.tables import metadata, secret
from keepstep.state import customers
from keepstep.state.alerts import OPERATOR
from keepstep.state.vault import Secret
from keepstep.wiring import export
from keepstep.wiring.removal import Wish
from keepstep_sandbox.http import Request, Response
from tests.flows.crashing import Crash, Once
from tests.flows.crossing import CUSTOMER, START, Crossing, key_of

OTHER = "beta"
UNEXPORTED = Wish(unexported=True)
# What must be nowhere afterwards, and what stays for good.
CANARIES = ("canary.ann@example.org", "Canaryann", "Canarylist", "canary@evidence.example")


class Two(Crossing):
    """Two customers at work; the first one has a person of whom everything is remembered."""

    def __init__(self, db: Any = None) -> None:
        super().__init__(db=db, customers=(CUSTOMER, OTHER))
        self.a_list("Canarylist")
        self.ann = self.person("canary.ann@example.org", "Canaryann", "Lee", phones=[("mobile", "202-555-0111")])
        self.bob = self.person("bob@example.org", "Bob", "Roe")
        self.cc.add_person(OTHER, self.now(), first_name="Zoe", last_name="Poe", email="zoe@example.org")
        self.connect()
        self.opts_out(self.ann)
        self.wait(minutes=20)
        self.ask(self.service.db.run(_more, self.now()))

    def remove(self, wish: Wish = UNEXPORTED) -> Any:
        return self.ask(self.service.remove(CUSTOMER, wish))


def _more(tx: Any, now: float) -> None:
    """Rows of tables that this story does not fill by itself."""
    for one in (CUSTOMER, OTHER):
        body = {"a": "Canaryann" if one == CUSTOMER else "Zoe"}
        fed = {"feed": "f", "row_id": "1", "party_id": "f:1", "version": "v", "body": body, "lists": {}}
        tx.execute(insert(feed_row).values(customer_id=one, read_at=now, since=now, **fed))
        told = {"at": now, "kind": "k", "subject": "s", "due": now, "state": "sent"}
        tx.execute(insert(alert).values(customer_id=one, **told))


def rows(c: Crossing, customer_id: str) -> dict[str, list[Any]]:
    """Every row of a customer, by table."""

    def found(tx: Any) -> dict[str, list[Any]]:
        mine = [table for table in metadata.sorted_tables if "customer_id" in table.c]
        all_of = {
            table.name: [
                dict(row)
                for row in tx.execute(
                    select(table).where(table.c.customer_id == customer_id).order_by(*table.primary_key.columns)
                ).mappings()
            ]
            for table in mine
        }
        return {name: lines for name, lines in all_of.items() if lines}

    return dict(c.ask(c.service.db.run(found)))


def mine(c: Crossing, made: int) -> list[str]:
    """Where calls with the first customer's key went since."""
    sent = f"Bearer {key_of(CUSTOMER)}"
    return [one.request.path for one in c.calls[made:] if one.request.headers.get("authorization") == sent]


def digests(c: Crossing, customer_id: str) -> dict[str, str]:
    return {
        name: hashlib.sha256("\n".join(repr(sorted(row.items())) for row in lines).encode()).hexdigest()
        for name, lines in rows(c, customer_id).items()
    }


def everything(c: Crossing) -> str:
    """The text of every row of every table, whoever's."""

    def found(tx: Any) -> str:
        lines = (repr(tuple(row)) for table in metadata.sorted_tables for row in tx.execute(select(table)))
        return "\n".join(lines)

    return str(c.ask(c.service.db.run(found)))


def test_who_is_removed_leaves_nothing_but_hashes_and_the_other_one_is_untouched(engine: Engine) -> None:
    with Two(Inline(disk=engine)) as c:
        before, others = rows(c, CUSTOMER), digests(c, OTHER)
        assert all(canary in everything(c) for canary in CANARIES[:3])
        outs = {row["address_hash"] for row in before["act"] if row["direction"] == "out" and row["address_hash"]}
        assert len(outs) == 1
        report = c.remove()
        left = rows(c, CUSTOMER)
        assert {name: len(lines) for name, lines in left.items()} == {"act": len(left["act"]), "secret": 1}
        for row in left["act"]:
            named = {row[name] for name in ("party_id", "record_id")} | {canonical_json(row["evidence"])}
            assert row["direction"] == "out" and row["address_hash"] in outs and named == {"", "null"}
        assert [(row["platform"], row["field"]) for row in left["secret"]] == [("keepstep", "ledger_key")]
        assert digests(c, OTHER) == others
        text = everything(c)
        assert [canary for canary in CANARIES if canary in text] == []
        assert report["erased"]["party"] == len(before["party"]) and report["kept"] == {
            "hashes of opted-out addresses": 1
        }
        made = len(c.calls)
        c.wait(days=1)
        assert mine(c, made) == []
        assert rows(c, CUSTOMER).keys() == left.keys(), "no turn brings anything back"


def test_the_bytes_of_the_file_hold_nothing_of_who_was_removed(sqlite_url: str, sqlite_engine: Engine) -> None:
    file = Path(sqlite_url.removeprefix("sqlite:///"))
    with Two(Inline(disk=sqlite_engine)) as c:
        hashes = [row["address_hash"] for row in rows(c, CUSTOMER)["act"] if row["direction"] == "out"]
        api_key = key_of(CUSTOMER).encode()
        c.remove()
    sqlite_engine.dispose()
    found = b"".join(path.read_bytes() for path in file.parent.glob(f"{file.name}*"))
    assert hashes[0].encode() in found, "this is the file, and it can be read"
    assert [one for one in (*(canary.encode() for canary in CANARIES), api_key) if one in found] == []


# --- show ------------------------------------------------------------------------------------------------------------


def test_show_tells_what_paused_it_what_blocks_it_and_how_old_each_secret_is() -> None:
    with Crossing() as c:
        c.connect()

        def shown() -> Any:
            return c.ask(c.service.customer(CUSTOMER))

        found = shown()
        assert (found["state"], found["paused_by"], found["blocked"], found["alerts"]) == ("active", None, {}, "none")
        assert found["stored_at"]["virtuous.api_key"] == format_instant(START)
        assert set(found["stored_at"]) == set(found["stored"]) and found["rotating"] == {} and found["feeds"] == []
        c.ask(c.service.pause(CUSTOMER))
        assert shown()["paused_by"] == "person"
        c.ask(c.service.db.run(customers.pause, CUSTOMER, "account.cancel"))
        assert shown()["paused_by"] == "account.cancel"
        c.ask(c.service.db.run(customers.note_removal, CUSTOMER, {"began": 0.0}))
        assert shown()["paused_by"] == "removal"
        c.ask(c.service.resume(CUSTOMER))
        c.ask(c.service.db.run(customers.block, CUSTOMER, "virtuous", "reauthorize"))
        assert "keepstep connect virtuous" in shown()["blocked"]["virtuous"]["next"]
        for owner, whose in ((OPERATOR, "default"), (CUSTOMER, "customer")):
            url = (owner, "keepstep", "alert_url", Secret("json://127.0.0.1:1"), c.now())
            c.ask(c.service.db.run(c.service.vault.put, *url))
            assert shown()["alerts"] == whose and "127.0.0.1:1" not in str(shown())


# --- export ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["acme.tar.gz", "acme"])
def test_the_export_has_every_row_of_every_table_and_no_secret(tmp_path: Path, name: str) -> None:
    with Two() as c:
        before = rows(c, CUSTOMER)
        texts = [
            one.reveal() for one in (c.ask(c.service.db.run(c.service.vault.get, CUSTOMER, *row)) for row in SECRETS)
        ]
        report = c.remove(Wish(to=tmp_path / name))
        lines = read(tmp_path / name)
    assert set(lines) == set(before) - {"secret"}
    assert {table: len(some) for table, some in lines.items()} == {
        t: len(r) for t, r in before.items() if t != "secret"
    }
    assert report["exported"]["rows"] == {table: len(some) for table, some in lines.items()}
    whole = json.dumps(lines)
    assert "canary.ann@example.org" in whole and [one for one in texts if one in whole] == []
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).stat().st_mode & 0o077 == 0


def test_an_export_that_cannot_be_written_leaves_the_customer_paused_and_no_half_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    with Two() as c:
        with monkeypatch.context() as patched:
            patched.setattr(export, "_written", full)
            with pytest.raises(
                Refused, match=r"acme.tar.gz cannot be written \(No space left on device\); it stays paused"
            ):
                c.remove(Wish(to=tmp_path / "acme.tar.gz"))
        assert list(tmp_path.iterdir()) == [] and "party" in rows(c, CUSTOMER)
        assert c.ask(c.service.db.run(customers.get, CUSTOMER)).state == "paused"
        assert c.remove(Wish(to=tmp_path / "acme.tar.gz"))["state"] == "removed"


SECRETS = (
    ("virtuous", "api_key"),
    ("virtuous", "webhook_secret"),
    ("virtuous", "door_token"),
    ("constant_contact", "refresh_token"),
    ("keepstep", "ledger_key"),
)


def read(path: Path) -> dict[str, list[Any]]:
    if path.is_dir():
        texts = {one.stem: one.read_text("utf-8") for one in path.iterdir()}
    else:
        with tarfile.open(path) as archive:
            members = {Path(one.name).stem: archive.extractfile(one) for one in archive.getmembers()}
            texts = {name: file.read().decode() for name, file in members.items() if file}
    return {name: [json.loads(line) for line in text.splitlines()] for name, text in texts.items()}


def test_bodies_that_are_no_text_and_odd_words_are_exported_too() -> None:
    assert json.loads(export._line({"body": b"\xff\x00", "x": "\ud800"})) == {"body": {"base64": "/wA="}, "x": "\ud800"}


@pytest.mark.parametrize("wish", [Wish(), Wish(to=Path("/")), Wish(to=Path("/nowhere/at/all/x.tar.gz"))])
def test_without_a_word_about_the_copy_nothing_happens(wish: Wish) -> None:
    with Crossing() as c:
        c.connect()
        before = digests(c, CUSTOMER)
        with pytest.raises(Refused):
            c.ask(c.service.remove(CUSTOMER, wish))
        assert digests(c, CUSTOMER) == before


def test_before_it_is_told_what_would_go_and_what_stays() -> None:
    with Two() as c:
        found = c.ask(c.service.outlook(CUSTOMER))
        before = rows(c, CUSTOMER)
        assert found["erases"]["party"] == len(before["party"]) and found["keeps"] == {
            "hashes of opted-out addresses": 1
        }
        assert found["webhooks"] == 1 and len(found["by_hand"]) == 2
        assert rows(c, CUSTOMER) == before
        with pytest.raises(Refused, match="no customer nobody"):
            c.ask(c.service.outlook("nobody"))


# --- stages ----------------------------------------------------------------------------------------------------------


def refusing(answer: Response) -> Callable[..., Response]:
    def wire(_vendor: str, request: Request, handle: Callable[[], Response]) -> Response:
        return answer if request.method == "DELETE" and request.path.startswith("/api/Webhook") else handle()

    return wire


def test_the_vendor_forgets_our_webhook() -> None:
    with Two() as c:
        assert len(c.v._organizations[CUSTOMER].subscriptions) == 1
        report = c.remove()
        assert list(report["webhooks"].values()) == ["deleted"]
        assert not c.v._organizations[CUSTOMER].subscriptions and c.v._organizations[OTHER].subscriptions
        assert any(one.startswith("virtuous: delete the API key") for one in report["by_hand"])


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(Response(503), Transient), (Response(0, drop=True), Transient), (Response(401), Blocked)],
    ids=["503", "lost", "refused"],
)
def test_a_vendor_that_does_not_answer_leaves_the_customer_paused_until_it_does(
    answer: Response, kind: type[Exception], tmp_path: Path
) -> None:
    with Two() as c:
        c.wire = refusing(answer)
        with pytest.raises(kind, match=r"stays paused.*--force"):
            c.remove(Wish(to=tmp_path / "acme"))
        known = c.ask(c.service.db.run(customers.get, CUSTOMER))
        assert known.state == "paused" and "party" in rows(c, CUSTOMER)
        assert c.ask(c.service.outlook(CUSTOMER))["state"] == "being removed"
        made = len(c.calls)
        c.wait(hours=2)
        assert mine(c, made) == []
        c.wire = None
        report = c.remove(Wish())
        assert report["exported"]["to"] == str(tmp_path / "acme"), "it is not exported twice"
        assert set(rows(c, CUSTOMER)) == {"act", "secret"}


def test_force_goes_on_and_says_what_is_left_to_do_by_hand() -> None:
    with Two() as c:
        c.wire = refusing(Response(503))
        report = c.remove(Wish(unexported=True, force=True))
        assert list(report["webhooks"].values()) == ["not answered"]
        assert any("delete webhook" in one for one in report["by_hand"])
        assert set(rows(c, CUSTOMER)) == {"act", "secret"}


@pytest.mark.parametrize("commit", ["_begun", "_noted", "_forgot", "_secrets_gone", "erase"])
@pytest.mark.parametrize("point", ["before", "after"])
def test_a_crash_at_any_stage_is_gone_on_from(commit: str, point: str) -> None:
    at, disk = Once(point, commit), Inline()
    with Two(disk) as c:
        others = digests(c, OTHER)
        c.db = disk.beside(at)
        c.open()
        with pytest.raises(Crash):
            c.remove()
        c.db = disk
        c.open()
        report = c.remove()
        assert report["state"] == "removed" and not c.v._organizations[CUSTOMER].subscriptions
        assert set(rows(c, CUSTOMER)) == {"act", "secret"}
        assert digests(c, OTHER) == others


def test_a_removal_waits_for_the_turn_under_way_and_stays_paused_where_it_does_not_end() -> None:
    with Two() as c:
        c.ask(c.service.db.run(claim, "worker", c.now() + 9e5, 9e5, CUSTOMER))
        with pytest.raises(Transient, match="paused; the same command"):
            c.remove()
        assert c.ask(c.service.db.run(customers.get, CUSTOMER)).state == "paused"


def test_resume_calls_it_off_until_the_secrets_are_gone() -> None:
    with Two() as c:
        c.wire = refusing(Response(503))
        with pytest.raises(Transient):
            c.remove()
        c.wire = None
        c.ask(c.service.resume(CUSTOMER))
        assert c.ask(c.service.outlook(CUSTOMER))["state"] == "kept"
        c.ask(c.service.db.run(_mark_secrets_gone))
        with pytest.raises(Refused, match="secrets are gone"):
            c.ask(c.service.resume(CUSTOMER))
        with pytest.raises(Refused, match="is being removed"):
            c.key(key_of(CUSTOMER))


def _mark_secrets_gone(tx: Any) -> None:
    customers.note_removal(tx, CUSTOMER, {"began": 0.0, "secrets": 3})


def test_who_was_removed_may_come_back_and_their_opt_outs_are_still_known() -> None:
    with Two() as c:
        kept = rows(c, CUSTOMER)["act"]
        c.remove()
        with pytest.raises(Refused, match="no customer"):
            c.remove()
        c.consent(c.cc.add_account(CUSTOMER + "2", "client", "secret", c.now())["refresh_token"])
        key = c.ask(
            c.service.db.run(
                lambda tx: tx.execute(
                    select(secret.c.updated).where(secret.c.field == "ledger_key", secret.c.customer_id == CUSTOMER)
                ).all()
            )
        )
        assert len(key) == 1
        hashes = {row["address_hash"] for row in kept if row["direction"] == "out" and row["address_hash"]}
        assert {row["address_hash"] for row in rows(c, CUSTOMER)["act"]} == hashes
        desk = c.ask(c.service.desk(CUSTOMER))
        assert {desk.hashed("canary.ann@example.org")} == hashes


def test_staff_see_no_difference_at_the_vendors() -> None:
    """We leave what we wrote: a removal makes one call, and that is the webhook's."""
    with Two() as c:
        made = len(c.calls)
        before = c.everybody()
        c.remove()
        assert [(one.request.method, one.request.path.rsplit("/", 1)[0]) for one in c.calls[made:]] == [
            ("DELETE", "/api/Webhook")
        ]
        assert c.everybody() == before
