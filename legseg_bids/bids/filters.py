"""Filters from a file: which images each query may take (``--bids-filter-file``).

The file is JSON, ``{query: {entity: value}}``. Query names are those of ``data/queries.json``
in any case, or ``all``. What a filter says must hold beside the chosen participants and
sessions, and several filters must all hold.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path, PurePath
from typing import Any

from legseg_bids.bids.entities import load_entities
from legseg_bids.bids.queries import load_queries
from legseg_bids.bids.spellings import Spelling, read_spelling
from legseg_bids.errors import UsageError

EVERY = "all"
ANY = "*"
BESIDE_ENTITIES = ("suffix", "datatype", "extension")
Wanted = tuple[str | None, ...]
"""Values of which one must hold; None is "absent", ``*`` any value."""


@dataclass(frozen=True)
class Filters:
    """What each query may take.

    Attributes
    ----------
    rules : dict of str to dict
        ``{query: {key: values}}``, with short keys of entities (``acq``), ``suffix``,
        ``datatype`` or ``extension``; the query ``all`` is every query.
    """

    rules: Mapping[str, Mapping[str, Wanted]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.rules)

    def allows(self, query: str, spelling: Spelling) -> bool:
        """Tell whether a query may take an image."""
        wanted = [*self.rules.get(EVERY, {}).items(), *self.rules.get(query, {}).items()]
        return all(_holds(key, values, spelling) for key, values in wanted)

    def allows_any(self, spelling: Spelling) -> bool:
        """Tell whether there is a query that may take an image."""
        return any(self.allows(query, spelling) for query in query_names())


def query_names() -> tuple[str, ...]:
    """Names of the queries.

    Examples
    --------
    >>> query_names()
    ('opposed', 'echoes', 'water_fat')
    """
    return tuple(query.name for query in load_queries().queries)


def read_filters(path: Path) -> Filters:
    """Read a filter file.

    Parameters
    ----------
    path : Path
        JSON, ``{query: {entity: value}}``. A value is a string or a whole number; null for
        "the name lacks this entity"; ``"*"`` for "it has one"; or a list of these, of which one
        must hold.

    Raises
    ------
    UsageError
        If the file cannot be read, or names an unknown query, an unknown entity, or a value of
        another kind.
    """
    content = _mapping(_read(path), f"{path}")
    rules: dict[str, dict[str, Wanted]] = {}
    for name, entities in content.items():
        query = _known(name.lower(), (EVERY, *query_names()), f"query {name!r} in {path}")
        if query in rules:
            raise UsageError(f"query {query} stands twice in {path}; expected once; join them")
        rules[query] = _rule(_mapping(entities, f"query {name!r} in {path}"), query, path)
    return Filters(rules)


def filter_counts(images: Iterable[PurePath], filters: Filters) -> list[str]:
    """One line for each query: how many images it may take.

    Parameters
    ----------
    images : iterable of PurePath
        Of the participants and sessions that were chosen, relative to their dataset.
    filters : Filters
        From `read_filters`.
    """
    table = load_queries()
    spelt = [read_spelling(path, table) for path in images]
    known = [spelling for spelling in spelt if spelling is not None]
    return [
        f"filter: query {query} may take "
        f"{sum(filters.allows(query, spelling) for spelling in known)} of {len(known)} images "
        "of the chosen participants and sessions"
        for query in query_names()
    ]


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_once)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read ({error.strerror}); expected a JSON file; "
            "check --bids-filter-file"
        ) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{path} is not JSON ({error}); expected {{query: {{entity: value}}}}; repair the file"
        ) from error


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a key that stands twice, of which JSON would drop the first."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"{twice!r} stands twice")
    return found


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise UsageError(f"{where} is no object; expected {{query: {{entity: value}}}}; repair it")


def _rule(entities: Mapping[str, Any], query: str, path: Path) -> dict[str, Wanted]:
    keys = _keys()
    rule: dict[str, Wanted] = {}
    for name, value in entities.items():
        where = f"entity {name!r} of query {query} in {path}"
        key = keys[_known(name, list(keys), where)]
        if key in rule:
            raise UsageError(f"{where} stands there by another name too; expected once; join them")
        values = value if isinstance(value, list) else [value]
        rule[key] = tuple(_value(key, one, where) for one in values)
    return rule


def _keys() -> dict[str, str]:
    """Every name of what may be filtered by, and the key it stands for."""
    entities = load_entities().values()
    named = {entity.name: entity.key for entity in entities}
    return {**named, **{e.key: e.key for e in entities}, **{key: key for key in BESIDE_ENTITIES}}


def _known(name: str, known: Iterable[str], where: str) -> str:
    if name in (options := list(known)):
        return name
    near = get_close_matches(name, options, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "correct the name"
    raise UsageError(f"{where} is unknown; expected one of {', '.join(options)}; {hint}")


def _value(key: str, value: Any, where: str) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise UsageError(
            f"{where} has the value {value!r}; expected a string, a whole number, null, or a list "
            "of these; correct the file"
        )
    return str(value).removeprefix(f"{key}-")


def _holds(key: str, values: Wanted, spelling: Spelling) -> bool:
    return any(_matches(found, wanted) for found in _found(key, spelling) for wanted in values)


def _found(key: str, spelling: Spelling) -> Sequence[str | None]:
    """What an image has: one value, or for the suffix each way to call it."""
    if key == "suffix":
        return (spelling.suffix, spelling.type.suffix, spelling.type.words)
    special = {
        "sub": spelling.subject,
        "ses": spelling.session,
        "datatype": spelling.datatype,
        "extension": spelling.extension,
    }
    return (special[key] if key in special else spelling.get(key),)


def _matches(found: str | None, wanted: str | None) -> bool:
    if wanted is None or found is None:
        return found is wanted
    if found.isdecimal() and wanted.isdecimal():
        return int(found) == int(wanted)
    return wanted in {ANY, found}
