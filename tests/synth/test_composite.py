from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from phantom import (
    EVERY,
    LOWEST,
    MIDDLE,
    SPACING,
    partial_map,
    phantom_map,
    true_pose,
    write_partial,
)

from legseg_bids.synth import composite, register
from legseg_bids.synth.atlas import SHIFTS, Anatomy, code_table, side_codes
from legseg_bids.synth.composite import (
    COMPOSED_PIXEL,
    MARGIN,
    UNNAMED,
    Composite,
    as_they_are,
    compose,
    composite_sample,
    forget,
    load_composites,
)
from legseg_bids.synth.partial import PIXEL, PartialLimb, halves_of, limbs_of
from legseg_bids.synth.people import Frame, People
from legseg_bids.synth.pose import Pose
from legseg_bids.synth.ranges import Ranges
from legseg_bids.synth.register import MUSCLES, Straight, with_people
from legseg_bids.synth.shape import unpack

FIRST, SECOND = "someone_0001", "someone_0002"
NAMED = tuple(sorted(MUSCLES.values()))
CHANNELS = (0, *NAMED, 101, 103, -1, 151)
SIDES = ("left", "right")
#: Every so many slices of the phantom's partial map, to be quick.
THIN = 2
DZ = THIN * EVERY * SPACING[2]


def quiet(_: str) -> None:
    """Say nothing."""


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small tensors are not worth a second thread, least of all beside other tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def posed(anatomy: Anatomy, *poses: Pose) -> Anatomy:
    """The anatomy with one person a pose, who is shaped like the anatomy itself."""
    frame = Frame((400.0, -110.0, -110.0), (100.0, 110.0, 110.0))
    numbers = np.array([p.as_numbers() for p in poses], np.float32)
    empty = np.zeros((len(poses), 3, 6, 3, 3), np.float16)
    names = tuple(f"person{k}" for k in range(len(poses)))
    people = People(names, empty, np.full(len(poses), 0.9, np.float32), frame, numbers)
    return replace(anatomy, people=people)


def labels(one: Composite) -> np.ndarray:
    return unpack(torch.from_numpy(one.anatomy.packed)).label.numpy()


def composed(anatomy: Anatomy, file: Path, side: str, **moved: object) -> Composite:
    """One limb of a written map in the phantom, its pose changed by ``moved``."""
    limb = {one.name: one for one in limbs_of(file, len(MUSCLES))}[f"{file.name[:-7]}-{side}"]
    ids, spacing = halves_of(file)[limb.name]
    pose = replace(true_pose(limb), **moved)  # type: ignore[arg-type]
    return compose(ids, spacing, limb, posed(anatomy, pose), 0)


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("maps")
    ids, spacing = partial_map()[..., ::THIN], (*SPACING[:2], DZ)
    write_partial(folder / f"{FIRST}.nii.gz", ids, spacing)
    write_partial(folder / f"{SECOND}.nii.gz", ids, spacing, axes=("P", "L", "I"))
    return folder


@pytest.fixture(scope="module")
def known(anatomy: Anatomy, maps: Path, tmp_path_factory: pytest.TempPathFactory) -> Anatomy:
    """The phantom with the people of both maps, whose poses are exact."""

    def fit(limb: PartialLimb, straight: Straight) -> register.Fit:
        return register.Fit(torch.zeros(3, *straight.shape), 0.9, 0.0, true_pose(limb))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(register, "register", fit)
        (out,) = with_people([anatomy], maps, tmp_path_factory.mktemp("people"), quiet)
    return out


@pytest.fixture(scope="module")
def composites(
    known: Anatomy, maps: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[Composite]:
    """Left and right limb of the first map, then of the second."""
    return load_composites([known], maps, tmp_path_factory.mktemp("composites"), say=quiet)


@pytest.fixture(scope="module")
def limb(composites: list[Composite]) -> Composite:
    return composites[0]


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch, limb: Composite) -> list[tuple[str, str, int]]:
    """Composing that costs nothing; who was composed of which anatomy, as which person."""
    chosen: list[tuple[str, str, int]] = []

    def made(ids, spacing, own, anatomy, person):  # type: ignore[no-untyped-def]
        chosen.append((own.name, anatomy.name, person))
        return replace(limb, name=own.name)

    monkeypatch.setattr(composite, "compose", made)
    return chosen


# composing ---------------------------------------------------------------------------------


def wanted(one: Composite, side: str) -> np.ndarray:
    """Codes of the phantom's own map on the composed pixels, (z, y, x), as of a left limb."""
    ids = phantom_map() if side == "left" else phantom_map()[::-1]
    codes = code_table("atlas")[ids]
    right = side_codes("right")[codes]
    codes = np.where(right, codes - 1, codes) if side == "right" else codes
    # the muscles begin 58 mm lateral of the limb's middle, 60 mm behind it
    middle = MIDDLE[0] if side == "left" else (SHAPE_X - 1) * SPACING[0] - 270.0
    starts = (middle - 58.0 - MARGIN, MIDDLE[1] - 60.0 - MARGIN)
    shape = one.anatomy.packed.shape
    index = [
        np.round((s + COMPOSED_PIXEL * np.arange(n)) / SPACING[a]).astype(int)
        for a, (s, n) in enumerate(zip(starts, shape[:0:-1], strict=True))
    ]
    inside = [(i >= 0) & (i < n) for i, n in zip(index, codes.shape, strict=False)]
    cut = [np.clip(i, 0, n - 1) for i, n in zip(index, codes.shape, strict=False)]
    out = codes[np.ix_(*cut)] * (inside[0][:, None] & inside[1][None])[..., None]
    return out[..., LOWEST :: THIN * EVERY].transpose(2, 1, 0)


SHAPE_X = phantom_map().shape[0]


@pytest.mark.parametrize("number", range(4))
def test_muscles_lie_where_the_map_has_them(composites: list[Composite], number: int) -> None:
    one, side = composites[number], SIDES[number % 2]
    found, own = labels(one), wanted(one, side)
    assert one.name == f"{(FIRST, SECOND)[number // 2]}-{side}"
    assert one.slices == found.shape[0] == own.shape[0] == 8
    assert one.anatomy.spacing == (COMPOSED_PIXEL, COMPOSED_PIXEL, DZ)
    for label in NAMED:
        assert np.array_equal(found == label, own == label), label
    assert {int(n) for n in np.unique(found)} >= {31, 35, 55, 59, 103}


@pytest.mark.parametrize("number", range(2))
def test_what_the_map_lacks_is_filled_in_where_the_anatomy_has_it(
    composites: list[Composite], number: int
) -> None:
    found, own = labels(composites[number]), wanted(composites[number], SIDES[number])
    for label, slices in ((103, slice(None)), (101, slice(6, None))):
        there, here = own[slices] == label, found[slices] == label
        assert there.sum() > 100
        # the prepared anatomy has smoothed bones: a 4-mm pixel of a border may have gone
        assert 2 * (there & here).sum() / (there.sum() + here.sum()) > 0.85
        for axis in (1, 2):
            places = [np.nonzero(m)[axis].mean() * COMPOSED_PIXEL for m in (there, here)]
            assert places[0] == pytest.approx(places[1], abs=COMPOSED_PIXEL)


@pytest.mark.parametrize("shift", [80.0, -40.0])
def test_filling_is_never_a_labelled_muscle_nor_of_the_other_side(
    anatomy: Anatomy, maps: Path, shift: float
) -> None:
    one = composed(anatomy, maps / f"{FIRST}.nii.gz", "left", shift=(0.0, shift))
    found, own = labels(one), wanted(one, "left")
    # far off, the anatomy has muscles (and the other leg) where the map has nothing
    for label in NAMED:
        assert np.array_equal(found == label, own == label), label
    assert not side_codes("right")[found].any()


def test_the_other_leg_is_there_to_be_left_out(
    anatomy: Anatomy, maps: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(composite, "side_codes", lambda _: np.ones(256, bool))
    one = composed(anatomy, maps / f"{FIRST}.nii.gz", "left", shift=(0.0, 80.0))
    assert side_codes("right")[labels(one)].any()


def test_the_middle_of_every_slice_is_that_of_its_structures(limb: Composite) -> None:
    for plane, middle in zip(labels(limb), limb.anatomy.centre["left"], strict=True):
        y, x = np.nonzero(plane)
        assert middle * 1.0 == pytest.approx((x.mean() * 1.5, y.mean() * 1.5))
    # the ring begins MARGIN from the edge and has a radius of 60 mm
    assert limb.anatomy.centre["left"][0] == pytest.approx(MARGIN + 59.0, abs=3.0)


def test_landmarks_are_heights_above_the_lowest_slice(anatomy: Anatomy, limb: Composite) -> None:
    own, whole = limb.anatomy.landmarks["left"], anatomy.landmarks["left"]
    for name, height in vars(whole).items():
        assert vars(own)[name] == pytest.approx(height - LOWEST * SPACING[2], abs=0.1)


def test_a_longer_limb_has_its_landmarks_farther_apart(anatomy: Anatomy, maps: Path) -> None:
    one = composed(anatomy, maps / f"{FIRST}.nii.gz", "left", length=0.8)
    marks, whole = one.anatomy.landmarks["left"], anatomy.landmarks["left"]
    assert marks.hip - marks.knee == pytest.approx((whole.hip - whole.knee) / 0.8, rel=1e-3)


SMALL = settings(max_examples=12)


@SMALL
@given(
    st.integers(0, 1000),
    st.tuples(st.floats(0.7, 3.0), st.floats(0.7, 3.0), st.floats(3.0, 26.0)),
)
def test_every_labelled_pixel_is_composed_to_within_a_pixel(
    anatomy: Anatomy, seed: int, spacing: tuple[float, float, float]
) -> None:
    rng = np.random.default_rng(seed)
    ids = np.zeros((24, 20, 4), np.uint8)
    low = rng.integers(0, 12, 2)
    coarse = rng.integers(0, 12, (4, 3, 2))
    ids[low[0] : low[0] + 12, low[1] : low[1] + 9, 1:3] = coarse.repeat(3, 0).repeat(3, 1)
    if not ids.any():
        return
    far = Pose(1e5, 1.0, 0.0, 1.0, 0.0, (0.0, 0.0), (0.0, 0.0), (0.0, 0.0))
    limb = PartialLimb("p", np.zeros((11, 2, 4, 4), np.float32), np.arange(2.0))
    one = compose(ids, np.array(spacing), limb, posed(anatomy, far), 0)
    found = labels(one)
    there = ids[:, :, (ids > 0).any(axis=(0, 1))]
    assert found.shape[0] == there.shape[2]
    first = [np.flatnonzero((ids > 0).any(axis=(1 - a, 2)))[0] * spacing[a] for a in (0, 1)]
    for x, y, z in np.argwhere(there > 0):
        place = [
            (n * s - f + MARGIN) / COMPOSED_PIXEL
            for n, s, f in zip((x, y), spacing, first, strict=False)
        ]
        near = found[z, int(place[1]) : int(place[1]) + 2, int(place[0]) : int(place[0]) + 2]
        assert MUSCLES[int(there[x, y, z])] in near
    extent = (found > 0).any(axis=(0, 1)).sum() * COMPOSED_PIXEL
    columns = np.flatnonzero((ids > 0).any(axis=(1, 2)))
    assert extent <= (columns[-1] - columns[0] + 1) * spacing[0] + 2 * COMPOSED_PIXEL


def test_filling_is_not_moved_by_the_reduction_of_the_map(
    anatomy: Anatomy, tmp_path: Path
) -> None:
    # 47 pixels of 4.635 mm are reduced to 54 of 4.034 mm, which the registration counts as 4 mm
    pixel, ids = 4.635, partial_map()[..., :12:2]
    x, y = np.meshgrid(*(4.0 * np.arange(n) for n in ids.shape[:2]), indexing="ij")
    ids[np.hypot(x - MIDDLE[0], y - MIDDLE[1]) < 28] = 0  # room for the femur
    file = write_partial(tmp_path / "m.nii.gz", ids, (pixel, pixel, DZ))
    limb = limbs_of(file, len(MUSCLES))[0]
    half, spacing = halves_of(file)["m-left"]
    assert limb.shares.shape[2:] == (54, 53)
    centre = (54 * PIXEL / 2 - PIXEL / 2, 53 * PIXEL / 2 - PIXEL / 2)
    width = 4.0 / pixel * (47 * pixel) / (54 * PIXEL)
    pose = replace(true_pose(limb), centre=centre, width=width)
    found = labels(compose(half, spacing, limb, posed(anatomy, pose), 0))
    muscles, femur = (
        np.argwhere(m).mean(axis=0)[1:] * COMPOSED_PIXEL
        for m in (np.isin(found, NAMED), found == 103)
    )
    assert femur == pytest.approx(muscles, abs=0.4)


def test_numbers_that_mean_no_muscle_are_not_composed(anatomy: Anatomy, maps: Path) -> None:
    ids, spacing = halves_of(maps / f"{FIRST}.nii.gz")[f"{FIRST}-left"]
    strange = np.where(ids == 3, 77, ids)
    limb = limbs_of(maps / f"{FIRST}.nii.gz", len(MUSCLES))[0]
    one = compose(strange, spacing, limb, posed(anatomy, true_pose(limb)), 0)
    assert 55 not in np.unique(labels(one))
    assert 59 in np.unique(labels(one))


# samples -----------------------------------------------------------------------------------


def staircase(anatomy: Anatomy, dz: float, slices: int = 11) -> Composite:
    """A limb of which every slice is one block of another muscle, and nothing else."""
    ids = np.zeros((40, 40, slices), np.uint8)
    ids[5:35, 5:35] = np.arange(slices) % len(MUSCLES) + 1
    far = Pose(1e5, 1.0, 0.0, 1.0, 0.0, (0.0, 0.0), (0.0, 0.0), (0.0, 0.0))
    limb = PartialLimb("p", np.zeros((11, 2, 4, 4), np.float32), np.arange(2.0))
    return compose(ids, np.array((2.0, 2.0, dz)), limb, posed(anatomy, far), 0)


@pytest.mark.parametrize(("dz", "step"), [(4.0, 2), (5.0, 1), (26.0, 1)])
def test_slices_are_the_maps_own(anatomy: Anatomy, dz: float, step: int) -> None:
    one = staircase(anatomy, dz)
    channels = (0, *(MUSCLES[n] for n in sorted(MUSCLES)))
    firsts = set()
    for seed in range(8):
        target = composite_sample(one, channels, (4, 48), seed, Ranges()).target
        seen = [[int(n) for n in plane.unique() if n >= 0] for plane in target]
        assert all(len(numbers) == 1 for numbers in seen), seen
        rows = [numbers[0] - 1 for numbers in seen]
        assert np.diff(rows).tolist() == [step] * 3
        firsts.add(rows[0])
    assert len(firsts) > 1
    assert all(first % step == 0 for first in firsts)
    assert max(firsts) <= 11 - 1 - 3 * step


def test_a_stack_of_more_slices_than_the_map_ends_in_nothing(anatomy: Anatomy) -> None:
    one = staircase(anatomy, 20.0, slices=5)
    sample = composite_sample(one, CHANNELS, (8, 48), 3, Ranges())
    there = [bool((plane > 0).any()) for plane in sample.target]
    assert there == [True] * 5 + [False] * 3
    assert bool(torch.isfinite(sample.image).all())


@pytest.mark.parametrize("size", [(4, 48), (12, 64)])
def test_targets_hold_only_what_is_known(limb: Composite, size: tuple[int, int]) -> None:
    slices, pixels = size
    allowed = {UNNAMED, *(CHANNELS.index(n) for n in (*NAMED, 151))}
    seen: set[int] = set()
    for seed in range(3):
        sample = composite_sample(limb, CHANNELS, size, seed, Ranges())
        assert sample.image.shape == (1, slices, pixels, pixels)
        assert sample.target.shape == (slices, pixels, pixels)
        assert bool(torch.isfinite(sample.image).all())
        assert 0 <= float(sample.image.min()) <= float(sample.image.max()) <= 2.6
        seen |= set(sample.target.unique().tolist())
    assert seen <= allowed
    assert seen >= {UNNAMED, *(CHANNELS.index(n) for n in (31, 35, 55, 59))}


def test_a_recipe_with_one_muscle_knows_that_one_only(limb: Composite) -> None:
    target = composite_sample(limb, (0, 55), (4, 64), 1, Ranges()).target
    assert set(target.unique().tolist()) == {UNNAMED, 1}


def test_a_sample_is_a_pure_function_of_its_seed(limb: Composite) -> None:
    a, b, c = (composite_sample(limb, CHANNELS, (4, 48), s, Ranges()) for s in (5, 5, 6))
    assert torch.equal(a.image, b.image)
    assert torch.equal(a.target, b.target)
    assert not torch.equal(a.image, c.image)


@settings(max_examples=30)
@given(st.lists(st.sampled_from([0, -1, 101, 103, 151, *NAMED]), min_size=1, unique=True))
def test_forgetting_keeps_muscles_with_a_number_and_fat(channels: list[int]) -> None:
    target = torch.arange(len(channels)).reshape(1, 1, -1)
    left = forget(target, channels).flatten().tolist()
    for number, label in enumerate(channels):
        assert left[number] == (number if label in {*NAMED, 151} else UNNAMED)


def test_these_people_are_left_as_they_are() -> None:
    r = as_they_are(Ranges())
    assert r.tilt_sigma == r.length_sigma_log == r.child_probability == 0.0
    assert r.along_displacement == (0.0, 0.0)
    assert r.swelling_probability == r.own_skin_probability == 0.0
    assert r.skin_depth[1] < MARGIN
    assert r.contrasts == Ranges().contrasts


# the cache ---------------------------------------------------------------------------------


def test_all_limbs_are_composed_once(
    known: Anatomy, maps: Path, tmp_path: Path, stub: list[tuple[str, str, int]]
) -> None:
    said: list[str] = []
    first = load_composites([known], maps, tmp_path, say=said.append)
    sides = [f"{name}-{side}" for name in (FIRST, SECOND) for side in SIDES]
    assert [one.name for one in first] == [name for name, *_ in stub] == sides
    assert len(said) == 2
    again = load_composites([known], maps, tmp_path, say=said.append)
    assert len(said) == 2
    assert len(stub) == 4
    assert [one.name for one in again] == sides
    held = load_composites([known], maps, tmp_path, (SECOND,), said.append)
    assert [one.name for one in held] == sides[:2]
    assert load_composites([known], maps, tmp_path, ("some",), said.append) == []
    assert len(stub) == 4
    assert [p.suffix for p in tmp_path.iterdir()] == [""]


def test_however_a_map_is_stored_the_person_is_the_same(composites: list[Composite]) -> None:
    for a, b in zip(composites[:2], composites[2:], strict=True):
        assert np.array_equal(a.anatomy.packed, b.anatomy.packed)
        assert np.array_equal(a.anatomy.centre["left"], b.anatomy.centre["left"])
        assert a.anatomy.landmarks == b.anatomy.landmarks


def test_a_loaded_person_is_the_one_that_was_composed(
    anatomy: Anatomy, limb: Composite, maps: Path
) -> None:
    made = composed(anatomy, maps / f"{FIRST}.nii.gz", "left")
    assert np.array_equal(limb.anatomy.packed, made.anatomy.packed)
    assert np.array_equal(limb.anatomy.centre["left"], made.anatomy.centre["left"])
    assert limb.anatomy.spacing == made.anatomy.spacing
    assert vars(limb.anatomy.landmarks["left"]) == pytest.approx(
        vars(made.anatomy.landmarks["left"])
    )
    assert limb.anatomy.packed.dtype == np.int64
    assert int((limb.anatomy.packed >> SHIFTS["body"]).max()) == 0


@pytest.mark.usefixtures("stub")
def test_an_interrupted_composing_leaves_no_half_cache(
    known: Anatomy, maps: Path, tmp_path: Path
) -> None:
    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_composites([known], maps, tmp_path, say=interrupt)
    assert not list(tmp_path.iterdir())
    assert len(load_composites([known], maps, tmp_path, say=quiet)) == 4
    assert [p.suffix for p in tmp_path.iterdir()] == [""]


def test_the_anatomy_that_fits_best_fills(
    known: Anatomy, maps: Path, tmp_path: Path, stub: list[tuple[str, str, int]]
) -> None:
    people = known.people
    assert people is not None
    first = replace(people, agreement=np.float32([0.9, 0.8, 0.8, 0.9]))
    fewer = replace(people, agreement=np.float32([0.85] * 4)).without((f"{FIRST}-left",))
    pair = [replace(known, name="a", people=first), replace(known, name="b", people=fewer)]
    load_composites(pair, maps, tmp_path, say=quiet)
    assert stub == [
        (f"{FIRST}-left", "a", 0),
        (f"{FIRST}-right", "b", 0),
        (f"{SECOND}-left", "b", 1),
        (f"{SECOND}-right", "a", 3),
    ]


@pytest.mark.usefixtures("stub")
def test_limbs_that_no_anatomy_was_fitted_onto_are_left_out(
    known: Anatomy, maps: Path, tmp_path: Path
) -> None:
    assert known.people is not None
    fewer = replace(known, people=known.people.without((f"{FIRST}-left",)))
    names = [one.name for one in load_composites([fewer], maps, tmp_path, say=quiet)]
    assert names == [f"{FIRST}-right", f"{SECOND}-left", f"{SECOND}-right"]
    none = replace(known, people=None)
    assert load_composites([none], maps, tmp_path / "none", say=quiet) == []


@pytest.mark.parametrize("what", ["poses", "people"])
@pytest.mark.usefixtures("stub")
def test_another_registration_composes_anew(
    known: Anatomy, maps: Path, tmp_path: Path, what: str
) -> None:
    people = known.people
    assert people is not None
    moved = people.poses + np.float32([60.0, *[0.0] * 10])
    other = {"poses": replace(people, poses=moved), "people": people.without((FIRST,))}[what]
    load_composites([known], maps, tmp_path, say=quiet)
    load_composites([replace(known, people=other)], maps, tmp_path, say=quiet)
    assert len(list(tmp_path.iterdir())) == 2


def test_an_empty_folder_has_no_people(known: Anatomy, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert load_composites([known], tmp_path / "empty", tmp_path / "cache", say=quiet) == []
