"""The import contract holds on the real tree and bites on planted wrong imports."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINT = """
import sys
from importlinter.cli import lint_imports
sys.exit(lint_imports(sys.argv[1], tuple(sys.argv[2:]), no_cache=True))
"""
IGNORED = shutil.ignore_patterns("__pycache__")


def lint(tree: Path, *contracts: str) -> subprocess.CompletedProcess[str]:
    """Run the linter on a tree that has `pyproject.toml` and `src/`; only these contracts, or all."""
    return subprocess.run(
        [sys.executable, "-c", LINT, "pyproject.toml", *contracts],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree / "src"), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def file_of(tree: Path, module: str) -> Path:
    """The file of a module in the tree, made empty where the module does not exist."""
    place = tree / "src" / Path(*module.split("."))
    path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    for folder in reversed(path.relative_to(tree / "src").parents[:-1]):
        (tree / "src" / folder).mkdir(exist_ok=True)
        (tree / "src" / folder / "__init__.py").touch()
    path.touch()
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the real tree, to plant wrong imports in."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=IGNORED)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_real_tree_keeps_every_contract() -> None:
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("contract", "importer", "imported"),
    [
        ("layers", "keepstep.model.decide", "keepstep.database"),
        ("layers", "keepstep.state", "keepstep.queue"),
        ("layers", "keepstep.queue", "keepstep.wire"),
        ("layers", "keepstep.capture", "keepstep.submit"),
        ("layers", "keepstep.inbound", "keepstep.capture"),
        ("layers", "keepstep.submit", "keepstep.connectors"),
        ("layers", "keepstep.connectors.virtuous", "keepstep.tokens"),
        ("layers", "keepstep.worker", "keepstep.web"),
        ("layers", "keepstep.settings", "keepstep.wiring"),
        ("connectors-discovered", "keepstep.wiring", "keepstep.connectors.constant_contact"),
        ("connectors-apart", "keepstep.connectors.virtuous", "keepstep.connectors.constant_contact"),
        ("product-alone", "keepstep.cli", "keepstep_sandbox"),
        ("product-alone", "keepstep.worker", "keepstep_simulator"),
        ("sandbox-alone", "keepstep_sandbox", "keepstep.model"),
        ("sandbox-alone", "keepstep_sandbox", "keepstep_simulator"),
        ("model-pure", "keepstep.model.decide", "sqlalchemy"),
    ],
)
def test_a_wrong_import_breaks_its_contract(tree: Path, contract: str, importer: str, imported: str) -> None:
    if imported.startswith("keepstep"):
        file_of(tree, imported)
    with file_of(tree, importer).open("a", encoding="utf-8") as file:
        file.write(f"\nimport {imported}\n")
    result = lint(tree, contract)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "BROKEN" in result.stdout, result.stdout + result.stderr
    assert importer in result.stdout
    assert imported in result.stdout


def test_a_module_that_the_contract_does_not_name_breaks_it(tree: Path) -> None:
    file_of(tree, "keepstep.helpers")
    result = lint(tree, "layers")
    assert result.returncode == 1, result.stdout + result.stderr
    assert "helpers" in result.stdout
