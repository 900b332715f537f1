from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from legseg_bids.synth.atlas import Anatomy
from legseg_bids.synth.draws import Draw
from legseg_bids.synth.people import (
    Frame,
    People,
    displaced,
    draw_person,
    load_people,
    save_people,
)
from legseg_bids.synth.ranges import Ranges
from legseg_bids.synth.sample import region_sample
from legseg_bids.synth.shape import Grid, limb_mapping
from legseg_bids.synth.warp import Swelling, Warp, draw_warp

FRAME = Frame((400.0, -100.0, -100.0), (100.0, 50.0, 50.0))
ALWAYS = replace(Ranges(), person_probability=1.0, swelling_probability=0.0)


def people(*shifts: float) -> People:
    """One person for each shift: everything lies so many mm further along y."""
    fields = np.zeros((len(shifts), 3, 6, 5, 5), np.float16)
    fields[:, 1] = np.array(shifts)[:, None, None, None]
    names = tuple(f"person{n}-left" for n in range(len(shifts)))
    poses = np.zeros((len(shifts), 11), np.float32)
    return People(names, fields, np.full(len(shifts), 0.9, np.float32), FRAME, poses)


def test_displacement_is_linear_between_knots_and_constant_beyond() -> None:
    field = torch.zeros(3, 6, 5, 5)
    field[2, :, :, 3] = 10.0  # x displacement at x = 50
    places = torch.tensor([[600.0, 0.0, 50.0], [600.0, 0.0, 25.0], [600.0, 0.0, 0.0]])
    assert displaced(field, places, FRAME)[:, 2].tolist() == pytest.approx([10.0, 5.0, 0.0])
    field[0, :, :, 4] = 3.0
    assert displaced(field, torch.tensor([[2000.0, 0.0, 900.0]]), FRAME)[0, 0] == 3.0


def test_a_drawn_person_is_a_share_of_the_known() -> None:
    low, high = ALWAYS.person_share
    seen = []
    for seed in range(40):
        field = draw_person(people(10.0, 20.0), Draw(seed), ALWAYS)
        assert field is not None
        assert float(field[0].abs().max()) == 0
        seen.append(float(field[1, 0, 0, 0]))
    assert 20 * low <= min(seen) < 0
    assert 10 < max(seen) <= 20 * high
    assert len(set(seen)) > 30
    assert draw_person(people(), Draw(0), ALWAYS) is None
    assert draw_person(people(1.0), Draw(0), replace(ALWAYS, person_probability=0.0)) is None


def test_held_out_people_are_left_out() -> None:
    table = people(1.0, 2.0, 3.0)
    assert table.without(()).names == table.names
    assert table.without(("person1",)).names == ("person0-left", "person2-left")
    kept = table.without(("person1",), only=True)
    assert kept.names == ("person1-left",)
    assert float(kept.fields[0, 1, 0, 0, 0]) == 2.0
    assert table.without((), only=True).names == ()


def test_table_survives_a_file(tmp_path: Path) -> None:
    path = tmp_path / "people.npz"
    save_people(people(1.5, -2.0), path)
    again = load_people(path)
    assert again.names == ("person0-left", "person1-left")
    assert again.frame == FRAME
    assert np.array_equal(again.fields, people(1.5, -2.0).fields)
    assert [p.name for p in tmp_path.iterdir()] == ["people.npz"]


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_warp_moves_both_sides_alike(anatomy: Anatomy, side: str) -> None:
    field = torch.zeros(3, 6, 5, 5)
    field[1], field[2] = 7.0, 4.0  # forwards, and medially
    warp = Warp(replace(anatomy, people=people(0.0)), side, field, ())
    z = torch.full((1, 2, 2), 600.0)
    shift = warp.shift(z, torch.full_like(z, 80.0), torch.full_like(z, 90.0))
    assert shift[0].abs().max() == 0
    assert shift[1].mean() == pytest.approx(7.0, abs=1e-3)
    assert shift[2].mean() == pytest.approx(4.0 if side == "left" else -4.0, abs=1e-3)


def swelling(strength: float) -> Swelling:
    """A muscle of 15 mm radius from 500 to 700 mm that runs medially."""
    height = torch.tensor([480.0, 500.0, 700.0, 720.0]).double()
    path = torch.tensor([[10, 0, 0], [10, 0, 15], [10, 40, 15], [10, 40, 0]]).double()
    return Swelling(height, path, strength)


def test_a_swelling_follows_its_muscle_and_leaves_far_ones() -> None:
    near = swelling(0.4).shift(torch.tensor([[600.0, 20.0, 20.0], [650.0, 20.0, 30.0]]))
    assert bool((near[:, 1] < -2.0).all())  # the image shows what lies nearer to the middle
    assert bool((near[:, 1] > -4.0).all())
    assert near[:, [0, 2]].abs().max() == 0
    assert float(swelling(0.4).shift(torch.tensor([[600.0, 110.0, 20.0]])).abs().max()) < 0.01
    assert float(swelling(0.4).shift(torch.tensor([[900.0, 20.0, 40.0]])).abs().max()) < 0.01


@pytest.mark.parametrize("strength", Ranges().swelling)
@pytest.mark.parametrize("height", [485.0, 600.0])
def test_swellings_never_fold(strength: float, height: float) -> None:
    line = torch.linspace(-60, 90, 400)
    places = torch.stack([torch.full((400,), height), torch.full((400,), 10.0), line], dim=-1)
    moved = places + swelling(strength).shift(places)
    assert bool((moved[:, 2].diff() > 0).all())


@pytest.mark.parametrize("side", ["left", "right"])
def test_swellings_lie_on_muscles_of_their_side(anatomy: Anatomy, side: str) -> None:
    swell = replace(Ranges(), swelling_probability=1.0)
    for seed in range(5):
        warp = draw_warp(anatomy, side, 600.0, Draw(seed), swell)
        assert warp is not None
        for one in warp.swellings:
            # the phantom's muscles are quadrants of a ring around the limb's middle
            inside = (one.height > 450) & (one.height < 850)
            y, x, radius = one.path[inside].T.numpy()
            assert np.hypot(y, x) == pytest.approx(40.0, abs=8.0)
            assert radius == pytest.approx(30.2, abs=6.0)


def test_a_map_without_muscle_there_has_nothing_to_swell(anatomy: Anatomy) -> None:
    swell = replace(Ranges(), swelling_probability=1.0)
    assert draw_warp(anatomy, "left", 600.0, Draw(0), swell) is not None
    assert draw_warp(anatomy, "left", -200.0, Draw(0), swell) is None


def test_coarse_grid_sees_the_same_person(anatomy: Anatomy) -> None:
    known = replace(anatomy, people=people(12.0, -9.0))
    r = replace(ALWAYS, swelling_probability=1.0)
    fine = Grid((4, 64, 64), (10.0, 1.0, 1.0))
    mapping = limb_mapping(known, "right", 600.0, (0.0, 0.0), Draw(9), r)
    plain = limb_mapping(anatomy, "right", 600.0, (0.0, 0.0), Draw(9), r)
    _, y_fine, _ = mapping(fine)
    _, y_coarse, _ = mapping(fine.coarser(2))
    mean = torch.nn.functional.avg_pool2d(y_fine[:, None], 2)[:, 0]
    assert float((mean - y_coarse).abs().max()) < 0.3
    assert float((y_fine - plain(fine)[1]).abs().max()) > 1.0


def test_samples_of_people_repeat(anatomy: Anatomy) -> None:
    known = replace(anatomy, people=people(12.0, -9.0))
    draws = [
        region_sample(a, "left", "upper", (0, 55, 59, 31, 35), (4, 48), 5, ALWAYS)
        for a in (known, known, anatomy)
    ]
    assert torch.equal(draws[0].image, draws[1].image)
    assert torch.equal(draws[0].target, draws[1].target)
    assert not torch.equal(draws[0].target, draws[2].target)
    alone = known.of_people(("person0",))
    assert alone.people is not None
    assert alone.people.names == ("person1-left",)
    assert anatomy.of_people(("person0",)) is anatomy
