from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from legseg_bids.synth.draws import Draw
from legseg_bids.synth.ranges import Ranges
from legseg_bids.synth.within import connective, draw_within_muscle, sheets

SHAPE = (3, 96, 96)
THINGS = ("aponeuroses", "strands", "veins")
NEVER = replace(Ranges(), **{f"{name}_probability": 0.0 for name in THINGS})


def only(name: str, **changes: object) -> Ranges:
    return replace(NEVER, **{f"{name}_probability": 1.0}, **changes)


def two_muscles() -> tuple[Tensor, Tensor]:
    """Labels, and where they are: two muscles side by side, nothing around them."""
    label = torch.zeros(SHAPE, dtype=torch.long)
    label[:, 8:88, 8:48], label[:, 8:88, 48:88] = 7, 9
    return label, label > 0


def drawn(r: Ranges, seed: int) -> tuple[Tensor, Tensor]:
    label, muscle = two_muscles()
    water, fat = muscle.float(), (~muscle).float()
    return draw_within_muscle(water, fat, label, muscle, Draw(seed), r)


@given(slope=st.floats(0.01, 5.0), width=st.floats(1.0, 6.0), turn=st.floats(0.0, 3.1))
@settings(max_examples=30)
def test_a_sheet_is_as_thick_however_steep_the_field_is(
    slope: float, width: float, turn: float
) -> None:
    y, x = torch.meshgrid(torch.arange(60.0) - 29.5, torch.arange(60.0) - 29.5, indexing="ij")
    angle = torch.tensor(turn)
    plane = (slope * (torch.cos(angle) * x + torch.sin(angle) * y))[None]
    found = sheets(plane, torch.zeros(()), width)[0]
    away = (torch.cos(angle) * x + torch.sin(angle) * y).abs()[1:-1, 1:-1]
    expected = (1 - away / width).clamp(0.0, 1.0)
    torch.testing.assert_close(found[1:-1, 1:-1], expected, atol=1e-3, rtol=0)


def test_a_sheet_ends_where_its_muscle_does() -> None:
    course = torch.arange(40.0).expand(1, 40, 40)
    level = torch.full((1, 40, 40), 10.0)
    level[:, 20:] = 30.0
    found = sheets(course, level, 1.5)
    assert found[0, 5].argmax() == 10
    assert found[0, 30].argmax() == 30
    assert float(found[0, 5, 25:].max()) == float(found[0, 30, :15].max()) == 0.0


def test_a_level_field_has_no_sheet() -> None:
    assert float(sheets(torch.zeros(1, 9, 9), torch.zeros(1, 9, 9) + 0.1, 2.0).max()) == 0.0


@given(sheet=st.floats(0.0, 1.0), fatty=st.floats(0.0, 0.9))
def test_connective_tissue_takes_the_place_of_muscle(sheet: float, fatty: float) -> None:
    water, fat = connective(torch.ones(1), torch.zeros(1), torch.tensor([sheet]), fatty)
    assert float(water) == pytest.approx(1 - sheet, abs=1e-6)
    assert float(fat) == pytest.approx(fatty * sheet, abs=1e-6)


def test_nothing_changes_without_them() -> None:
    _, muscle = two_muscles()
    water, fat = drawn(NEVER, 3)
    assert torch.equal(water, muscle.float())
    assert torch.equal(fat, (~muscle).float())


@pytest.mark.parametrize("name", THINGS)
def test_they_lie_in_muscle_and_leave_most_of_it(name: str) -> None:
    _, muscle = two_muscles()
    changed = []
    for seed in range(20):
        water, fat = drawn(only(name), seed)
        assert torch.equal(water[~muscle], torch.zeros_like(water[~muscle]))
        assert torch.equal(fat[~muscle], torch.ones_like(fat[~muscle]))
        assert float(water.min()) >= 0
        assert float(fat.min()) >= 0
        changed.append(float(((water - 1).abs() > 0.2)[muscle].float().mean()))
    assert 0.001 < sum(changed) / 20 < 0.15
    assert max(changed) < 0.4


def test_a_share_of_the_muscles_has_aponeuroses() -> None:
    label, _ = two_muscles()
    both = none = 0
    for seed in range(40):
        water, _ = drawn(only("aponeuroses", aponeuroses_share=(0.5, 0.5)), seed)
        dark = [bool((water[label == code] < 0.9).any()) for code in (7, 9)]
        both, none = both + all(dark), none + (not any(dark))
    assert both > 0
    assert none > 0


def test_strands_are_short() -> None:
    lengths = []
    for seed in range(10):
        water, _ = drawn(only("strands"), seed)
        dark, _ = ndimage.label((water[1] < 0.8)[8:88, 8:88].numpy())
        for rows, columns in ndimage.find_objects(dark):
            lengths.append(max(rows.stop - rows.start, columns.stop - columns.start))
    assert len(lengths) > 50
    assert sum(length < 16 for length in lengths) > 0.9 * len(lengths)  # 12 mm
