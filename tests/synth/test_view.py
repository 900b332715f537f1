from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from legseg_bids.synth.atlas import Anatomy
from legseg_bids.synth.draws import Draw
from legseg_bids.synth.ranges import Ranges
from legseg_bids.synth.sample import (
    REGION_REACH,
    STACKS,
    View,
    channel_table,
    draw_view,
    region_bounds,
    region_sample,
    render,
)
from legseg_bids.synth.shape import Grid

SIDES = ("left", "right")
PAIRS = [(region, side) for region in REGION_REACH for side in SIDES]
#: The field of view always ends within the body.
CUT = replace(Ranges(), edge_probability=1.0, hip_edge_probability=1.0)
WHOLE = replace(Ranges(), edge_probability=0.0, hip_edge_probability=0.0)
#: Middle of the phantom's body, mm.
BODY = 180.0
PLACES = st.floats(-1e3, 1e3, width=32)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small tensors are not worth a second thread, least of all beside other tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@settings(max_examples=50)
@given(PLACES, PLACES, PLACES, PLACES, PLACES)
def test_a_view_is_a_box_open_above(
    lowest: float, left: float, right: float, z: float, x: float
) -> None:
    shown = View(lowest, left, right).shows(torch.tensor([z]), torch.tensor([x]))
    assert shown.item() == (z >= lowest and left < x < right)


def test_a_view_of_everything_shows_everything() -> None:
    z, x = torch.meshgrid(torch.tensor([-1e6, 0.0]), torch.tensor([-1e6, 1e6]), indexing="ij")
    assert bool(View().shows(z, x).all())


@pytest.mark.parametrize(("region", "side"), PAIRS)
def test_regions_lie_within_the_map(anatomy: Anatomy, region: str, side: str) -> None:
    low, high = region_bounds(anatomy, side, region)
    assert 0 <= low < high <= anatomy.packed.shape[0] * anatomy.spacing[2]
    marks = vars(anatomy.landmarks[side])
    (bottom, below), (top, above) = REGION_REACH[region]
    assert low == marks[bottom] + below
    assert high <= marks[top] + above


@pytest.mark.parametrize("side", SIDES)
def test_neighbouring_regions_overlap(anatomy: Anatomy, side: str) -> None:
    lower, upper, hip = (region_bounds(anatomy, side, r) for r in ("lower", "upper", "hip"))
    assert lower[0] < upper[0] < lower[1] < upper[1]
    assert upper[0] < hip[0] < upper[1] < hip[1]


def test_a_map_that_ends_early_ends_its_regions(anatomy: Anatomy) -> None:
    short = replace(anatomy, packed=anatomy.packed[:86])
    assert region_bounds(short, "left", "hip")[1] == 860.0
    assert region_bounds(short, "left", "lower") == region_bounds(anatomy, "left", "lower")


def test_every_region_has_stacks_that_networks_can_halve() -> None:
    assert set(STACKS) == set(REGION_REACH)
    for stacks in STACKS.values():
        assert set(stacks) == {"small", "large"}
        assert all(z % 4 == 0 and yx % 16 == 0 for sizes in stacks.values() for z, yx in sizes)


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.floats(700.0, 900.0), st.sampled_from(SIDES))
def test_at_the_hip_the_cut_is_near_the_bodys_middle(
    anatomy: Anatomy, seed: int, height: float, side: str
) -> None:
    view = draw_view(anatomy, side, "hip", height, Draw(seed), CUT)
    least, most = CUT.hip_edge
    if side == "left":  # the left limb lies at low x: what is beyond the middle is cut off
        assert view.left == -math.inf
        assert least - 1 <= view.right - BODY <= most + 1
    else:
        assert view.right == math.inf
        assert least - 1 <= BODY - view.left <= most + 1
    middle = torch.tensor([float(anatomy.centre[side][80][0])])
    assert bool(view.shows(torch.tensor([height]), middle).all())


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.sampled_from(SIDES), st.sampled_from(["upper", "lower"]))
def test_elsewhere_a_cut_leaves_the_limbs_middle(
    anatomy: Anatomy, seed: int, side: str, region: str
) -> None:
    view = draw_view(anatomy, side, region, 600.0, Draw(seed), CUT)
    own = float(anatomy.centre[side][60][0])
    cuts = [e for e in (view.left, view.right) if math.isfinite(e)]
    assert len(cuts) == 1
    assert view.left < own < view.right
    assert CUT.edge[0] <= abs(cuts[0] - own) <= CUT.edge[1]


@pytest.mark.parametrize("side", SIDES)
def test_elsewhere_either_side_is_cut_the_medial_one_more_often(
    anatomy: Anatomy, side: str
) -> None:
    views = [draw_view(anatomy, side, "upper", 600.0, Draw(s), CUT) for s in range(200)]
    right = sum(math.isfinite(v.right) for v in views)
    medial = right if side == "left" else len(views) - right
    assert 110 < medial < 170


@pytest.mark.parametrize(("region", "side"), PAIRS)
def test_without_an_edge_everything_is_in_view(anatomy: Anatomy, region: str, side: str) -> None:
    for seed in range(5):
        assert draw_view(anatomy, side, region, 600.0, Draw(seed), WHOLE) == View()


def test_edges_come_as_often_as_they_should(anatomy: Anatomy) -> None:
    for region, share in (("hip", Ranges().hip_edge_probability), ("upper", 0.2)):
        views = [draw_view(anatomy, "left", region, 800.0, Draw(s), Ranges()) for s in range(300)]
        cut = sum(math.isfinite(v.right) or math.isfinite(v.left) for v in views) / 300
        assert cut == pytest.approx(share, abs=0.08)


def test_thighs_without_a_lower_leg_are_shown_from_above_the_knee(anatomy: Anatomy) -> None:
    thighs = replace(anatomy, has_lower_leg=False)
    for r in (CUT, WHOLE):
        for region in ("upper", "hip"):
            view = draw_view(thighs, "right", region, 800.0, Draw(1), r)
            assert view.lowest == thighs.landmarks["right"].knee + 40.0


def test_heights_beyond_the_map_are_viewed_as_its_ends(anatomy: Anatomy) -> None:
    for height in (-500.0, 5000.0):
        view = draw_view(anatomy, "left", "hip", height, Draw(0), CUT)
        assert math.isfinite(view.right)


@pytest.mark.parametrize("view", [View(right=100.0), View(left=80.0), View(lowest=600.0), View()])
def test_nothing_is_seen_beyond_the_edge(anatomy: Anatomy, view: View) -> None:
    grid = Grid((4, 64, 64), (20.0, 3.0, 3.0))

    def mapping(of: Grid) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        z, y, x = of.offsets()
        places = torch.broadcast_tensors(590.0 + z, 80.0 + y, 90.0 + x)
        return places[0], places[1], places[2]

    channels = (0, 31, 35, 55, 59, 103, 151)
    r = replace(
        Ranges(),
        unmasked_probability=0.0,
        wrap_probability=0.0,
        coarse_pixels_probability=0.0,
        atrophy_probability=0.0,
        child_probability=0.0,
    )
    table = channel_table(channels, "left")
    sample = render(anatomy, mapping, grid, table, channels, Draw(3), r, view)
    z, _, x = mapping(grid)
    hidden = ~view.shows(z, x)
    assert float(sample.image[0][hidden].sum()) == 0.0
    assert int(sample.target[hidden].sum()) == 0
    assert bool((sample.target[~hidden] > 0).any())
    assert bool((sample.image[0][~hidden] > 0).any())


@pytest.mark.parametrize("side", SIDES)
def test_samples_of_the_hip_repeat(anatomy: Anatomy, side: str) -> None:
    channels = (0, 31, 35, 55, 59, 101, 103, -1, 151)
    a, b = (region_sample(anatomy, side, "hip", channels, (4, 64), 7, CUT) for _ in range(2))
    assert a.image.shape == (1, 4, 64, 64)
    assert torch.equal(a.image, b.image)
    assert torch.equal(a.target, b.target)
    assert bool(torch.isfinite(a.image).all())
    assert int(a.target.min()) >= 0
