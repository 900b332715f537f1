"""Which structure each channel of a network stands for: label tables and mapping files.

A label table is what the network's author gives: a table with names, the label file of ITK-SNAP
that QMRITools keeps beside its networks, or the ``dataset.json`` of nnU-Net. Names nobody knows
are decided in a *mapping file*, which is ours and which the user edits.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from legseg_bids.anatomy.labels import BACKGROUND, label_by_index
from legseg_bids.bids.write import write_text
from legseg_bids.errors import ModelError
from legseg_bids.segment.models import UNREPORTED
from legseg_bids.train.importing.names import Meaning, meaning_of, near_misses

LARGEST_TABLE = 1024**2
COLUMNS = ("channel", "name", "label", "hint")
NUMBERS = ("channel", "index", "value", "label", "id")
SNAP_LINE = re.compile(r'^\s*(\d+)\s+(?:\S+\s+){6}"(.*)"\s*$')
IGNORED = "-"
UNDECIDED = "?"
HOW = (
    f"its column label takes a name, abbreviation or index of the label scheme, background, or "
    f"{IGNORED} for a structure that is not to be reported"
)


@dataclass(frozen=True)
class Channels:
    """What the channels of a network stand for.

    Attributes
    ----------
    names : tuple of str
        The author's names, by channel.
    labels : tuple of int
        Ours: 0 background, -1 not reported; left ones if the network sees one limb.
    both_sides : bool
        Whether left and right have channels of their own.
    """

    names: tuple[str, ...]
    labels: tuple[int, ...]
    both_sides: bool


def read_label_table(path: Path) -> tuple[str, ...]:
    """Names of the channels, background first.

    Parameters
    ----------
    path : Path
        ``.json`` (nnU-Net's ``dataset.json``, or an object of names and numbers), a label file of
        ITK-SNAP, or a table (tabs or commas) with a column ``name`` and one of ``channel``,
        ``index``, ``value``, ``label``, ``id``. Background may be left out if it is 0.

    Raises
    ------
    ModelError
        If it cannot be read, or its numbers do not run from 0 without a gap, or a name or a
        number comes twice.
    """
    if not path.is_file() or path.stat().st_size > LARGEST_TABLE:
        raise ModelError(
            f"label table {path} is not a file of at most {LARGEST_TABLE} bytes; expected the "
            f"names of the network's classes; give it with --labels"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = _rows_of_json(json.loads(text)) if path.suffix == ".json" else _rows_of_text(text)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"label table {path} cannot be read: {error}; expected a table with the columns "
            f"channel and name, a label file of ITK-SNAP, or nnU-Net's dataset.json"
        ) from error
    return _in_order(path, rows)


def _rows_of_json(told: Mapping[str, Any]) -> list[tuple[int, str]]:
    labels = told.get("labels", told)
    if not isinstance(labels, dict):
        raise ValueError("it holds no object labels")
    if any(isinstance(value, list) for value in labels.values()):
        raise ValueError("its labels are regions that overlap; expected one label a voxel")
    numbered = all(str(key).isdigit() for key in labels)
    pairs = [(k, v) if numbered else (v, k) for k, v in labels.items()]
    return [(int(n), str(name)) for n, name in pairs if str(name) != "ignore"]


def _rows_of_text(text: str) -> list[tuple[int, str]]:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    found = [SNAP_LINE.match(line) for line in lines]
    if lines and all(found):
        return [(int(m[1]), re.sub(r"^\d+\s+", "", m[2]).strip()) for m in found if m]
    reader = csv.DictReader(lines, delimiter="\t" if lines and "\t" in lines[0] else ",")
    number = next((n for n in NUMBERS if n in (reader.fieldnames or ())), None)
    if number is None or "name" not in (reader.fieldnames or ()):
        raise ValueError(f"its columns are {reader.fieldnames}")
    return [(int(row[number]), (row["name"] or "").strip()) for row in reader]


def _in_order(path: Path, rows: Sequence[tuple[int, str]]) -> tuple[str, ...]:
    by_number = dict(rows)
    for what, told in (("number", [str(n) for n, _ in rows]), ("name", [n for _, n in rows])):
        twice = sorted({text for text in told if told.count(text) > 1})
        if twice:
            raise ModelError(
                f"label table {path} has the {what} {', '.join(twice)} more than once; expected "
                f"each {what} once; correct the table"
            )
    by_number.setdefault(BACKGROUND, "background")
    if sorted(by_number) != list(range(len(by_number))) or len(by_number) < 2:
        raise ModelError(
            f"label table {path} has the numbers {sorted(by_number)}; expected 0 (background), "
            f"1, 2, … without a gap, one for each channel; correct the table"
        )
    return tuple(by_number[n] for n in range(len(by_number)))


def decide(names: Sequence[str], mapping: Path) -> Channels:
    """Find out what each channel stands for, by its name or by the mapping file.

    Parameters
    ----------
    names : sequence of str
        By channel.
    mapping : Path
        Mapping file. If it exists, it decides; if it does not and names are unknown, a draft is
        written there.

    Raises
    ------
    ModelError
        If a name is unknown or two mean the same; the message says which, what they look like,
        and where to decide it.
    """
    if mapping.exists():
        return _checked(names, _read_mapping(names, mapping), mapping)
    found = [meaning_of(name) for name in names]
    unknown = [name for name, meaning in zip(names, found, strict=True) if meaning is None]
    twice = _meant_twice(names, found)
    if unknown or twice:
        write_text(mapping, _draft(names, found))
        raise ModelError(
            f"{_list_unknown(unknown)}{_list_twice(twice)}; expected names, abbreviations or "
            f"indices of the label scheme; a draft of the mapping file is in {mapping}: {HOW}; "
            f"complete it, and give the same command again"
        )
    return _checked(names, [m for m in found if m], mapping)


def write_mapping(path: Path, channels: Channels) -> None:
    """Write what was decided, in the form of a mapping file."""
    special = {BACKGROUND: "background", UNREPORTED: IGNORED}
    rows = [
        (i, name, special.get(label) or label_by_index(label).abbreviation, "")
        for i, (name, label) in enumerate(zip(channels.names, channels.labels, strict=True))
    ]
    write_text(path, _table(rows))


def _list_unknown(unknown: Sequence[str]) -> str:
    told = [f"{name!r} ({_like(name)})" for name in unknown]
    return f"nobody knows the structure {', '.join(told)}" if told else ""


def _list_twice(twice: Sequence[tuple[str, ...]]) -> str:
    return "; ".join(" and ".join(map(repr, names)) + " mean the same" for names in twice)


def _like(name: str) -> str:
    close = near_misses(name)
    return f"it looks like {' or '.join(close)}" if close else "nothing looks like it"


def _meant_twice(names: Sequence[str], found: Sequence[Meaning | None]) -> list[tuple[str, ...]]:
    """Names of channels that would become one label, without anybody having said so."""
    by_label: dict[int, list[str]] = {}
    for name, meaning in zip(names, found, strict=True):
        if meaning is not None:
            by_label.setdefault(meaning.sided, []).append(name)
    return [tuple(same) for same in by_label.values() if len(same) > 1]


def _draft(names: Sequence[str], found: Sequence[Meaning | None]) -> str:
    rows = []
    for i, (name, meaning) in enumerate(zip(names, found, strict=True)):
        if meaning is None:
            rows.append((i, name, UNDECIDED, _like(name)))
        elif meaning.index == BACKGROUND:
            rows.append((i, name, "background", ""))
        else:
            told = label_by_index(meaning.sided).abbreviation
            rows.append((i, name, told if meaning.side else told.removesuffix("_L"), ""))
    return _table(rows)


def _table(rows: Sequence[tuple[object, ...]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter="\t", lineterminator="\n")
    writer.writerows([COLUMNS, *rows])
    return buffer.getvalue()


def _read_mapping(names: Sequence[str], path: Path) -> list[Meaning]:
    """What the mapping file says of each channel."""
    if path.stat().st_size > LARGEST_TABLE:
        raise ModelError(f"mapping file {path} has more than {LARGEST_TABLE} bytes; shorten it")
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    rows = list(csv.DictReader(lines, delimiter="\t"))
    told = [(row.get("channel"), row.get("name")) for row in rows]
    if told != [(str(i), name) for i, name in enumerate(names)]:
        raise ModelError(
            f"mapping file {path} has {len(rows)} rows that are not the {len(names)} channels of "
            f"this network; expected the columns {', '.join(COLUMNS)} and a row for each channel "
            f"in its order; remove the file to have a new draft written"
        )
    return [_decision(row, path) for row in rows]


def _decision(row: Mapping[str, str], path: Path) -> Meaning:
    text = (row.get("label") or "").strip()
    if text == IGNORED:
        return Meaning(UNREPORTED, "n/a")
    found = meaning_of(text) if text else None
    if found is None:
        raise ModelError(
            f"mapping file {path} says {text!r} of channel {row['channel']} ({row['name']}), "
            f"which nobody knows ({_like(text or row['name'])}); {HOW}"
        )
    return found


def _checked(names: Sequence[str], found: Sequence[Meaning], mapping: Path) -> Channels:
    """Settle whether the network tells the sides apart."""
    sides = {meaning.side for meaning in found} - {"n/a"}
    if sides - {"left", "right"} and sides & {"left", "right"}:
        vague = [n for n, m in zip(names, found, strict=True) if not m.side]
        raise ModelError(
            f"some structures have a side and {', '.join(map(repr, vague))} none; expected left "
            f"and right for all (whole slices) or for none (one limb); say which in {mapping}"
        )
    if sides == {"right"}:
        raise ModelError(
            "all structures are on the right; expected left ones, none with a side (the network "
            f"sees one limb), or both; say which in {mapping}"
        )
    labels = tuple(UNREPORTED if m.index == UNREPORTED else m.sided for m in found)
    if BACKGROUND not in labels:
        raise ModelError(
            f"no channel is background among {', '.join(names)}; expected one; name it in "
            f"{mapping}"
        )
    return Channels(tuple(names), labels, "right" in sides)
