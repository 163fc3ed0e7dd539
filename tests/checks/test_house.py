"""The measures and the link check find what they are there to find."""

from pathlib import Path

from checks import house, links


def test_a_file_of_400_lines_is_too_long(tmp_path: Path) -> None:
    (tmp_path / "long.py").write_text("x = 1\n" * 400, encoding="utf-8")
    (tmp_path / "fits.py").write_text("x = 1\n" * 399, encoding="utf-8")
    assert [finding.path.name for finding in house.findings(tmp_path)] == ["long.py"]


def test_a_function_of_41_lines_is_too_long_and_its_docstring_does_not_count(tmp_path: Path) -> None:
    body = "    x = 1\n"
    document = '    """One.\n\n    Two.\n    """\n'
    (tmp_path / "f.py").write_text(f"def fits():\n{document}{body * 40}\n\ndef long():\n{body * 41}", encoding="utf-8")
    assert [finding.text for finding in house.findings(tmp_path)] == ["long has 41 lines; at most 40"]


def test_tables_and_migrations_may_be_long(tmp_path: Path) -> None:
    (tmp_path / "schema").mkdir()
    (tmp_path / "schema" / "tables.py").write_text("x = 1\n" * 500, encoding="utf-8")
    assert list(house.findings(tmp_path)) == []


def test_a_folder_that_the_import_contract_cannot_see_is_found(tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "module.py").write_text("x = 1\n", encoding="utf-8")
    assert [finding.path.name for finding in house.findings(tmp_path)] == ["hidden"]
    (tmp_path / "hidden" / "__init__.py").touch()
    assert list(house.findings(tmp_path)) == []


def test_a_dead_relative_link_is_found_at_its_line(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("", encoding="utf-8")
    (tmp_path / "a.md").write_text(
        "[fine](there.md#part)\n[web](https://example.org) [here](#top)\n[dead](gone.md)\n"
        "`[code](gone.md)`\n```\n[fenced](gone.md)\n```\n[ref]: also-gone.md\n",
        encoding="utf-8",
    )
    assert [(finding.line, finding.text) for finding in links.findings(tmp_path)] == [
        (3, "link to gone.md: no such file"),
        (8, "link to also-gone.md: no such file"),
    ]
