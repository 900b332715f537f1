"""What was found where, and why: the sidecar of an image in words for a person.

A sidecar may be of an older version, or changed by somebody: whatever it lacks is left out.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

from legseg_bids.bids.finished import FinishedImage
from legseg_bids.bids.manual import Kind, correction, structures
from legseg_bids.bids.names import log_dir, printable

PARTS = {"foot": "foot", "lower": "lower leg", "knee": "knee", "upper": "thigh", "hip": "hip"}
SIDES = ("the left limb alone", "the right limb alone", "both limbs")
RAW = "bids:raw:"
"""How a sidecar names files of the dataset."""
DIGITS = 12
"""Of a check sum, as many as tell two files apart by eye."""


@dataclass(frozen=True)
class Region:
    """A part of a limb that a network looked at."""

    name: str
    side: str
    slices: str
    score: str


@dataclass(frozen=True)
class Findings:
    """What the sidecar of an image tells.

    Attributes
    ----------
    what : str
        What was segmented.
    reasons : tuple of str
        Why these files were taken, from the log of the run.
    sources, stations : tuple of str
        Files of the dataset; stations that were merged, with their slices.
    parts : tuple of str
        Which slices show which part of the leg.
    sides : str
        Which limbs are in view.
    regions : tuple of Region
    networks : tuple of str
    made : tuple of (str, str)
        Version, run and configuration; who corrected it by hand, and why.
    warnings : tuple of str
        What the run asked a person to look at.
    """

    what: str = ""
    reasons: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    stations: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    sides: str = ""
    regions: tuple[Region, ...] = ()
    networks: tuple[str, ...] = ()
    made: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()


def read_findings(derivatives_dir: Path, image: FinishedImage) -> Findings:
    """Read what is known about an image."""
    sidecar, legseg = read_sidecar(image.paths.sidecar), image.legseg
    sources = tuple(printable(str(uri)) for uri in listed(sidecar, "Sources"))
    return Findings(
        what=str(sidecar.get("Description", "")),
        reasons=_reasons(derivatives_dir, image, sources),
        sources=sources,
        stations=tuple(map(_station, _dicts(legseg, "Stations"))),
        parts=parts_in_words([str(part) for part in listed(legseg, "Parts")]),
        sides=_sides(listed(legseg, "SideProbabilities")),
        regions=tuple(map(_region, _dicts(legseg, "Regions"))),
        networks=tuple(map(network, _dicts(legseg, "Models"))),
        made=_made(legseg),
        warnings=tuple(printable(str(text)) for text in listed(legseg, "Warnings")),
    )


def read_sidecar(path: Path) -> dict[str, Any]:
    """A JSON object; empty if it cannot be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def parts_in_words(parts: Sequence[str]) -> tuple[str, ...]:
    """Runs of equal parts, from the feet up; slices counted from 1.

    Examples
    --------
    >>> parts_in_words(["lower", "lower", "knee"])
    ('slices 1 to 2: lower leg', 'slice 3: knee')
    """
    lines, first = [], 1
    for part, group in groupby(parts):
        last = first + len(list(group)) - 1
        lines.append(f"{slices(first, last)}: {PARTS.get(part, printable(part))}")
        first = last + 1
    return tuple(lines)


def slices(first: int, last: int) -> str:
    """``slice 3`` or ``slices 1 to 2``."""
    return f"slice {first}" if first == last else f"slices {first} to {last}"


def network(model: Mapping[str, Any]) -> str:
    """One network: name, version, what ran it, and the beginnings of its check sums."""
    sums = model.get("SHA256")
    digests = sums.values() if isinstance(sums, Mapping) else ()
    shown = ", ".join(str(digest)[:DIGITS] for digest in digests)
    grid = " × ".join(str(step) for step in listed(model, "ResampledTo"))
    text = f"{model.get('Name', '?')} {model.get('Version', '?')}, {model.get('Engine', '?')}"
    text += f" on {model['Device']}" if "Device" in model else ""
    text += f", voxels of {grid} mm" if grid else ""
    return printable(text + (f", SHA-256 {shown}…" if shown else ""))


def _reasons(
    derivatives_dir: Path, image: FinishedImage, sources: Iterable[str]
) -> tuple[str, ...]:
    """Lines of the run's log that name the sources of this image."""
    run = str(image.legseg.get("RunUUID", ""))
    if not run or "/" in run:
        return ()
    try:
        text = (log_dir(derivatives_dir, image.subject) / f"{run}.toml").read_text("utf-8")
        lines = tomllib.loads(text)["run"]["images"]
    except (OSError, ValueError, KeyError, TypeError):
        return ()
    names = {PurePosixPath(uri).name for uri in sources}
    told = [str(line) for line in lines] if isinstance(lines, list) else []
    return tuple(printable(line) for line in told if names & set(line.replace(",", " ").split()))


def _station(told: Mapping[str, Any]) -> str:
    first, last = told.get("FirstSlice"), told.get("LastSlice")
    name = printable(PurePosixPath(str(told.get("Name", "?"))).name)
    if isinstance(first, int) and isinstance(last, int):
        return f"{name}: {slices(first + 1, last + 1)} of the merged image"
    return name


def _region(told: Mapping[str, Any]) -> Region:
    first, last, score = told.get("FirstSlice"), told.get("LastSlice"), told.get("Score")
    name = str(told.get("Name", "?"))
    span = "?"
    if isinstance(first, int) and isinstance(last, int):
        span = f"{first + 1} to {last + 1}"
    return Region(
        PARTS.get(name, printable(name)),
        printable(str(told.get("Side", "?"))),
        span,
        f"{score:.2f}" if isinstance(score, int | float) else "?",
    )


def _sides(probabilities: Sequence[object]) -> str:
    """The most probable of left, right, both, and how probable."""
    values = [p for p in probabilities if isinstance(p, int | float)]
    if len(values) != len(SIDES):
        return ""
    best = max(range(len(SIDES)), key=lambda index: values[index])
    return f"{SIDES[best]} ({100 * values[best]:.0f} %)"


def _made(legseg: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    titles = {"Version": "legseg-bids", "RunUUID": "run", "ConfigHash": "version and networks"}
    made = [(title, str(legseg[key])) for key, title in titles.items() if key in legseg]
    told = correction(legseg)
    titles = {"Kind": "corrected by hand", "Revision": "revision", "Author": "by", "Note": "note"}
    made += [(title, str(told[key])) for key, title in titles.items() if key in told]
    if told.get("Kind") == Kind.EDITED:
        made.append(("labels differ in", ", ".join(structures(legseg))))
    return tuple((title, printable(text)) for title, text in made)


def listed(content: Mapping[str, Any], key: str) -> list[Any]:
    """A list that a sidecar holds; empty if it holds none."""
    found = content.get(key)
    return found if isinstance(found, list) else []


def _dicts(content: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    return [entry for entry in listed(content, key) if isinstance(entry, dict)]
