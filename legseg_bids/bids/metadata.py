"""Sidecar metadata of one image, by the BIDS inheritance principle.

Read here rather than by pybids: pybids reads every sidecar of the dataset when it indexes
(seconds to minutes), and one broken JSON ends the run for everybody.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from legseg_bids.bids.names import parse_name
from legseg_bids.errors import ImageError

# A gradient-echo time is some milliseconds: a number above this is not in seconds.
LONGEST_ECHO_TIME = 0.1


def by_folder(sidecars: Iterable[Path]) -> dict[Path, list[Path]]:
    """Sort JSON files by the folder they lie in, the general before the specific."""
    folders: defaultdict[Path, list[Path]] = defaultdict(list)
    for path in sidecars:
        folders[path.parent].append(path)
    for paths in folders.values():
        paths.sort(key=lambda path: (len(parse_name(path.name).entities), path.name))
    return dict(folders)


def read_metadata(
    image: Path, root: Path, sidecars: Mapping[Path, Sequence[Path]]
) -> dict[str, Any]:
    """Merge all sidecars that apply to an image; the nearest folder wins.

    Parameters
    ----------
    image : Path
        The image, inside ``root``.
    root : Path
        Root of the dataset.
    sidecars : mapping of Path to sequence of Path
        JSON files by folder, from `by_folder`.

    Raises
    ------
    ImageError
        If a sidecar that applies cannot be read.
    """
    merged: dict[str, Any] = {}
    folders = [folder for folder in reversed(image.parents) if folder.is_relative_to(root)]
    for folder in folders:
        for path in sidecars.get(folder, ()):
            if applies(path.name, image.name):
                merged.update(_read_object(path))
    return merged


def applies(sidecar: str, image: str) -> bool:
    """Tell whether a JSON file describes an image: same suffix, no entity of its own.

    Examples
    --------
    >>> applies("acq-dixon_T1w.json", "sub-01_acq-dixon_T1w.nii.gz")
    True
    >>> applies("sub-02_T1w.json", "sub-01_acq-dixon_T1w.nii.gz")
    False
    """
    general, special = parse_name(sidecar), parse_name(image)
    return general.suffix == special.suffix and set(general.entities) <= set(special.entities)


def image_type(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    r"""Values of ``ImageType``, whether it is a list or a DICOM string.

    Examples
    --------
    >>> image_type({"ImageType": "DERIVED\\PRIMARY\\WATER"})
    ('DERIVED', 'PRIMARY', 'WATER')
    """
    value = metadata.get("ImageType", ())
    if isinstance(value, str):
        value = value.split("\\")
    if not isinstance(value, list | tuple):
        return ()
    # One list for each slice or echo: what all of them say holds for the image.
    nested = [list(map(str, inner)) for inner in value if isinstance(inner, list)]
    if nested:
        return tuple(word for word in nested[0] if all(word in inner for inner in nested))
    return tuple(map(str, value))


def positive_number(metadata: Mapping[str, Any], key: str) -> float | None:
    """Give a value if it is a positive, finite number, else None.

    Examples
    --------
    >>> positive_number({"EchoTime": [0.001, 0.002]}, "EchoTime") is None
    True
    """
    value = metadata.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # A whole number may be larger than any float.
    return float(value) if 0 < value < sys.float_info.max else None


def echo_time(metadata: Mapping[str, Any]) -> tuple[float | None, bool]:
    """Give the echo time in seconds, and whether it stood there in milliseconds.

    Examples
    --------
    >>> echo_time({"EchoTime": 4.5})
    (0.0045, True)
    >>> echo_time({})
    (None, False)
    """
    value = positive_number(metadata, "EchoTime")
    if value is None or value <= LONGEST_ECHO_TIME:
        return value, False
    return value / 1000, True


def echo_times(metadata: Mapping[str, Any]) -> tuple[tuple[float, ...], bool]:
    """Give the echo times of a 4-D file in seconds, and whether they stood in milliseconds.

    One unit holds for the whole list. Without a list of positive numbers, the result is empty.

    Examples
    --------
    >>> echo_times({"EchoTime": [0.05, 2.3]})
    ((5e-05, 0.0023), True)
    >>> echo_times({"EchoTime": 0.0023})
    ((), False)
    """
    listed = metadata.get("EchoTime")
    if not isinstance(listed, list):
        return (), False
    numbers = [positive_number({"EchoTime": value}, "EchoTime") for value in listed]
    times = [number for number in numbers if number is not None]
    if not times or len(times) < len(listed):
        return (), False
    in_ms = max(times) > LONGEST_ECHO_TIME
    return tuple(time / 1000 if in_ms else time for time in times), in_ms


def _read_object(path: Path) -> dict[str, Any]:
    try:
        if path.exists() and not path.is_file():
            raise OSError(0, "it is not a file")
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ImageError(
            f"sidecar {path} cannot be read ({error.strerror}); expected a JSON file; "
            "if it is a broken link, fetch it (datalad get)"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ImageError(
            f"sidecar {path} is not JSON ({error}); expected an object; repair the file"
        ) from error
    if not isinstance(value, dict):
        raise ImageError(f"sidecar {path} holds no object; expected {{…}}; repair the file")
    return value
