"""Structures and measures of a study: muscles, bones, compartments, tissues of the limb.

Whatever a table of the derivative tells of, it becomes one row of the same kind here, named by an
abbreviation that ends in ``_L`` or ``_R`` where there are two.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from legseg_bids.anatomy.labels import load_labels
from legseg_bids.bids.sidecars import NOT_AVAILABLE, load_columns

COMPARTMENT, TISSUE = "compartment", "tissue"
KINDS = ("muscle", COMPARTMENT, TISSUE, "bone", "fat")
"""In the order of tables and page; ``fat`` is a label, ``tissue`` a sum over the limb."""
SIDES = MappingProxyType({"left": "L", "right": "R"})
MAX_LUMINANCE = 0.34
"""Of 1: a contrast with white of about 2.7, dots of a lighter colour vanish."""
GREY = "#7a8793"
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")


@dataclass(frozen=True)
class Measure:
    """A number that is told of every structure.

    Attributes
    ----------
    name : str
        Column of the tables.
    title, unit : str
        For people; a fraction has no unit.
    counts : str
        Of which structures it says something: ``whole`` ones, in view as a whole; those whose
        ``peak``, the largest cross-section, lies within the view; or ``always``.
    """

    name: str
    title: str
    unit: str
    counts: str


@dataclass(frozen=True)
class Structure:
    """One column of a study.

    Attributes
    ----------
    key : str
        Abbreviation with its side, as ``RF_L`` or ``quadriceps_L``.
    base : str
        The same without the side.
    side : str
        ``left``, ``right`` or ``n/a``.
    kind : str
        One of :data:`KINDS`.
    name, region, color : str
        For people; the name has no side.
    """

    key: str
    base: str
    side: str
    kind: str
    name: str
    region: str = NOT_AVAILABLE
    color: str = GREY


@cache
def load_measures() -> Mapping[str, Measure]:
    """Measures by name, in the order of tables and page.

    Examples
    --------
    >>> load_measures()["volume"].unit
    'mL'
    """
    described = load_columns()
    read = {
        name: Measure(name, row["Title"], _unit(described[name]["Units"]), row["Counts"])
        for name, row in _read("measures.json").items()
    }
    return MappingProxyType(read)


@cache
def label_structures() -> Mapping[str, Structure]:
    """Structures of the label scheme by abbreviation.

    Examples
    --------
    >>> label_structures()["RF_L"].base, label_structures()["RF_L"].name
    ('RF', 'Rectus femoris')
    """
    return MappingProxyType(
        {
            label.abbreviation: Structure(
                label.abbreviation,
                _base(label.abbreviation, label.side),
                label.side,
                label.tissue,
                label.name.removesuffix(f" {label.side}"),
                label.region,
                label.color,
            )
            for label in load_labels()
        }
    )


def structure_of(row: Mapping[str, str]) -> Structure | None:
    """Name the structure that a row of the long table tells of; None if it is none of ours.

    Examples
    --------
    >>> structure_of({"kind": "compartment", "abbreviation": "quadriceps_L", "side": "left"}).name
    'Quadriceps'
    """
    kind, key, side = row["kind"], row["abbreviation"], row.get("side", NOT_AVAILABLE)
    if kind not in (COMPARTMENT, TISSUE):
        return label_structures().get(key)
    base = _base(key, side)
    if not _WORD.fullmatch(base) or side not in SIDES:
        return None
    known = _read("limbs.json").get(base, {}) if kind == TISSUE else {}
    name = known.get("Name", base.replace("_", " ").capitalize())
    return Structure(key, base, side, kind, name)


def compartment_rows(rows: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    """Rows of a table of compartments, each as a row of the long table.

    Examples
    --------
    >>> compartment_rows([{"compartment": "quadriceps", "side": "left"}])[0]["abbreviation"]
    'quadriceps_L'
    """
    return [
        {
            **row,
            **_called(COMPARTMENT, row["compartment"], row["side"]),
            "kind": COMPARTMENT,
            "index": NOT_AVAILABLE,
        }
        for row in rows
    ]


def limb_rows(rows: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    """Rows of a table of limbs, each as several rows of the long table: one for each tissue.

    Examples
    --------
    >>> [row["abbreviation"] for row in limb_rows([{"side": "left", "limb_volume": "9000"}])]
    ['limb_L']
    """
    found = []
    for row in rows:
        for tissue, text in _read("limbs.json").items():
            values = {
                measure: row[column]
                for measure, column in text["Columns"].items()
                if row.get(column, NOT_AVAILABLE) != NOT_AVAILABLE
            }
            if values:
                found.append({**_called(TISSUE, tissue, row["side"]), "kind": TISSUE, **values})
    return found


def tissue_descriptions() -> dict[str, str]:
    """What the tissues of the limb are, by name."""
    return {name: str(text["Description"]) for name, text in _read("limbs.json").items()}


def on_white(color: str) -> str:
    """Darken a colour until dots of it can be seen on white.

    Examples
    --------
    >>> on_white("#0000ff"), on_white("#ffff00")
    ('#0000ff', '#a2a200')
    """
    red, green, blue = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    # Relative luminance, as of WCAG but with a plain exponent for the curve of the screen.
    luminance = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2
    scale = min(1.0, (MAX_LUMINANCE / max(luminance, 1e-9)) ** (1 / 2.2))
    return "#" + "".join(f"{round(255 * part * scale):02x}" for part in (red, green, blue))


def in_order(structures: Iterable[Structure]) -> tuple[Structure, ...]:
    """Sort by kind; labels by index, others by name; left before right."""
    position = {key: index for index, key in enumerate(label_structures())}
    return tuple(
        sorted(
            structures,
            key=lambda s: (KINDS.index(s.kind), position.get(s.key, 0), s.base, s.side),
        )
    )


def _called(kind: str, base: str, side: str) -> dict[str, str]:
    name = _read("limbs.json")[base]["Name"] if kind == TISSUE else base.replace("_", " ")
    abbreviation = f"{base}_{SIDES[side]}" if side in SIDES else base
    return {"abbreviation": abbreviation, "name": f"{name.capitalize()} {side}", "side": side}


def describe(structure: Structure, column: str) -> Mapping[str, Any]:
    """What a column says of this structure: unit and definition, as in the participant's tables.

    Examples
    --------
    >>> describe(label_structures()["RF_L"], "volume")["Units"]
    'mL'
    """
    if structure.kind == COMPARTMENT:
        return load_columns("compartments").get(column) or load_columns()[column]
    if structure.kind == TISSUE:
        return load_columns("limbs")[_read("limbs.json")[structure.base]["Columns"][column]]
    return load_columns()[column]


def _unit(unit: str) -> str:
    return {"1": "", "mm^2": "mm²"}.get(unit, unit)


def _base(key: str, side: str) -> str:
    return key.removesuffix(f"_{SIDES[side]}") if side in SIDES else key


@cache
def _read(name: str) -> Mapping[str, Any]:
    text = resources.files(__package__).joinpath("data", name).read_text("utf-8")
    return MappingProxyType(json.loads(text))
