"""That a sample is made on the device that is named, shown without one; and the same as ever."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from legseg_bids.synth import composite, sample, slices
from legseg_bids.synth.atlas import Anatomy
from legseg_bids.synth.composite import Composite, composite_sample
from legseg_bids.synth.draws import Draw
from legseg_bids.synth.people import Frame, People
from legseg_bids.synth.person import simulate_scan
from legseg_bids.synth.ranges import Ranges
from legseg_bids.synth.resident import resident
from legseg_bids.synth.sample import region_sample
from legseg_bids.synth.shape import Grid
from legseg_bids.synth.slices import locator_sample

#: Made anew with each release whose simulation differs on purpose, last with 0.7.0.
RECORDED = Path(__file__).parents[1] / "data/simulated/phantom_samples.npz"
CHANNELS = (0, 55, 59, 31, 35, 21, 3, 1, 5, 103, 101, -1, 151)
PLAIN = Ranges()
#: Everything that can happen happens.
FAULTY = replace(
    PLAIN,
    person_probability=1.0,
    swelling_probability=1.0,
    organs_probability=1.0,
    aponeuroses_probability=1.0,
    strands_probability=1.0,
    veins_probability=1.0,
    oedema_probability=1.0,
    implant_probability=1.0,
    swap_probability=1.0,
    ghosts_probability=1.0,
    wrap_probability=1.0,
    ringing_probability=1.0,
    lost_slices_probability=1.0,
    child_probability=1.0,
    pressed_probability=1.0,
    edge_probability=1.0,
    hip_edge_probability=1.0,
    drop_off_probability=1.0,
)
STACKS = {
    "thigh": (0, "upper", "left", PLAIN),
    "lower leg": (1, "lower", "right", PLAIN),
    "hip": (2, "hip", "left", PLAIN),
    "faulty thigh": (3, "upper", "right", FAULTY),
    "faulty hip": (4, "hip", "right", FAULTY),
}


@pytest.fixture(scope="module")
def known(anatomy: Anatomy) -> Anatomy:
    """The phantom with two people."""
    fields = np.zeros((2, 3, 6, 5, 5), np.float16)
    fields[:, 1] = np.array((12.0, -9.0))[:, None, None, None]
    frame = Frame((400.0, -100.0, -100.0), (100.0, 50.0, 50.0))
    poses = np.zeros((2, 11), np.float32)
    return replace(
        anatomy, people=People(("a", "b"), fields, np.ones(2, np.float32), frame, poses)
    )


@pytest.fixture
def fresh(known: Anatomy) -> Anatomy:
    """The same, of which nothing has been put anywhere."""
    return pickle.loads(pickle.dumps(known))


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def stack(anatomy: Anatomy, name: str, device: str = "cpu", **changes: object) -> sample.Sample:
    seed, region, side, r = STACKS[name]
    r = replace(r, **changes)
    return region_sample(anatomy, side, region, CHANNELS, (4, 32), seed, r, device)


def made(anatomy: Anatomy, device: str = "cpu", **changes: object) -> list[Tensor]:
    """One of everything: the stacks, a limb of a person of their own, slices for the locator."""
    out: list[Tensor] = []
    for name in STACKS:
        one = stack(anatomy, name, device, **changes)
        out += [one.image, one.target]
    person = Composite("one", replace(anatomy, people=None))
    own = composite_sample(person, CHANNELS, (4, 32), 3, replace(FAULTY, **changes), device)
    located = locator_sample(anatomy, 32, 12.0, 5, replace(FAULTY, **changes), device)
    return [*out, own.image, own.target, located.image, located.part]


def same_machine(recorded: str) -> bool:
    """Whether numbers can be expected to the last bit: this release of torch on such a CPU."""
    here = (
        f"torch {torch.__version__.partition('+')[0]}, {torch.backends.cpu.get_cpu_capability()}"
    )
    return here == recorded


@pytest.mark.usefixtures("one_thread")
def test_samples_on_a_cpu_are_those_of_before(known: Anatomy) -> None:
    with np.load(RECORDED) as recorded:
        exactly = same_machine(str(recorded["made with"]))
        found = {}
        for name in STACKS:
            one = stack(known, name)
            found[f"{name} image"], found[f"{name} target"] = one.image[0], one.target
        located = locator_sample(known, 32, 12.0, 5, PLAIN)
        found |= {"locator image": located.image[:, 0], "locator part": located.part}
        assert located.side == recorded["locator side"]
        for name, tensor in found.items():
            if exactly:
                np.testing.assert_array_equal(tensor.numpy(), recorded[name], name)
            else:  # another processor rounds otherwise, and a few voxels tip over
                near = np.isclose(tensor.numpy(), recorded[name], atol=1e-3)
                assert near.mean() > 0.99, name


def test_no_array_is_made_on_the_way(
    fresh: Anatomy, known: Anatomy, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = made(known)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a tensor became an array")

    monkeypatch.setattr(torch.Tensor, "numpy", refuse)
    monkeypatch.setattr(torch.Tensor, "__array__", refuse)
    found = made(fresh)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_every_tensor_is_made_on_a_named_device(fresh: Anatomy, known: Anatomy) -> None:
    expected = made(known)
    with torch.device("meta"):  # a tensor that is made without saying where has no values
        found = made(fresh)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


class Shapes(Draw):
    """Draws on a device that knows shapes only: nothing on it can be read, or meets a CPU's."""

    def __init__(self, seed: int, device: str) -> None:
        super().__init__(seed)
        self.device = torch.device(device)

    def normals(self, *shape: int) -> Tensor:
        return torch.empty(*shape, device=self.device)

    rand = normals


def test_nothing_is_read_from_the_device_and_shapes_do_not_depend_on_values(
    fresh: Anatomy, known: Anatomy, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [(t.shape, t.dtype) for t in made(known)]
    for module in (sample, slices, composite):
        monkeypatch.setattr(module, "Draw", Shapes)
    # metal alone asks where a bone is
    found = made(fresh, "meta", implant_probability=0.0)
    assert {t.device.type for t in found} == {"meta"}
    assert [(t.shape, t.dtype) for t in found] == expected
    with pytest.raises((NotImplementedError, RuntimeError)):
        made(fresh, "meta")


def test_the_map_lies_on_a_device_once(known: Anatomy) -> None:
    here, there = resident(known, "cpu"), resident(known, "meta")
    assert here.packed.data_ptr() == known.packed.ctypes.data  # not copied
    assert there.packed.shape == here.packed.shape
    assert resident(known.of_people(("a",)), "meta") is there
    assert resident(replace(known, centre=dict(known.centre)), "cpu") is not here
    assert known.people is not None
    assert known.people.on("cpu") is known.people.on("cpu")
    other = replace(known.people, fields=known.people.fields + 1)
    assert float(other.on("cpu")[0, 0, 0, 0, 0]) == 1.0


def test_reading_a_mapped_file_warns_nobody(fresh: Anatomy) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resident(fresh, "cpu")


def test_another_process_maps_the_same_file(known: Anatomy) -> None:
    resident(known, "cpu")
    sent = pickle.dumps(known)
    assert len(sent) < known.packed.nbytes / 10
    again = pickle.loads(sent)
    assert isinstance(again.packed, np.memmap)
    assert again.packed.filename == known.packed.filename
    assert not again.kept
    np.testing.assert_array_equal(again.packed, known.packed)
    part = replace(known, packed=known.packed[2:4])  # not the whole file
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(part)).packed, part.packed)


def test_decisions_do_not_depend_on_the_device() -> None:
    def decided(draw: Draw) -> list[object]:
        first = [draw.uniform(0, 1), draw.normal(), draw.integer(0, 100), draw.picks(3, 10)]
        return [*first, draw.chance(0.5), draw.choice((("a", 0.5), ("b", 0.5)))]

    assert decided(Draw(3)) == decided(Shapes(3, "meta"))
    numbers = Draw(3).picks(100, 7)
    assert set(numbers) == set(range(7))
    assert Draw(3).picks(2, 0) == [0, 0]


gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.mark.gpu
@gpu
def test_a_gpu_repeats_its_samples_and_leaves_them_there(known: Anatomy) -> None:
    first, second = made(known, "cuda"), made(known, "cuda")
    assert {t.device.type for t in first} == {"cuda"}
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a, b) if not a.is_floating_point() else torch.allclose(a, b, atol=1e-4)


@pytest.mark.gpu
@gpu
@pytest.mark.parametrize("name", ["thigh", "hip", "faulty thigh", "faulty hip"])
def test_a_gpu_makes_samples_like_those_of_a_cpu(known: Anatomy, name: str) -> None:
    _, region, side, r = STACKS[name]

    def figures(device: str) -> Tensor:
        rows = []
        for seed in range(200):
            one = region_sample(known, side, region, CHANNELS, (4, 64), seed, r, device)
            share = torch.bincount(one.target.flatten().cpu(), minlength=len(CHANNELS)) / 4 / 64**2
            image = one.image.cpu()
            rows.append(torch.cat([share, torch.stack([image.mean(), image.std()])]))
        return torch.stack(rows)

    here, there = figures("cpu"), figures("cuda")
    error = ((here.var(0) + there.var(0)) / len(here)).sqrt()
    assert bool(((here.mean(0) - there.mean(0)).abs() <= 4.5 * error + 1e-3).all())


@pytest.mark.gpu
@gpu
def test_a_gpu_changes_no_shape_and_no_scale(known: Anatomy) -> None:
    """Where nothing is random but the decisions, both devices make the same labels."""
    still = {k: 0.0 for k in vars(PLAIN) if k.endswith("_probability")}
    calm = replace(PLAIN, **still, coarse_displacement=(0.0, 0.0), fine_displacement=(0.0, 0.0))
    calm = replace(calm, along_displacement=(0.0, 0.0), growth=(0.0, 0.0))
    here, there = (
        region_sample(known, "left", "upper", (0, 55, 59, 31, 35, 103), (4, 64), 1, calm, device)
        for device in ("cpu", "cuda")
    )
    assert float((here.target == there.target.cpu()).float().mean()) > 0.97


@pytest.mark.gpu
@gpu
def test_a_gpu_simulates_a_whole_scan(known: Anatomy) -> None:
    scan = simulate_scan(
        known, "thigh", Grid((3, 24, 48), (20.0, 8.0, 8.0)), 2, PLAIN, device="cuda"
    )
    assert scan.labels.data.max() > 0
