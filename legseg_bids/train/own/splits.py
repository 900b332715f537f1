"""Who trains, who validates, who is kept for the end: by participant, never by slice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from legseg_bids.errors import UsageError
from legseg_bids.train.own import recipe


@dataclass(frozen=True)
class Groups:
    """Participants of each part; nobody is in two."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        seen: dict[str, str] = {}
        for part, people in parts.items():
            for person in people:
                if person in seen:
                    raise UsageError(
                        f"participant {person} is in {seen[person]} and in {part}; expected each "
                        "in one part only, or the figures would be too good; correct [split]"
                    )
                seen[person] = part


def groups(participants: Iterable[str], split: recipe.Split, fold: int = 0) -> Groups:
    """Deal participants out.

    Who falls into which fold follows from the label alone: whoever is added later moves nobody.

    Parameters
    ----------
    participants : iterable of str
        Labels.
    split : Split
        Of the recipe.
    fold : int
        Which part validates, 0 … folds - 1.

    Raises
    ------
    UsageError
        If someone is in two parts or does not exist, or there are too few people.

    Examples
    --------
    >>> groups(["a", "b", "c"], recipe.Split(validation=("b",)))
    Groups(train=('a', 'c'), validation=('b',), test=())
    """
    everybody = sorted({p.removeprefix("sub-") for p in participants})
    test, chosen = ([p.removeprefix("sub-") for p in names] for names in
                    (split.test, split.validation))  # fmt: skip
    for person in (*test, *chosen):
        if person not in everybody:
            raise UsageError(
                f"[split] names participant {person!r}, of whom there are no labelled images; "
                f"expected some of {', '.join(everybody[:20])}"
            )
    rest = [p for p in everybody if p not in test]
    if not chosen:
        if not 0 <= fold < split.folds:
            raise UsageError(f"fold is {fold}; expected 0 to {split.folds - 1}")
        if len(rest) < split.folds:
            raise UsageError(
                f"{len(rest)} participants for {split.folds} folds; expected at least one for "
                "each; name fewer `folds` in [split], or some for `validation`"
            )
        dealt = sorted(rest, key=lambda person: sha256(person.encode()).digest())
        chosen = dealt[fold :: split.folds]
    train = tuple(p for p in rest if p not in set(chosen))
    if not train:
        raise UsageError("nobody is left to train on; expected participants; correct [split]")
    return Groups(train, tuple(sorted(chosen)), tuple(test))
