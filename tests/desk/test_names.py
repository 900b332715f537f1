"""Names that come from outside."""

from __future__ import annotations

from pathlib import Path

import pytest
from hostile_names import HOSTILE
from hypothesis import given
from hypothesis import strategies as st

from legseg_bids.desk.names import folder_name, line_of_text, safe_path
from legseg_bids.desk.refusals import Refused
from legseg_bids.desk.workspace import IDENTIFIER

PLAIN = (
    "a", "IM0001", "scans/leg 1/IM-0001.dcm", ".bidsignore", "sub-01/anat/sub-01_T1w.nii.gz",
    "Bein links/Aufnahme ä.dcm", "腿/图像.nii", "a..b", "...a", "-rf", "~", "$(id)", "a;b", "a&b",
    "console.txt", "com10", "null", "e\u0301",
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_paths_are_refused(text: str) -> None:
    with pytest.raises(Refused, match="expected a plain path") as refused:
        safe_path(text)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("text", PLAIN)
def test_plain_paths_stay_as_they_are(text: str) -> None:
    assert safe_path(text).as_posix() == text


PIECES = st.sampled_from(
    ["..", ".", "", "a", "b.dcm", "/", "\\", ":", "\0", " ", "CON", "\u202e", "\uff0e", "%2e", "~"]
)


@given(st.lists(PIECES, max_size=8).map("/".join) | st.lists(PIECES).map("".join) | st.text())
def test_what_is_allowed_stays_inside(text: str) -> None:
    try:
        path = safe_path(text)
    except Refused:
        return
    root = Path("/somewhere/incoming")
    whole = root / path
    assert whole.is_relative_to(root)
    assert whole != root
    assert ".." not in whole.parts
    assert path.as_posix() == text
    assert not set(text) & set("\\:\0")


@given(st.text())
def test_folder_names_are_identifiers(text: str) -> None:
    assert IDENTIFIER.fullmatch(f"{folder_name(text)}-0123abcd")


@given(st.text(max_size=50))
def test_lines_of_text_are_one_visible_line(text: str) -> None:
    line = line_of_text(text, 50, "the note")
    assert "\n" not in line
    assert line == line.strip()
    assert all(char.isprintable() for char in line)


@pytest.mark.parametrize("value", [None, 3, ["a"], "x" * 11])
def test_what_is_no_short_text_is_refused(value: object) -> None:
    with pytest.raises(Refused, match="expected text"):
        line_of_text(value, 10, "the note")
