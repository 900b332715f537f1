"""Codes of structures: complete, unambiguous, and of which source."""

from __future__ import annotations

from collections import Counter

import pytest

from legseg_bids.anatomy.codes import PRIVATE, Coded, coded
from legseg_bids.anatomy.labels import load_labels, mirror_index, read_table, unsided


def test_every_structure_has_one_row() -> None:
    names = [row["abbreviation"] for row in read_table("codes.tsv")]
    assert sorted(names) == sorted({unsided(label) for label in load_labels()})


def test_no_two_structures_share_their_codes() -> None:
    found = Counter(
        (told.kind.scheme, told.kind.value, told.region, told.side)
        for told in map(coded, load_labels())
    )
    assert max(found.values()) == 1


@pytest.mark.parametrize("label", load_labels(), ids=lambda label: label.abbreviation)
def test_codes_are_well_formed(label) -> None:
    told: Coded = coded(label)
    kind = told.kind
    assert told.category.meaning == ("Tissue" if label.tissue == "fat" else "Anatomical Structure")
    assert (told.side.meaning.lower() if told.side else "n/a") == label.side
    assert 0 < len(kind.meaning) <= 64  # DICOM, VR LO
    assert 0 < len(kind.value) <= 16  # DICOM, VR SH
    assert kind.scheme in ("SCT", "MDC", PRIVATE)
    assert kind.scheme != "SCT" or is_snomed(kind.value)
    assert told.is_private == (told.source == "none found")


def test_both_sides_differ_in_nothing_but_the_side() -> None:
    labels = {label.index: label for label in load_labels()}
    for label in load_labels():
        other = coded(labels[mirror_index(label.index)])
        own = coded(label)
        assert (own.kind, own.category, own.region) == (other.kind, other.category, other.region)


def is_snomed(text: str) -> bool:
    """Whether the last digit of a SNOMED CT identifier is right (Verhoeff's check)."""
    turn = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]
    check, row = 0, list(range(10))
    for digit in reversed(text):
        check = product(check, row[int(digit)])
        row = [row[turn[n]] for n in range(10)]
    return check == 0


def product(a: int, b: int) -> int:
    """In the dihedral group of order ten."""
    if a < 5:
        return (a + b) % 5 if b < 5 else 5 + (a + b - 5) % 5
    return 5 + (a - b - 5) % 5 if b < 5 else (a - b) % 5


def test_the_check_knows_wrong_digits() -> None:
    assert is_snomed("7771000")
    assert not is_snomed("7771001")
    assert not is_snomed("7717000")
