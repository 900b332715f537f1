"""Names and colours for viewers, read as the viewers read them."""

from __future__ import annotations

import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legseg_bids.anatomy.colour_tables import itksnap, rgb, slicer
from legseg_bids.anatomy.labels import Label, load_labels

LABELS = st.lists(st.sampled_from(load_labels()), unique=True)


def read_snap(text: str) -> dict[int, tuple[str, tuple[int, ...]]]:
    """Fields by white space, the name in quotes."""
    assert text.splitlines()[1] == "# ITK-SnAP Label Description File"
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            index, red, green, blue, alpha, shown, mesh, name = shlex.split(line)
            assert 0 <= float(alpha) <= 1
            assert {shown, mesh} <= {"0", "1"}
            found[int(index)] = (name, (int(red), int(green), int(blue)))
    return found


def read_slicer(text: str) -> dict[int, tuple[str, tuple[int, ...]]]:
    """Fields by single spaces; underscores stand for spaces."""
    head, values, *lines = text.splitlines()
    assert head.startswith("# Color table file")
    found = {}
    for line in lines:
        index, name, red, green, blue, alpha = line.split(" ")
        assert int(alpha) in (0, 255)
        found[int(index)] = (name.replace("_", " "), (int(red), int(green), int(blue)))
    assert values == f"# {len(found)} values"
    return found


@given(LABELS)
def test_both_viewers_read_every_name_and_colour(labels: list[Label]) -> None:
    expected = {label.index: (label.name, rgb(label.color)) for label in labels}
    for found in (read_snap(itksnap(labels)), read_slicer(slicer(labels))):
        background = found.pop(0)
        assert background[1] == (0, 0, 0)
        assert found == expected


def test_files_end_with_a_line_break_and_are_plain() -> None:
    for text in (itksnap(load_labels()), slicer(load_labels())):
        assert text.endswith("\n")
        assert text.isascii()


@pytest.mark.parametrize("color", ["", "red", "#12345", "123456", "#1234567", "#12345g"])
def test_what_is_no_colour_is_refused(color: str) -> None:
    with pytest.raises(ValueError, match=re.escape("#rrggbb") + "|invalid literal"):
        rgb(color)
