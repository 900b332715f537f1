"""Every factor that the simulation varies: its name, its range for people, and where that is from.

The table is ``data/factors.tsv``; how a field of :class:`legseg_bids.synth.ranges.Ranges` is read
aloud stands in ``data/range_words.tsv``. The values themselves stand in neither: they are taken
from the ranges, so that the page of the documentation cannot say anything else.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from legseg_bids.errors import UsageError
from legseg_bids.synth.ranges import Ranges

#: The groups of the table, in the order of the page, and their headings.
GROUPS: Mapping[str, str] = MappingProxyType(
    {
        "shape": "Shape of the muscles",
        "position": "How the limb lies",
        "body": "Build of the body",
        "disease": "Disease",
        "tissue": "Tissue",
        "scan": "Scan",
        "view": "Field of view",
        "fault": "Faults",
    }
)
_NUMBERS = ("", "", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True)
class Factor:
    """One thing that the simulation varies.

    Attributes
    ----------
    name : str
        Kebab-case; also that of its picture.
    title, what : str
        For people; ``what`` is one sentence.
    ranges : tuple of str
        The fields of :class:`Ranges` that hold it.
    fixed : str
        What stands in the code and not in the ranges, in words; may be empty.
    source : str
        Where the range comes from, or why it was chosen.
    group : str
        A key of :data:`GROUPS`.
    """

    name: str
    title: str
    what: str
    ranges: tuple[str, ...]
    fixed: str
    source: str
    group: str

    def values(self, r: Ranges | None = None) -> tuple[str, ...]:
        """Each of its ranges for people, and last what is fixed.

        Examples
        --------
        >>> factor_by_name("subcutaneous-fat").values()
        ('thickness 3 to 55 mm',)
        """
        r = Ranges() if r is None else r
        said = [say_range(name, getattr(r, name)) for name in self.ranges]
        return (*said, *([self.fixed] if self.fixed else []))


@cache
def load_factors() -> tuple[Factor, ...]:
    """All factors, in the order of the page.

    Examples
    --------
    >>> load_factors()[0].group
    'shape'
    """
    order = list(GROUPS)
    found = [_factor(row) for row in read_rows("factors.tsv")]
    return tuple(sorted(found, key=lambda factor: order.index(factor.group)))


def factor_by_name(name: str) -> Factor:
    """Look up a factor.

    Raises
    ------
    UsageError
        If there is none of this name.
    """
    for factor in load_factors():
        if factor.name == name:
            return factor
    known = ", ".join(factor.name for factor in load_factors())
    raise UsageError(f"{name!r} is no factor of the simulation; expected one of {known}")


def _factor(row: Mapping[str, str]) -> Factor:
    ranges = tuple(name.strip() for name in row["ranges"].split(",") if name.strip())
    return Factor(**{**row, "ranges": ranges})  # type: ignore[arg-type]


def read_rows(name: str) -> list[dict[str, str]]:
    """Rows of one of this room's tab-separated tables."""
    text = resources.files(__package__).joinpath("data", name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))


@cache
def range_words() -> Mapping[str, tuple[str, str]]:
    """For every field of the ranges its words, with ``{}`` for the value, and the value's form."""
    rows = read_rows("range_words.tsv")
    return MappingProxyType({row["name"]: (row["words"], row["form"]) for row in rows})


def say_range(name: str, value: Any) -> str:
    """The value of a field of :class:`Ranges` for people.

    Examples
    --------
    >>> say_range("skin_depth", (3.0, 55.0))
    'thickness 3 to 55 mm'
    >>> say_range("oedema_probability", 0.1)
    'one in ten'
    """
    words, form = range_words()[name]
    return words.format(FORMS[form](value))


def say_chance(probability: float) -> str:
    """A probability as a count.

    Examples
    --------
    >>> [say_chance(p) for p in (0.5, 0.1, 0.3, 0.35, 0.04, 0.0)]
    ['one in two', 'one in ten', 'three in ten', '35 in 100', '4 in 100', 'never']
    """
    if probability <= 0:
        return "never"
    for of in range(2, 11):
        if (of in (2, 3, 4, 5) or of == 10) and math.isclose(
            probability * of, round(probability * of)
        ):
            count = round(probability * of)
            return f"{'one' if count == 1 else _NUMBERS[count]} in {_NUMBERS[of]}"
    return f"{100 * probability:.3g} in 100"


def _span(unit: str, change: Callable[[float], float] = float) -> Callable[[Any], str]:
    """Writes ``low to high unit``, or one number with its unit."""

    def say(value: Any) -> str:
        pair = value if isinstance(value, tuple) else (value,)
        numbers = [f"{change(v):.3g}".replace("-", "−") for v in pair]
        return " to ".join(numbers) + unit

    return say


def _choices(options: tuple[tuple[str, float], ...]) -> str:
    """Names with their shares, the most frequent first."""
    total = sum(weight for _, weight in options)
    ranked = sorted(options, key=lambda option: -option[1])
    return ", ".join(f"{name.replace('_', ' ')} {100 * w / total:.0f} %" for name, w in ranked)


def _spread(sigma: float) -> str:
    """A standard deviation of a logarithm, as the factors one of it makes."""
    return f"{math.exp(-sigma):.2f} to {math.exp(sigma):.2f} times"


#: How a value is written, by the form that ``range_words.tsv`` names.
FORMS: Mapping[str, Callable[[Any], str]] = MappingProxyType(
    {
        "mm": _span(" mm"),
        # of two fields that are added, each has half of it
        "half_mm": _span(" mm", lambda v: v / 2),
        "degrees": _span("°"),
        "slope": _span("°", lambda v: math.degrees(math.atan(v))),
        "percent": _span(" %", lambda v: 100 * v),
        "times": _span(" times"),
        "number": _span(""),
        "exponential": _span(" times", math.exp),
        "spread": _spread,
        "chance": say_chance,
        "choices": _choices,
    }
)
