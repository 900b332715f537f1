"""The methods section of a paper, from what was really done, and the works to cite."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from legseg_bids.bids.finished import FinishedImage
from legseg_bids.bids.manual import structures
from legseg_bids.bids.sidecars import KIND_TEXT
from legseg_bids.report.findings import listed, read_sidecar
from legseg_bids.report.tables import Table


def methods_facts(images: Sequence[FinishedImage], tables: Iterable[Table]) -> dict[str, Any]:
    """What the template of the methods text is filled with.

    Parameters
    ----------
    images : sequence of FinishedImage
        All images of a participant.
    tables : iterable of Table
        Their measurements: only what was measured is defined.

    Returns
    -------
    dict
        ``versions``, ``kinds`` (what was segmented), ``networks`` (name and version),
        ``engines``, ``merged`` (whether stations were), ``count`` and ``corrected`` (of images:
        how many there are, and how many were corrected by hand), ``structures`` (that were
        corrected), ``measures`` (title, unit, definition), ``references``.
    """
    sidecars = [read_sidecar(image.paths.sidecar) for image in images]
    models = [m for image in images for m in listed(image.legseg, "Models") if isinstance(m, dict)]
    return {
        "versions": _sorted(image.legseg.get("Version") for image in images),
        "kinds": _kinds(sidecars),
        "networks": _sorted(f"{m.get('Name')} {m.get('Version')}" for m in models),
        "engines": _sorted(f"{m.get('Engine')}, {m.get('Device')}" for m in models),
        "merged": any(image.merged for image in images),
        "count": len(images),
        "corrected": sum(image.manual for image in images),
        "structures": _sorted(name for image in images for name in structures(image.legseg)),
        "measures": _measures(tables),
        "references": references(),
    }


@cache
def references() -> tuple[Mapping[str, str], ...]:
    """Works to cite (``data/references.tsv``): key, text, doi."""
    text = resources.files(__package__).joinpath("data", "references.tsv").read_text("utf-8")
    return tuple(csv.DictReader(text.splitlines(), delimiter="\t"))


def _kinds(sidecars: Iterable[Mapping[str, Any]]) -> list[str]:
    told = {str(sidecar.get("Description", "")) for sidecar in sidecars}
    return [text for text in KIND_TEXT.values() if any(line.endswith(text) for line in told)]


def _measures(tables: Iterable[Table]) -> list[tuple[str, str, str]]:
    """Title, unit and definition of each numeric column, once."""
    found: dict[str, tuple[str, str, str]] = {}
    for table in tables:
        for column in table.columns:
            if column.factor is not None and column.description:
                found.setdefault(column.title, (column.title, column.unit, column.description))
    return list(found.values())


def _sorted(values: Iterable[object]) -> list[str]:
    return sorted({str(value) for value in values if value})
