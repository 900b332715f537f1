"""``--config-file``: the settings of an earlier run, read from its log.

Every run writes ``logs/sub-<label>/<run>.toml``. Its table ``[settings]`` becomes the defaults
of the command line, so that whatever is written there goes first.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from legseg_bids.errors import UsageError
from legseg_bids.settings import Settings

#: Type of a field, as written in `Settings` → type of the value in TOML, and its name.
_TYPES: dict[str, tuple[type, str]] = {
    "Path": (str, "a path in quotes"),
    "Path | None": (str, "a path in quotes"),
    "str": (str, "text in quotes"),
    "tuple[str, ...]": (list, "a list of labels in quotes"),
    "bool": (bool, "true or false"),
    "int": (int, "a whole number"),
    "int | None": (int, "a whole number"),
}
#: Fields that the command line knows by another name.
_OPTIONS = {
    "participants": "participant_label",
    "sessions": "session_label",
    "models_dir": "models",
    "filter_file": "bids_filter_file",
    "plugin_file": "use_plugin",
    "write_reports": "reports",
}


def read_config(path: Path) -> dict[str, Any]:
    """Values of the settings in a run's log, checked; other tables are left alone.

    Returns
    -------
    dict of str to object
        Field of :class:`Settings` to plain value.

    Raises
    ------
    UsageError
        If the file cannot be read, or holds a setting that does not exist or is of another
        type.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"configuration {path} cannot be read ({error}); expected the TOML log of a run; "
            "look into OUTPUT_DIR/logs/sub-<label>"
        ) from error
    saved = content.get("settings")
    if not isinstance(saved, dict):
        raise UsageError(
            f"configuration {path} has no table [settings]; expected the TOML log of a run; "
            "look into OUTPUT_DIR/logs/sub-<label>"
        )
    known = {field.name: str(field.type) for field in dataclasses.fields(Settings)}
    for name, value in saved.items():
        _check(path, name, value, known)
    return saved


def as_arguments(saved: Mapping[str, Any]) -> dict[str, Any]:
    """The same as defaults of the command line.

    A log holds workers, and threads and memory of each; the command line asks for processors
    and memory of the whole run.

    Examples
    --------
    >>> as_arguments({"nprocs": 2, "omp_nthreads": 4, "memory": 1000, "participants": ["01"]})
    {'omp_nthreads': 4, 'participant_label': ['01'], 'nprocs': 8, 'mem': '2000B'}
    """
    words = {
        _OPTIONS.get(name, name): value
        for name, value in saved.items()
        if name not in ("nprocs", "memory")
    }
    workers, threads = saved.get("nprocs"), saved.get("omp_nthreads", 1)
    if workers is not None:
        words["nprocs"] = workers * threads
    if "memory" in saved:
        words["mem"] = f"{saved['memory'] * (workers or 1)}B"
    paths = {f.name for f in dataclasses.fields(Settings) if "Path" in str(f.type)}
    return words | {_OPTIONS.get(name, name): Path(saved[name]) for name in paths & saved.keys()}


def _check(path: Path, name: str, value: object, known: Mapping[str, str]) -> None:
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(
            f"configuration {path}: {name!r} is no setting; expected one of "
            f"{', '.join(known)}{meant}"
        )
    kind, expected = _TYPES[known[name]]
    fits = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    if isinstance(value, list):
        fits = fits and all(isinstance(entry, str) for entry in value)
    if kind is int and fits:
        fits = name == "random_seed" or int(str(value)) > 0
    if not fits:
        raise UsageError(
            f"configuration {path}: {name} is {value!r}; expected {expected}; repair it"
        )
