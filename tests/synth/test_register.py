from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from phantom import SPACING, partial_map

from legseg_bids.errors import ImageError
from legseg_bids.synth import register
from legseg_bids.synth.atlas import Anatomy
from legseg_bids.synth.partial import PIXEL, PartialLimb, limbs_of
from legseg_bids.synth.people import load_people, save_people
from legseg_bids.synth.register import (
    MUSCLES,
    SECTIONS,
    Pose,
    Straight,
    jacobian,
    straighten,
    whole_limb,
    with_people,
)

NAME = "someone_0001"
#: Numbers that single precision keeps.
POSE = Pose(600.0, 1.25, 200.0, 0.75, 0.5, (80.0, 90.0), (1.5, -2.5), (0.25, -0.125))
NUMBERS = st.floats(-500.0, 500.0, width=32)
EXAMPLES = settings(max_examples=30)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small tensors are not worth a second thread, least of all beside other tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("maps")
    affine = np.diag([-SPACING[0] * 1.1, -SPACING[1], 30.0, 1.0])  # stored with axes L, P, S
    image = nib.Nifti1Image(partial_map()[::-1, ::-1], affine)
    nib.save(image, folder / f"{NAME}.nii.gz")
    return folder


@pytest.fixture(scope="module")
def limb(maps: Path) -> PartialLimb:
    return limbs_of(maps / f"{NAME}.nii.gz", len(MUSCLES))[0]


@pytest.fixture(scope="module")
def straight(anatomy: Anatomy) -> Straight:
    return straighten(anatomy)


def test_straightened_limb_holds_the_labelled_muscles(straight: Straight) -> None:
    present = straight.shares.flatten(1).any(1)
    assert [n for n, there in zip(sorted(MUSCLES), present, strict=True) if there] == [3, 5, 8, 10]
    middle = torch.nonzero(straight.shares.sum(0)).float().mean(0)
    size = torch.tensor(straight.shares.shape[1:]) / 2
    assert float((middle - size)[1:].abs().max()) < 4.0


def test_jacobian_of_a_stretch_and_of_a_fold() -> None:
    field = torch.zeros(3, 3, 3, 3)
    field[2] = torch.tensor([0.0, 5.0, 10.0])  # 5 mm more at every knot along x
    assert jacobian(field, (40.0, 20.0, 20.0)).unique().tolist() == pytest.approx([1.25])
    assert float(jacobian(-5 * field, (40.0, 20.0, 20.0)).max()) < 0


def test_registration_bends_the_anatomy_to_a_wider_limb(
    limb: PartialLimb, straight: Straight, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(register, "STAGES", ((10.0, 15, False),))
    stiff = register.register(limb, straight)
    assert float(stiff.field.abs().max()) == 0
    # the map's pixels are a tenth larger across (and so is the limb), so it is made smaller
    assert stiff.pose.width == pytest.approx(1 / np.sqrt(1.1), abs=0.04)
    assert stiff.pose.turn == pytest.approx(0.0, abs=0.1)
    assert stiff.pose.shift == pytest.approx((0.0, 0.0), abs=4.0)
    monkeypatch.setattr(register, "STAGES", ((10.0, 15, False), (6.0, 15, True)))
    fit = register.register(limb, straight)
    assert fit.agreement > max(stiff.agreement, 0.85)
    assert fit.folded == 0
    assert float(jacobian(fit.field, straight.knots.step).min()) > 0


@pytest.mark.parametrize("side", ["left", "right"])
def test_lower_legs_of_either_side_are_straightened_alike(anatomy: Anatomy, side: str) -> None:
    calf = straighten(anatomy, "lower", side)
    labels = register.SECTIONS["lower"].labels
    present = {n for n, share in zip(labels, calf.shares, strict=True) if share.any()}
    assert present == {1, 3, 5, 21, 107}  # the phantom's quadrants, and its tibia
    lateral, medial = (calf.shares[labels.index(n)].sum(dim=(0, 1)) for n in (1, 3))
    across = torch.arange(calf.shares.shape[3])
    assert (lateral * across).sum() / lateral.sum() < (medial * across).sum() / medial.sum()
    tibia = torch.nonzero(calf.shares[labels.index(107)].sum(dim=(1, 2))).flatten() * 4.0
    knee = anatomy.landmarks[side].knee
    assert float(tibia.max()) + calf.grid.first[0] == pytest.approx(knee - 10.0, abs=8.0)


def test_lower_legs_are_given_one_anothers_shapes(
    anatomy: Anatomy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(limb: PartialLimb, straight: Straight) -> register.Fit:
        return register.Fit(torch.ones(3, *straight.shape), 0.9, 0.0, POSE)

    monkeypatch.setattr(register, "register", fit)
    pair = [anatomy, replace(anatomy, name="vhf")]
    both = ("vhf-left", "vhf-right")
    for region, names in (("lower", both), ("hip", both), ("upper", ("vhf-left",))):
        known = with_people(pair, None, tmp_path, lambda _: None, region)
        assert known[0].people is not None
        assert known[0].people.names == names
        assert Pose.from_numbers(known[0].people.poses[0].tolist()) == POSE
    assert len(list(tmp_path.glob("people-*.npz"))) == 6


def test_another_anatomy_is_a_limb_too(straight: Straight) -> None:
    limb = whole_limb("vhf", straight)
    assert limb.shares.shape[0] == len(MUSCLES)
    assert np.diff(limb.height) == pytest.approx(12.0)


def test_people_are_fitted_once_and_bad_fits_left_out(
    anatomy: Anatomy, maps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def fit(limb: PartialLimb, straight: Straight) -> register.Fit:
        good = limb.name.endswith("left")
        return register.Fit(torch.ones(3, *straight.shape), 0.9 if good else 0.5, 0.0, POSE)

    monkeypatch.setattr(register, "register", fit)
    for _ in range(2):
        (known,) = with_people([anatomy], maps, tmp_path, said.append)
        assert known.people is not None
        assert known.people.names == (f"{NAME}-left",)
    assert sum("fitting 2 limbs" in line for line in said) == 1
    assert any("left out" in line for line in said)
    other = replace(anatomy, name="vhf")
    assert len(with_people([anatomy, other], maps, tmp_path, said.append)) == 2
    assert sum("fitting 3 limbs" in line for line in said) == 2


def test_a_folder_without_maps_is_an_error(anatomy: Anatomy, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="expected label maps of thighs"):
        with_people([anatomy], tmp_path, tmp_path)


# poses -------------------------------------------------------------------------------------


@EXAMPLES
@given(st.lists(NUMBERS, min_size=11, max_size=11))
def test_a_pose_survives_as_numbers(numbers: list[float]) -> None:
    pose = Pose.from_numbers(numbers)
    assert list(pose.as_numbers()) == numbers
    assert Pose.from_numbers(np.float32(pose.as_numbers()).tolist()) == pose


def test_numbers_of_a_pose_are_in_the_order_of_its_fields() -> None:
    assert POSE.as_numbers() == (
        600.0,
        1.25,
        200.0,
        0.75,
        0.5,
        80.0,
        90.0,
        1.5,
        -2.5,
        0.25,
        -0.125,
    )


def test_poses_survive_a_file(
    anatomy: Anatomy, maps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(limb: PartialLimb, straight: Straight) -> register.Fit:
        pose = replace(POSE, turn=0.0 if limb.name.endswith("left") else 1.0)
        return register.Fit(torch.zeros(3, *straight.shape), 0.9, 0.0, pose)

    monkeypatch.setattr(register, "register", fit)
    (known,) = with_people([anatomy], maps, tmp_path, lambda _: None)
    assert known.people is not None
    save_people(known.people, tmp_path / "again.npz")
    again = load_people(tmp_path / "again.npz")
    assert [Pose.from_numbers(n).turn for n in again.poses.tolist()] == [0.0, 1.0]
    kept = known.people.without((f"{NAME}-left",))
    assert Pose.from_numbers(kept.poses[0].tolist()).turn == 1.0


def test_nobody_fitted_has_no_pose(straight: Straight) -> None:
    nobody = register.fit_people(straight, [], lambda _: None)
    assert nobody.poses.shape == (0, 11)
    assert nobody.without(("a",)).poses.shape == (0, 11)


def pixels(limb: PartialLimb) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Heights of a limb's slices, and y and x of its pixels, mm."""
    y, x = (torch.arange(n, dtype=torch.float32) * PIXEL for n in limb.shares.shape[2:])
    return torch.from_numpy(limb.height).float(), *torch.meshgrid(y, x, indexing="ij")


@settings(max_examples=10)
@given(st.lists(st.floats(-3.0, 3.0), min_size=8, max_size=8))
def test_a_pose_says_what_the_fit_said(
    limb: PartialLimb, straight: Straight, numbers: list[float]
) -> None:
    moving = register._Moving(limb, straight)
    moving.numbers = torch.tensor(numbers)
    pose = moving.pose()
    again = Pose.from_numbers(np.float32(pose.as_numbers()).tolist())
    for one in (pose, again):
        found, expected = one.places(*pixels(limb)), moving.places()
        assert found.shape == expected.shape
        assert float((found - expected).abs().max()) < 0.01


@EXAMPLES
@given(st.floats(-3.1, 3.1), st.floats(0.5, 2.0), st.floats(0.5, 2.0))
def test_places_are_turned_and_scaled_about_the_middle(
    turn: float, width: float, length: float
) -> None:
    pose = Pose(600.0, length, 200.0, width, turn, (80.0, 90.0), (3.0, -4.0), (0.0, 0.0))
    height = torch.tensor([200.0, 230.0])
    y, x = torch.tensor([[80.0, 80.0]]), torch.tensor([[90.0, 110.0]])
    places = pose.places(height, y, x)
    assert places[0, 0, 0].tolist() == pytest.approx([600.0, 3.0, -4.0], abs=1e-3)
    assert float(places[1, 0, 0, 0]) == pytest.approx(600.0 + 30.0 * length, rel=1e-5)
    arm = places[0, 0, 1, 1:] - places[0, 0, 0, 1:]
    assert float(arm.norm()) == pytest.approx(20.0 * width, rel=1e-4)
    assert float(arm[0]) == pytest.approx(20 * width * np.sin(turn), abs=1e-3)


def test_a_leaning_limb_moves_with_its_height() -> None:
    pose = Pose(600.0, 2.0, 0.0, 1.0, 0.0, (0.0, 0.0), (0.0, 0.0), (0.1, -0.2))
    zero = torch.zeros(1, 1)
    place = pose.places(torch.tensor([50.0]), zero, zero)[0, 0, 0]
    assert place.tolist() == pytest.approx([700.0, 10.0, -20.0])


# the hip -----------------------------------------------------------------------------------


def test_sections_hold_left_labels_once() -> None:
    for region, section in SECTIONS.items():
        assert len(set(section.labels)) == len(section.labels), region
        assert all(label % 2 for label in section.labels), region


def test_hips_of_either_side_are_straightened_alike(anatomy: Anatomy) -> None:
    labels = SECTIONS["hip"].labels
    left, right = (straighten(anatomy, "hip", side) for side in ("left", "right"))
    for hip in (left, right):
        present = {n for n, share in zip(labels, hip.shares, strict=True) if share.any()}
        assert present == {101, 103}  # the phantom's hip bone and femur
        bone = hip.shares[labels.index(101)].sum(dim=(0, 1))
        assert float(bone[: len(bone) // 2 - 2].sum()) == 0  # medial of the middle
    assert left.shape == right.shape
    overlap = (left.shares * right.shares).sum() * 2 / (left.shares + right.shares).sum()
    assert float(overlap) > 0.9
