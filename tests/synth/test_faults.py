from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from legseg_bids.synth.draws import Draw
from legseg_bids.synth.faults import (
    coarse,
    draw_child,
    draw_image_faults,
    draw_pressing,
    draw_tissue_faults,
    ghosts,
    implant,
    lost_slices,
    oedema,
    organs,
    pressed,
    ringing,
    swap,
    wrap,
)
from legseg_bids.synth.physics import draw_body
from legseg_bids.synth.ranges import Ranges

SHAPE = (3, 24, 32)
SEEDS = st.integers(0, 10_000)
AXES = st.sampled_from([1, 2])
STRENGTHS = st.floats(0.0, 1.0)
SHARES = st.floats(0.01, 0.5)
EXAMPLES = settings(max_examples=20)
FAULTS = ("organs", "oedema", "implant", "swap", "ghosts", "wrap", "ringing", "lost_slices")
NEVER = replace(Ranges(), **{f"{name}_probability": 0.0 for name in FAULTS})


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small tensors are not worth a second thread, least of all beside other tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def sometimes(name: str) -> Ranges:
    """Only one fault, and that one always."""
    return replace(NEVER, **{f"{name}_probability": 1.0})


def image(seed: int, shape: tuple[int, ...] = SHAPE) -> Tensor:
    return 2 * torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def mask(seed: int) -> Tensor:
    return image(seed + 77) > 1.0


def texture(seed: int) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed + 5))


def sound(*values: Tensor) -> bool:
    return all(
        v.shape == SHAPE and bool(torch.isfinite(v).all()) and float(v.min()) >= 0 for v in values
    )


# tissue ------------------------------------------------------------------------------------


@EXAMPLES
@given(SEEDS, STRENGTHS)
def test_oedema_brightens_muscle_water_within_its_limits(seed: int, strength: float) -> None:
    water, fat, muscle = image(seed), image(seed + 1), mask(seed)
    wet, less = oedema(water, fat, muscle, texture(seed), strength)
    assert sound(wet, less)
    assert torch.equal(wet[~muscle], water[~muscle])
    assert torch.equal(less[~muscle], fat[~muscle])
    assert bool((wet >= water).all())
    assert bool((wet <= water * (1 + strength) + 1e-6).all())
    assert bool((less <= fat).all())
    assert bool((less >= (1 - 0.25 * strength) * fat - 1e-6).all())


def test_oedema_lies_where_the_texture_is_high() -> None:
    water, fat = torch.ones(SHAPE), torch.zeros(SHAPE)
    high = torch.full(SHAPE, -9.0)
    high[1] = 9.0
    wet, _ = oedema(water, fat, torch.ones(SHAPE, dtype=torch.bool), high, 0.4)
    assert float((wet[1] - 1.4).abs().max()) < 1e-6
    assert float((wet[0] - 1.0).abs().max()) < 1e-6


def test_oedema_without_strength_leaves_water_and_fat() -> None:
    water, fat = image(0), image(1)
    wet, less = oedema(water, fat, torch.ones(SHAPE, dtype=torch.bool), texture(0), 0.0)
    assert torch.equal(wet, water)
    assert torch.equal(less, fat)


@EXAMPLES
@given(SEEDS, st.floats(0.0, 30.0), STRENGTHS)
def test_a_void_is_exactly_where_the_metal_is_near(seed: int, radius: float, rim: float) -> None:
    water, fat = image(seed) + 0.1, image(seed + 1) + 0.1
    distance = 20 * image(seed + 2)
    for before, after in zip(
        (water, fat), implant(water, fat, distance, radius, rim), strict=True
    ):
        assert sound(after)
        assert torch.equal(after == 0, distance < radius)
        beyond = distance >= 1.25 * radius
        assert torch.equal(after[beyond], before[beyond])
        piled = (distance >= radius) & ~beyond
        assert torch.allclose(after[piled], before[piled] * (1 + rim))


@EXAMPLES
@given(SEEDS, st.floats(-2.0, 2.0))
def test_a_swap_keeps_the_sum_and_undoes_itself(seed: int, threshold: float) -> None:
    water, fat, field = image(seed), image(seed + 1), texture(seed)
    swapped = swap(water, fat, field, threshold)
    assert torch.equal(swapped[0] + swapped[1], fat + water)
    assert torch.equal(swapped[0] != water, field > threshold)
    again = swap(*swapped, field, threshold)
    assert torch.equal(again[0], water)
    assert torch.equal(again[1], fat)


def test_a_threshold_that_nothing_exceeds_swaps_nothing() -> None:
    water, fat, field = image(0), image(1), texture(0)
    assert torch.equal(swap(water, fat, field, float(field.max()))[0], water)


@EXAMPLES
@given(SEEDS, st.floats(0.0, 2.2), st.floats(-1.0, 2.0))
def test_organs_stay_in_the_cavity(seed: int, level: float, threshold: float) -> None:
    water, fat, free, field = image(seed), image(seed + 1), mask(seed), texture(seed)
    filled, less = organs(water, fat, free, field, level, threshold)
    organ = free & (field > threshold)
    assert sound(filled, less)
    assert bool((filled[organ] == torch.tensor(level)).all())
    assert bool((less[organ] < 0.1).all())
    assert torch.equal(filled[~organ], water[~organ])
    assert torch.equal(less[~organ], fat[~organ])


# image -------------------------------------------------------------------------------------


@EXAMPLES
@given(SEEDS, SHARES, st.sampled_from([1, -1]), STRENGTHS, AXES)
def test_wrapping_adds_exactly_the_far_edge(
    seed: int, share: float, end: int, strength: float, axis: int
) -> None:
    before = image(seed)
    after = wrap(before, end * share, strength, axis)
    n, width = SHAPE[axis], max(1, round(share * SHAPE[axis]))
    near, far = (0, n - width) if end > 0 else (n - width, 0)
    added = after - before
    assert sound(after)
    wanted = strength * before.narrow(axis, far, width)
    assert torch.allclose(added.narrow(axis, near, width), wanted, atol=1e-6)
    rest = added.clone()
    rest.narrow(axis, near, width).zero_()
    assert float(rest.abs().max()) == 0


def test_wrapping_leaves_its_argument_alone() -> None:
    before = image(3)
    kept = before.clone()
    wrap(before, 0.2, 1.0, 2)
    assert torch.equal(before, kept)


@EXAMPLES
@given(SEEDS, SHARES, STRENGTHS, AXES)
def test_ghosts_come_from_the_same_line(
    seed: int, share: float, strength: float, axis: int
) -> None:
    before = image(seed)
    after = ghosts(before, share, strength, axis)
    sums = after.sum(axis) / before.sum(axis)
    assert sound(after)
    assert torch.allclose(sums, sums[0, 0], rtol=1e-4)
    flat = ghosts(torch.ones(SHAPE), share, strength, axis)
    assert float(flat.max() - flat.min()) < 1e-6


def test_ghosts_keep_the_level_of_the_signal() -> None:
    assert torch.allclose(ghosts(torch.ones(SHAPE), 0.25, 0.2, 1), torch.ones(SHAPE))


def test_ghosts_of_one_bright_pixel() -> None:
    before = torch.zeros(SHAPE)
    before[1, 12, 5] = 1.0
    after = ghosts(before, 0.25, 0.5, 1)
    assert after[1, :, 5].nonzero().flatten().tolist() == [6, 12, 18]
    assert float(after[1, 6, 5]) == pytest.approx(0.5 * float(after[1, 12, 5]))
    assert torch.equal(after[0], before[0])


@EXAMPLES
@given(SEEDS, SHARES, AXES)
def test_ghosts_and_wrapping_without_strength_are_nothing(
    seed: int, share: float, axis: int
) -> None:
    before = image(seed)
    assert torch.equal(ghosts(before, share, 0.0, axis), before)
    assert torch.equal(wrap(before, share, 0.0, axis), before)


@EXAMPLES
@given(SEEDS, st.floats(0.0, 1.0), AXES, st.integers(4, 33))
def test_ringing_keeps_shape_and_at_least_the_signal(
    seed: int, share: float, axis: int, pixels: int
) -> None:
    before = image(seed, (2, pixels, pixels))
    after = ringing(before, share, axis)
    assert after.shape == before.shape
    assert float(after.min()) >= 0
    # frequency zero is always measured; only clipping what rings below zero adds to it
    assert bool((after.mean(axis) >= before.mean(axis) - 1e-5).all())


@EXAMPLES
@given(SEEDS, AXES, st.integers(4, 33))
def test_ringing_of_all_frequencies_is_nothing(seed: int, axis: int, pixels: int) -> None:
    before = image(seed, (2, pixels, pixels))
    assert torch.allclose(ringing(before, 1.0, axis), before, atol=1e-5)


def test_an_edge_rings_along_its_axis_only() -> None:
    edge = torch.zeros(1, 64, 64)
    edge[:, 20:44] = 1.0
    along = ringing(edge, 0.4, 1)
    assert float(along.max()) > 1.05  # overshoot
    assert float(along[0, 30].std()) < 1e-5
    assert torch.allclose(ringing(edge, 0.4, 2), edge, atol=1e-5)


def test_lost_slices_are_those_and_no_others() -> None:
    before = image(1)
    after = lost_slices(before, torch.tensor([False, True, False]), 0.25)
    assert torch.equal(after[[0, 2]], before[[0, 2]])
    assert torch.allclose(after[1], before[1] * 0.25)
    assert torch.equal(lost_slices(before, torch.ones(3, dtype=torch.bool), 1.0), before)


@EXAMPLES
@given(SEEDS, st.integers(1, 4), st.integers(2, 8), st.integers(2, 8))
def test_coarse_pixels_keep_the_mean_of_every_slice(
    seed: int, factor: int, rows: int, columns: int
) -> None:
    before = image(seed, (3, rows * factor, columns * factor))
    after = coarse(before, factor)
    assert after.shape == before.shape
    assert torch.allclose(after.mean((1, 2)), before.mean((1, 2)), atol=1e-5)
    assert float(after.min()) >= float(before.min())
    assert float(after.max()) <= float(before.max()) + 1e-6
    if factor == 1:
        assert torch.allclose(after, before)
    else:
        assert float(after.std()) < float(before.std())


# pressing ----------------------------------------------------------------------------------

DEPTHS, RATIOS = st.floats(0.0, 80.0), st.floats(1.0, 3.0)
LINE = torch.linspace(-150.0, 150.0, 601)


@EXAMPLES
@given(DEPTHS, RATIOS)
def test_pressing_begins_at_its_depth(depth: float, ratio: float) -> None:
    y, x = pressed(LINE, torch.full_like(LINE, 40.0), depth, ratio)
    front = -depth <= LINE
    assert torch.equal(y[front], LINE[front])
    slope = (y[~front].diff() / LINE[~front].diff())[:-1]
    assert torch.allclose(slope, torch.tensor(ratio), rtol=1e-3)
    assert bool((x <= 40.0).all())
    assert bool((x >= 40.0 / (1 + 0.15 * (ratio - 1)) - 1e-4).all())
    assert float(x[-1]) == pytest.approx(40.0, abs=0.01)  # far in front nothing is wider


@EXAMPLES
@given(DEPTHS, RATIOS, st.floats(-100.0, 100.0))
def test_pressing_never_folds(depth: float, ratio: float, level: float) -> None:
    y, _ = pressed(LINE, torch.zeros_like(LINE), depth, ratio)
    assert bool((y.diff() > 0).all())
    _, x = pressed(torch.full_like(LINE, level), LINE, depth, ratio)
    assert bool((x.diff() > 0).all())
    assert torch.allclose(x, -x.flip(0), atol=1e-4)


@EXAMPLES
@given(SEEDS, DEPTHS)
def test_pressing_by_nothing_is_nothing(seed: int, depth: float) -> None:
    y, x = 100 * texture(seed), 100 * texture(seed + 1)
    moved = pressed(y, x, depth, 1.0)
    assert torch.equal(moved[0], y)
    assert torch.equal(moved[1], x)


# draws -------------------------------------------------------------------------------------


def tissues(seed: int) -> tuple[Tensor, ...]:
    bone = torch.zeros(SHAPE, dtype=torch.bool)
    bone[:, 8:14, 10:16] = True
    muscle = mask(seed) & ~bone
    return image(seed), image(seed + 1), muscle, bone, ~muscle & ~bone


def test_ranges_know_every_fault() -> None:
    names = {f.name for f in fields(Ranges)}
    assert {f"{name}_probability" for name in FAULTS} <= names
    assert {"pressed_probability", "child_probability", "coarse_pixels_probability"} <= names


@EXAMPLES
@given(SEEDS)
def test_faults_that_never_happen_change_nothing(seed: int) -> None:
    water, fat, muscle, bone, free = tissues(seed)
    same = draw_tissue_faults(water, fat, muscle, bone, free, Draw(seed), NEVER)
    assert torch.equal(same[0], water)
    assert torch.equal(same[1], fat)
    assert torch.equal(draw_image_faults(image(seed), Draw(seed), NEVER), image(seed))
    assert draw_pressing(Draw(seed), replace(NEVER, pressed_probability=0.0)) is None
    assert draw_child(Draw(seed), replace(NEVER, child_probability=0.0)) == 0.0


@pytest.mark.parametrize("name", ["organs", "oedema", "implant", "swap"])
def test_each_fault_of_the_tissue_repeats_and_stays_sound(name: str) -> None:
    changed = 0
    for seed in range(12):
        arguments = tissues(seed)
        made = [draw_tissue_faults(*arguments, Draw(seed), sometimes(name)) for _ in range(2)]
        assert sound(*made[0])
        assert all(torch.equal(a, b) for a, b in zip(*made, strict=True))
        changed += not torch.equal(made[0][0], arguments[0])
    assert changed >= 8


@pytest.mark.parametrize("name", ["ghosts", "wrap", "ringing", "lost_slices"])
def test_each_fault_of_the_image_repeats_and_stays_sound(name: str) -> None:
    changed = 0
    for seed in range(12):
        made = [draw_image_faults(image(seed), Draw(seed), sometimes(name)) for _ in range(2)]
        assert sound(made[0])
        assert torch.equal(*made)
        changed += not torch.equal(made[0], image(seed))
    assert changed >= (2 if name == "lost_slices" else 12)  # of three slices often none is lost


def test_without_a_cavity_there_are_no_organs() -> None:
    water, fat, muscle, bone, _ = tissues(1)
    none = torch.zeros(SHAPE, dtype=torch.bool)
    same = draw_tissue_faults(water, fat, muscle, bone, none, Draw(1), sometimes("organs"))
    assert torch.equal(same[0], water)


def test_metal_makes_a_hole_with_or_without_bone() -> None:
    for bone in (tissues(0)[3], torch.zeros(SHAPE, dtype=torch.bool)):
        holes = 0
        for seed in range(8):
            water, fat, muscle, _, free = tissues(seed)
            arguments = (water + 0.1, fat + 0.1, muscle, bone, free)
            made = draw_tissue_faults(*arguments, Draw(seed), sometimes("implant"))
            assert torch.equal(made[0] == 0, made[1] == 0)
            holes += bool((made[0] == 0).any())
        assert holes >= 6


def test_drawn_pressing_and_children_stay_in_their_ranges() -> None:
    r = replace(Ranges(), pressed_probability=1.0, child_probability=1.0)
    for seed in range(50):
        pressing = draw_pressing(Draw(seed), r)
        assert pressing is not None
        assert pressing == draw_pressing(Draw(seed), r)
        for value, (low, high) in zip(pressing, (r.pressed_depth, r.pressed_ratio), strict=True):
            assert low <= value <= high
        assert r.child_scale[0] <= math.exp(draw_child(Draw(seed), r)) <= r.child_scale[1]


def test_a_wasting_muscle_does_not_grow() -> None:
    r = replace(Ranges(), atrophy_probability=1.0, lean_atrophy=1.0, growth=(2.0, 9.0))
    for seed in range(10):
        body = draw_body(Draw(seed), r, has_skin=False)
        wasting = body.atrophy > 0
        assert bool(wasting.any())
        assert bool((body.growth[wasting] == 0).all())
        assert bool((body.growth[~wasting] > 0).all())
