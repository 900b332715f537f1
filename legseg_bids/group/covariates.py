"""What a study knows of its participants: the columns of ``participants.tsv``."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legseg_bids.bids.finished import DamagedTable, read_table
from legseg_bids.bids.names import printable

MISSING = frozenset({"", "n/a", "na", "nan", "null", "none", "."})
OWN = frozenset({"participant_id", "images"})
MIN_PER_LEVEL = 3
MAX_LEVELS = 4
MAX_COLUMNS = 12
MAX_TEXT = 60
"""Characters of a name or a level that are shown."""
_TOP_CODED = re.compile(r"(\d+(?:\.\d+)?)\s*\+")


@dataclass(frozen=True)
class Covariate:
    """One column, as numbers or as levels.

    Attributes
    ----------
    name : str
        Column header.
    title : str
        For people: the header, with the unit where the data dictionary gives one.
    levels : tuple of str
        Levels with enough participants, most frequent first; empty for numbers.
    values : ndarray of float, shape (participants,)
        Numbers, or the position of the level; NaN where there is none.
    """

    name: str
    title: str
    levels: tuple[str, ...]
    values: NDArray[np.float64]


@dataclass(frozen=True)
class Covariates:
    """All columns that can be used, and what was said about the others.

    Attributes
    ----------
    used : tuple of Covariate
        In the order of the file.
    notes : tuple of str
        Columns or values that were left out, and why.
    source : str
        File that they were read from, for people; empty if there is none.
    """

    used: tuple[Covariate, ...] = ()
    notes: tuple[str, ...] = ()
    source: str = ""


def read_covariates(
    participants: Sequence[str], bids_dir: Path | None, derivatives_dir: Path
) -> Covariates:
    """Read the columns of ``participants.tsv``: of the dataset, else of the derivative.

    Parameters
    ----------
    participants : sequence of str
        Whom to tell of, in this order (``sub-01``).
    bids_dir : Path or None
        The dataset, if it is at hand.
    derivatives_dir : Path
        Root of the derivative.
    """
    for folder, called in ((bids_dir, "the dataset"), (derivatives_dir, "the derivative")):
        path = folder / "participants.tsv" if folder else None
        if path and path.is_file():
            try:
                rows = read_table(path, ["participant_id"])
            except DamagedTable as error:
                return Covariates(notes=(f"{printable(str(error))}: no covariates",))
            found = _covariates(participants, rows, read_descriptions(path.with_suffix(".json")))
            return Covariates(*found, f"participants.tsv of {called}")
    return Covariates()


def read_descriptions(path: Path) -> dict[str, dict[str, Any]]:
    """Descriptions of columns in a JSON file; empty for whatever cannot be used."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return {}
    pairs = content.items() if isinstance(content, dict) else ()
    return {name: text for name, text in pairs if isinstance(text, dict)}


def as_number(text: str) -> float:
    """Read a number; ``89+``, as ages are top-coded, counts as 89; NaN for anything else.

    Examples
    --------
    >>> as_number("89+"), as_number("1e3"), as_number("old")
    (89.0, 1000.0, nan)
    """
    top = _TOP_CODED.fullmatch(text.strip())
    try:
        value = float(top[1] if top else text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def classify(
    name: str, texts: Sequence[str | None], description: Mapping[str, Any] | None = None
) -> tuple[Covariate | None, str]:
    """Take a column for numbers or for levels.

    Numbers are columns of which at least four in five values are numbers, with more than two
    different ones and no levels in the data dictionary; all others are levels.

    Parameters
    ----------
    name : str
        Column header.
    texts : sequence of str or None
        One for each participant; None where the file has no row.
    description : mapping or None
        Of the data dictionary.

    Returns
    -------
    covariate : Covariate or None
        None if the column cannot be used.
    note : str
        What was left out, and why; may be empty.
    """
    description = description or {}
    cleaned = ["" if t is None or t.strip().lower() in MISSING else t.strip() for t in texts]
    present = [text for text in cleaned if text]
    numbers = np.array([as_number(text) for text in cleaned], float)
    known = int(np.isfinite(numbers).sum())
    different = len(set(numbers[np.isfinite(numbers)].tolist()))
    title = _title(name, description)
    levels = description.get("Levels")
    if known >= 0.8 * len(present) and different > 2 and not isinstance(levels, dict):
        return Covariate(name, title, (), numbers), _note_on_numbers(title, cleaned, known)
    return _as_levels(name, title, cleaned, levels if isinstance(levels, dict) else {})


def shown(text: str) -> str:
    """Shorten and spell a text of somebody else for people to read.

    Examples
    --------
    >>> len(shown("x" * 500))
    60
    """
    text = printable(" ".join(text.split()))
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def by_participant(rows: Iterable[Mapping[str, str]]) -> dict[str, Mapping[str, str]]:
    """Rows of ``participants.tsv`` by participant, with the prefix that some people leave out."""
    return {f"sub-{row['participant_id'].removeprefix('sub-')}": row for row in rows}


def told_columns(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Columns of ``participants.tsv`` that tell of the participants."""
    return [name for name in (rows[0] if rows else {}) if name not in OWN and name.strip()]


def _covariates(
    participants: Sequence[str],
    rows: Sequence[Mapping[str, str]],
    described: Mapping[str, Mapping[str, Any]],
) -> tuple[tuple[Covariate, ...], tuple[str, ...]]:
    by_name = by_participant(rows)
    notes = []
    strangers = len(by_name.keys() - set(participants))
    if strangers:
        notes.append(f"{strangers} participant(s) of participants.tsv have no results here")
    used: list[Covariate] = []
    for name in told_columns(rows):
        texts = [by_name.get(p, {}).get(name) for p in participants]
        covariate, note = classify(name, texts, described.get(name))
        if covariate and len(used) == MAX_COLUMNS:
            note = f"{shown(name)}: not looked at (only the first {MAX_COLUMNS} columns are)"
        elif covariate:
            used.append(covariate)
        notes += [note] if note else []
    return tuple(used), tuple(notes)


def _as_levels(
    name: str, title: str, texts: Sequence[str], known: Mapping[str, Any]
) -> tuple[Covariate | None, str]:
    counts = Counter(text for text in texts if text)
    enough = [level for level, count in counts.most_common() if count >= MIN_PER_LEVEL]
    if len(enough) > MAX_LEVELS:
        return None, f"{title}: {len(counts)} different values, too many to compare"
    if len(enough) < 2:
        return None, f"{title}: fewer than two values that {MIN_PER_LEVEL} participants share"
    place = {level: index for index, level in enumerate(enough)}
    values = np.array([place.get(text, np.nan) for text in texts], float)
    called = tuple(_level(level, known) for level in enough)
    rare = [shown(level) for level in counts if level not in place]
    more = f" and {len(rare) - 5} more" if len(rare) > 5 else ""
    note = f"{title}: too few participants are {', '.join(rare[:5])}{more}" if rare else ""
    return Covariate(name, title, called, values), note


def _level(level: str, known: Mapping[str, Any]) -> str:
    """A level, with its meaning where the dictionary gives a short one."""
    meaning = known.get(level)
    meaning = meaning.get("Description") if isinstance(meaning, dict) else meaning
    if not isinstance(meaning, str) or meaning.strip().lower() == level.lower():
        return shown(level)
    return shown(f"{level} ({meaning})") if len(meaning) <= MAX_TEXT // 2 else shown(level)


def _title(name: str, description: Mapping[str, Any]) -> str:
    unit = description.get("Units")
    return shown(f"{name} ({unit})" if isinstance(unit, str) and unit else name)


def _note_on_numbers(title: str, texts: Sequence[str], known: int) -> str:
    top = sorted({text for text in texts if _TOP_CODED.fullmatch(text)})
    other = sum(1 for text in texts if text) - known
    said = [f"{shown(text)} counts as {as_number(text):g}" for text in top[:3]]
    said += [f"{other} value(s) that are no numbers left out"] if other else []
    return f"{title}: {'; '.join(said)}" if said else ""
