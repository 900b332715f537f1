from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legseg_bids.anatomy.labels import load_labels, read_table
from legseg_bids.anatomy.regions import Part
from legseg_bids.anatomy.whereabouts import BEYOND_MM, part_range, possible_slices

PATELLA, GLUTEUS_MEDIUS, FAT, SACRUM = 105, 73, 151, 121


def test_every_structure_has_its_place_and_the_fat_has_none() -> None:
    rows = read_table("whereabouts.tsv")
    assert len({row["structure"] for row in rows}) == len(rows)
    for label in load_labels():
        bounds = part_range(label.index)
        if label.index == FAT:
            assert bounds is None
        else:
            assert bounds is not None, label
            assert bounds[0] <= bounds[1]
    known = {label.abbreviation.removesuffix("_L") for label in load_labels()}
    assert {row["structure"] for row in rows} <= known


@pytest.mark.parametrize(
    ("index", "parts", "distance", "expected"),
    [
        (PATELLA, "KNEE UPPER UPPER HIP", 40.0, [1, 1, 0, 0]),
        (PATELLA, "LOWER LOWER KNEE", 59.0, [0, 1, 1]),
        (PATELLA, "UPPER UPPER UPPER", 24.0, [1, 1, 0]),  # the knee may lie just below
        (GLUTEUS_MEDIUS, "KNEE UPPER HIP", 59.0, [0, 1, 1]),
        (GLUTEUS_MEDIUS, "KNEE UPPER UPPER", 29.0, [0, 1, 1]),  # the hip may lie just above
        (SACRUM, "FOOT", 5.0, [1]),
        (FAT, "FOOT HIP", 300.0, [1, 1]),
    ],
)
def test_slices_by_example(index: int, parts: str, distance: float, expected: list[int]) -> None:
    stack = [Part[name] for name in parts.split()]
    assert possible_slices(index, stack, distance).astype(int).tolist() == expected
    turned = possible_slices(index, stack[::-1], distance, -1)
    assert turned.astype(int).tolist() == expected[::-1]


@given(
    st.sampled_from([label.index for label in load_labels()]),
    st.lists(st.sampled_from(list(Part)), min_size=1, max_size=40).map(sorted),
    st.floats(1, 30),
)
def test_a_structure_is_never_cut_in_its_own_parts(
    index: int, parts: list[Part], distance: float
) -> None:
    possible = possible_slices(index, parts, distance)
    low, high = part_range(index) or (Part.FOOT, Part.HIP)
    assert all(possible[n] for n, part in enumerate(parts) if low <= part <= high)
    # what may be there is one stretch
    assert np.count_nonzero(np.diff(possible.astype(int), prepend=0, append=0)) <= 2
    assert BEYOND_MM > 0
