"""What a folder of NIfTI files holds: the same survey, from names, headers and sidecars."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from legseg_bids.bids.metadata import echo_time, echo_times, image_type, positive_number
from legseg_bids.bids.queries import QueryTable, is_part, load_queries, part_of, role_of
from legseg_bids.dicom.contrasts import plain, vendor_of, what_it_shows
from legseg_bids.dicom.found import CLASSIC, Facts, Found, Frame, Grid, Survey
from legseg_bids.dicom.privacy import hide, words_of
from legseg_bids.dicom.survey import ID_DIGITS, Progress, without_twins
from legseg_bids.errors import NoInput

EXTENSIONS = (".nii.gz", ".nii")
HASHED = 1 << 20
"""So many bytes of a file tell it from any other."""
LABELS = frozenset({"dseg", "probseg", "seg", "mask", "masks", "label", "labels", "roi", "rois"})


def survey_nifti(source: Path, progress: Progress | None = None) -> Survey:
    """Look at every NIfTI file below a folder.

    Participants are the folders directly below the source (or ``sub-`` in a path); files that
    lie in the source itself are told apart by what their names have beside the word of the
    contrast. What an image shows is told by its name, and by ``ImageType`` and ``EchoTime`` of a
    sidecar of the same name.

    Parameters
    ----------
    source : Path
        Folder of any depth.
    progress : callable, optional
        Told after each file how many were read, and of how many.

    Raises
    ------
    NoInput
        If it is not a folder, or holds no NIfTI image.
    """
    if not source.is_dir():
        raise NoInput(f"{source} is not a folder; expected one with NIfTI files; check the path")
    table = load_queries()
    paths = [p for p in sorted(source.rglob("*")) if p.name.endswith(EXTENSIONS) and p.is_file()]
    paths = [path for path in paths if not _is_label(path, table)]
    images: list[Found] = []
    problems: list[str] = []
    for number, path in enumerate(paths, start=1):
        try:
            images += _images(path, source, table)
        except Exception as error:  # noqa: BLE001 - nibabel has many ways to say no
            problems.append(f"{path.relative_to(source)} is no NIfTI image ({error})")
        if progress:
            progress(number, len(paths))
    if not images:
        raise NoInput(
            f"{source} holds no NIfTI image ({len(paths)} files); expected .nii.gz or .nii; "
            "check the path, or leave --nifti out for DICOM"
            + "".join(map("\n  {}".format, problems))
        )
    return Survey(source, "nifti", tuple(without_twins(images)), tuple(problems), len(paths))


def _is_label(path: Path, table: QueryTable) -> bool:
    words = set(plain(_stem(path)).split())
    return path.name.startswith(".") or bool(words & (LABELS | table.not_images))


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".nii")


def _images(path: Path, source: Path, table: QueryTable) -> Iterator[Found]:
    """One image; of a file with a fourth axis of echoes, one for each."""
    image: Any = nib.load(path)
    sidecar = _sidecar(path)
    shape = tuple(int(n) for n in image.shape)
    digits = _digits(path)
    times, _ = echo_times(sidecar)
    grid = Grid(
        (*shape[:3], 1, 1)[:3],  # type: ignore[arg-type]
        tuple(tuple(line) for line in np.asarray(image.affine, float).tolist()),
    )
    facts = _facts(path, source, sidecar, table)
    volumes = shape[3] if len(shape) > 3 else 1
    if volumes == 1:
        yield Found(f"n-{digits}", facts, grid, (_frame(path, CLASSIC),))
    elif len(times) == volumes:
        for number, time in enumerate(times):
            one = _facts(path, source, {**sidecar, "EchoTime": time}, table)
            yield Found(f"n-{digits}-{number + 1}", one, grid, (_frame(path, number),))
    else:
        problem = (
            f"{path.name} has {volumes} volumes, and its sidecar does not list as many echo times "
            "(EchoTime); expected one image for each file; split it"
        )
        yield Found(f"n-{digits}", facts, None, (), hide(problem, facts.secrets))


def _frame(path: Path, volume: int) -> Frame:
    return Frame(str(path), volume, (0.0, 0.0, 0.0), (0, 0, 0))


def _digits(path: Path) -> str:
    """What stays the same wherever the file lies."""
    with path.open("rb") as file:
        start = file.read(HASHED)
    text = start + str(path.stat().st_size).encode()
    return hashlib.sha256(text).hexdigest()[:ID_DIGITS]


def _sidecar(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.with_name(f"{_stem(path)}.json").read_text("utf-8-sig"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _facts(path: Path, source: Path, sidecar: Mapping[str, Any], table: QueryTable) -> Facts:
    inside = path.relative_to(source)
    stem = _stem(path)
    said = {"SeriesDescription": [stem], "ImageType": image_type(sidecar)}
    shown = what_it_shows("any", said)
    contrast = shown.contrast
    words = plain(stem).split()
    if contrast in ("", "dixon"):
        named = role_of("".join(words), (), table, exact=words[-1] if words else "")
        contrast = named.role or contrast
    patient, label = _person(inside, words, table)
    session = _label(inside, "ses")
    time, _ = echo_time(sidecar)
    secrets = words_of([patient]) if not label else frozenset()
    return Facts(
        vendor=vendor_of(str(sidecar.get("Manufacturer", ""))),
        description=hide(path.name, secrets),
        series=str(inside.parent),
        patient=patient,
        study=session,
        when=str(inside),
        image_type=tuple(word.upper() for word in image_type(sidecar)),
        shows=contrast,
        part=part_of(words[-1] if words else None, image_type(sidecar), table),
        because=hide(shown.because, secrets),
        echo_time=time,
        field_strength=positive_number(sidecar, "MagneticFieldStrength"),
        sequence=tuple(str(sidecar.get("ScanningSequence", "GR")).upper().split("_")),
        label=label,
        session=session,
        secrets=secrets,
        sidecar={**sidecar, **({"EchoTime": time} if time else {}), "BodyPart": "LEG"},
    )


def _person(inside: Path, words: list[str], table: QueryTable) -> tuple[str, str]:
    """Whose image it is, and the label if the path tells one."""
    label = _label(inside, "sub")
    if label:
        return label, label
    if len(inside.parts) > 1:
        return inside.parts[0], ""
    kept = [word for word in words if not _tells_contrast(word, table)]
    return " ".join(kept), ""


def _tells_contrast(word: str, table: QueryTable) -> bool:
    known = {"t1w", "t1", "dixon", "mdixon", "vibe", "megre", "gre", "echo", "part"}
    role = role_of(word, (), table, exact=word).role
    echo = re.fullmatch(r"(e|echo|te|chunk|station|stack|stk)?\d{1,2}", word)
    return word in known or role is not None or is_part(word, table) or echo is not None


def _label(inside: Path, key: str) -> str:
    found = re.search(rf"(?:^|[/_]){key}-([A-Za-z0-9]+)", inside.as_posix())
    return found.group(1) if found else ""
