"""What is to be evaluated: folders, what their files are, and which belong together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from legseg_bids import __version__
from legseg_bids.anatomy.labels import labels_of_structures
from legseg_bids.bids.derivative import read_legseg
from legseg_bids.errors import LegsegError, NoInput
from legseg_bids.evaluate.cases import Naming, Options, input_files, scheme_of
from legseg_bids.evaluate.finding import (
    LabelImage,
    as_predictions,
    as_references,
    find_label_images,
    original_of,
)
from legseg_bids.evaluate.pairs import Case, Pairs, pair
from legseg_bids.evaluate.parts import Part, part_path
from legseg_bids.evaluate.schemes import Scheme, known_scheme, scheme_of_names
from legseg_bids.evaluate.vocabulary import Vocabulary, vocabulary


@dataclass(frozen=True)
class Folder:
    """A folder of label images.

    Attributes
    ----------
    path : Path
    name : str
        What its results are called.
    files : str or None
        Pattern of the file names that count.
    naming : Naming
        What says what its numbers mean.
    """

    path: Path
    name: str
    files: str | None = None
    naming: Naming = field(default_factory=Naming)


@dataclass(frozen=True)
class Plan:
    """What is to be evaluated.

    Attributes
    ----------
    out : Path
    reference : Folder
    predictions : tuple of Folder
    options : Options
    workers : int
        Processes; 0 does everything in this one.
    partial : bool
        Whether references without a prediction are nobody's fault.
    """

    out: Path
    reference: Folder
    predictions: tuple[Folder, ...]
    options: Options = field(default_factory=Options)
    workers: int = 1
    partial: bool = False


@dataclass(frozen=True)
class Job:
    """A case, and all that its process must know."""

    case: Case
    reference: Naming
    prediction: Naming
    options: Options
    part: Part


def check_schemes(plan: Plan) -> None:
    """Make sure that there is every scheme that was asked for.

    Raises
    ------
    UsageError
    """
    for folder in (plan.reference, *plan.predictions):
        if folder.naming.scheme is not None:
            known_scheme(folder.naming.scheme)


def find_pairs(plan: Plan) -> dict[str, Pairs]:
    """Pair every reference with the prediction of each model.

    Raises
    ------
    LegsegError
        If a folder holds nothing, or nothing belongs together.
    """
    images = find_label_images(plan.reference.path, plan.reference.files)
    references = images if plan.reference.files else as_references(images)
    # Whoever names one file on both sides knows what is to be compared.
    direct = plan.reference.path.is_file()
    found = {
        folder.name: _pairs(references, _predictions(folder), folder.name, direct=direct)
        for folder in plan.predictions
    }
    if not any(pairs.cases for pairs in found.values()):
        first = next(iter(found.values()))
        why = (*first.troubles, *first.missing)[0].problem
        raise NoInput(f"nothing can be compared: {why}")
    return {n: replace(p, missing=()) for n, p in found.items()} if plan.partial else found


def _pairs(
    references: Sequence[LabelImage],
    predictions: Sequence[LabelImage],
    model: str,
    *,
    direct: bool,
) -> Pairs:
    if direct and len(predictions) == 1:
        return Pairs((Case(model, references[0], predictions[0]),))
    return pair(references, predictions, model)


def _predictions(folder: Folder) -> Sequence[LabelImage]:
    images = find_label_images(folder.path, folder.files)
    return images if folder.files else as_predictions(images)


def jobs_of(plan: Plan, pairs: Mapping[str, Pairs]) -> list[Job]:
    """One job for each case, model by model."""
    jobs = []
    for folder in plan.predictions:
        found = pairs[folder.name]
        predictions = (*(case.prediction for case in found.cases), *found.unused)
        naming = replace(folder.naming, known=known_in(predictions, folder.naming))
        jobs += [_job(plan, naming, case) for case in found.cases]
    return jobs


def known_in(images: Iterable[LabelImage], naming: Naming) -> Vocabulary:
    """What is said beside images of what their maker knows; nothing if one table holds for all.

    Tables say what was found; sidecars of ours also what the networks look for.
    """
    if naming.table or naming.scheme:
        return ()
    schemes: dict[object, Scheme] = {}
    for image in images:
        for names in networks_of(image):
            labels = labels_of_structures(names)
            schemes[names] = scheme_of_names({label.index: label.name for label in labels})
        told = image.table or image.path
        if told not in schemes:
            # Whatever is wrong with it is told when the image is read.
            with suppress(LegsegError, OSError):
                schemes[told] = scheme_of(image, naming)
    return vocabulary(schemes.values())


def networks_of(image: LabelImage) -> list[tuple[str, ...]]:
    """Structures that each of the networks looks for that made an image of ours."""
    stem = image.path.name.removesuffix(".gz").removesuffix(".nii")
    models = read_legseg(image.path.with_name(f"{stem}.json")).get("Models", [])
    if not isinstance(models, list):
        return []
    told = [model.get("Labels") for model in models if isinstance(model, dict)]
    return [tuple(map(str, names)) for names in told if isinstance(names, list) and names]


def _job(plan: Plan, prediction: Naming, case: Case) -> Job:
    reference = plan.reference.naming
    original = original_of(case.reference)
    if original is not None:  # what was wiped out altogether is in no table of the correction
        reference = replace(reference, known=known_in([original], reference))
    naming = reference, prediction
    images = case.reference, case.prediction
    tables = [n.table or i.table for n, i in zip(naming, images, strict=True)]
    inputs = [path for image in images for path in input_files(image)]
    options = {
        **asdict(plan.options),
        "schemes": [n.scheme for n in naming],
        "known": [[list(covered) for covered in n.known] for n in naming],
    }
    path = part_path(plan.out, case.model, case.reference.name, case.prediction.name)
    part = Part(path, (*inputs, *filter(None, tables)), options)
    return Job(case, *naming, plan.options, part)


def lines_about(pairs: Mapping[str, Pairs]) -> Iterator[str]:
    """What would be compared with what, for a person."""
    for name, p in pairs.items():
        for case in p.cases:
            yield f"{name}: {case.reference.name}  <-  {case.prediction.name}"
        for trouble in (*p.troubles, *p.missing):
            yield f"{name}: {trouble.kind}: {trouble.problem}"
        for image in p.unused:
            yield f"{name}: no reference: {image.name}"


def facts(plan: Plan) -> dict[str, Any]:
    """How an evaluation was made, for the sidecars."""
    return {
        "Version": __version__,
        "Reference": _folder_facts(plan.reference),
        "Predictions": [_folder_facts(folder) for folder in plan.predictions],
        "Coverage": plan.options.coverage,
        "SurfaceDistances": plan.options.definition,
        "Resampled": plan.options.resample,
    }


def _folder_facts(folder: Folder) -> dict[str, Any]:
    table = folder.naming.table
    told = {
        "Name": folder.name,
        "Folder": str(folder.path),
        "Files": folder.files,
        "Table": None if table is None else str(table),
        "Scheme": folder.naming.scheme,
    }
    return {key: value for key, value in told.items() if value is not None}
