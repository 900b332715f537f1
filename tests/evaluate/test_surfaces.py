from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from legseg_bids.evaluate.nearest import neighbourhood
from legseg_bids.evaluate.surface_elements import element_areas
from legseg_bids.evaluate.surfaces import DEFINITIONS, surfaces

SPACINGS = [(1.0, 1.0, 1.0), (1.5, 1.5, 6.0), (0.7, 2.0, 1.3), (8.0, 1.0, 1.0)]
CLOSE = {"rel": 1e-6, "abs": 1e-6}
boxes = arrays(bool, st.tuples(*[st.integers(1, 5)] * 3), elements=st.booleans())
unhurried = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.filter_too_much]
)


def blob(shape, centre, radius, spacing) -> np.ndarray:
    place = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1) * spacing
    return np.linalg.norm(place - centre, axis=-1) < radius


def pairs(spacing, seed=0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Balls that overlap, specks far from each other, what touches the border, single voxels."""
    random = np.random.default_rng(seed)
    shape = (30, 26, 8)
    size = np.array(shape) * spacing
    ball = blob(shape, size / 2, size.min() / 3, spacing)
    moved = blob(shape, size / 2 + 2 * np.array(spacing), size.min() / 2.5, spacing)
    noise = random.random((2, *shape)) < 0.02
    one, two = np.zeros((2, *shape), bool)
    one[0, 0, 0] = two[-1, -1, -1] = True
    full = np.ones(shape, bool)
    cap = full.copy()
    cap[3:] = False
    found = [(ball, moved), (ball ^ noise[0], moved), tuple(noise), (one, two), (full, cap)]
    return [*found, (one, one), (ball, one), (ball[..., 4:5], moved[..., 4:5])]


def check_against_monai(a: np.ndarray, b: np.ndarray, spacing) -> None:
    import torch
    from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance
    from monai.metrics.utils import get_edge_surface_distance

    ours = surfaces(a, b, spacing, definition="voxel")
    one, two = (torch.from_numpy(np.ascontiguousarray(m)) for m in (a, b))
    images = [m[None, None].float() for m in (one, two)]
    told = {"include_background": True, "spacing": list(spacing)}
    mean = float(compute_average_surface_distance(*images, symmetric=True, **told))
    assert ours.msd == pytest.approx(mean, **CLOSE)
    assert ours.hd == pytest.approx(float(compute_hausdorff_distance(*images, **told)), **CLOSE)
    # torch takes the percentile in single precision: its rank in n distances is off by n eps / 2
    theirs = float(compute_hausdorff_distance(*images, percentile=95, **told))
    assert ours.hd95 == pytest.approx(theirs, rel=1e-6, abs=1e-7 * a.size * (1 + ours.hd))
    _, away, _ = get_edge_surface_distance(one, two, spacing=list(spacing), symmetric=True)
    assert ours.hd95 == pytest.approx(max(np.percentile(d, 95) for d in away), **CLOSE)


def deepmind_surfaces(a: np.ndarray, b: np.ndarray, spacing):
    """Largest distance, the 95th percentile a touch below and above, and the pooled mean."""
    import surface_distance as sd

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        found = sd.compute_surface_distances(b, a, spacing)
    ends = [found[k] for k in ("distances_gt_to_pred", "distances_pred_to_gt")]
    areas = [found[k].sum() for k in ("surfel_areas_gt", "surfel_areas_pred")]
    means = sd.compute_average_surface_distance(found)
    return (
        max(end.max() for end in ends),
        [sd.compute_robust_hausdorff(found, p) for p in (95 - 1e-7, 95 + 1e-7)],
        np.average(means, weights=areas),
    )


def check_against_deepmind(a: np.ndarray, b: np.ndarray, spacing) -> None:
    ours = surfaces(a, b, spacing, definition="area")
    hd, (low, high), mean = deepmind_surfaces(a, b, spacing)
    assert ours.hd == pytest.approx(hd, **CLOSE)
    assert ours.msd == pytest.approx(mean, **CLOSE)
    # where exactly 95 % of the area lie within a distance, rounding decides for both
    assert any(ours.hd95 == pytest.approx(d, **CLOSE) for d in (low, high))


@pytest.mark.parametrize("spacing", SPACINGS)
def test_areas_of_all_patterns_are_those_of_deepmind(spacing) -> None:
    from surface_distance import lookup_tables

    theirs = lookup_tables.create_table_neighbour_code_to_surface_area(spacing)
    turned = [int(f"{code:08b}"[::-1], 2) for code in range(256)]
    ours = element_areas(spacing)
    assert ours[1:255] == pytest.approx(theirs[turned][1:255], rel=1e-12)
    assert ours[0] == ours[255] == 0
    flat = lookup_tables.create_table_neighbour_code_to_contour_length(spacing[:2])
    turned = [int(f"{code:04b}"[::-1], 2) for code in range(16)]
    assert element_areas(spacing[:2]) == pytest.approx(flat[turned], rel=1e-12)


@pytest.mark.parametrize("size", [(1.0, 1.0, 1.0), (1.5, 0.5, 6.0)])
def test_a_pattern_and_its_complement_have_the_same_surface(size) -> None:
    areas = element_areas(size)
    assert areas == pytest.approx(areas[::-1])
    # a plane through the middle of the cell
    assert areas[0b00001111] == pytest.approx(size[1] * size[2])


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("number", range(8))
def test_voxels_agree_with_monai(spacing, number: int) -> None:
    check_against_monai(*pairs(spacing)[number], spacing)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("number", range(8))
def test_areas_agree_with_deepmind(spacing, number: int) -> None:
    check_against_deepmind(*pairs(spacing)[number], spacing)


@unhurried
@given(boxes, st.sampled_from(SPACINGS), st.data())
def test_any_masks_agree_with_both(a, spacing, data) -> None:
    b = data.draw(arrays(bool, a.shape, elements=st.booleans()))
    if not (a.any() and b.any()):
        assert all(map(math.isnan, vars(surfaces(a, b, spacing)).values()))
        return
    check_against_deepmind(a, b, spacing)
    check_against_monai(a, b, spacing)


@unhurried
@given(arrays(bool, (6, 7), elements=st.booleans()), arrays(bool, (6, 7), elements=st.booleans()))
def test_outlines_in_a_plane_agree_with_both(a, b) -> None:
    if a.any() and b.any():
        check_against_deepmind(a, b, (1.5, 0.8))
        check_against_monai(a, b, (1.5, 0.8))


@given(boxes, st.sampled_from(SPACINGS), st.sampled_from(sorted(DEFINITIONS)), st.data())
def test_order_does_not_matter_and_a_mask_is_at_itself(a, spacing, definition, data) -> None:
    b = data.draw(arrays(bool, a.shape, elements=st.booleans()))
    if not (a.any() and b.any()):
        return
    there, back = (surfaces(*p, spacing, definition=definition) for p in ((a, b), (b, a)))
    assert vars(there) == pytest.approx(vars(back))
    assert there.msd <= there.hd
    assert there.hd95 <= there.hd
    assert set(vars(surfaces(a, a, spacing, definition=definition)).values()) == {0.0}


@given(st.tuples(*[st.floats(0.3, 9.0)] * 3), st.booleans())
def test_no_place_nearer_than_the_last_is_missing(spacing, in_plane: bool) -> None:
    found = neighbourhood(spacing, in_plane)
    known = {offset for _, group in found for offset in group}
    assert sum(len(group) for _, group in found) == len(known)
    last = found[-1][0]
    for axis in (1, 2) if in_plane else (0, 1, 2):
        for n in range(1, int(last / spacing[axis]) + 1):
            if n * spacing[axis] < last:
                assert tuple(n if i == axis else 0 for i in range(3)) in known


BAD = [
    (np.zeros((2, 2, 2), bool), np.zeros((2, 2, 3), bool), (1, 1, 1), "area", "grids differ"),
    (np.zeros((2, 2, 2), bool), np.zeros((2, 2, 2), bool), (1, 1), "area", "voxel sizes"),
    (np.zeros(2, bool), np.zeros(2, bool), (1,), "area", "expected three or two"),
    (np.zeros((2, 2), bool), np.zeros((2, 2), bool), (1, 0), "area", "positive"),
    (np.zeros((2, 2), bool), np.zeros((2, 2), bool), (1, math.nan), "area", "positive"),
    (np.zeros((2, 2), bool), np.zeros((2, 2), bool), (1, 1), "edge", "expected one of area, v"),
]


@pytest.mark.parametrize(("a", "b", "spacing", "definition", "told"), BAD)
def test_what_cannot_be_compared_is_refused(a, b, spacing, definition, told) -> None:
    with pytest.raises(ValueError, match=told):
        surfaces(a, b, spacing, definition=definition)
