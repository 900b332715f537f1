"""Limbs as the application hands them to a network, with labels, kept as files of one folder.

Each limb is two ``.npy`` files, so that processes that load them share the memory of the disk
cache, and a row of ``limbs.json``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from legseg_bids.anatomy.labels import BACKGROUND
from legseg_bids.anatomy.regions import Region, Side
from legseg_bids.bids.reading import check_same_grid, read_image
from legseg_bids.bids.stations import Station
from legseg_bids.bids.write import replacing, write_json
from legseg_bids.errors import ImageError, LegsegError, NoInput, UsageError
from legseg_bids.imaging.limbs import LimbBox
from legseg_bids.imaging.orientation import to_canonical
from legseg_bids.imaging.resample import resample_to_shape
from legseg_bids.imaging.volume import Volume
from legseg_bids.segment.limb import LimbImage, prepare_limb
from legseg_bids.segment.models import SegmentationSpec
from legseg_bids.train.losses.truth import IGNORE
from legseg_bids.train.own.matching import Labelled
from legseg_bids.train.own.recipe import Recipe
from legseg_bids.train.own.structures import (
    Meaning,
    codes_of_limb,
    drawn_on,
    in_region,
    read_table,
    side_of_limb,
)

INDEX = "limbs.json"
#: Slices beyond the outermost drawn one that are kept: there, nothing begins.
MARGIN = 1


class Reading(Protocol):
    """A station that was read: what :func:`legseg_bids.interfaces.prepare.prepare` gives."""

    volume: Volume
    mask: NDArray[np.bool_]
    limbs: tuple[LimbBox, ...]
    in_phase: NDArray[np.float32] | None


Reader = Callable[[Station], Any]


@dataclass(frozen=True)
class Limb:
    """One limb on the grid of the network.

    Attributes
    ----------
    participant : str
        Label without ``sub-``. The same label in two datasets may be the same person, so that
        it is treated as one.
    source : str
        Image and side, for people.
    image, labels : str
        File names in the folder: float32 (contrasts, z, y, x) as the network is given it, and
        int16 (z, y, x) codes, -1 where nobody looked.
    spacing : tuple of float
        Of the voxels along z, y, x, mm.
    voxels : mapping of str to int
        How many voxels each code has.
    drawn : tuple of int
        Codes that the tables of its dataset name on this side.
    """

    participant: str
    source: str
    image: str
    labels: str
    spacing: tuple[float, float, float]
    voxels: Mapping[str, int]
    drawn: tuple[int, ...]


def prepare_limbs(
    recipe: Recipe,
    pairs: Mapping[int, Sequence[Labelled]],
    read: Reader,
    folder: Path,
    say: Callable[[str], Any],
    leave_out_bad: bool = False,
) -> list[Limb]:
    """Read every labelled image and keep its limbs; take those that are there already.

    Parameters
    ----------
    recipe : Recipe
    pairs : mapping of int to sequence of Labelled
        Images and labels of each dataset of the recipe, by its number.
    read : callable
        Reads and prepares a station.
    folder : Path
        Receives the limbs.
    leave_out_bad : bool
        Whether images that cannot be used are left out instead of ending everything.

    Raises
    ------
    ImageError
        If images cannot be used; all of them are named.
    NoInput
        If no limb shows the region.
    UsageError
        If a table cannot be used.
    """
    key = _key(recipe, pairs)
    index = folder / INDEX
    if (kept := _kept(index, key)) is not None:
        return kept
    limbs: list[Limb] = []
    problems: list[str] = []
    for number, labelled in pairs.items():
        tables = {p.labels: read_table(p.table, recipe.data[number].names) for p in labelled}
        everything = [meaning for table in tables.values() for meaning in table.values()]
        drawn = {side: tuple(sorted(drawn_on(everything, side))) for side in Side}
        for pair in labelled:
            stem = f"{number}_{pair.station.identifier}"
            try:
                found = list(_limbs_of(recipe, pair, tables[pair.labels], read, folder / stem))
            except LegsegError as error:
                problems.append(str(error))
                continue
            say(f"{pair.station.source_name}: {len(found)} limbs")
            limbs += [_with_drawn(limb, drawn) for limb in found]
    for problem in problems if leave_out_bad else []:
        say(f"left out: {problem}")
    if problems and not leave_out_bad:
        raise ImageError(
            f"{len(problems)} images cannot be trained on: {'; '.join(problems[:5])}; mend them, "
            "or leave them out with --leave-out-bad"
        )
    if not limbs:
        raise NoInput(
            f"no labelled image shows structures of the {recipe.region} leg; expected some; "
            "check `region` of the recipe and the tables"
        )
    write_json(index, {"key": key, "limbs": [asdict(limb) for limb in limbs]})
    return limbs


def _with_drawn(limb: Limb, drawn: Mapping[Side, tuple[int, ...]]) -> Limb:
    side = Side(limb.source.rpartition(" ")[2])
    return replace(limb, drawn=drawn[side])


def _limbs_of(
    recipe: Recipe, pair: Labelled, table: Mapping[int, Meaning], read: Reader, stem: Path
) -> Iterator[Limb]:
    """The limbs of one station that show the region."""
    role = next(r for r, path in pair.station.files.items() if path == pair.station.source)
    grey = read_image(pair.station.source, pair.station.volumes.get(role))
    numbers = read_image(pair.labels)
    check_same_grid(grey, numbers)
    reading: Reading = read(pair.station)
    labels = to_canonical(Volume(numbers.data, numbers.affine))[0].data.round().astype(np.int64)
    for limb, side in zip(reading.limbs, _sides(reading.limbs, labels, table, pair), strict=True):
        try:
            codes = codes_of_limb(labels, table, side)
        except UsageError as error:
            raise ImageError(f"{pair.labels}: {error}") from error
        codes = np.where(limb.mask, codes, BACKGROUND)
        shown = _span(codes, recipe.region)
        if shown is None:
            continue
        codes[:, :, ~(codes != BACKGROUND).any((0, 1))] = IGNORE
        volumes = _contrasts(reading, recipe.contrasts)
        images = [_cut(v, reading.mask, limb, side, shown, recipe) for v in volumes]
        yield _save(pair, side, images, codes, stem)


def _sides(
    limbs: Sequence[LimbBox],
    labels: NDArray[np.int64],
    table: Mapping[int, Meaning],
    pair: Labelled,
) -> tuple[Side, ...]:
    """Side of each limb: by its place if there are two, by its labels if there is one."""
    named = [side_of_limb(labels[limb.mask], table) for limb in limbs]
    if len(limbs) == 2:
        if named[0] == Side.RIGHT or named[1] == Side.LEFT:
            raise ImageError(
                f"{pair.labels} calls the limb at the patient's left right, or the other way "
                "round; expected sides as the affine has them; correct the image or its labels"
            )
        return Side.LEFT, Side.RIGHT
    if not named[0]:
        raise ImageError(
            f"{pair.labels} shows one limb, and its table does not say of which side; expected "
            "names such as 'Soleus left'"
        )
    return (Side(named[0]),)


def _span(codes: NDArray[np.int16], region: str) -> slice | None:
    """Slices that show structures of the region."""
    here = [code for code in np.unique(codes).tolist() if in_region(code, region)]
    rows = np.flatnonzero(np.isin(codes, here).any((0, 1)))
    if not rows.size:
        return None
    return slice(max(int(rows[0]) - MARGIN, 0), int(rows[-1]) + MARGIN + 1)


def _contrasts(reading: Reading, wanted: Iterable[str]) -> list[Volume]:
    volumes = [reading.volume] if "opposed" in wanted or reading.in_phase is None else []
    if "in_phase" in wanted and reading.in_phase is not None:
        volumes.append(Volume(reading.in_phase, reading.volume.affine))
    return volumes


def specification(recipe: Recipe) -> SegmentationSpec:
    """What the preparation of a limb must know of the network; no padding."""
    x, y, z = recipe.grid.spacing
    pz, py, px = recipe.grid.patch
    return SegmentationSpec(
        region=Region(recipe.region),
        spacing=(x, y, z),
        native_z_above=recipe.grid.native_z_above,
        channels=(BACKGROUND,),
        step=(1, 1, 1),
        halo=(0, 0, 0),
        patch=(pz, py, px),
        bytes_per_voxel=1.0,
    )


def _cut(
    volume: Volume,
    mask: NDArray[np.bool_],
    limb: LimbBox,
    side: Side,
    shown: slice,
    recipe: Recipe,
) -> tuple[LimbImage, tuple[float, ...]]:
    """A limb as the application prepares it, and its spacing along z, y, x."""
    image = prepare_limb(volume, mask, limb, side, shown, specification(recipe))
    extent = [n * s for n, s in zip(image.body.shape[::-1], volume.spacing[::-1], strict=True)]
    return image, tuple(mm / n for mm, n in zip(extent, image.grid, strict=True))


def _save(
    pair: Labelled,
    side: Side,
    images: Sequence[tuple[LimbImage, tuple[float, ...]]],
    codes: NDArray[np.int16],
    stem: Path,
) -> Limb:
    first, (dz, dy, dx) = images[0]
    cut = np.flip(codes[first.box].transpose(2, 1, 0), 2 if first.flips[2] else ())
    labels = resample_to_shape(cut, first.grid, 0)
    files = [stem.with_name(f"{stem.name}_{side}_{kind}.npy") for kind in ("image", "labels")]
    arrays = (np.stack([image.data for image, _ in images]), labels)
    for path, array in zip(files, arrays, strict=True):
        with replacing(path) as file:
            np.save(file, array)
    values, counts = np.unique(labels, return_counts=True)
    return Limb(
        participant=pair.station.subject,
        source=f"{pair.station.source_name} {side}",
        image=files[0].name,
        labels=files[1].name,
        spacing=(dz, dy, dx),
        voxels={str(v): int(n) for v, n in zip(values, counts, strict=True)},
        drawn=(),
    )


def _key(recipe: Recipe, pairs: Mapping[int, Sequence[Labelled]]) -> str:
    """Changes when the limbs would."""
    plain = recipe.plain()
    files = {path for own in pairs.values() for p in own for path in
             (p.labels, p.table, *p.station.files.values())}  # fmt: skip
    states = [(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(files)]
    parts = [plain[k] for k in ("data", "region", "contrasts")]
    grid = [plain["grid"]["spacing"], plain["grid"]["native_z_above"]]
    return sha256(json.dumps([parts, grid, states], sort_keys=True).encode()).hexdigest()


def _kept(index: Path, key: str) -> list[Limb] | None:
    try:
        content = json.loads(index.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    if content.get("key") != key:
        return None
    limbs = [Limb(**row) for row in content["limbs"]]
    return [
        replace(limb, spacing=_triple(limb.spacing), drawn=tuple(limb.drawn)) for limb in limbs
    ]


def _triple(values: Sequence[float]) -> tuple[float, float, float]:
    z, y, x = values
    return z, y, x
