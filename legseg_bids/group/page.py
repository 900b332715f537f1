"""The page of a study: one HTML file that needs no network, no server and no other file.

Its size is bounded: dots are drawn for at most :data:`MAX_SHOWN` records and those of the
furthest outliers, tests are shown for at most :data:`MAX_FINDINGS`. Boxes and statistics are of
everybody, and the tables beside the page have everything.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from legseg_bids import __version__
from legseg_bids.bids.sidecars import NOT_AVAILABLE
from legseg_bids.bids.write import write_text
from legseg_bids.group import statistics
from legseg_bids.group.analysis import (
    ASYMMETRY,
    MAX_LATER,
    Finding,
    Outlier,
    first_records,
)
from legseg_bids.group.boxes import box, boxes, short
from legseg_bids.group.covariates import MAX_LEVELS, MIN_PER_LEVEL, Covariates
from legseg_bids.group.findings import finding_row, outlier_row
from legseg_bids.group.statistics import Floats
from legseg_bids.group.structures import label_structures, load_measures, on_white
from legseg_bids.group.study import POOR, Study, asymmetry

MAX_SHOWN = 500
MAX_FINDINGS = 4000
MAX_ROWS = 200
"""Rows of a table on the page."""
MAX_NOTES = 20
MAX_SESSIONS = 8
QUALITIES = ("good", "check", "poor")


@dataclass(frozen=True)
class Content:
    """All that the page tells of.

    Attributes
    ----------
    study : Study
        The measurements.
    images : dict of str to int
        Finished images by participant.
    notes : tuple of str
        What a reader must know.
    covariates : Covariates
        Of the participants in `images`, sorted.
    outliers : sequence of Outlier
        The furthest first.
    findings : sequence of Finding
        Tests.
    figure : bytes
        PNG for readers without scripts; may be empty.
    """

    study: Study
    images: dict[str, int]
    notes: tuple[str, ...]
    covariates: Covariates
    outliers: Sequence[Outlier]
    findings: Sequence[Finding]
    figure: bytes = b""


def write_page(root: Path, content: Content) -> Path:
    """Write ``group.html``.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    path = root / "group.html"
    write_text(path, render(content, _reports(root, content.images)))
    return path


def render(content: Content, reports: frozenset[str] = frozenset()) -> str:
    """Compose the page.

    Parameters
    ----------
    content : Content
        What it tells of.
    reports : frozenset of str
        Participants whose report lies beside the page.
    """
    return str(page_template("group.html.j2", _source).render(
        version=__version__,
        data=page_data(content, reports),
        overview=_overview(content),
        missing=[name for name, count in sorted(content.images.items()) if not count],
        notes=(*_advice(content.study), *content.notes),
        covariates=content.covariates,
        outliers=[_outlier(content.study, o, reports) for o in content.outliers[:MAX_ROWS]],
        n_outliers=len(content.outliers),
        quality=_quality(content.study),
        reasons=content.study.reasons,
        doubtful=_doubtful(content.study, reports),
        figure=base64.b64encode(content.figure).decode(),
        limits={
            "shown": MAX_SHOWN, "rows": MAX_ROWS, "notes": MAX_NOTES,
            "z": statistics.OUTLIER_Z, "n_outliers": statistics.MIN_FOR_OUTLIERS,
            "group": statistics.MIN_PER_GROUP, "pairs": statistics.MIN_PAIRS,
            "changes": statistics.MIN_CHANGES, "levels": MAX_LEVELS, "level": MIN_PER_LEVEL,
            "later": MAX_LATER,
        },
        style=_source("group.css"),
        script=_source("group.js"),
    ))  # fmt: skip


def page_template(name: str, source: Callable[[str], str]) -> Any:
    """Compile the template of a page, in which whatever comes from the data is escaped.

    Parameters
    ----------
    name : str
    source : callable
        Gives the text of a template by its name.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(source),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(name)


def page_data(content: Content, reports: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The numbers that the charts of the page are drawn from, ready for JSON."""
    study = content.study
    shown = shown_records(study, content.outliers)
    uneven = asymmetry(study)
    sessions = {s: _of_session(study, s) for s in study.sessions[:MAX_SESSIONS]}
    findings = content.findings[:MAX_FINDINGS]
    people = sorted(content.images)
    known = {index for index in first_records(study, people) if index is not None}
    who = {name: place for place, name in enumerate(people)}
    rows = [who[study.records[index].participant] for index in shown]
    return {
        "measures": [_measure(name) for name in study.values],
        "structures": [_structure(study, columns) for columns in study.bases.values()],
        "sessions": list(sessions),
        "records": [_record(study, index, reports) for index in shown],
        "total": len(study.records),
        "values": {name: _columns(study.values[name][shown]) for name in study.values},
        "flags": [_flags(study, column, shown) for column in range(len(study.structures))],
        "boxes": {
            session: {name: _boxes(study, name, records) for name in study.values}
            for session, records in sessions.items()
        },
        "asymmetry": _asymmetry(study, uneven, shown, list(sessions.values())),
        "covariates": [
            {"name": c.name, "title": c.title, "levels": c.levels,
             "values": _numbers(c.values[rows])}
            for c in content.covariates.used
        ],
        "first": [int(index in known) for index in shown],
        "findings": [_finding(study, finding) for finding in findings],
        "more_findings": len(content.findings) - len(findings),
    }  # fmt: skip


def shown_records(study: Study, outliers: Sequence[Outlier]) -> list[int]:
    """Records that are drawn as dots: all, or an even choice and those of the outliers."""
    total = len(study.records)
    if total <= MAX_SHOWN:
        return list(range(total))
    even = np.linspace(0, total - 1, MAX_SHOWN).round().astype(int).tolist()
    far = list(dict.fromkeys(o.record for o in outliers[:MAX_ROWS]))
    return sorted({*even, *far})


def _of_session(study: Study, session: str) -> list[int]:
    return [i for i, record in enumerate(study.records) if record.session == session]


def _measure(name: str) -> dict[str, str]:
    known = load_measures()[name]
    return {"name": name, "title": known.title, "unit": known.unit, "counts": known.counts}


def _structure(study: Study, columns: Sequence[int]) -> dict[str, Any]:
    members = [study.structures[column] for column in columns]
    first = members[0]
    return {
        "base": first.base, "kind": first.kind, "name": first.name, "region": first.region,
        "columns": list(columns), "sides": [s.side for s in members],
        "colors": [on_white(s.color) for s in members],
        "keys": [s.key if s.key in label_structures() else "" for s in members],
    }  # fmt: skip


def _record(study: Study, index: int, reports: frozenset[str]) -> list[Any]:
    """Participant, session, page of the report, and anchor by column where that varies."""
    record = study.records[index]
    page = f"{quote(record.participant)}.html" if record.participant in reports else ""
    session = "" if record.session == NOT_AVAILABLE else record.session
    images = study.image[index]
    several = images.tolist() if len(record.images) > 1 else []
    return [record.participant, session, page, list(record.images), several]


def _columns(values: Floats) -> list[list[float | None]]:
    return [_numbers(column) for column in values.T]


def _numbers(values: Floats) -> list[float | None]:
    return [short(v) if np.isfinite(v) else None for v in values.tolist()]


def _flags(study: Study, column: int, shown: Sequence[int]) -> str:
    """One letter for each record: poor, whole, its peak in view, cut."""
    masks = study.words["quality"] == POOR, study.whole, study.peak
    letters = np.select([mask[shown, column] for mask in masks], ["p", "w", "k"], "c")
    return "".join(letters)


def _boxes(study: Study, measure: str, records: Sequence[int]) -> list[list[float] | None]:
    return [b.numbers() if b else None for b in boxes(study, measure, records)]


def _asymmetry(
    study: Study,
    uneven: dict[str, Floats],
    shown: Sequence[int],
    sessions: Sequence[Sequence[int]],
) -> list[dict[str, Any]]:
    """By structure, in the order of :attr:`Study.bases`; structures without a pair are empty."""
    found: list[dict[str, Any]] = []
    for name in study.bases:
        values = uneven.get(name)
        if values is None or not np.isfinite(values).any():
            found.append({})
            continue
        summaries = [box(values[list(records)]) for records in sessions]
        found.append(
            {
                "values": _numbers(values[list(shown)]),
                "boxes": [b.numbers() if b else None for b in summaries],
            }
        )
    return found


def _finding(study: Study, finding: Finding) -> dict[str, Any]:
    place = list(study.bases).index(f"{finding.structure.kind} {finding.structure.base}")
    row = finding_row(finding)
    numbers = {k: short(v) for k, v in row.items() if isinstance(v, float)}
    counts = {k: v for k, v in row.items() if isinstance(v, int)}
    return {
        "at": place, "m": finding.measure, "by": finding.by, "groups": finding.groups,
        **numbers, **counts,
    }  # fmt: skip


def _outlier(study: Study, outlier: Outlier, reports: frozenset[str]) -> dict[str, Any]:
    row = outlier_row(study, outlier)
    structure = study.structures[outlier.column]
    paired = outlier.measure == ASYMMETRY
    # Reports have a place for each label; compartments and tissues lead to the image.
    is_label = structure.key in label_structures()
    anchor = f"{row['image']}-{structure.key}" if is_label else str(row["image"])
    page = quote(str(row["participant_id"])) + ".html#" + quote(anchor)
    known = load_measures().get(outlier.measure)
    return {
        **row,
        "structure": structure.name,
        "side": "" if paired or structure.side == NOT_AVAILABLE else structure.side,
        "measure": known.title if known else "Asymmetry",
        "unit": known.unit if known else "%",
        "value": short(outlier.value),
        "median": short(outlier.median),
        "link": page if row["participant_id"] in reports else "",
    }


def _overview(content: Content) -> list[tuple[str, str]]:
    study = content.study
    measured = len({record.participant for record in study.records})
    sessions = [s for s in study.sessions if s != NOT_AVAILABLE]
    fine = study.words["quality"][study.image >= 0]
    told = [
        ("participants", str(measured)),
        ("images", str(sum(content.images.values()))),
        ("structures", str(len(study.bases))),
        ("whole", f"{_share(study.whole, study.image >= 0)} %"),
        ("outlying values", str(len(content.outliers))),
    ]
    if len(sessions) > 1:
        told.insert(1, ("sessions", str(len(sessions))))
    if (fine != "").any():
        share = 100 * float((fine == "good").sum() / max((fine != "").sum(), 1))
        told.insert(-1, ("of good quality", f"{share:.0f} %"))
    return told


def _advice(study: Study) -> tuple[str, ...]:
    """What to say of a study in which little can be compared."""
    there = study.image >= 0
    if not there.any() or (study.whole & there).sum() >= there.sum() / 2:
        return ()
    note = (
        f"Only {_share(study.whole, there)} % of the structures are in view as a whole. Volumes "
        "and lengths of the others are shown, but not compared: they depend on where the image "
        "ends. Fat fractions are compared, and cross-sections whose peak is in view."
    )
    return (note,)


def _share(part: Any, of_all: Any) -> str:
    """Percent of structures, as text."""
    return f"{100 * float((part & of_all).sum() / max(of_all.sum(), 1)):.0f}"


def _quality(study: Study) -> list[dict[str, Any]]:
    """How often each structure is there, whole, and of which quality."""
    found = []
    for columns in study.bases.values():
        members = list(columns)
        first = study.structures[members[0]]
        if first.kind == "tissue":
            continue
        there = study.image[:, members] >= 0
        words = study.words["quality"][:, members][there]
        n = int(there.sum())
        found.append(
            {
                "name": first.name, "kind": first.kind, "n": n,
                "whole": int(study.whole[:, members][there].sum()),
                **{word: int((words == word).sum()) for word in QUALITIES},
                "untold": int((~np.isin(words, QUALITIES)).sum()),
            }
        )  # fmt: skip
    return found


def _doubtful(study: Study, reports: frozenset[str]) -> list[dict[str, Any]]:
    """Records with most structures of poor quality, then of those to check."""
    poor = (study.words["quality"] == "poor").sum(axis=1)
    check = (study.words["quality"] == "check").sum(axis=1)
    order = np.lexsort((np.arange(len(poor)), -check, -poor))[:MAX_ROWS]
    return [
        {
            "participant": study.records[i].participant,
            "session": study.records[i].session,
            "poor": int(poor[i]),
            "check": int(check[i]),
            "cut": int(((study.image[i] >= 0) & ~study.whole[i]).sum()),
            "link": f"{quote(study.records[i].participant)}.html"
            if study.records[i].participant in reports
            else "",
        }
        for i in order.tolist()
        if poor[i] or check[i]
    ]


def _reports(root: Path, images: dict[str, int]) -> frozenset[str]:
    return frozenset(name for name in images if (root / f"{name}.html").is_file())


def _source(name: str) -> str:
    return resources.files(__package__).joinpath("templates", name).read_text("utf-8")
