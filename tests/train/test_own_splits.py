from __future__ import annotations

import pytest

pytest.importorskip("torch")

from hypothesis import given
from hypothesis import strategies as st

from legseg_bids.errors import UsageError
from legseg_bids.train.own.recipe import Split
from legseg_bids.train.own.splits import Groups, groups

PEOPLE = [f"{n:02d}" for n in range(1, 11)]


@given(st.sets(st.integers(0, 99), min_size=5).map(lambda s: [f"p{n}" for n in s]))
def test_everybody_validates_once_and_nobody_is_in_two_parts(people: list[str]) -> None:
    folds = [groups(people, Split(folds=4), fold) for fold in range(4)]
    assert sorted(p for g in folds for p in g.validation) == sorted(people)
    for part in folds:
        assert not set(part.train) & set(part.validation)
        assert set(part.train) | set(part.validation) == set(people)


def test_images_of_one_person_stay_together() -> None:
    assert groups(["01", "01", "02", "02"], Split(folds=2)).train in (("01",), ("02",))


def test_test_participants_have_no_part_in_the_folds() -> None:
    parts = [groups(PEOPLE, Split(folds=3, test=("sub-03",)), fold) for fold in range(3)]
    assert all(p.test == ("03",) and "03" not in (*p.train, *p.validation) for p in parts)


@pytest.mark.parametrize(
    ("split", "fold", "said"),
    [
        (Split(validation=("01",), test=("01",)), 0, "01 is in validation and in test"),
        (Split(validation=("77",)), 0, "'77', of whom there are no labelled images"),
        (Split(folds=11), 0, "10 participants for 11 folds"),
        (Split(folds=5), 5, "fold is 5; expected 0 to 4"),
        (Split(validation=tuple(PEOPLE)), 0, "nobody is left"),
    ],
)
def test_impossible_splits(split: Split, fold: int, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        groups(PEOPLE, split, fold)


def test_a_participant_in_two_splits() -> None:
    with pytest.raises(UsageError, match="participant 02 is in train and in test"):
        Groups(("01", "02"), ("03",), ("02",))
