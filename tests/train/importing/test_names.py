"""Other people's names of the structures of the leg."""

from __future__ import annotations

import csv
from importlib import resources

import pytest

from legseg_bids.anatomy.labels import load_labels
from legseg_bids.train.importing.names import Meaning, meaning_of, near_misses

#: Names of QMRITools' training labels, as spelt in its files, and its final left label.
QMRITOOLS = {
    "Biceps femoris long": 31, "Biceps femoris short": 33, "Semimembranosus": 35,
    "Semitendinosus": 37, "Adductor magnus": 39, "Adductor minimus": 41, "Adductor longus": 43,
    "Adductor brevis": 45, "Gracilis": 47, "Iliacus": 49, "Psoas major": 51,
    "Vastus lateralis": 55, "Vastus intermedius": 57, "Vastus medialis": 59, "Rectus femoris": 61,
    "Satorius": 63, "Pectineus": 65, "Ilium": 101, "Femur": 103, "Patella": 105,
    "Subcutanious fat": 151, "Lateral gastrocnemius": 1, "Medial gastrocnemius": 3, "Soleus": 5,
    "Plantaris": 7, "Popliteus": 9, "Flexor digitorum longus": 11, "Flexor hallucis longus": 13,
    "Tibialis posterior": 15, "Fibularis longus": 17, "Fibularis brevis": 19,
    "Tibialis anterior": 21, "Extensor digitorum longus": 23, "Extensor hallucis longus": 25,
    "Fibularis tertius": 27, "Tibia": 107, "Fibula": 109, "Gluteus maximus": 71,
    "Gluteus medius": 73, "Gluteus minimus": 75, "Tensor fascia latae": 77, "Piriformis": 79,
    "Obturator internus": 81, "Obturator externus": 83, "Gemellus inferior": 85,
    "Gemellus superior": 87, "Quadratus femoris": 89, "Sacrum": 121, "Bones feet": 111,
    "Psoas minor": 53, "Clear Label": 0,
}  # fmt: skip


@pytest.mark.parametrize(("name", "index"), QMRITOOLS.items())
def test_names_of_qmritools(name: str, index: int) -> None:
    found = meaning_of(name)
    assert found is not None
    assert found.index == index


@pytest.mark.parametrize("label", load_labels(), ids=lambda label: label.abbreviation)
def test_our_own_names_abbreviations_and_indices(label) -> None:
    for spelt in (label.name, label.name.upper().replace(" ", "_"), label.abbreviation,
                  str(label.index)):  # fmt: skip
        found = meaning_of(spelt)
        assert found is not None
        assert (found.sided, found.side) == (label.index, label.side)


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("left_vastus_lateralis", Meaning(55, "left")),
        ("Peroneus brevis R", Meaning(19, "right")),
        ("gastrocnemius-lateral-head_right", Meaning(1, "right")),
        ("m. soleus", Meaning(5)),
        ("RF", Meaning(61)),
        ("SAT_L", Meaning(151, "n/a")),
        ("16", None),
        ("biceps", None),
        ("left and right soleus", Meaning(5)),
        ("", None),
    ],
)
def test_other_spellings(name: str, meaning: Meaning | None) -> None:
    expected = {"16": Meaning(15, "right")}.get(name, meaning)
    assert meaning_of(name) == expected


@pytest.mark.parametrize(("name", "first"), [("vastus latralis", "Vastus lateralis"),
                                             ("Grazilis", "Gracilis")])  # fmt: skip
def test_near_misses(name: str, first: str) -> None:
    assert near_misses(name)[0] == first
    assert near_misses("zzz") == ()


def test_every_synonym_means_something_of_ours() -> None:
    table = resources.files("legseg_bids.anatomy") / "data" / "synonyms.tsv"
    rows = list(csv.DictReader(table.read_text("utf-8").splitlines(), delimiter="\t"))
    words = {w for label in load_labels() for w in label.name.lower().split()} | {"background"}
    assert len({row["found"] for row in rows}) == len(rows) > 20
    for row in rows:
        assert set(row["meant"].split()) <= words, row
