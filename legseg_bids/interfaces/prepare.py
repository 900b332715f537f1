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
from legseg_bids.imaging.fat import WATER_FAT, Signals, fat_map
from legseg_bids.imaging.limbs import split_limbs
from legseg_bids.imaging.orientation import to_canonical
from legseg_bids.imaging.volume import Volume
from legseg_bids.interfaces.exchange import Prepared
from legseg_bids.segment import pipeline

NEEDED = frozenset({"opposed", "real", "imaginary"})
"""Roles that are segmented; beside one of them, the others are for the fat fraction alone."""


def prepare(station: Station) -> Prepared:
    """Read a station and make it ready to be segmented.

    The opposed-phase image is taken as it was acquired (a complex one by its magnitude), or
    rebuilt as |W - F|; then come canonical axes, finite magnitudes, the body mask and the limbs.

    Raises
    ------
    ImageError
        If a file cannot be used, water and fat do not share a grid, or no body is found.
    """
    source, signals, warnings = read_station(station)
    volume, mask, orientation, mended = pipeline.prepare(source)
    turned = None if signals is None else _turned(signals, source)
    fat = None if turned is None else fat_map(turned, mask)
    in_phase = None if turned is None else _in_phase(turned)
    notes = (*warnings, *(f"{printable(station.source.name)}: {text}" for text in mended))
    limbs = split_limbs(mask, volume.spacing)
    return Prepared(volume, mask, limbs, fat, orientation, notes, in_phase)


def read_station(station: Station) -> tuple[Volume, Signals | None, tuple[str, ...]]:
    """Read the files of a station, and compose them; see :func:`compose`.

    A file that only the fat fraction needs may be damaged: it costs the fat fraction.

    Raises
    ------
    ImageError
        If a file cannot be used, or water and fat do not share a grid.
    """
    images, notes = {}, []
    needed = NEEDED if NEEDED & station.files.keys() else station.files.keys()
    for role, path in station.files.items():
        try:
            images[role] = read_image(path, station.volumes.get(role))
        except ImageError as error:
            if role in needed:
                raise
            notes.append(f"no fat fraction: {error}")
    volume, signals, warnings = compose(images)
    return volume, None if notes else signals, (*warnings, *notes)


def compose(images: dict[str, Image]) -> tuple[Volume, Signals | None, tuple[str, ...]]:
    """Opposed-phase volume and, where they are at hand, the images of a fat fraction.

    Parameters
    ----------
    images : dict of str to Image
        ``opposed``, or ``real`` and ``imaginary``, or ``water`` and ``fat``; beside one of the
        first two also water and fat, or ``in_phase`` and perhaps ``opposed_later``; axes
        (i, j, k) of the files.

    Returns
    -------
    volume : Volume
        Opposed phase, in the axes of the file.
    signals : Signals or None
        What a fat fraction can be made from, on the same grid.
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
    else:
        images = {**images, "opposed": opposed}
        volume = Volume(opposed.data, opposed.affine)
    signals = Signals.of({role: image.data for role, image in images.items()})
    if opposed is not None and signals is not None:
        try:
            for role in signals.images:
                check_same_grid(opposed, images[role])
        except ImageError as error:
            return volume, None, (*warnings, f"no fat fraction: {error}")
    return volume, signals, tuple(warnings)


def _turned(signals: Signals, source: Volume) -> Signals:
    """The same images in canonical axes."""
    images = {
        role: to_canonical(Volume(data, source.affine))[0].data
        for role, data in signals.images.items()
    }
    return replace(signals, images=images)


def _in_phase(signals: Signals) -> NDArray[np.float32]:
    """What the networks may be fed beside the opposed-phase image."""
    if signals.method == WATER_FAT:
        return dixon.in_phase(signals.images["water"], signals.images["fat"])
    return dixon.clean(signals.images["in_phase"])


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
