"""The page on robustness names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "robustness.md"


def named_tests() -> list[tuple[str, str]]:
    """File and function of each test on the page; a bare name stands in the file before it."""
    found, file = [], ""
    for words in re.findall(r"`([^`\n]+)`", PAGE.read_text(encoding="utf-8")):
        path, _, name = words.rpartition("::")
        file = path or file
        if name.startswith("test_") and not name.endswith(".py"):
            found.append((file, name))
    return found


def test_every_named_test_exists() -> None:
    named = named_tests()
    assert len(named) > 40
    for file, name in named:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert name in {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}, (file, name)


def test_every_complaint_names_a_test() -> None:
    rows = re.findall(r"^\| (\d+) \|.*\|(.*)\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 20))
    assert all("test_" in tests for _, tests in rows)


def test_every_named_file_exists() -> None:
    for path in re.findall(r"`((?:tests|benchmarks|docs)/[\w/]+\.\w+)", PAGE.read_text("utf-8")):
        assert (ROOT / path).is_file(), path
