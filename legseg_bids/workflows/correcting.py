"""``legseg-correct``: labels that a person edited take the place of the automatic ones.

The automatic files stay as they are. The correction stands beside them under a name of its own
(:mod:`legseg_bids.bids.manual`), with all tables measured anew, and is what reports and the group
level show. All files of a correction come into being at once (:mod:`legseg_bids.bids.journal`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from legseg_bids.bids.derivative import read_legseg, sha256, sidecar_of
from legseg_bids.bids.finished import subjects_begun
from legseg_bids.bids.journal import Change, changing, is_unsettled
from legseg_bids.bids.manual import (
    BLOCK,
    Kind,
    ManualPaths,
    correction,
    has_corrections,
    manual_labels,
    manual_paths,
)
from legseg_bids.bids.merged import sums_of
from legseg_bids.bids.names import parse_name
from legseg_bids.errors import NoInput, UsageError
from legseg_bids.workflows.alone import alone, derivative, subject_of
from legseg_bids.workflows.corrected import (
    Corrected,
    below_station,
    block,
    describe_edited,
    kept_numbers,
    put_image,
    read_json,
    touched,
)
from legseg_bids.workflows.edited import (
    LabelImage,
    read_edited,
    read_original,
)
from legseg_bids.workflows.originals import find_original, infer_original
from legseg_bids.workflows.remerging import (
    CorrectedStation,
    below_leg,
    corrected_members,
    edited_above,
    join,
    merged_with,
    put_remerged,
    read_merged,
    remerge,
    sums_with,
)
from legseg_bids.workflows.showing import show

LEAST_KEPT = 0.5
"""Share of the voxels that are labelled before and after whose number must be the same: those of a
viewer that numbers anew, or of another label scheme, agree by chance only."""
SHOWN = 4
"""Numbers in a message, at most."""


@dataclass(frozen=True)
class Correction:
    """What became of an edited label image.

    Attributes
    ----------
    labels : Path
        The corrected label image in the derivative; after undoing, the automatic one.
    tables : tuple of Path
        Tables that were measured anew: those of the image, and of the merged image above it.
    report : Path or None
        The page of the participant, if it was written.
    changed_voxels : int
        Voxels that differ from the automatic labels.
    changed : mapping of str to (float, float)
        mL before (automatic) and after, of each structure that differs, by abbreviation.
    warnings : tuple of str
        What a person should know although the correction stands.
    """

    labels: Path
    tables: tuple[Path, ...] = ()
    report: Path | None = None
    changed_voxels: int = 0
    changed: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Refreshed:
    """What was brought up to date.

    Attributes
    ----------
    labels : tuple of Path
        Merged label images that were made anew.
    warnings : tuple of str
        What a person should know of the corrections.
    """

    labels: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()


def correct(
    output_dir: Path,
    edited: Path,
    *,
    of: str | None = None,
    author: str = "",
    note: str = "",
    reports: bool = True,
    bids_dir: Path | None = None,
    relabelled: bool = False,
) -> Correction:
    """Take edited labels into a derivative; the automatic ones are kept.

    Parameters
    ----------
    output_dir : Path
        Root of the derivative.
    edited : Path
        Label image (NIfTI) that somebody edited.
    of : str or None
        Label image of the derivative that it was made from; None finds it by the name of the
        edited file, or, if only one image has its grid, by that.
    author, note : str
        Who corrected, and what for; written down if given.
    reports : bool
        Draw pictures, and write the page of the participant anew.
    bids_dir : Path or None
        The dataset, for pictures; by default where the description of the derivative leads.
    relabelled : bool
        Most structures have another number on purpose, as after left and right were exchanged.

    Raises
    ------
    NoInput
        If there is no derivative, or no such image in it.
    UsageError
        If nothing was edited, if most structures have other numbers, or if two corrections
        would contradict each other.
    ImageError
        If the edited image cannot be used.
    Busy
        If another run is at work on the participant.
    OutputError
        If a file cannot be written; nothing has changed then.
    """
    root = derivative(output_dir)
    original = find_original(root, of) if of else infer_original(root, edited)
    _check_place(edited, original)
    with alone(root, subject_of(root, original)) as subject:
        automatic = read_original(original)
        image = _compare(automatic, read_edited(edited, automatic), edited)
        if not relabelled:
            _check_numbers(image, edited)
        facts = _facts(manual_paths(root, original), edited, author, note)
        with changing(root, subject) as change:
            if _is_merged(original):
                _put_merged(change, root, image, facts)
            else:
                _put_station(change, root, image, facts)
        page, warnings = show(root, subject, bids_dir, reports)
    return Correction(
        labels=manual_labels(original),
        tables=tuple(path for path in change.moved if path.suffix == ".tsv"),
        report=page,
        changed_voxels=image.changed_voxels,
        changed=image.volumes(),
        warnings=warnings,
    )


def undo(
    output_dir: Path, of: str, *, reports: bool = True, bids_dir: Path | None = None
) -> Correction:
    """Remove the correction of an image; what was measured of the automatic one counts again.

    Parameters
    ----------
    output_dir, reports, bids_dir
        As for :func:`correct`.
    of : str
        The automatic label image, or its correction.

    Raises
    ------
    NoInput
        If there is no correction of it.
    UsageError
        If it was not corrected itself, but merged from stations that were, or if the whole leg
        was corrected on top of it.
    Busy, OutputError
        As for :func:`correct`.
    """
    root = derivative(output_dir)
    original = find_original(root, of)
    paths = manual_paths(root, original)
    with alone(root, subject_of(root, original)) as subject:
        _check_undoable(root, original, paths)
        with changing(root, subject) as change:
            if _is_merged(original):
                above = [read_merged(root, original)]  # Corrections of its stations count again.
            else:
                above = merged_with(root, original)
                change.drop(paths.own)
            for merged in above:
                rest = corrected_members(merged)
                rest.pop(original, None)
                put_remerged(change, merged, rest if merged.is_current else {})
        page, warnings = show(root, subject, bids_dir, reports)
    tables = tuple(path for path in change.moved if path.suffix == ".tsv")
    return Correction(original, tables, page, warnings=warnings)


def refresh(output_dir: Path, *, reports: bool = True, bids_dir: Path | None = None) -> Refreshed:
    """Finish what was interrupted, and merge anew what does not hold the corrections below it.

    Parameters
    ----------
    output_dir, reports, bids_dir
        As for :func:`correct`.

    Raises
    ------
    NoInput, Busy, OutputError
        As for :func:`correct`.
    ImageError
        If a merged image cannot be made.
    """
    root = derivative(output_dir)
    labels, warnings = list[Path](), list[str]()
    for subject in subjects_begun(root):
        if has_corrections(root, subject) or is_unsettled(root, subject):
            with alone(root, subject):
                labels += remerge(root, subject)
                warnings += show(root, subject, bids_dir, reports)[1]
    return Refreshed(tuple(labels), tuple(warnings))


def _put_station(change: Change, root: Path, image: Corrected, facts: dict[str, Any]) -> None:
    """A corrected station, and the merged images that it is part of."""
    original = image.original.path
    above = edited_above(root, original)
    if above is not None:
        raise UsageError(
            f"the whole leg that {original.name} is part of was itself corrected ({above.name}), "
            "and would not take up this correction; expected corrections of stations or of the "
            "whole leg; correct the whole leg, or undo that with legseg-correct --undo "
            f"{above.name}"
        )
    paths = manual_paths(root, original)
    sidecar = read_json(sidecar_of(original))
    legseg = {**sidecar.get("Legseg", {}), BLOCK: facts}
    described = describe_edited(sidecar, original.relative_to(root).as_posix())
    put_image(change, paths, image, below_station(root, image.original, legseg), described, legseg)
    for merged in merged_with(root, original):
        if not merged.is_current:
            continue  # It is left out anyway until a run has merged it again.
        others = corrected_members(merged)
        others[original] = CorrectedStation(image, _sums(change, paths))
        put_remerged(change, merged, others)


def _put_merged(change: Change, root: Path, image: Corrected, facts: dict[str, Any]) -> None:
    """A merged image in which a person drew."""
    original = image.original
    merged = read_merged(root, original.path)
    if not merged.is_current:
        raise UsageError(
            f"the stations of {original.path.name} have changed since it was merged; expected a "
            "merged image that holds; run the participant level again, and edit the new one"
        )
    stations = corrected_members(merged)
    leg = join(merged, original.grid, stations)
    sums = dict(sorted(sums_with(merged, stations).items()))
    legseg = {**merged.legseg, "StationSHA256": sums, BLOCK: facts}
    described = describe_edited(merged.sidecar, original.path.relative_to(root).as_posix())
    paths = manual_paths(root, original.path)
    put_image(change, paths, image, below_leg(leg, merged), described, legseg)


def _sums(change: Change, paths: ManualPaths) -> dict[str, str]:
    """Check sums of a corrected station whose files are not in their places yet."""
    waiting = {path: change.waiting(path) for path in (paths.labels, paths.table)}
    return sums_of(paths.labels, lambda path: sha256(waiting.get(path, path)))


def _compare(automatic: LabelImage, labels: Any, edited: Path) -> Corrected:
    """Both label images.

    Raises
    ------
    UsageError
        If they are equal.
    """
    chosen = touched(automatic.labels, labels)
    if not chosen:
        raise UsageError(
            f"{edited} holds the same labels as {automatic.path.name}; expected some that were "
            "changed; save the edited labels and give that file, or remove an earlier correction "
            f"with legseg-correct --undo {automatic.path.name}"
        )
    return Corrected(automatic, labels, chosen)


def _check_numbers(image: Corrected, edited: Path) -> None:
    """Refuse what a viewer has numbered in its own way.

    Raises
    ------
    UsageError
        If little of what both label has the same number.
    """
    share, moved = kept_numbers(image.original.labels, image.labels)
    if share < LEAST_KEPT:
        listed = ", ".join(f"{old} is {new} now" for old, new in list(moved.items())[:SHOWN])
        raise UsageError(
            f"{edited} has other numbers than {image.original.path.name} for "
            f"{100 * (1 - share):.0f} % of what both label ({listed or 'nothing in common'}); "
            "expected those of the label scheme; export with the colour table of legseg-labels "
            "(3D Slicer numbers segments anew without it), or, if you meant it, add --relabelled"
        )


def _facts(paths: ManualPaths, edited: Path, author: str, note: str) -> dict[str, Any]:
    """Who, why, how often, and from which file."""
    before = correction(read_legseg(paths.sidecar))
    revision = before.get("Revision", 0) if before.get("Kind") == Kind.EDITED else 0
    count = revision + 1 if isinstance(revision, int) else 1
    return block(
        Kind.EDITED, author=author, note=note, Revision=count, EditedSHA256=sha256(edited)
    )


def _check_place(edited: Path, original: Path) -> None:
    """Refuse the automatic label image itself."""
    if edited.exists() and edited.resolve() == original.resolve():
        raise UsageError(
            f"{edited} is the automatic label image itself; expected another file; save the "
            "edited labels elsewhere (if you saved over it, run the participant level with "
            "--overwrite to have the automatic one again)"
        )


def _check_undoable(root: Path, original: Path, paths: ManualPaths) -> None:
    told = correction(read_legseg(paths.sidecar))
    if not told:
        raise NoInput(
            f"{original.name} has no correction in {root}; expected {paths.labels.name}; there is "
            "nothing to undo"
        )
    if _is_merged(original):
        if told.get("Kind") != Kind.EDITED:
            raise UsageError(
                f"{paths.labels.name} was not corrected itself, its stations were; expected the "
                "name of a station; undo the corrections of the stations"
            )
        return
    above = edited_above(root, original)
    if above is not None:
        raise UsageError(
            f"the whole leg was corrected on top of {original.name} ({above.name}); expected that "
            f"to be undone first; legseg-correct --undo {above.name}"
        )


def _is_merged(original: Path) -> bool:
    return parse_name(original.name).get("desc") == "merged"
