"""Architectures by name, so that a model's metadata can say which one it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

_REGISTRY: dict[str, Callable[..., nn.Module]] = {}


def register(factory: type[nn.Module]) -> type[nn.Module]:
    """Class decorator: make an architecture available under its class name."""
    _REGISTRY[factory.__name__] = factory
    return factory


def create(name: str, **options: Any) -> nn.Module:
    """Build an architecture by name.

    Raises
    ------
    ValueError
        If no architecture has that name; the message lists those there are.

    Examples
    --------
    >>> type(create("LocatorNet")).__name__
    'LocatorNet'
    """
    if name not in _REGISTRY:
        msg = f"unknown network {name!r}; expected one of {', '.join(sorted(_REGISTRY))}"
        raise ValueError(msg)
    return _REGISTRY[name](**options)
