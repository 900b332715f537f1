"""A recipe from its TOML file: every key checked, folders relative to the file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from legseg_bids.anatomy.regions import Region
from legseg_bids.errors import UsageError
from legseg_bids.train.own.checks import check, one_of
from legseg_bids.train.own.recipe import (
    Data,
    Grid,
    Optimiser,
    Recipe,
    Schedule,
    Split,
    Start,
    Tune,
)

Table = TypeVar("Table")


def load_recipe(path: Path) -> Recipe:
    """Read a recipe; relative folders in it are relative to its own.

    Raises
    ------
    UsageError
        If it cannot be read, names a key that does not exist or lacks one, or a value is
        impossible.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"cannot read the recipe {path}: {error}; expected a TOML file"
        ) from error
    return read_recipe(table, path.stem, path.parent)


def read_recipe(table: Mapping[str, Any], name: str, folder: Path = Path()) -> Recipe:
    """A recipe from its tables.

    Parameters
    ----------
    table : mapping
        As the TOML file has them.
    name : str
        Of the recipe.
    folder : Path
        What relative folders are relative to.

    Raises
    ------
    UsageError
        If a key does not exist or is missing, or a value is impossible.

    Examples
    --------
    >>> table = {"raw": "study", "labels": "study/derivatives/hand"}
    >>> recipe = read_recipe({"region": "upper", "data": [table], "start": {"bundle": "thigh"}},
    ...                      "mine")
    >>> recipe.schedule.kind, recipe.data[0].files
    ('one_cycle', '*_dseg.nii.gz')
    """
    values = dict(table)
    one_of("the recipe", "region", values.get("region", "upper"), sorted(Region))
    data = values.get("data", [])
    if not isinstance(data, list) or not data:
        raise UsageError(
            "the recipe has no [[data]]; expected one for each dataset, raw and labels"
        )
    values["data"] = [_data(entry, folder) for entry in data]
    for key, kind in _PARTS.items():
        if key in values:
            values[key] = _filled(kind, values[key], f"[{key}]")
    if "start" in values:
        values["start"] = _placed(values["start"], folder)
    if isinstance(values.get("classes"), str):
        values["classes"] = [values["classes"]]
    recipe = _filled(Recipe, {"name": name, **values}, "the recipe")
    check(recipe)
    return recipe


_PARTS = {
    "grid": Grid, "optimiser": Optimiser, "schedule": Schedule, "split": Split, "start": Start,
    "tune": Tune,
}  # fmt: skip


def _data(entry: Any, folder: Path) -> Data:
    data = _filled(Data, entry, "[[data]]")
    return Data(str(folder / data.raw), str(folder / data.labels), data.files, data.names)


def _placed(start: Start, folder: Path) -> Start:
    """With its files relative to the recipe's folder; a bundle may also be a shipped one."""
    if start.bundle and (folder / start.bundle).is_dir():
        start = replace(start, bundle=str(folder / start.bundle))
    if start.bundle and start.imagenet:
        raise UsageError(
            "[start] has both `bundle` and `imagenet`; expected one; a bundle's encoder has been "
            "trained already"
        )
    return replace(start, imagenet=str(folder / start.imagenet)) if start.imagenet else start


def _filled(kind: type[Table], table: Any, where: str) -> Table:
    """A dataclass from a table whose keys are its fields."""
    known: dict[str, Field[Any]] = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    if not isinstance(table, Mapping):
        raise UsageError(
            f"{where} is {table!r}; expected a table with the keys {', '.join(known)}"
        )
    for key in table:
        if key not in known:
            raise UsageError(f"{where} has no key {key!r}; it has: {', '.join(known)}")
    for key, entry in known.items():
        required = entry.default is MISSING and entry.default_factory is MISSING
        if required and key not in table:
            raise UsageError(f"{where} lacks the key {key!r}; expected it")
    return kind(**{key: _value(known[key], value, where) for key, value in table.items()})


def _value(entry: Field[Any], value: Any, where: str) -> Any:
    """A value of the type of the field's default; lists become tuples."""
    if isinstance(value, list):
        value = tuple(value)
    default = entry.default
    if default is MISSING or entry.name == "augment":
        return value
    number = type(default) is float and type(value) is int
    right = number or type(value) is type(default)
    if right and isinstance(default, tuple) and default:
        kinds = (int, float) if isinstance(default[0], float) else (type(default[0]),)
        lengths = isinstance(default[0], str) or len(value) == len(default)
        right = lengths and all(type(item) in kinds for item in value)
    if not right:
        raise UsageError(
            f"{where} has {entry.name} = {value!r}; expected something like {default!r}"
        )
    return float(value) if number else value
