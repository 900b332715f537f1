"""Attributes of one frame, wherever its file keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Source:
    """The header as it holds for one frame: its own groups, the shared ones, the file's.

    Parameters
    ----------
    datasets : sequence of pydicom.Dataset
        The nearest first.
    """

    def __init__(self, datasets: Sequence[Any]) -> None:
        self.datasets = datasets

    def get(self, name: str | int, default: Any = None) -> Any:
        """The nearest value that is not empty."""
        for dataset in self.datasets:
            if name in dataset:
                value = dataset[name].value
                if value is not None and value != "":
                    return value
        return default

    def text(self, name: str) -> str:
        """A value as text, empty where there is none."""
        return str(self.get(name, "")).strip()

    def number(self, *names: str) -> float | None:
        """The first of several values that is a number."""
        for name in names:
            try:
                return float(self.get(name))
            except (TypeError, ValueError):
                continue
        return None

    def numbers(self, name: str, count: int) -> tuple[float, ...] | None:
        """A value of so many numbers; None where it is another one."""
        try:
            values = tuple(float(value) for value in self.get(name, ()))
        except (TypeError, ValueError):
            return None
        return values if len(values) == count else None

    def words(self, name: str | int) -> tuple[str, ...]:
        """A value of several words."""
        value = self.get(name, ())
        many = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        return tuple(str(word).strip() for word in many if str(word).strip())


def flat(groups: Sequence[Any]) -> list[Any]:
    """The datasets that functional groups hold; those of the standard before private ones.

    Parameters
    ----------
    groups : sequence of pydicom.Dataset
        One item of a sequence of functional groups, or none.
    """
    public: list[Any] = []
    private: list[Any] = []
    for item in groups:
        for element in item:
            if element.VR == "SQ" and len(element.value):
                (private if element.tag.is_private else public).append(element.value[0])
    return [*public, *private]
