"""The page on security names tests and limits that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "desk-security.md").read_text(encoding="utf-8")


def test_every_named_test_exists() -> None:
    named = re.findall(r"`((?:\w+/)?test_\w+)(?:::(test_\w+))?`", PAGE)
    assert len(named) > 25
    for file, name in named:
        path = TESTS / f"{file}.py" if "/" in file else TESTS / "desk" / f"{file}.py"
        tree = ast.parse(path.read_text(encoding="utf-8"))
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert not name or name in functions, (file, name)


def test_every_threat_names_a_test() -> None:
    table = PAGE.partition("## Threats")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("| ")]
    assert len(rows) > 15
    assert all("test" in row[-1] for row in rows)


def test_every_file_of_tests_is_named() -> None:
    """But for this one, and those of what is no defence."""
    files = {path.stem for path in (TESTS / "desk").glob("test_*.py")}
    others = {"test_documentation", "test_progress"}
    assert {name for name in files if f"`{name}" not in PAGE} == others
