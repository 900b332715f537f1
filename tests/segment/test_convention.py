"""Networks of other makers behind our axes, and ours, which nothing may touch."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from legseg_bids.anatomy.regions import Part, Region, Side
from legseg_bids.errors import UsageError
from legseg_bids.imaging.limbs import LimbBox
from legseg_bids.imaging.scaling import Scaling
from legseg_bids.imaging.volume import Volume
from legseg_bids.segment.adapter import adapt
from legseg_bids.segment.convention import Convention, axes_of, read_convention
from legseg_bids.segment.infer import segment_limb
from legseg_bids.segment.limb import prepare_limb, restore
from legseg_bids.segment.locate import Location
from legseg_bids.segment.models import SegmentationSpec, find_models_dir, load_model
from legseg_bids.segment.region import run_region

SHAPE = (4, 6, 8)
SPEC = SegmentationSpec(
    region=Region.UPPER,
    spacing=(3.0, 3.0, 10.0),
    native_z_above=5.0,
    channels=(0, 31, 33),
    step=(1, 2, 2),
    halo=(0, 0, 0),
    patch=(4, 16, 16),
    bytes_per_voxel=100.0,
)


class Knows:
    """An engine that finds out how it is fed: its logits are the image, its double, its square."""

    name, device = "test", "cpu"

    def __init__(self, layout: str = "NCDHW", output: str = "NCDHW") -> None:
        self.layout, self.output = layout, output
        self.fed: list[np.ndarray] = []

    def __call__(self, batch: np.ndarray) -> tuple[np.ndarray, ...]:
        self.fed.append(batch)
        image = batch.squeeze(tuple(i for i, axis in enumerate(self.layout) if axis in "NC"))
        space = [axis for axis in self.output if axis in "DHW"]
        assert image.ndim == len(space)
        answer = np.stack([image, 2 * image, image**2])
        axes = ["C", *space]
        answer = answer.transpose([axes.index(axis) for axis in self.output if axis != "N"])
        return (answer[None] if "N" in self.output else answer,)


def image() -> np.ndarray:
    return np.random.default_rng(1).random((1, 1, *SHAPE)).astype(np.float32)


ORIENTATIONS = [
    "".join(letters) for pairs in permutations(("SI", "AP", "RL")) for letters in product(*pairs)
]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_orientation_goes_there_and_back(orientation: str) -> None:
    engine, batch = Knows(), image()
    (logits,) = adapt(engine, Convention(orientation=orientation))(batch)
    seen = batch[0, 0]
    np.testing.assert_array_equal(logits[0], np.stack([seen, 2 * seen, seen**2]))
    at = {"S": (3, 0), "I": (0, 0), "A": (5, 1), "P": (0, 1), "R": (7, 2), "L": (0, 2)}
    corner = [0, 0, 0]
    for letter in orientation:  # the last voxel along each axis of the network
        index, axis = at[letter]
        corner[axis] = index
    assert engine.fed[0][0, 0, -1, -1, -1] == batch[(0, 0, *corner)]


LAYOUTS = [
    *product(("NCDHW", "CDHW"), ("NCDHW", "CDHW", "NDHWC", "DHWC")),
    *product(("NCHW", "CHW"), ("NCHW", "CHW", "NHWC", "HWC")),
]


@pytest.mark.parametrize(("fed", "order"), LAYOUTS)
def test_every_layout_goes_there_and_back(fed: str, order: str) -> None:
    engine, batch = Knows(fed, order), image()
    convention = Convention(orientation="SPL", input_layout=fed, output_layout=order)
    (logits,) = adapt(engine, convention)(batch)
    np.testing.assert_array_equal(logits[0, 1], 2 * batch[0, 0])
    assert len(engine.fed) == (1 if "D" in fed else SHAPE[0])


def test_probabilities_come_back_from_the_softmax_as_they_were() -> None:
    class Sure(Knows):
        def __call__(self, batch: np.ndarray) -> tuple[np.ndarray, ...]:
            p = batch * 0.5
            return (np.concatenate([p, 1 - p, 0 * p], axis=1),)

    batch = image()
    (logits,) = adapt(Sure(), Convention(output="probabilities"))(batch)
    shares = np.exp(logits[0]) / np.exp(logits[0]).sum(axis=0)
    np.testing.assert_allclose(shares[0], batch[0, 0] * 0.5, rtol=1e-5)
    assert np.isfinite(logits).all()


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"view": "room"}, "limb, stack"),
        ({"orientation": "SAX"}, "RL, AP and SI"),
        ({"orientation": "SSR"}, "RL, AP and SI"),
        ({"input_layout": "NDHW"}, "NCDHW"),
        ({"output_layout": "NCHW"}, "D in both"),
        ({"output": "guess"}, "probabilities"),
        ({"scaling": {"name": "magic"}}, "zscore"),
        ({"scaling": {"name": "fixed", "middle": 1}}, "middle"),
        ({"mirror": "yes"}, "true or false"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_nonsense_is_refused(told: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_convention(told)


def test_axes_of_ours() -> None:
    assert axes_of(Convention().orientation) == ((0, False), (1, False), (2, False))


# ------------------------------------------------------------- ours stay as they were


@pytest.mark.parametrize("name", ["thigh", "lower_leg"])
def test_shipped_networks_have_no_convention_of_their_own(name: str) -> None:
    spec = load_model(find_models_dir(), name).segmentation
    assert spec.convention == Convention()
    engine = Knows()
    assert adapt(engine, spec.convention) is engine


def legs(spacing: tuple[float, float, float] = (3.0, 3.0, 10.0)) -> tuple[Volume, np.ndarray]:
    """Two boxes, brighter towards their back and towards the feet, with a line between them."""
    data = np.random.default_rng(4).random((40, 16, 4)) + np.arange(4) / 2 + 1
    data[:, :5] += 2
    mask = np.zeros(data.shape, bool)
    mask[3:18, 2:14], mask[22:38, 2:14] = True, True
    return Volume(data.astype(np.float32), np.diag([*spacing, 1.0])), mask


def limbs_of(mask: np.ndarray) -> list[LimbBox]:
    halves = [mask.copy(), mask.copy()]
    halves[0][20:], halves[1][:20] = False, False
    boxes = [slice(1, 20), slice(20, 39)]
    return [LimbBox(m, (b, slice(1, 15), slice(0, 4))) for m, b in zip(halves, boxes, strict=True)]


def region_results(spec: SegmentationSpec, engine: Any) -> list[Any]:
    volume, mask = legs()
    parts = (Part.UPPER,) * volume.shape[2]
    location = Location((Side.LEFT, Side.RIGHT), parts, 1, (0.0, 0.0, 1.0))
    return list(
        run_region(volume, mask, limbs_of(mask), location, slice(1, 4), spec, engine, None)
    )


def test_what_was_written_before_conventions_gives_the_same_numbers() -> None:
    """The old formula, spelt out: scale by slice, mirror the right limb, pad to the step."""
    from legseg_bids.imaging.intensity import normalise

    volume, mask = legs()
    for limb, side in zip(limbs_of(mask), (Side.LEFT, Side.RIGHT), strict=True):
        x, y, _ = limb.box
        box = (x, y, slice(1, 4))
        scaled = normalise(volume.data[box], mask[box]).transpose(2, 1, 0)
        turned = scaled[:, :, ::-1] if side is Side.RIGHT else scaled
        padded = np.pad(turned, [(0, 0), (0, 0), (0, turned.shape[2] % 2)])
        fed = prepare_limb(volume, mask, limb, side, slice(1, 4), SPEC)
        assert fed.data.tobytes() == np.ascontiguousarray(padded).tobytes()
        again = replace(SPEC, convention=read_convention({}))
        assert segment_limb(fed, again, Knows(), None).tobytes() == (
            segment_limb(fed, SPEC, Knows(), None).tobytes()
        )


def test_right_limbs_are_mirrored_unless_told_otherwise() -> None:
    volume, mask = legs()
    limb = limbs_of(mask)[1]
    ours = prepare_limb(volume, mask, limb, Side.RIGHT, slice(0, 4), SPEC)
    spec = replace(SPEC, convention=Convention(mirror=False))
    theirs = prepare_limb(volume, mask, limb, Side.RIGHT, slice(0, 4), spec)
    width = ours.grid[2]
    np.testing.assert_array_equal(ours.data[..., :width][..., ::-1], theirs.data[..., :width])
    one = np.zeros((3, *ours.grid), np.float32)
    one[1] = 1
    assert set(np.unique(restore(theirs, one, spec).labels)) == {0, 32}


def test_native_spacing_leaves_the_grid_of_the_image() -> None:
    volume, mask = legs((1.0, 1.0, 4.0))
    limb = limbs_of(mask)[0]
    coarse = prepare_limb(volume, mask, limb, Side.LEFT, slice(0, 4), SPEC)
    spec = replace(SPEC, convention=Convention(native_spacing=True))
    native = prepare_limb(volume, mask, limb, Side.LEFT, slice(0, 4), spec)
    assert native.grid == (4, 14, 19)
    assert coarse.grid != native.grid


def test_whole_slices_come_back_limb_by_limb_with_both_sides() -> None:
    """The network sees both limbs as they lie; left and right have channels of their own."""

    class Sides(Knows):
        def __call__(self, batch: np.ndarray) -> tuple[np.ndarray, ...]:
            self.fed.append(batch)
            left = np.zeros_like(batch)
            left[..., :20] = 8
            return (np.concatenate([left * 0 + 1, left, 8 - left], axis=1),)

    both = Convention(view="stack")
    spec = replace(SPEC, channels=(0, 31, 32), patch=(4, 16, 64), convention=both)
    engine = Sides()
    left, right = region_results(spec, engine)
    assert [fed.shape for fed in engine.fed] == [(1, 1, 3, 16, 40)]
    assert (left.result.side, right.result.side) == (Side.LEFT, Side.RIGHT)
    for run, limb, label in zip((left, right), limbs_of(legs()[1]), (31, 32), strict=True):
        assert run.result.box == (limb.box[0], limb.box[1], slice(1, 4))
        assert set(np.unique(run.result.labels[run.result.own])) == {label}
        np.testing.assert_array_equal(run.result.own, limb.mask[run.result.box])


def test_patches_of_one_size_and_no_other() -> None:
    spec = replace(SPEC, patch=(2, 8, 16), convention=Convention(fixed=True, orientation="RPI"))
    engine = Knows()
    runs = region_results(spec, engine)
    assert {fed.shape for fed in engine.fed} == {(1, 1, 16, 8, 2)}
    assert len(engine.fed) > 4
    plain = region_results(replace(SPEC, step=(1, 1, 1)), Knows())
    for found, expected in zip(runs, plain, strict=True):
        np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)
    volume, mask = legs()
    fed = prepare_limb(volume, mask, limbs_of(mask)[0], Side.LEFT, slice(0, 4), spec)
    with pytest.raises(UsageError, match="raise --mem"):
        segment_limb(fed, spec, Knows(), 10**6, reserved=10**6)


def test_scaling_reaches_the_network() -> None:
    spec = replace(SPEC, convention=Convention(scaling=Scaling("range")))
    engine = Knows()
    region_results(spec, engine)
    assert all(fed.max() == 1.0 for fed in engine.fed)


def test_a_bundle_for_the_whole_leg_takes_the_place_of_both(tmp_path: Path) -> None:
    from legseg_bids.segment.pipeline import bundles_in, networks_in_view

    location = Location((Side.LEFT,), (Part.LOWER,) * 5 + (Part.UPPER,) * 5, 1, (1.0, 0.0, 0.0))
    halves = networks_in_view(tmp_path, location, 10.0)
    assert [name for _, name, _ in halves] == ["lower_leg", "thigh"]
    assert bundles_in(tmp_path) == ("locator", "thigh", "lower_leg")
    (tmp_path / "leg").mkdir()
    assert networks_in_view(tmp_path, location, 10.0) == ((Region.WHOLE, "leg", slice(0, 10)),)
    assert bundles_in(tmp_path) == ("locator", "leg")
    (tmp_path / "hip").mkdir()
    assert bundles_in(tmp_path) == ("locator", "leg")


def test_a_folder_may_have_a_network_for_the_hip(tmp_path: Path) -> None:
    from legseg_bids.segment.pipeline import bundles_in, networks_in_view

    location = Location((Side.LEFT,), (Part.UPPER,) * 9 + (Part.HIP,) * 3, 1, (1.0, 0.0, 0.0))
    thigh = (Region.UPPER, "thigh", slice(0, 12))
    assert networks_in_view(tmp_path, location, 10.0) == (thigh,)
    (tmp_path / "hip").mkdir()
    hip = (Region.HIP, "hip", slice(3, 12))
    assert networks_in_view(tmp_path, location, 10.0) == (thigh, hip)
    pelvis = Location((Side.LEFT,), (Part.HIP,) * 12, 1, (1.0, 0.0, 0.0))
    assert networks_in_view(tmp_path, pelvis, 10.0) == ((Region.HIP, "hip", slice(0, 12)),)
    assert bundles_in(tmp_path) == ("locator", "thigh", "lower_leg", "hip")
