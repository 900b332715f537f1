"""First step: from the files of a station to one clean opposed-phase volume."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from legseg_bids.bids.names import printable
from legseg_bids.bids.reading import Image, check_same_grid, read_image
from legseg_bids.bids.stations import Station
from legseg_bids.errors import ImageError
from legseg_bids.imaging import dixon
from legseg_bids.imaging.limbs import split_limbs
from legseg_bids.imaging.orientation import to_canonical
from legseg_bids.imaging.volume import Volume
from legseg_bids.interfaces.exchange import Prepared
from legseg_bids.segment import pipeline


def prepare(station: Station) -> Prepared:
    """Read a station and make it ready to be segmented.

    The opposed-phase image is taken as it was acquired (a complex one by its magnitude), or
    rebuilt as |W - F|; then come canonical axes, finite magnitudes, the body mask and the limbs.

    Raises
    ------
    ImageError
        If a file cannot be used, water and fat do not share a grid, or no body is found.
    """
    source, fat_fraction, warnings = read_station(station)
    volume, mask, orientation, mended = pipeline.prepare(source)
    if fat_fraction is not None:
        fat_fraction = to_canonical(Volume(fat_fraction, source.affine))[0].data
    notes = (*warnings, *(f"{printable(station.source.name)}: {text}" for text in mended))
    limbs = split_limbs(mask, volume.spacing)
    return Prepared(volume, mask, limbs, fat_fraction, orientation, notes)


def read_station(
    station: Station,
) -> tuple[Volume, NDArray[np.float32] | None, tuple[str, ...]]:
    """Read the files of a station, and compose them; see :func:`compose`.

    Raises
    ------
    ImageError
        If a file cannot be used, or water and fat do not share a grid.
    """
    volumes = station.volumes
    return compose({r: read_image(path, volumes.get(r)) for r, path in station.files.items()})


def compose(
    images: dict[str, Image],
) -> tuple[Volume, NDArray[np.float32] | None, tuple[str, ...]]:
    """Opposed-phase volume and, where water and fat are at hand, fat fraction.

    Parameters
    ----------
    images : dict of str to Image
        ``opposed``, or ``real`` and ``imaginary``, or ``water`` and ``fat``; beside one of the
        first two also water and fat; axes (i, j, k) of the files.

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
        If the volume must be rebuilt from two images, but their grids differ, or a real and an
        imaginary image hold no negative values.
    """
    warnings = [note for image in images.values() for note in image.notes]
    opposed = _magnitude(images)
    if opposed is None:
        water, fat = images["water"], images["fat"]
        check_same_grid(water, fat)
        volume = Volume(dixon.opposed_phase(water.data, fat.data), water.affine)
        return volume, dixon.fat_fraction(water.data, fat.data), tuple(warnings)
    fraction = None
    if "water" in images:
        try:
            fraction = _fat_fraction_on(opposed, images["water"], images["fat"])
        except ImageError as error:
            warnings.append(f"no fat fraction: {error}")
    return Volume(opposed.data, opposed.affine), fraction, tuple(warnings)


def _magnitude(images: dict[str, Image]) -> Image | None:
    """The opposed-phase image as it was acquired; None if it must be rebuilt."""
    if "real" not in images:
        return images.get("opposed")
    real, imaginary = images["real"], images["imaginary"]
    check_same_grid(real, imaginary)
    if min(np.nanmin(real.data), np.nanmin(imaginary.data)) >= 0:
        raise ImageError(
            f"{real.path} and {imaginary.path} hold no negative values; expected the real and the "
            "imaginary part of a signal around zero; convert them again, with their offset"
        )
    return replace(real, data=dixon.magnitude(real.data, imaginary.data))


def _fat_fraction_on(grid: Image, water: Image, fat: Image) -> NDArray[np.float32]:
    """Fat fraction of images that come with an acquired opposed-phase image."""
    check_same_grid(grid, water)
    check_same_grid(grid, fat)
    return dixon.fat_fraction(water.data, fat.data)
