from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from legseg_bids.synth.draws import Draw
from legseg_bids.synth.interpolation import interp
from legseg_bids.synth.ranges import Ranges
from legseg_bids.synth.shape import Grid, limb_mapping, look_up

STILL = Ranges(
    rotation_sigma=0,
    large_rotation_probability=0,
    scale_mean_log=0,
    scale_sigma_log=0,
    length_sigma_log=0,
    shear_sigma=0,
    tilt_sigma=0,
    coarse_displacement=(0, 0),
    fine_displacement=(0, 0),
    swelling_probability=0,
)


@given(st.integers(0, 2**31), st.floats(0.01, 50), st.floats(1.01, 10))
@settings(max_examples=30, deadline=None)
def test_draws_stay_in_range_and_repeat(seed: int, low: float, factor: float) -> None:
    high = low * factor
    values = [Draw(seed).uniform(low, high), Draw(seed).log_uniform(low, high)]
    for value in values:
        assert low * 0.999 <= value <= high * 1.001
    assert values == [Draw(seed).uniform(low, high), Draw(seed).log_uniform(low, high)]


def test_choice_follows_weights() -> None:
    draw = Draw(0)
    picks = [draw.choice((("a", 0.8), ("b", 0.2))) for _ in range(500)]
    assert 0.7 < picks.count("a") / 500 < 0.9
    assert Draw(1).choice((("only", 1.0),)) == "only"


def test_grid_offsets_are_centred() -> None:
    z, y, x = Grid((3, 4, 5), (10.0, 2.0, 1.0)).offsets()
    assert z.flatten().tolist() == [-10, 0, 10]
    assert y.flatten().tolist() == [-3, -1, 1, 3]
    assert x.shape == (1, 1, 5)
    assert Grid((3, 4, 8), (10.0, 2.0, 1.0)).coarser(2) == Grid((3, 2, 4), (10.0, 4.0, 2.0))
    assert Grid((3, 4, 8), (10.0, 2.0, 1.0)).finer(2).coarser(2) == Grid(
        (3, 4, 8), (10.0, 2.0, 1.0)
    )


@pytest.mark.parametrize("side", ["left", "right"])
def test_undeformed_limb_is_the_map_with_lateral_at_low_x(anatomy, side: str) -> None:
    mapping = limb_mapping(anatomy, side, 600.0, (0.0, 0.0), Draw(3), STILL)
    grid = Grid((1, 21, 21), (10.0, 6.0, 6.0))
    label = look_up(anatomy, *_still(mapping, grid)).label[0]
    odd = side == "right"
    # vastus lateralis (55) is at low x, semimembranosus (35) at high x, by the phantom's design
    assert label[16, 5] == 55 + odd
    assert label[16, 15] == 59 + odd
    assert label[10, 10] == 103 + odd


def _still(mapping, grid: Grid):
    return mapping(grid)


def test_look_up_outside_is_nothing(anatomy) -> None:
    far = torch.full((1, 1, 1), 1e5)
    fields = look_up(anatomy, far, far, far)
    assert fields.label.item() == 0
    assert fields.compartment.item() > 100
    inside = (
        torch.tensor(600.0).reshape(1, 1, 1),
        torch.full((1, 1, 1), 80.0),
        torch.full((1, 1, 1), 90.0),
    )
    assert look_up(anatomy, *inside).label.item() == 103
    assert look_up(anatomy, *inside, torch.zeros(1, 1, 1, dtype=torch.bool)).label.item() == 0


def test_coarse_grid_sees_the_same_deformation(anatomy) -> None:
    mapping = limb_mapping(anatomy, "left", 600.0, (0.0, 0.0), Draw(9), Ranges())
    fine = Grid((4, 64, 64), (10.0, 1.0, 1.0))
    _, _, x_fine = mapping(fine)
    _, _, x_coarse = mapping(fine.coarser(2))
    mean = torch.nn.functional.avg_pool2d(x_fine[:, None], 2)[:, 0]
    assert float((mean - x_coarse).abs().max()) < 0.3


def test_numbers_are_finite(anatomy) -> None:
    mapping = limb_mapping(anatomy, "right", 600.0, (3.0, -2.0), Draw(5), Ranges())
    for axis in mapping(Grid((3, 8, 8), (6.0, 1.5, 1.5))):
        assert np.isfinite(axis.numpy()).all()


@given(
    st.lists(st.integers(-8000, 8000), min_size=1, max_size=12, unique=True).map(sorted),
    st.lists(st.floats(-1.2e3, 1.2e3, width=32), min_size=1, max_size=9),
    st.integers(0, 2**31),
)
def test_interpolation_is_that_of_numpy(known: list[int], at: list[float], seed: int) -> None:
    xp = np.array(known) / 8
    x = np.array([*at, *xp], np.float32)
    fp = np.random.default_rng(seed).normal(0, 100, (len(known), 2))
    found = interp(*(torch.from_numpy(a) for a in (x.reshape(1, -1), xp, fp)))
    assert found.shape == (1, len(x), 2)
    for column in (0, 1):
        expected = np.interp(x, xp, fp[:, column])
        np.testing.assert_array_equal(found[0, :, column].numpy(), expected)
        one = interp(torch.from_numpy(x), torch.from_numpy(xp), torch.from_numpy(fp[:, column]))
        np.testing.assert_array_equal(one.numpy(), expected)
