from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from legseg_bids.synth.draws import Draw
from legseg_bids.train.augment import Sample, sides_of_scheme
from legseg_bids.train.augment.limbs import Limbs
from legseg_bids.train.augment.spatial import (
    Elastic,
    PiecewiseAffine,
    Rotation,
    Scale,
    Skew,
    Translation,
    in_triangles,
    places,
    resampled,
    spline_weights,
)

SPACING = (6.0, 2.0, 2.0)
LEFT, RIGHT = 61, 62


def block(z=slice(None), y=slice(8, 14), x=slice(8, 14), label=LEFT, shape=(5, 41, 41)) -> Sample:
    """A bright box whose image is 1 where its label is."""
    labels = torch.zeros(shape, dtype=torch.long)
    labels[z, y, x] = label
    return Sample((labels > 0).float()[None], labels, SPACING)


def moved(kind, sample: Sample, seed: int = 0) -> Sample:
    """One augmentation and its resampling."""
    back = kind.draw(Draw(seed), sample, sides_of_scheme())
    return resampled(sample, back(places(sample)))


def middle(sample: Sample, label: int = LEFT) -> torch.Tensor:
    """Mean place of a label, mm (z, y, x)."""
    return places(sample)[:, sample.labels == label].mean(1)


def volume(sample: Sample, label: int = LEFT) -> int:
    return int((sample.labels == label).sum())


def test_nothing_drawn_moves_nothing() -> None:
    still = [
        Scale(in_plane=(1, 1), along=(1, 1)),
        Skew(in_plane=(0, 0), along=(0, 0)),
        Rotation(in_plane=(0, 0), tilt=(0, 0)),
        Translation(in_plane=(0, 0)),
        PiecewiseAffine(share=(0, 0)),
        Elastic(mm=(0, 0)),
        Limbs(degrees=(0, 0), mm=(0, 0)),
    ]
    sample = block()
    sample.labels[:, 20:30, 30:36] = RIGHT
    for kind in still:
        after = moved(kind, sample)
        assert torch.equal(after.labels, sample.labels), kind
        assert torch.allclose(after.image, sample.image, atol=1e-4), kind


def test_translation_is_in_millimetres() -> None:
    before = block(z=slice(1, 3))
    after = moved(Translation(in_plane=(8.0, 8.0), along=(6.0, 6.0)), before)
    assert torch.allclose(middle(after) - middle(before), torch.tensor([6.0, 8.0, 8.0]))
    assert torch.allclose(after.image[0], (after.labels > 0).float(), atol=1e-5)


def test_scale_is_a_factor_about_the_middle() -> None:
    before = block(z=slice(2, 3), y=slice(18, 23), x=slice(18, 23))
    after = moved(Scale(in_plane=(1.8, 1.8), along=(3.0, 3.0)), before)
    assert volume(after) == pytest.approx(1.8**2 * 3 * volume(before))
    assert torch.allclose(middle(after), torch.zeros(3), atol=0.1)


def test_rotation_turns_from_back_to_front_towards_the_right() -> None:
    before = block(y=slice(30, 34), x=slice(18, 23))
    after = moved(Rotation(in_plane=(90.0, 90.0), tilt=(0.0, 0.0)), before)
    front = middle(before)
    assert torch.allclose(middle(after), torch.stack([front[0], front[2], front[1]]), atol=0.1)
    assert volume(after) == volume(before)


def test_tilt_moves_along_the_limb() -> None:
    before = block(z=slice(2, 3), y=slice(36, 40), x=slice(18, 23))
    after = moved(Rotation(in_plane=(0.0, 0.0), tilt=(20.0, 20.0)), before)
    assert abs(float(middle(after)[0])) == pytest.approx(35 * math.sin(math.radians(20)), abs=4)


def test_skew_moves_columns_by_their_row() -> None:
    before = block(y=slice(30, 31), x=slice(18, 23))
    after = moved(Skew(in_plane=(0.4, 0.4), along=(0.0, 0.0)), before)
    shift = middle(after) - middle(before)
    assert torch.allclose(shift, torch.tensor([0.0, 0.0, 0.4 * 20.0]), atol=1e-4)


@pytest.mark.parametrize("kind", [PiecewiseAffine(share=(0.04, 0.04)), Elastic(mm=(6.0, 6.0))])
def test_bending_keeps_image_and_labels_together(kind) -> None:
    sample = block(y=slice(12, 30), x=slice(10, 32))
    for seed in range(3):
        after = moved(kind, sample, seed)
        assert not torch.equal(after.labels, sample.labels)
        agree = ((after.image[0] > 0.5) == (after.labels > 0)).float().mean()
        assert float(agree) > 0.99
        assert 0.5 < volume(after) / volume(sample) < 2
        assert set(torch.unique(after.labels).tolist()) <= {0, LEFT}


@pytest.mark.parametrize("kind", [PiecewiseAffine(share=(0.03, 0.03)), Elastic(mm=(5.0, 5.0))])
def test_bending_stays_in_the_slice(kind) -> None:
    sample = block()
    at = places(sample)
    back = kind.draw(Draw(3), sample, sides_of_scheme())(at)
    assert torch.equal(back[0], at[0])
    assert float((back - at)[1:].abs().max()) > 1.0


def test_strength_of_bending_in_millimetres() -> None:
    """Standard deviations: of the points of the grid 3 % of 82 mm; of the knots 5 mm."""
    sample = block()
    at = places(sample)
    for kind, knots in (
        (PiecewiseAffine(share=(0.03, 0.03)), 2.46),
        (Elastic(mm=(5.0, 5.0)), 5.0),
    ):
        shifts = [
            kind.draw(Draw(s), sample, sides_of_scheme())(at)[1:] - at[1:] for s in range(12)
        ]
        spread = float(torch.stack(shifts).std())
        assert 0.25 * knots < spread < knots  # between the points shifts are averaged


def test_piecewise_affine_is_continuous_and_straight() -> None:
    values = torch.randn(1, 4, 4, generator=torch.Generator().manual_seed(0))
    near = torch.rand(2, 500, generator=torch.Generator().manual_seed(1)) * 3
    step = torch.full_like(near, 1e-3)
    jumps = (in_triangles(values, near + step) - in_triangles(values, near)).abs()
    assert float(jumps.max()) < 1e-3 * 4 * float(values.abs().max()) + 1e-6
    nodes = torch.stack(torch.meshgrid(torch.arange(4.0), torch.arange(4.0), indexing="ij"))
    assert torch.allclose(in_triangles(values, nodes), values)


def test_splines_join_smoothly() -> None:
    weights = spline_weights(60, 4.0)
    assert torch.allclose(weights.sum(1), torch.ones(60), atol=1e-6)
    knots = torch.arange(weights.shape[1]).float()
    line = weights @ knots  # a straight line of knots is a straight line
    assert torch.allclose(line.diff(), torch.full((59,), 4 / 60), atol=1e-5)


def test_a_single_slice_stays_in_its_plane() -> None:
    sample = block(shape=(1, 41, 41))
    after = moved(Rotation(in_plane=(0.0, 0.0), tilt=(15.0, 15.0)), sample)
    assert volume(after) > 0.8 * volume(sample)


def test_beyond_the_image_there_is_air() -> None:
    after = moved(Translation(in_plane=(40.0, 40.0)), block())
    assert not after.labels[:, :20].any()
    assert not after.image[0, :, :20].any()


# ---------------------------------------------------------------------- limbs


def two_limbs() -> Sample:
    sample = block(y=slice(12, 28), x=slice(4, 17))
    sample.labels[:, 12:28, 24:37] = RIGHT
    sample.image[0] = (sample.labels > 0).float()
    sample.image[0, sample.labels == RIGHT] = 2.0
    return sample


def test_limbs_move_each_on_its_own() -> None:
    sample = two_limbs()
    after = moved(Limbs(degrees=(-10, 10), mm=(-6, 6)), sample, seed=1)
    shifts = [middle(after, n) - middle(sample, n) for n in (LEFT, RIGHT)]
    assert float((shifts[0] - shifts[1]).norm()) > 2
    for label in (LEFT, RIGHT):
        assert volume(after, label) == pytest.approx(volume(sample, label), rel=0.05)


def test_limbs_shift_by_millimetres_about_their_own_middle() -> None:
    sample = two_limbs()
    after = moved(Limbs(degrees=(20, 20), mm=(4, 4)), sample)
    for label in (LEFT, RIGHT):
        shift = middle(after, label) - middle(sample, label)
        assert torch.allclose(shift, torch.tensor([0.0, 4.0, 4.0]), atol=0.3)


@pytest.mark.parametrize("seed", range(5))
def test_no_limb_is_seen_twice(seed: int) -> None:
    """However they move, the left one stays at low x, and grey values belong to their label."""
    from scipy import ndimage

    sample = two_limbs()
    after = moved(Limbs(degrees=(-40, 40), mm=(-14, 14)), sample, seed)
    for label, grey in ((LEFT, 1.0), (RIGHT, 2.0)):
        inside = ndimage.binary_erosion((after.labels == label).numpy(), iterations=2)
        assert float(after.image[0][torch.from_numpy(inside)].std()) < 0.01
        assert float(after.image[0][torch.from_numpy(inside)].mean()) == pytest.approx(grey)
        _, pieces = ndimage.label((after.labels == label).numpy())
        assert pieces == 1
    assert float(middle(after, LEFT)[2]) < float(middle(after, RIGHT)[2])


def test_one_limb_alone_stays() -> None:
    sample = block()
    assert torch.equal(moved(Limbs(), sample).labels, sample.labels)


def test_limbs_that_never_share_a_slice_are_told_apart() -> None:
    sample = block(z=slice(0, 2), y=slice(12, 28), x=slice(4, 17))
    sample.labels[3:, 12:28, 24:37] = RIGHT
    after = moved(Limbs(degrees=(0, 0), mm=(2, 2)), sample)
    shift = middle(after, RIGHT) - middle(sample, RIGHT)
    assert torch.allclose(shift, torch.tensor([0.0, 2.0, 2.0]), atol=1e-4)
