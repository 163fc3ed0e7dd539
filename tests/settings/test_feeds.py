"""`[customers.ID.feeds.NAME]`: what is read, and how every mistake is named, with its line and its remedy."""

from dataclasses import fields
from pathlib import Path

import pytest

from keepstep.model.errors import Misconfigured
from keepstep.model.feed import Feed, When
from keepstep.settings import load

GOOD = {
    "database": '"mysql://reader@db.example.org/shop"',
    "table": '"people"',
    "key": '"id"',
    "changed": '"updated_at"',
    "columns": '{ email = "Email" }',
    "lists": '["News"]',
    "permission_evidence": '"They ticked a box."',
}


def write(tmp_path: Path, settings: dict[str, str | None], before: str = "") -> Path:
    path = tmp_path / "keepstep.toml"
    lines = [f"{key} = {value}" for key, value in (GOOD | settings).items() if value is not None]
    path.write_text("\n".join([*([before] if before else []), "[customers.acme.feeds.shop]", *lines, ""]))
    return path


def feed(tmp_path: Path, before: str = "", **settings: str | None) -> Feed:
    return load(write(tmp_path, settings, before), {}).route("acme").feeds["shop"]


def problem(tmp_path: Path, **settings: str | None) -> str:
    """The one problem, after the file's name."""
    path = write(tmp_path, settings)
    with pytest.raises(Misconfigured) as refused:
        load(path, {})
    [found] = refused.value.problems
    return found.removeprefix(f"{path}:")


def test_a_feed_needs_little(tmp_path: Path) -> None:
    assert feed(tmp_path) == Feed(
        name="shop",
        database="mysql://reader@db.example.org/shop",
        table="people",
        key="id",
        changed="updated_at",
        columns={"email": "Email"},
        lists=("News",),
        permission_evidence="They ticked a box.",
    )


def test_everything_that_a_feed_can_say(tmp_path: Path) -> None:
    found = feed(
        tmp_path,
        database='"postgresql://reader@127.0.0.1:5433/shop"',
        table=None,
        query='"SELECT * FROM people;"',
        changed=None,
        new_rows_only="true",
        columns='{ email = "Email", "custom:Member no" = "no" }',
        lists=None,
        when='[{ column = "country", equals = ["US"], lists = ["US"] },\n'
        ' { column = "joined", since = 2026-01-01, before = "2027-01-01", lists = ["New", "News"] }]',
        schedule='"30 6  * * 1-5"',
        zone='"America/Phoenix"',
        overlap='"1h"',
        permission_at='"asked"',
        existing='"lists_only"',
        ca_file='"ca.pem"',
        phone_region='"CA"',
    )
    assert (found.query, found.table, found.new_rows_only) == ("SELECT * FROM people;", "", True)
    assert found.columns == {"email": "Email", "custom:Member no": "no"}
    assert found.when == (
        When(column="country", equals=("US",), lists=("US",)),
        When(column="joined", since="2026-01-01", before="2027-01-01", lists=("New", "News")),
    )
    assert (found.schedule, found.zone, found.overlap) == ("30 6 * * 1-5", "America/Phoenix", 3600.0)
    assert (found.permission_at, found.existing, found.phone_region) == ("asked", "lists_only", "CA")
    assert found.ca_file == str(tmp_path / "ca.pem")


def test_conditions_may_stand_in_tables_of_their_own(tmp_path: Path) -> None:
    path = write(tmp_path, {"lists": None})
    when = '[[customers.acme.feeds.shop.when]]\ncolumn = "country"\n'
    path.write_text(path.read_text() + when + 'equals = ["US"]\nlists = ["US"]\n')
    [found] = load(path, {}).route("acme").feeds["shop"].when
    assert found == When(column="country", equals=("US",), lists=("US",))
    path.write_text(path.read_text() + "nonsense = 1\n")
    with pytest.raises(Misconfigured, match=r":8: customers.acme.feeds.shop.when.1.nonsense: unknown key"):
        load(path, {})


def test_files_lie_beside_the_settings_and_phones_are_the_routes(tmp_path: Path) -> None:
    route = '[customers.acme.route]\nphone_region = "GB"'
    found = feed(tmp_path, route, database='"sqlite:///shop.db"')
    assert found.database == f"sqlite:///{tmp_path}/shop.db"
    assert found.phone_region == "GB"
    assert feed(tmp_path, database='"sqlite:////srv/shop.db"').database == "sqlite:////srv/shop.db"


@pytest.mark.parametrize("said", ["daily", "hourly", "15m", "15 min", "1d", "weekly", "0 6 * * *", "*/15 8-18 * * 1-5"])
def test_a_schedule_is_a_cadence_or_a_cron_line(tmp_path: Path, said: str) -> None:
    assert feed(tmp_path, schedule=f'"{said}"').schedule == said


@pytest.mark.parametrize(
    ("left_out", "where", "said"),
    [
        ("database", "1: customers.acme.feeds.shop.database: ", "is missing; write mysql://"),
        ("table", "1: customers.acme.feeds.shop.table: ", "is missing, and so is query; name the table"),
        ("key", "1: customers.acme.feeds.shop.key: ", "is missing; name the column that tells rows apart"),
        ("changed", "1: customers.acme.feeds.shop.changed: ", "or write new_rows_only = true"),
        ("columns", "1: customers.acme.feeds.shop.columns: ", "has no email; write columns = { email ="),
        ("lists", "1: customers.acme.feeds.shop.lists: ", "is missing, and so is when; name the lists"),
        ("permission_evidence", "1: customers.acme.feeds.shop.permission_evidence: ", "say in a sentence why"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, left_out: str, where: str, said: str) -> None:
    found = problem(tmp_path, **{left_out: None})
    assert found.startswith(where) and said in found


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("query", '"SELECT 1"', "contradicts table; leave one of them out"),
        ("new_rows_only", "true", "contradicts changed; leave one of them out"),
        ("columns", '{ first_name = "F" }', "has no email"),
        ("columns", '{ emial = "E" }', "columns.emial: unknown key; did you mean email?"),
        ("columns", '{ email = "E", "custom:" = "x" }', "columns.custom:: unknown key"),
        ("columns", '{ email = "" }', "columns.email: is empty"),
        ("database", '"oracle://u@h/n"', "no database that a feed can read; write mysql://"),
        ("database", '"mysql+pymysql://u@h/n"', "no database that a feed can read"),
        ("database", '"mysql://u@h/n?ssl_disabled=1"', "holds options after ? or #"),
        ("database", '"postgresql://u@h/n?sslmode=disable"', "holds options after ? or #"),
        ("database", '"mysql://u@h"', "names no database"),
        ("database", '"mysql:///n"', "names no database"),
        ("database", '"sqlite://shop.db"', "names no database"),
        ("database", '"sqlite:///"', "names no database"),
        ("database", '"mysql://u@h:port/n"', "is no URL of a database"),
        ("database", "1", "is no URL of a database"),
        ("key", '["a", "b"]', "is several columns, and one must tell rows apart"),
        ("key", '"a, b"', "make one in a query"),
        ("lists", "[]", "names no list"),
        ("lists", '["News", " "]', "names no list"),
        ("schedule", '"quarterly"', "is no duration"),
        ("schedule", '"10s"', "is too often"),
        ("schedule", '"61 6 * * *"', "is no cron line; write five fields"),
        ("schedule", '"* * * * * *"', "is no cron line"),
        ("zone", '"Phoenix"', "is no time zone"),
        ("overlap", "600", "is no duration"),
        ("permission_evidence", '" "', "is empty"),
        ("existing", '"replace"', "choose update or lists_only"),
        ("phone_region", '"usa"', "is no country code"),
        ("when", '"US"', "is no list of conditions"),
        ("when", '[{ column = "c", equals = ["US"] }]', "when.1: has no lists"),
        ("when", '[{ equals = ["US"], lists = ["L"] }]', "when.1: has no column"),
        ("when", '[{ column = "c", lists = ["L"] }]', "when.1: needs equals, or since and before"),
        ("when", '[{ column = "c", equals = ["U"], since = 2026-01-01, lists = ["L"] }]', "a condition is of one kind"),
        ("when", '[{ column = "c", since = "soon", lists = ["L"] }]', "when.1.since: is no date"),
        ("when", '[{ column = "c", since = 2026-01-01T00:00:00, lists = ["L"] }]', "when.1.since: is no date"),
    ],
)
def test_what_is_wrong_is_named_with_its_line_and_its_remedy(tmp_path: Path, key: str, value: str, said: str) -> None:
    line = [*GOOD, key].index(key) + 2
    found = problem(tmp_path, **{key: value})
    assert found.startswith(f"{line}: customers.acme.feeds.shop.{key}") and said in found, found


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("DELETE FROM people", "begin with SELECT or WITH"),
        ("SELECT 1; DELETE FROM people", "holds several statements"),
        ("WITH gone AS (DELETE FROM people RETURNING *) SELECT * FROM gone", "writes or locks (DELETE FROM)"),
        ("SELECT * FROM people FOR UPDATE", "writes or locks (FOR UPDATE)"),
        ("SELECT * FROM people INTO OUTFILE '/tmp/x'", "writes or locks (INTO OUTFILE)"),
    ],
)
def test_a_query_that_is_no_reading_is_refused(tmp_path: Path, query: str, said: str) -> None:
    assert said in problem(tmp_path, table=None, query=f'"{query}"')


def test_a_query_may_say_anything_in_quotes_and_comments(tmp_path: Path) -> None:
    query = "/* delete from; */ SELECT 'a;b', \\\"update x set\\\" FROM people -- ;"
    assert feed(tmp_path, table=None, query=f'"{query}"').query.startswith("/* delete")


def test_a_password_is_refused_and_not_repeated(tmp_path: Path) -> None:
    found = problem(tmp_path, database='"mysql://reader:s3cret-pw@db.example.org/shop"')
    assert "holds a password; take it out and store it with `keepstep feed connect`" in found
    assert "s3cret" not in found


def test_a_feed_has_a_name_that_fits_into_a_queue(tmp_path: Path) -> None:
    path = write(tmp_path, {})
    path.write_text(path.read_text().replace("feeds.shop", 'feeds."my shop"'))
    with pytest.raises(Misconfigured, match="is no name of a feed; use up to 64 letters"):
        load(path, {})


def test_every_key_is_documented_with_its_default() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    rows = page.partition("| Key of a feed |")[2].partition("\n\n")[0].splitlines()[2:]
    cells = {row.split(" | ")[0].strip("| `"): row.split(" | ")[1].strip("`") for row in rows}
    kept = {each.name: each.default for each in fields(Feed) if each.name != "name"}
    assert set(cells) == set(kept)
    for key, value in {"schedule": '"1d"', "zone": '"UTC"', "existing": '"update"'}.items():
        assert cells[key] == value == f'"{kept[key]}"'
    assert cells["overlap"] == '"10m"' and kept["overlap"] == 600.0
