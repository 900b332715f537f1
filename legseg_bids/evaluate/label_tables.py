"""Names of the numbers of a label image, in the ways that tools write them.

Tables with a column of numbers and one of names (BIDS ``dseg.tsv``, FreeSurfer-like CSV, the CSV
of MuscleMap), label files of ITK-SNAP (QMRITools), the model card of MuscleMap, ``dataset.json``
of nnU-Net with labels or regions, and the label table that TotalSegmentator puts into the header
of its images. What the names mean is no matter here.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from legseg_bids.errors import ImageError
from legseg_bids.train.importing.tables import LARGEST_TABLE, SNAP_LINE

#: Columns that may hold the number, the name and the side, the first that is there counts.
NUMBERS = ("index", "value", "label", "id", "channel", "number", "labelvalue")
NAMES = ("name", "anatomy", "structure", "label_name")
SIDES = ("left", "right", "l", "r")
EXPECTED = (
    "a table with a column of numbers (index, value, label, id) and one of names (name, anatomy), "
    "a label file of ITK-SNAP, the model card of MuscleMap, or nnU-Net's dataset.json"
)
#: nnU-Net copies its ``dataset.json`` into the folder of its predictions.
NNUNET = "dataset.json"
LABEL_TABLE = b"<LabelTable"
#: What makes XML refer to other files, or grow; no table of labels needs it.
DECLARATIONS = re.compile(rb"<!(DOCTYPE|ENTITY)", re.IGNORECASE)


@dataclass(frozen=True)
class Told:
    """What a table says of one number.

    Attributes
    ----------
    names : tuple of str
        The structure; several if it is told by nested regions: all that it lies in.
    others : tuple of str
        Regions that it does not lie in.
    abbreviation : str
        Another name of the structure, or empty.
    """

    names: tuple[str, ...]
    others: tuple[str, ...] = ()
    abbreviation: str = ""


def read_names(path: Path) -> dict[int, Told]:
    """Names of numbers from a file.

    Parameters
    ----------
    path : Path
        See the head of this module.

    Returns
    -------
    dict of int to Told

    Raises
    ------
    ImageError
        If it cannot be read.
    """
    if not path.is_file() or path.stat().st_size > LARGEST_TABLE:
        raise ImageError(
            f"label table {path} is not a file of at most {LARGEST_TABLE} bytes; expected "
            f"{EXPECTED}; give it with --table"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
        found = _of_json(json.loads(text)) if path.suffix == ".json" else _of_text(text)
        if not found:
            raise ValueError("it names nothing")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ImageError(
            f"label table {path} cannot be read: {error}; expected {EXPECTED}"
        ) from error
    return found


def find_table(image: Path) -> Path | None:
    """The file that names the numbers of a label image, if there is one beside it.

    Parameters
    ----------
    image : Path

    Returns
    -------
    Path or None
        The ``.tsv`` of the same name; else ``dseg.tsv`` or ``dataset.json`` in its folder or
        one of the two above.
    """
    stem = image.name.partition(".nii")[0]
    for own in (image.with_name(f"{stem}.tsv"), image.with_name(f"{stem}.txt")):
        if own.is_file():
            return own
    for folder in list(image.absolute().parents)[:3]:
        for name in ("dseg.tsv", NNUNET):
            if (folder / name).is_file():
                return folder / name
    return None


def names_in_header(image: Path) -> dict[int, Told]:
    """The label table that TotalSegmentator puts into the header of its images, if it is there.

    It is an extension in the format of Caret (a ``LabelTable`` of ``Label`` with ``Key``), under
    the code 0 instead of that of Caret, so the code is no matter here.

    Examples
    --------
    >>> names_in_header(Path("no such image.nii"))
    {}
    """
    import nibabel as nib

    try:
        header: Any = nib.load(image).header
        told = [_bytes(extension) for extension in header.extensions]
    except (OSError, AttributeError, ValueError, TypeError, nib.filebasedimages.ImageFileError):
        return {}
    return _of_xml(told)


def _bytes(extension: Any) -> bytes:
    """What an extension holds (``content`` is there from nibabel 5.3 on)."""
    content = extension.content if hasattr(extension, "content") else extension.get_content()
    return content if isinstance(content, bytes) else b""


def _of_xml(extensions: Iterable[bytes]) -> dict[int, Told]:
    found: dict[int, Told] = {}
    for content in extensions:
        text = content.rstrip(b"\0 \n")
        if LABEL_TABLE not in text or len(text) > LARGEST_TABLE or DECLARATIONS.search(text):
            continue
        try:
            labels = ET.fromstring(text).iter("Label")
            found |= {int(x.attrib["Key"]): _plain(x.text or "") for x in labels}
        except (ET.ParseError, ValueError, KeyError):
            continue
    return {number: told for number, told in found.items() if told.names[0]}


def _plain(name: str) -> Told:
    return Told((name.strip(),))


def _of_json(told: Any) -> dict[int, Told]:
    labels = told.get("labels", told)
    if isinstance(labels, list):
        return {_whole(row["value"]): _plain(_with_side(row)) for row in labels}
    if not labels or not isinstance(labels, dict):
        raise ValueError("it holds no labels")
    if all(str(key).isdigit() for key in labels):
        return {int(key): _plain(str(name)) for key, name in labels.items()}
    return _of_regions({str(name): _numbers(value) for name, value in labels.items()})


def _numbers(value: Any) -> list[int]:
    return [_whole(one) for one in (value if isinstance(value, list) else [value])]


def _of_regions(regions: Mapping[str, Sequence[int]]) -> dict[int, Told]:
    """For each number, the names of nnU-Net that it lies in, and those that it does not."""
    every = sorted({number for numbers in regions.values() for number in numbers})
    nested = any(len(numbers) > 1 for numbers in regions.values())
    found = {}
    for n in every:
        within = tuple(name for name, numbers in regions.items() if n in numbers)
        others = tuple(name for name in regions if name not in within)
        found[n] = Told(within, others if nested else ())
    return found


def _of_text(text: str) -> dict[int, Told]:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    found = [SNAP_LINE.match(line) for line in lines]
    if lines and all(found):
        return {int(m[1]): _plain(re.sub(r"^\d+\s+", "", m[2])) for m in found if m}
    mark = max("\t,;", key=lines[0].count) if lines else ","
    rows = list(csv.DictReader(lines, delimiter=mark))
    return dict(_of_rows([_lower(row) for row in rows]))


def _lower(row: Mapping[str | None, Any]) -> dict[str, str]:
    return {str(k).strip().casefold(): str(v or "").strip() for k, v in row.items()}


def _of_rows(rows: Sequence[Mapping[str, str]]) -> Iterable[tuple[int, Told]]:
    columns = tuple(rows[0]) if rows else ()
    name = next((c for c in NAMES if c in columns), None)
    number = next((c for c in NUMBERS if c in columns and c != name), None)
    if name is None or number is None:
        raise ValueError(f"its columns are {', '.join(columns) or 'none'}")
    for row in rows:
        if row[number]:
            told = _with_side({**row, "anatomy": row[name]})
            yield _whole(row[number]), Told((told,), abbreviation=row.get("abbreviation", ""))


def _with_side(row: Mapping[str, Any]) -> str:
    """The name of a row, and its side if there is a column for it."""
    side = str(row.get("side") or "").strip().casefold()
    name = str(row["anatomy"])
    return f"{name} {side}" if side in SIDES else name


def _whole(value: Any) -> int:
    number = float(value)
    if not number.is_integer():
        raise ValueError(f"{value} is no whole number")
    return int(number)
