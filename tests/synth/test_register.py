from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from phantom import SPACING, phantom_map

from legseg_bids.anatomy.labels import label_by_index
from legseg_bids.errors import ImageError
from legseg_bids.synth import register
from legseg_bids.synth.atlas import Anatomy
from legseg_bids.synth.partial import PartialLimb, divide, limbs_of
from legseg_bids.synth.register import (
    MUSCLES,
    Straight,
    jacobian,
    straighten,
    whole_limb,
    with_people,
)

NAME = "someone_0001"


def partial_map() -> np.ndarray:
    """The phantom's thighs as a partial map: sides alike, every third slice."""
    out = np.zeros_like(phantom_map())
    for number, left in MUSCLES.items():
        own = label_by_index(left).atlas
        out[np.isin(phantom_map(), (own, own - 100))] = number
    return out[..., 45::3]


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


def test_map_is_divided_into_two_alike_limbs(maps: Path) -> None:
    left, right = limbs_of(maps / f"{NAME}.nii.gz", len(MUSCLES))
    assert (left.name, right.name) == (f"{NAME}-left", f"{NAME}-right")
    assert left.shares.shape[:2] == (len(MUSCLES), partial_map().shape[2])
    assert np.diff(left.height) == pytest.approx(30.0)
    assert float(left.shares.max()) <= 1.0
    # the phantom is symmetric: mirrored, the right limb is the left one, but for its grid
    assert right.shares.sum() == pytest.approx(left.shares.sum(), rel=0.05)
    lateral, medial = (left.shares[n - 1].sum(axis=(0, 1)) for n in (3, 5))
    assert np.argmax(lateral) < np.argmax(medial)


def test_limbs_of_different_width_are_divided_between_them() -> None:
    ids = np.zeros((60, 5, 3), bool)
    ids[5:25] = ids[31:55] = True
    assert 25 <= divide(ids) <= 31


def test_an_empty_map_is_an_error(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4)), tmp_path / "e.nii.gz")
    with pytest.raises(ImageError, match=r"e\.nii\.gz holds no label"):
        limbs_of(tmp_path / "e.nii.gz", 11)


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
        return register.Fit(torch.ones(3, *straight.shape), 0.9, 0.0)

    monkeypatch.setattr(register, "register", fit)
    pair = [anatomy, replace(anatomy, name="vhf")]
    for region, names in (("lower", ("vhf-left", "vhf-right")), ("upper", ("vhf-left",))):
        known = with_people(pair, None, tmp_path, lambda _: None, region)
        assert known[0].people is not None
        assert known[0].people.names == names
    assert len(list(tmp_path.glob("people-*.npz"))) == 4


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
        return register.Fit(torch.ones(3, *straight.shape), 0.9 if good else 0.5, 0.0)

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
