from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from legseg_bids.synth.draws import Draw
from legseg_bids.synth.physics import (
    acquire,
    blur,
    draw_body,
    dress,
    drop_off,
    fat_fraction,
    references,
    scan,
    streaky_fat,
    tissue_table,
    water_and_fat,
)
from legseg_bids.synth.ranges import Ranges
from legseg_bids.synth.shape import Fields

SHAPE = (2, 24, 24)


def fields(gap: float = 3.0) -> Fields:
    """Left half vastus lateralis (55), a gap to its right, then outside."""
    label = torch.zeros(SHAPE, dtype=torch.long)
    label[:, :, :12] = 55
    x = torch.arange(24.0).expand(SHAPE)
    return Fields(
        label=label,
        nearest=torch.full(SHAPE, 55),
        gap=(x - 11).clamp_min(0),
        depth=(12 - x).clamp_min(0),
        compartment=(x - 11 - gap).clamp_min(0),
        body=x < 20,
    )


def only(contrast: str, **changes: object) -> Ranges:
    return replace(Ranges(), contrasts=((contrast, 1.0),), fat_weight=(1.0, 1.0), **changes)


def test_growth_fills_the_gap_but_not_the_skin() -> None:
    body = replace(
        draw_body(Draw(0), Ranges(), False),
        growth=torch.full((256,), 9.0),
        atrophy=torch.zeros(256),
        own_skin=False,
    )
    label, depth = dress(fields(), body)
    grown = (label == 55)[0, 0]
    assert bool(grown[13])  # in the compartment
    assert not bool(grown[17])  # outside it, however near
    assert float(depth[0, 0, 0]) > 0


def test_atrophy_takes_the_rim() -> None:
    body = replace(
        draw_body(Draw(0), Ranges(), False),
        growth=torch.zeros(256),
        atrophy=torch.full((256,), 2.5),
    )
    label, _ = dress(fields(), body)
    assert label[0, 0, 10] == 0
    assert label[0, 0, 2] == 55


def test_rounded_skin_bridges_a_furrow() -> None:
    label = torch.zeros(1, 60, 60, dtype=torch.long)
    distance = torch.zeros(1, 60, 60)
    distance[:, :6, 28:32] = 8.0  # a furrow 4 pixels wide at the rim of the compartment
    there = replace(fields(), label=label, compartment=distance, nearest=label, gap=distance)
    there = replace(there, depth=distance, body=distance < 1)
    body = replace(
        draw_body(Draw(0), Ranges(), False),
        skin=5.0,
        skin_knots=torch.zeros(1, 1, 3, 4, 4),
        own_skin=False,
        rounded=False,
    )
    depth = {r: dress(there, replace(body, rounded=r))[1] for r in (False, True)}
    assert float(depth[False][0, 3, 30]) < 0 < float(depth[True][0, 3, 30])
    assert bool((depth[True][distance == 0] >= 2.0).all())


def test_own_skin_ends_where_the_body_ends() -> None:
    body = replace(draw_body(Draw(0), Ranges(), False), own_skin=True)
    _, depth = dress(fields(), body)
    assert bool((depth[..., 20:] < 0).all())
    assert bool((depth[..., :20] > 0).all())


def test_muscle_is_water_and_the_rest_fat() -> None:
    r = replace(Ranges(), healthy_fat=(0.02, 0.05))
    f = fields()
    water, fat = water_and_fat(f.label, f, torch.full(SHAPE, 30.0), False, Draw(2), r)
    muscle = f.label == 55
    assert float(water[muscle].mean()) > 0.8
    assert float(fat[muscle].mean()) < 0.15
    assert float(fat[:, :, 18:].mean()) > float(water[:, :, 18:].mean())


def test_nothing_outside_the_body() -> None:
    f = fields()
    depth = torch.where(torch.arange(24.0).expand(SHAPE) < 16, 5.0, -5.0)
    water, fat = water_and_fat(f.label, f, depth, True, Draw(2), Ranges())
    assert float(water[..., 16:].abs().max()) == 0
    assert float(fat[..., 16:].abs().max()) == 0


@pytest.mark.parametrize(
    ("contrast", "water", "fat", "signal"),
    [("opposed", 1.0, 0.25, 0.75), ("opposed", 0.25, 1.0, 0.75), ("in_phase", 0.5, 0.5, 1.0)],
)
def test_signal_of_uniform_tissue(contrast: str, water: float, fat: float, signal: float) -> None:
    big = (1, 40, 40)
    image = acquire(torch.full(big, water), torch.full(big, fat), 2, Draw(1), only(contrast))
    assert image.shape == (1, 20, 20)
    assert float(image[0, 10, 10]) == pytest.approx(signal, abs=1e-4)


def test_opposed_phase_is_dark_where_water_meets_fat() -> None:
    water = torch.zeros(1, 40, 40)
    water[..., :21] = 1.0  # the border runs through the middle of a pixel
    image = acquire(water, 1 - water, 2, Draw(1), only("opposed"))
    assert float(image[0, 10, 9:11].min()) < 0.5 < float(image[0, 10, 4])


def test_finer_pixels_make_the_dark_line_thinner() -> None:
    water = torch.zeros(1, 40, 40)
    water[..., :21] = 1.0
    sharp = {"coarse_pixels_probability": 0.0, "point_spread": (0.5, 0.5)}
    darkest = []
    for share in (0.0, 1.0):
        r = only("opposed", fine_pixels_probability=share, **sharp)
        darkest.append(float(acquire(water, 1 - water, 2, Draw(1), r)[0, 10, 9:11].min()))
    assert darkest[0] + 0.1 < darkest[1] < 0.9


def test_all_or_nothing_replaces_some_muscles_and_spares_others() -> None:
    r = replace(
        Ranges(),
        all_or_nothing_probability=1.0,
        streaks_probability=0.0,
        diseased_fat=(0.9, 0.9),
        healthy_fat=(0.03, 0.03),
    )
    every = torch.arange(256).reshape(1, 256, 1).expand(2, 256, 8).contiguous()
    muscles = tissue_table("muscle")
    middling = []
    for seed in range(20):
        level = fat_fraction(every, True, Draw(seed), r).mean(dim=(0, 2))[muscles]
        middling.append(float(((level > 0.3) & (level < 0.5)).float().mean()))
        assert float(level.max()) > 0.4
    assert sum(middling) / 20 < 0.25


def test_a_replaced_muscle_keeps_its_sheath() -> None:
    label = torch.full((2, 24, 24), 55)
    label[..., 12:] = 59
    whole = torch.full((2, 24, 24), 50.0)
    f = replace(fields(), label=label, depth=whole, compartment=torch.zeros(2, 24, 24))
    r = replace(
        Ranges(),
        all_or_nothing_probability=0.0,
        streaks_probability=0.0,
        healthy_fat=(0.9, 0.9),
        diseased_fat=(0.9, 0.9),
    )
    darker = []
    for seed in range(12):
        _, fat = water_and_fat(label, f, whole, True, Draw(seed), replace(r, sheath=(1.0, 1.0)))
        _, bare = water_and_fat(label, f, whole, True, Draw(seed), replace(r, sheath=(0.0, 0.0)))
        darker.append(float((bare - fat)[..., 11].mean()))
        assert torch.equal(bare[..., 5], fat[..., 5])
    assert min(darker) >= 0
    assert max(darker) > 0.1


@pytest.mark.parametrize("sigma", [0.4, 1.0, 2.3])
def test_blur_keeps_the_sum(sigma: float) -> None:
    spike = torch.zeros(1, 31, 31)
    spike[0, 15, 15] = 1.0
    soft = blur(spike, sigma)
    assert float(soft.sum()) == pytest.approx(1.0, abs=1e-4)
    assert float(soft[0, 15, 15]) < 1.0


def test_scan_scales_to_the_98th_percentile() -> None:
    signal = torch.rand(4, 40, 40, generator=torch.Generator().manual_seed(0)) + 0.5
    inside = torch.zeros(4, 40, 40, dtype=torch.bool)
    inside[:, 5:35, 5:35] = True
    r = replace(
        Ranges(),
        unmasked_probability=0.0,
        gamma_sigma=0.0,
        noise=(0.001, 0.002),
        reference_sigma=0.0,
    )
    image = scan(signal, inside, Draw(4), r)
    assert float(image[~inside].abs().max()) == 0
    share = float((image[inside] > 1.0).float().mean())
    assert 0.005 < share < 0.04  # the percentile is taken from every fifth value
    assert float(image.max()) <= 2.0


def test_scan_of_nothing_is_zero() -> None:
    empty = torch.zeros(2, 8, 8)
    assert float(scan(empty, empty > 0, Draw(0), Ranges()).abs().max()) == 0


def test_drop_off_is_undone_slice_by_slice() -> None:
    signal = torch.rand(6, 40, 40, generator=torch.Generator().manual_seed(0)) + 0.5
    r = replace(
        Ranges(),
        drop_off_probability=1.0,
        drop_off=(0.8, 0.8),
        gamma_sigma=0.0,
        noise=(0.001, 0.002),
        reference_sigma=0.0,
        shading=(0.0, 0.0),
    )
    gain = drop_off(6, Draw(1), r)
    assert float(gain[0]) == pytest.approx(0.2)
    assert float(gain[-1]) == pytest.approx(0.2)
    image = scan(signal, torch.ones_like(signal) > 0, Draw(4), r)
    means = image.flatten(1).mean(1)
    assert float(means.max() / means.min()) < 1.1


@pytest.mark.parametrize("level", [0.1, 0.5, 0.8])
def test_streaks_cover_their_share(level: float) -> None:
    label = torch.full((8, 96, 96), 55)
    levels = torch.full((256,), level)
    share = float((streaky_fat(label, levels, Draw(3)) > 0.3).float().mean())
    assert share == pytest.approx(level, abs=0.12)


def test_tissue_tables() -> None:
    assert tissue_table("muscle")[55]
    assert tissue_table("bone")[103]
    assert not tissue_table("bone")[55]


@given(st.integers(0, 2**31), st.integers(1, 40), st.floats(0, 1), st.booleans())
def test_references_are_percentiles_of_every_third_value(
    seed: int, size: int, share: float, ties: bool
) -> None:
    draw = Draw(seed)
    image, inside = draw.normals(3, size, size), draw.rand(3, size, size) < share
    image = (image * 2).round() if ties else image
    for found, plane, body in zip(references(image, inside), image, inside, strict=True):
        values = plane[body & (plane > 0)][::3]
        if values.numel() < 17:
            assert found == 1
        else:
            assert found == values.kthvalue(max(1, int(0.98 * values.numel()))).values
