"""What the numbers of two label images mean, and which structures both can be compared on.

Everything goes by names. A number covers one or several labels of our scheme; where one of two
schemes is coarser (both sides in one number, the quadriceps as one), the other one's numbers are
taken together. What only one of them knows is told, not dropped.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType

from legseg_bids.anatomy.labels import BACKGROUND, load_labels
from legseg_bids.errors import ImageError, UsageError
from legseg_bids.evaluate.label_tables import Told, find_table, names_in_header, read_names
from legseg_bids.evaluate.overlap import foreign_labels
from legseg_bids.evaluate.structures import (
    SUFFIXES,
    Covered,
    covered_by,
    is_part,
    key_of,
    near_names,
    read_data,
    side_of,
    with_parts,
)

#: Schemes that are columns of the label table; the first is the label scheme itself.
COLUMNS = ("legseg", "musclemap", "atlas", "thigh_partial")
#: Other names of schemes.
SAME = MappingProxyType({"qmritools_legs": "legseg", "musclemap_1.4": "musclemap"})


@dataclass(frozen=True)
class Scheme:
    """What the numbers of a label image mean.

    Attributes
    ----------
    name : str
        Of the scheme, or the file that tells.
    structures : mapping of int to str
        Number → short name, as of :func:`legseg_bids.evaluate.structures.key_of`.
    covers : mapping of int to frozenset of int
        Number → labels of our scheme.
    unknown : mapping of int to str
        Numbers whose names stand for nothing of ours, such as another part of the body.
    """

    name: str
    structures: Mapping[int, str]
    covers: Mapping[int, Covered]
    unknown: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Structure:
    """What two schemes have in common.

    Attributes
    ----------
    name : str
        Abbreviation, group, or abbreviations with a plus between them; without a side, if it is
        on one.
    side : str
        ``left`` or ``right``; ``n/a`` for both sides together, or what has none.
    reference, predicted : tuple of int
        Numbers of the first and of the second scheme.
    members : tuple of int
        Labels of our scheme.
    """

    name: str
    side: str
    reference: tuple[int, ...]
    predicted: tuple[int, ...]
    members: tuple[int, ...]


@dataclass(frozen=True)
class LeftOut:
    """What cannot be compared.

    Attributes
    ----------
    found_in : str
        ``reference`` or ``prediction``.
    label : int
    structure : str
        Short name, or the name that nobody knows.
    reason : str
    """

    found_in: str
    label: int
    structure: str
    reason: str


def read_scheme(
    image: Path, table: Path | None = None, scheme: str | None = None, *, strict: bool = False
) -> Scheme:
    """Find out what the numbers of a label image mean.

    Parameters
    ----------
    image : Path
    table : Path or None
        A file that names the numbers (:mod:`legseg_bids.evaluate.label_tables`). Without one, a
        table beside the image is looked for, then a label table in its header.
    scheme : str or None
        Name of a known scheme (:func:`scheme_names`); goes before any table.
    strict : bool
        Whether a name that nobody knows is an error; else it is told in ``unknown``.

    Raises
    ------
    ImageError
        If nothing tells, or none of the names is known (with ``strict``: or one of them).
    UsageError
        If there is no scheme of that name.
    """
    if scheme is not None:
        return known_scheme(scheme)
    path = table or find_table(image)
    told = read_names(path) if path else names_in_header(image)
    if not told:
        raise ImageError(
            f"nothing tells what the numbers of {image} mean; expected a table beside it "
            f"({image.name.partition('.nii')[0]}.tsv with the columns index and name, dseg.tsv, "
            "dataset.json) or a label table in its header; give a table with --table, or name a "
            f"scheme with --scheme ({', '.join(scheme_names())})"
        )
    return _of_told(str(path or image), told, strict=strict)


def scheme_of_names(
    names: Mapping[int, str], scheme: str | None = None, *, strict: bool = False
) -> Scheme:
    """A scheme of names alone, such as those of the files of TotalSegmentator.

    Parameters
    ----------
    names : mapping of int to str
    scheme : str or None
        What to call it; the names tell what the numbers mean.
    strict : bool
        See :func:`read_scheme`.

    Raises
    ------
    ImageError
        If none of the names is known (with ``strict``: or one of them).

    Examples
    --------
    >>> found = scheme_of_names({1: "sartorius_left", 2: "deltoid"})
    >>> dict(found.structures), dict(found.unknown)
    ({1: 'SAR_L'}, {2: 'deltoid'})
    """
    told = {number: Told((name,)) for number, name in names.items()}
    return _of_told(scheme or "names", told, strict=strict)


def scheme_names() -> tuple[str, ...]:
    """Names of the schemes that need no table.

    Examples
    --------
    >>> "totalsegmentator_total_mr" in scheme_names()
    True
    """
    return (*COLUMNS, *SAME, *_tables())


@cache
def known_scheme(name: str) -> Scheme:
    """A scheme by its name.

    Raises
    ------
    UsageError
        If there is none; the message names those that there are.

    Examples
    --------
    >>> known_scheme("musclemap").structures[7131], known_scheme("thigh_partial").structures[2]
    ('RF_L', 'RF')
    """
    name = SAME.get(name, name)
    if name in _tables():
        told = {number: Told((text,)) for number, text in _tables()[name].items()}
        return _of_told(name, told, strict=False)
    if name == COLUMNS[0]:
        return _scheme(name, {label.index: frozenset({label.index}) for label in load_labels()})
    if name in COLUMNS:
        return _scheme(name, {n: frozenset(ours) for n, ours in foreign_labels(name).items()})
    near = difflib.get_close_matches(name, scheme_names(), 1)
    raise UsageError(
        f"there is no label scheme {name!r}{f' (did you mean {near[0]}?)' if near else ''}; "
        f"expected one of {', '.join(scheme_names())}, or a table with --table"
    )


def common(reference: Scheme, prediction: Scheme) -> tuple[Structure, ...]:
    """The finest structures that both schemes can tell apart, by rising label of ours.

    Numbers of both that cover the same labels are put together until they share no label with
    any other; such a union counts if it covers the same on both sides. A structure that is often
    drawn as a part of another one (adductor minimus) belongs to that one, if a scheme does not
    have it.

    Parameters
    ----------
    reference, prediction : Scheme

    Examples
    --------
    >>> ours = scheme_of_names({1: "RF_L", 2: "VL_L", 3: "VI_L", 4: "VM_L", 5: "SAR_L"})
    >>> theirs = scheme_of_names({1: "quadriceps_femoris_left", 7: "sartorius_left"})
    >>> [(s.name, s.side, s.reference, s.predicted) for s in common(ours, theirs)]
    [('quadriceps', 'left', (2, 3, 4, 1), (1,)), ('SAR', 'left', (5,), (7,))]
    """
    unions = _unions(reference, prediction)
    return tuple(_structure(union, reference, prediction) for union in unions if union.alike)


def left_out(reference: Scheme, prediction: Scheme) -> tuple[LeftOut, ...]:
    """What :func:`common` does not have, and why.

    Examples
    --------
    >>> ours = scheme_of_names({1: "RF_L", 2: "SAR_L"})
    >>> theirs = scheme_of_names({1: "quadriceps_femoris_left", 9: "deltoid"})
    >>> for one in left_out(ours, theirs):
    ...     print(one.found_in, one.label, one.structure, one.reason)
    reference 1 RF_L the prediction has it only together with others (quadriceps_L)
    reference 2 SAR_L the prediction does not have it
    prediction 1 quadriceps_L the reference has only a part of it (RF_L)
    prediction 9 deltoid nobody knows this name
    """
    rows: list[LeftOut] = []
    for union in _unions(reference, prediction):
        if not union.alike:
            rows += _told_apart("reference", union.reference, reference, union, prediction)
            rows += _told_apart("prediction", union.predicted, prediction, union, reference)
    for where, scheme in (("reference", reference), ("prediction", prediction)):
        rows += [
            LeftOut(where, number, name, "nobody knows this name")
            for number, name in scheme.unknown.items()
        ]
    return tuple(sorted(rows, key=lambda row: (row.found_in != "reference", row.label)))


@dataclass(frozen=True)
class _Union:
    """Numbers of both schemes that hang together, and what they cover."""

    reference: tuple[int, ...]
    predicted: tuple[int, ...]
    covered: tuple[Covered, Covered]

    @property
    def alike(self) -> bool:
        return self.covered[0] == self.covered[1]

    def numbers_beside(self, where: str) -> tuple[int, ...]:
        return self.predicted if where == "reference" else self.reference


def _unions(reference: Scheme, prediction: Scheme) -> tuple[_Union, ...]:
    """Put together what shares a label, by rising label."""
    schemes = (_completed(reference), _completed(prediction))
    every = {(w, n): c for w, scheme in enumerate(schemes) for n, c in scheme.items() if c}
    waiting = sorted(every, key=lambda at: (min(every[at]), at))
    found = []
    while waiting:
        together = [waiting.pop(0)]
        covered = every[together[0]]
        while joining := [at for at in waiting if every[at] & covered]:
            together += joining
            covered = covered.union(*(every[at] for at in joining))
            waiting = [at for at in waiting if at not in joining]
        found.append(_union(together, every))
    return tuple(found)


def _union(
    together: Sequence[tuple[int, int]], every: Mapping[tuple[int, int], Covered]
) -> _Union:
    sides = [[at for at in together if at[0] == which] for which in (0, 1)]
    one, two = (frozenset().union(*(every[at] for at in side)) for side in sides)
    by_label = [sorted(side, key=lambda at: (min(every[at]), at[1])) for side in sides]
    first, second = (tuple(number for _, number in side) for side in by_label)
    return _Union(first, second, (one, two))


def _completed(scheme: Scheme) -> dict[int, Covered]:
    """What the numbers cover, with the parts that the scheme does not tell apart."""
    return dict(zip(scheme.covers, with_parts(scheme.covers.values()), strict=True))


def _structure(union: _Union, reference: Scheme, prediction: Scheme) -> Structure:
    told = frozenset().union(
        *(reference.covers[n] for n in union.reference),
        *(prediction.covers[n] for n in union.predicted),
    )
    members = frozenset(i for i in union.covered[0] if i in told or not is_part(i))
    side = side_of(members)
    return Structure(
        key_of(members).removesuffix(SUFFIXES[side]),
        side,
        union.reference,
        union.predicted,
        tuple(sorted(members)),
    )


def _told_apart(
    where: str, numbers: Sequence[int], scheme: Scheme, union: _Union, other: Scheme
) -> Iterator[LeftOut]:
    """Why each of the numbers of one scheme has no counterpart."""
    beside = {"reference": "prediction", "prediction": "reference"}[where]
    theirs = union.numbers_beside(where)
    there = frozenset().union(*(other.covers[n] for n in theirs))
    listed = ", ".join(other.structures[n] for n in theirs)
    for number in numbers:
        mine = scheme.covers[number]
        if not mine & there:
            reason = f"the {beside} does not have it"
        elif mine <= there:
            reason = f"the {beside} has it only together with others ({listed})"
        else:
            reason = f"the {beside} has only a part of it ({listed})"
        yield LeftOut(where, number, scheme.structures[number], reason)


def _of_told(name: str, told: Mapping[int, Told], *, strict: bool) -> Scheme:
    covers: dict[int, Covered] = {}
    unknown: dict[int, str] = {}
    for number, one in told.items():
        covered = _covered(one)
        if number == BACKGROUND or covered == frozenset():
            continue
        if covered is None:
            unknown[number] = " / ".join(one.names)
        else:
            covers[number] = covered
    if unknown and (strict or not covers):
        hints = [f"{text!r}{_hint(text)}" for text in unknown.values()]
        raise ImageError(
            f"{name} names what nobody knows: {', '.join(hints)}; expected names or abbreviations "
            "of the label scheme, or of a group of muscles; correct the table, or give one with "
            "--table"
        )
    return _scheme(name, covers, unknown)


def _covered(told: Told) -> Covered | None:
    """What lies in all regions that hold a number, and in none that does not."""
    within = [covered_by(name) for name in told.names]
    known = [covered for covered in within if covered]
    if not known:
        named = covered_by(told.abbreviation) if told.abbreviation else None
        return named if named is not None else within[0]
    found = frozenset.intersection(*known)
    for other in filter(None, (covered_by(name) for name in told.others)):
        if other < found:
            found -= other
    return found


def _hint(name: str) -> str:
    near = near_names(name)
    return f" (nearest: {', '.join(near)})" if near else ""


def _scheme(
    name: str, covers: Mapping[int, Covered], unknown: Mapping[int, str] | None = None
) -> Scheme:
    structures = {number: key_of(covered) for number, covered in covers.items()}
    return Scheme(name, structures, covers, unknown or {})


@cache
def _tables() -> Mapping[str, Mapping[int, str]]:
    """Schemes of other tools: number → name."""
    tables: dict[str, dict[int, str]] = {}
    for row in read_data("schemes.tsv"):
        tables.setdefault(row["scheme"], {})[int(row["number"])] = row["name"]
    return MappingProxyType(tables)
