"""First step: from the files of a station to one clean opposed-phase volume."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    InputMultiObject,
    SimpleInterface,
    TraitedSpec,
    traits,
)
from numpy.typing import NDArray

from legseg_bids.bids.reading import Image, check_same_grid, read_image
from legseg_bids.bids.stations import Station
from legseg_bids.errors import ImageError
from legseg_bids.imaging import dixon
from legseg_bids.imaging.limbs import split_limbs
from legseg_bids.imaging.orientation import to_canonical
from legseg_bids.imaging.volume import Volume
from legseg_bids.interfaces.exchange import Prepared, save_prepared
from legseg_bids.segment import pipeline


def prepare(station: Station) -> Prepared:
    """Read a station and make it ready to be segmented.

    The opposed-phase image is taken as it was acquired, or rebuilt as |W - F|; then come
    canonical axes, finite magnitudes, the body mask and the limbs.

    Raises
    ------
    ImageError
        If a file cannot be used, water and fat do not share a grid, or no body is found.
    """
    images = {role: read_image(path) for role, path in station.files.items()}
    source, fat_fraction, warnings = compose(images)
    volume, mask, orientation, mended = pipeline.prepare(source)
    if fat_fraction is not None:
        fat_fraction = to_canonical(Volume(fat_fraction, source.affine))[0].data
    notes = (*warnings, *(f"{station.source.name}: {text}" for text in mended))
    limbs = split_limbs(mask, volume.spacing)
    return Prepared(volume, mask, limbs, fat_fraction, orientation, notes)


def compose(
    images: dict[str, Image],
) -> tuple[Volume, NDArray[np.float32] | None, tuple[str, ...]]:
    """Opposed-phase volume and, where water and fat are at hand, fat fraction.

    Parameters
    ----------
    images : dict of str to Image
        ``opposed``, or ``water`` and ``fat``, or all three; axes (i, j, k) of the files.

    Returns
    -------
    volume : Volume
        Opposed phase, in the axes of the file.
    fat_fraction : ndarray of float32 or None
        In [0, 1], on the same grid.
    warnings : tuple of str
        What was changed while reading, and what could not be used.

    Raises
    ------
    ImageError
        If the volume must be rebuilt from water and fat, but their grids differ.
    """
    warnings = [note for image in images.values() for note in image.notes]
    if "opposed" not in images:
        water, fat = images["water"], images["fat"]
        check_same_grid(water, fat)
        volume = Volume(dixon.opposed_phase(water.data, fat.data), water.affine)
        return volume, dixon.fat_fraction(water.data, fat.data), tuple(warnings)
    opposed = images["opposed"]
    fraction = None
    if "water" in images:
        try:
            fraction = _fat_fraction_on(opposed, images["water"], images["fat"])
        except ImageError as error:
            warnings.append(f"no fat fraction: {error}")
    return Volume(opposed.data, opposed.affine), fraction, tuple(warnings)


def _fat_fraction_on(grid: Image, water: Image, fat: Image) -> NDArray[np.float32]:
    """Fat fraction of images that come with an acquired opposed-phase image."""
    check_same_grid(grid, water)
    check_same_grid(grid, fat)
    return dixon.fat_fraction(water.data, fat.data)


class _InputSpec(BaseInterfaceInputSpec):
    station = traits.Dict(mandatory=True, desc="the station, as plain values")
    in_files = InputMultiObject(File(exists=True), mandatory=True, desc="all files of the station")


class _OutputSpec(TraitedSpec):
    prepared = File(exists=True, desc="volume, body mask, limbs and fat fraction")


class PrepareImage(SimpleInterface):
    """Read a station and make it ready; see :func:`prepare`."""

    input_spec = _InputSpec
    output_spec = _OutputSpec

    def _run_interface(self, runtime):  # type: ignore[no-untyped-def]
        prepared = prepare(Station.from_dict(self.inputs.station))
        path = save_prepared(Path(runtime.cwd) / "prepared.npz", prepared)
        self._results["prepared"] = str(path)
        return runtime
