"""The entities of file names: their order, their names, and what BIDS lets them say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType


@dataclass(frozen=True)
class Entity:
    """One row of ``data/entities.json``.

    Attributes
    ----------
    key, name : str
        As in a file name (``acq``) and in words (``acquisition``, also pybids' name).
    standard : bool
        Whether BIDS knows it.
    output : bool
        Whether an anatomical derivative may carry it.
    index : bool
        Whether its values are numbers.
    values : tuple of str
        The only values that BIDS allows; empty means any.
    """

    key: str
    name: str
    standard: bool = True
    output: bool = False
    index: bool = False
    values: tuple[str, ...] = ()


@cache
def load_entities() -> Mapping[str, Entity]:
    """Load the table of entities, by key; those of BIDS come first, in the order it wants.

    Examples
    --------
    >>> load_entities()["acq"].name
    'acquisition'
    """
    text = resources.files(__package__).joinpath("data", "entities.json").read_text("utf-8")
    raw = json.loads(text)
    rows = [(row, True) for row in raw["entities"]] + [(row, False) for row in raw["others"]]
    entities = [
        Entity(**{**row, "standard": known, "values": tuple(row.get("values", ()))})
        for row, known in rows
    ]
    return MappingProxyType({entity.key: entity for entity in entities})


@cache
def entity_order() -> tuple[str, ...]:
    """Short entity keys in the order that BIDS 1.11.1 wants (``rules/entities.yaml``).

    Examples
    --------
    >>> entity_order()[:2]
    ('sub', 'ses')
    """
    return tuple(key for key, entity in load_entities().items() if entity.standard)
