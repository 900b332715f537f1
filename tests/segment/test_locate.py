"""Sides and parts from a classifier that says what the test wants."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legseg_bids.anatomy.regions import Part, Region, Side
from legseg_bids.errors import ImageError
from legseg_bids.imaging.limbs import LimbBox
from legseg_bids.imaging.volume import Volume
from legseg_bids.segment.classify import BATCH
from legseg_bids.segment.locate import (
    BELOW_HIP_MM,
    SHORTEST_HIP_MM,
    THIGH_ABOVE_MM,
    Location,
    locate,
    regions_in_view,
)
from legseg_bids.segment.models import LocatorSpec

SPEC = LocatorSpec(size=16, pixel_mm=4.0)


class Oracle:
    """A classifier that reads its answers from a list, slice after slice."""

    name, device = "oracle", "cpu"

    def __init__(self, sides: tuple[float, float, float], parts: str) -> None:
        self.sides, self.parts, self.seen = np.log(sides), parts, 0

    def __call__(self, batch: np.ndarray) -> tuple[np.ndarray, ...]:
        assert len(batch) == BATCH  # one shape, one compiled network
        part = np.full((BATCH, 5), np.log(0.01), np.float32)
        for i, letter in enumerate(self.parts[self.seen : self.seen + BATCH]):
            part[i, "FLKUH".index(letter)] = np.log(0.96)
        self.seen += BATCH
        return np.tile(self.sides, (BATCH, 1)).astype(np.float32), part


def run(
    parts: str,
    sides: tuple[float, float, float] = (0.02, 0.02, 0.96),
    limbs: int = 2,
    empty: tuple[int, ...] = (),
    distance: float = 10.0,
) -> Location:
    shape = (12, 10, len(parts))
    mask = np.ones(shape, bool)
    mask[:, :, list(empty)] = False
    boxes = [LimbBox(mask, (slice(0, 12), slice(0, 10), slice(0, len(parts))))] * limbs
    image = Volume(mask.astype(np.float32), np.diag([4.0, 4.0, distance, 1.0]))
    return locate(image, mask, boxes, SPEC, Oracle(sides, parts))


def test_two_limbs_are_left_and_right_by_geometry() -> None:
    found = run("L" * 12)
    assert found.sides == (Side.LEFT, Side.RIGHT)
    assert found.parts == (Part.LOWER,) * 12
    assert found.direction == 1
    assert found.warnings == ()
    assert found.side_probabilities == pytest.approx((0.02, 0.02, 0.96), abs=1e-5)


@pytest.mark.parametrize(
    ("sides", "side", "warning"),
    [
        ((0.9, 0.05, 0.05), Side.LEFT, None),
        ((0.05, 0.9, 0.05), Side.RIGHT, None),
        ((0.3, 0.4, 0.3), Side.RIGHT, "right with probability 0.57"),
        ((0.1, 0.01, 0.89), Side.LEFT, "looks like two"),
    ],
)
def test_side_of_one_limb(
    sides: tuple[float, float, float], side: Side, warning: str | None
) -> None:
    found = run("UUU", sides, limbs=1)
    assert found.sides == (side,)
    if warning is None:
        assert found.warnings == ()
    else:
        assert any(warning in text for text in found.warnings)


def test_classifier_that_sees_one_of_two_limbs() -> None:
    found = run("UUU", (0.9, 0.05, 0.05))
    assert found.sides == (Side.LEFT, Side.RIGHT)
    assert "looks like one" in found.warnings[0]


def test_stray_slices_are_put_right() -> None:
    assert run("LLLHLLLKKKUUFUU").parts == tuple(
        Part[("LOWER", "KNEE", "UPPER")["LKU".index(p)]] for p in "LLLLLLLKKKUUUUU"
    )


def test_slices_that_disagree_make_the_parts_uncertain() -> None:
    """Half the slices say lower leg, half thigh, in no order: whatever is chosen is doubtful."""
    found = run("LULULULULULU")
    assert any("part of the leg is uncertain" in text for text in found.warnings)
    assert run("LLLLLLLLUUUU").warnings == ()


def test_stack_against_its_affine() -> None:
    found = run("UUUUKKKLLLL")
    assert found.direction == -1
    assert found.parts[0] is Part.UPPER
    assert "from upper to lower although the affine" in found.warnings[0]


def test_weak_evidence_does_not_turn_a_stack() -> None:
    assert run("UUUUUK").direction == 1


def test_empty_slices_have_no_vote() -> None:
    found = run("HHLLLKKKUUU", empty=(0, 1))
    assert found.parts[:5] == (Part.LOWER,) * 5


def test_single_slice() -> None:
    assert run("K").parts == (Part.KNEE,)


@pytest.mark.parametrize("limbs", [0, 3])
def test_number_of_limbs(limbs: int) -> None:
    with pytest.raises(ImageError, match=f"{limbs} limbs found"):
        run("U", limbs=limbs)


def test_empty_mask() -> None:
    with pytest.raises(ImageError, match="no body found"):
        run("UU", empty=(0, 1))


def regions(parts: str, distance: float, with_hip: bool = True) -> dict[str, tuple[int, int]]:
    sequence = [Part("FLKUH".index(p)) for p in parts]
    found = regions_in_view(sequence, distance, with_hip)
    return {str(r): (z.start, z.stop) for r, z in found}


@pytest.mark.parametrize(
    ("parts", "distance", "expected"),
    [
        ("FLLLKKUUH", 6.0, {"lower": (0, 6), "upper": (4, 9)}),  # too little hip
        ("HUUKKLLLF", 6.0, {"lower": (3, 9), "upper": (0, 5)}),
        ("UUUH", 6.0, {"upper": (0, 4)}),
        ("FLL", 6.0, {"lower": (0, 3)}),
        ("KKUUU", 6.0, {"upper": (0, 5)}),  # 12 mm of knee below a thigh
        ("LLLLKK", 6.0, {"lower": (0, 6)}),
        ("KKUUU", 24.0, {"lower": (0, 2), "upper": (0, 5)}),
        ("K", 6.0, {"lower": (0, 1), "upper": (0, 1)}),
        ("LU", 40.0, {"lower": (0, 1), "upper": (1, 2)}),
        ("LU", 6.0, {"lower": (0, 1), "upper": (1, 2)}),  # nothing else covers them
        ("U" * 12 + "HHH", 6.0, {"upper": (0, 15)}),  # 18 mm of hip
        ("U" * 12 + "HHHH", 6.0, {"upper": (0, 16), "hip": (2, 16)}),  # 24 mm, and 60 below
        ("HHHH" + "U" * 12, 6.0, {"upper": (0, 16), "hip": (0, 14)}),  # head first
        ("UUHH", 10.0, {"upper": (0, 4), "hip": (0, 4)}),  # the stack ends first
        ("UUHH", 9.9999, {"upper": (0, 4), "hip": (0, 4)}),  # headers are rounded
        ("KUUUUUUH", 24.0, {"lower": (0, 1), "upper": (0, 8), "hip": (5, 8)}),  # one thick slice
        ("UUUH", 70.0, {"upper": (0, 4), "hip": (3, 4)}),
        ("HHHH", 6.0, {"upper": (0, 4), "hip": (0, 4)}),
        ("UUU" + "H" * 12, 6.0, {"upper": (0, 14), "hip": (0, 15)}),  # the thigh's ends there
        ("H" * 12 + "UUU", 6.0, {"upper": (1, 15), "hip": (0, 15)}),
        ("KKK" + "U" * 20 + "H" * 20, 6.0, {"lower": (0, 3), "upper": (0, 34), "hip": (13, 43)}),
        ("UHHH", 70.0, {"upper": (0, 2), "hip": (1, 4)}),
        ("H" * 11, 6.0, {"upper": (0, 11), "hip": (0, 11)}),
        ("H" * 12, 6.0, {"hip": (0, 12)}),  # from where on, nobody knows
        ("H", 4.0, {"upper": (0, 1), "hip": (0, 1)}),  # all that there is
        ("FLLKK" + "U" * 9 + "HH", 30.0, {"lower": (0, 5), "upper": (3, 16), "hip": (12, 16)}),
    ],
)
def test_regions_in_view(
    parts: str, distance: float, expected: dict[str, tuple[int, int]]
) -> None:
    assert regions(parts, distance) == expected


def test_every_slice_is_covered() -> None:
    assert set(Region) - {Region.WHOLE} == {Region.LOWER, Region.UPPER, Region.HIP}
    for parts in ("FLKUH", "K", "HUK"):
        covered = set()
        for start, stop in regions(parts, 3.0).values():
            covered |= set(range(start, stop))
        assert covered == set(range(len(parts)))


@given(
    lengths=st.lists(st.integers(0, 30), min_size=5, max_size=5).filter(any),
    distance=st.floats(0.5, 80.0),
)
def test_slices_of_the_hip(lengths: list[int], distance: float) -> None:
    """All of the part, what is near below it, and nothing of it where there is next to none."""
    parts = "".join(letter * n for letter, n in zip("FLKUH", lengths, strict=True))
    found = regions(parts, distance)
    hip, below = lengths[-1], len(parts) - lengths[-1]
    assert ("hip" in found) == (
        hip > 0 and (hip * distance > SHORTEST_HIP_MM - 0.01 * distance or not below)
    )
    if "hip" in found:
        start, stop = found["hip"]
        assert stop == len(parts)
        reach = (below - start) * distance
        assert reach <= BELOW_HIP_MM + 0.01 * distance
        assert start == 0 or reach + distance > BELOW_HIP_MM
    alone = regions(parts, distance, with_hip=False)
    if "hip" not in found:
        assert found == alone
    # the lower leg is as it was, and the thigh but for the pelvis
    assert found.get("lower") == alone.get("lower")
    if below and "upper" in alone:
        start, stop = found["upper"]
        assert (start, stop) == alone["upper"] or "hip" in found
        assert start == alone["upper"][0]
        assert stop > below or not hip
        assert (
            stop - 1 - below
        ) * distance <= THIGH_ABOVE_MM + 0.01 * distance or "hip" not in found
    covered = {z for first, last in found.values() for z in range(first, last)}
    assert covered == set(range(len(parts)))


@given(
    lengths=st.lists(st.integers(0, 30), min_size=5, max_size=5).filter(any),
    distance=st.floats(0.5, 80.0),
)
def test_a_turned_stack_is_the_same_turned(lengths: list[int], distance: float) -> None:
    parts = "".join(letter * n for letter, n in zip("FLKUH", lengths, strict=True))
    for with_hip in (False, True):
        turned = {
            region: (len(parts) - stop, len(parts) - start)
            for region, (start, stop) in regions(parts, distance, with_hip).items()
        }
        assert regions(parts[::-1], distance, with_hip) == turned


def test_a_hip_without_a_network_is_the_thighs() -> None:
    assert regions("UUU" + "H" * 30, 6.0, with_hip=False) == {"upper": (0, 33)}
    assert regions("H" * 30, 6.0, with_hip=False) == {"upper": (0, 30)}
