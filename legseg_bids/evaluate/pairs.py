"""Which prediction belongs to which reference.

Label images are known by what their sidecars say they were drawn on, or else by their names,
which need not be those of BIDS: folders of other tools keep the name of the image they were fed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from legseg_bids.evaluate.finding import LabelImage, is_merged


@dataclass(frozen=True)
class Case:
    """A reference and what one model made of the same image.

    Attributes
    ----------
    model : str
    reference, prediction : LabelImage
    """

    model: str
    reference: LabelImage
    prediction: LabelImage

    @property
    def key(self) -> dict[str, str]:
        """The first columns of every table."""
        return key_of(self.model, self.reference)


@dataclass(frozen=True)
class Trouble:
    """What a reader of the tables must know.

    Attributes
    ----------
    key : mapping
        ``model``, ``participant_id``, ``session_id``, ``image``.
    kind : str
        ``error``: not evaluated; ``warning``: evaluated all the same.
    problem : str
    """

    key: Mapping[str, str]
    kind: str
    problem: str

    @property
    def row(self) -> dict[str, str]:
        """A row of ``troubles.tsv``."""
        return {**self.key, "kind": self.kind, "problem": self.problem}


@dataclass(frozen=True)
class Pairs:
    """What is to be evaluated of one model.

    Attributes
    ----------
    cases : tuple of Case
    troubles : tuple of Trouble
        References with several predictions, and the like.
    missing : tuple of Trouble
        References without a prediction.
    unused : tuple of LabelImage
        Predictions without a reference.
    """

    cases: tuple[Case, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    missing: tuple[Trouble, ...] = ()
    unused: tuple[LabelImage, ...] = ()


def key_of(model: str, reference: LabelImage) -> dict[str, str]:
    """The columns that name a case."""
    return {
        "model": model,
        "participant_id": reference.participant_id,
        "session_id": reference.session_id,
        "image": reference.name,
    }


def pair(references: Sequence[LabelImage], predictions: Sequence[LabelImage], model: str) -> Pairs:
    """Find the prediction of every reference.

    The first of these that finds one decides: both were made from the same image; their entities
    are equal (but for those that only label images have); their names are equal; nothing in their
    entities differs, and one of them says less. A merged image belongs to a merged image, unless
    the entities of one that is none are just the same.

    Parameters
    ----------
    references, predictions : sequence of LabelImage
    model : str
        Name of what made the predictions.
    """
    near = _index(predictions)
    cases: list[Case] = []
    troubles: list[Trouble] = []
    missing: list[Trouble] = []
    for reference in references:
        found = _belonging(reference, near(reference))
        if len(found) == 1 and found[0].path.resolve() != reference.path.resolve():
            cases.append(Case(model, reference, found[0]))
        else:
            why = _why_not(reference, found, predictions)
            (troubles if found else missing).append(
                Trouble(key_of(model, reference), "error", why)
            )
    clashes = _claimed_twice(cases)
    troubles += clashes
    torn = {trouble.key["image"] for trouble in clashes}
    kept = tuple(case for case in cases if case.reference.name not in torn)
    used = {case.prediction.path for case in cases}
    unused = tuple(p for p in predictions if p.path not in used)
    return Pairs(kept, tuple(troubles), tuple(missing), unused)


Nearby = Callable[[LabelImage], Sequence[LabelImage]]


def _index(images: Iterable[LabelImage]) -> Nearby:
    """Gives the images that any rule may find: of the same participant, or with a common name."""
    people: defaultdict[str, list[LabelImage]] = defaultdict(list)
    named: defaultdict[str, list[LabelImage]] = defaultdict(list)
    for image in images:
        people[image.entities.get("sub", "")].append(image)
        for name in _names(image):
            named[name].append(image)

    def near(reference: LabelImage) -> list[LabelImage]:
        told = reference.entities.get("sub")
        found = list(people[told]) if told else []
        found += [image for name in sorted(_names(reference)) for image in named.get(name, ())]
        return list({image.path: image for image in found}.values())

    return near


def _belonging(reference: LabelImage, predictions: Sequence[LabelImage]) -> list[LabelImage]:
    """Predictions of the first rule that finds any."""
    same = [p for p in predictions if is_merged(p) == is_merged(reference)]
    rules = (
        (_same_sources, same),
        (_same_entities, same),
        (_same_name, same),
        (_same_entities, predictions),
        (_compatible, same),
    )
    for rule, candidates in rules:
        found = [p for p in candidates if rule(reference, p)]
        if found:
            return found
    return []


def _same_sources(a: LabelImage, b: LabelImage) -> bool:
    return bool(a.sources & b.sources) and _agree(a, b)


def _same_entities(a: LabelImage, b: LabelImage) -> bool:
    return "sub" in a.entities and a.entities == b.entities


def _same_name(a: LabelImage, b: LabelImage) -> bool:
    return not _names(a).isdisjoint(_names(b)) and _agree(a, b)


def _names(image: LabelImage) -> set[str]:
    """Its own name, and those of what it was made from."""
    return {image.stem, *(Path(source).name.partition(".nii")[0] for source in image.sources)}


def _compatible(a: LabelImage, b: LabelImage) -> bool:
    """Whether one says all that the other says, and both name the participant."""
    first, second = a.entities.items(), b.entities.items()
    return "sub" in a.entities and "sub" in b.entities and (first <= second or first >= second)


def _agree(a: LabelImage, b: LabelImage) -> bool:
    """Whether no participant or session differs (in two datasets, a name may come twice)."""
    return all(
        a.entities.get(key, value) == value
        for key, value in b.entities.items()
        if key in ("sub", "ses")
    )


def _why_not(
    reference: LabelImage, found: Sequence[LabelImage], predictions: Sequence[LabelImage]
) -> str:
    if len(found) > 1:
        return (
            f"{' and '.join(image.name for image in found)} all belong to {reference.name}; "
            "expected one prediction; choose with --files"
        )
    if found:
        return (
            f"{reference.path} is reference and prediction; expected two images; choose "
            "corrections by hand with --reference-files '*manual_dseg.nii.gz'"
        )
    return (
        f"none of the {len(predictions)} label images in {predictions[0].root} belongs to "
        f"{reference.name}; expected one with the same Sources or entities; run the model on this "
        "image, or rename its result"
    )


def _claimed_twice(cases: Sequence[Case]) -> list[Trouble]:
    """References that share a prediction."""
    claims: defaultdict[Path, list[Case]] = defaultdict(list)
    for case in cases:
        claims[case.prediction.path].append(case)
    return [
        Trouble(
            case.key,
            "error",
            f"{' and '.join(c.reference.name for c in same)} both claim {case.prediction.name}; "
            "expected one reference for each image; choose with --reference-files",
        )
        for same in claims.values()
        if len(same) > 1
        for case in same
    ]
