from __future__ import annotations

from pathlib import Path

import pytest

from legseg_bids.cli.exit_codes import load_exit_codes
from legseg_bids.errors import ExitCode, LegsegError

USAGE = Path(__file__).parents[2] / "docs" / "usage.md"


def test_the_table_explains_every_code_once_and_in_order() -> None:
    assert [row.code for row in load_exit_codes()] == sorted(ExitCode)
    assert all(row.meaning and not row.meaning.endswith(".") for row in load_exit_codes())


def test_every_error_has_a_code() -> None:
    assert all(isinstance(kind.exit_code, ExitCode) for kind in LegsegError.__subclasses__())


def test_the_documentation_holds_the_same_table() -> None:
    lines = USAGE.read_text(encoding="utf-8").splitlines()
    for row in load_exit_codes():
        assert any(line.startswith(f"| {row.code:d} | {row.meaning} |") for line in lines), row


def test_a_table_that_is_wrong_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("code\tname\tmeaning\n2\tFAILED\tx\n")
    with pytest.raises(ValueError, match="2 is not FAILED"):
        load_exit_codes(tmp_path / "t.tsv")
