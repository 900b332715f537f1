"""The group level: from the derivatives of all participants to tables, figures and one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from legseg_bids.bids.description import write_dataset_files
from legseg_bids.bids.finished import subjects_begun
from legseg_bids.bids.links import refuse_links
from legseg_bids.bids.write import replacing
from legseg_bids.errors import NoInput
from legseg_bids.group.analysis import by_covariates, find_outliers, over_sessions
from legseg_bids.group.cache import remembering
from legseg_bids.group.collect import note_on_configs, participants
from legseg_bids.group.covariates import read_covariates
from legseg_bids.group.figures import write_figures
from legseg_bids.group.findings import write_findings
from legseg_bids.group.page import Content, write_page
from legseg_bids.group.study import Study, StudyBuilder
from legseg_bids.group.table import (
    LongTable,
    write_long_sidecar,
    write_participants,
    write_wide,
)


@dataclass(frozen=True)
class Gathered:
    """What was read, and the tables that hold it.

    Attributes
    ----------
    study : Study
        The measurements.
    images : dict of str to int
        Number of finished images by participant (``sub-01``), merged ones not counted; 0 where
        a participant was begun, or was expected, and has none.
    notes : tuple of str
        What a reader of the tables must know: unfinished images, mixed configurations.
    wide, long : Path
        The two tables.
    """

    study: Study
    images: dict[str, int]
    notes: tuple[str, ...]
    wide: Path
    long: Path

    @property
    def missing(self) -> tuple[str, ...]:
        """Participants without a finished image, sorted."""
        return tuple(sorted(name for name, count in self.images.items() if not count))


@dataclass(frozen=True)
class GroupResult:
    """What the group level wrote.

    Attributes
    ----------
    gathered : Gathered
        What was read.
    page : Path
        ``group.html``.
    findings, figures : tuple of Path
        Tables of statistics, and pictures.
    notes : tuple of str
        What was said of the columns of ``participants.tsv``.
    """

    gathered: Gathered
    page: Path
    findings: tuple[Path, ...]
    figures: tuple[Path, ...]
    notes: tuple[str, ...] = ()


def write_group(
    derivatives_dir: Path, expected: Sequence[str] = (), bids_dir: Path | None = None
) -> GroupResult:
    """Write the tables, the figures and the page of a study from the derivatives alone.

    Parameters
    ----------
    derivatives_dir : Path
        Output folder of the participant runs.
    expected : sequence of str
        Labels of participants that ought to be there; those without a result are listed.
    bids_dir : Path or None
        The dataset; of it, only ``participants.tsv`` is read, if it is there.

    Raises
    ------
    NoInput
        If there is no finished image at all.
    OutputError
        If a file cannot be written, or a folder of the derivative leads elsewhere.
    """
    gathered = write_tables(derivatives_dir, expected)
    study, people = gathered.study, sorted(gathered.images)
    covariates = read_covariates(people, bids_dir, derivatives_dir)
    outliers = find_outliers(study)
    findings = [*by_covariates(study, people, covariates.used), *over_sessions(study)]
    tables = write_findings(derivatives_dir, study, outliers, findings)
    mark = derivatives_dir / "logs" / "group_figures.json"
    figures = write_figures(derivatives_dir / "figures", study, findings, mark)
    first = next((path for path in figures if path.suffix == ".png"), None)
    content = Content(
        study,
        gathered.images,
        gathered.notes,
        covariates,
        outliers,
        findings,
        first.read_bytes() if first else b"",
    )
    page = write_page(derivatives_dir, content)
    return GroupResult(gathered, page, tables, figures, covariates.notes)


def write_tables(derivatives_dir: Path, expected: Sequence[str] = ()) -> Gathered:
    """Read a derivative once, and write the two tables of measurements.

    Parameters
    ----------
    derivatives_dir : Path
        Output folder of the participant runs.
    expected : sequence of str
        Labels of participants that ought to be there; those without a result are listed.

    Raises
    ------
    NoInput
        If there is no finished image at all.
    OutputError
        If a table cannot be written, or a folder of the derivative leads elsewhere.
    """
    if not subjects_begun(derivatives_dir):
        raise _nothing(derivatives_dir)
    refuse_links(derivatives_dir)
    long = derivatives_dir / "group_volumes.tsv"
    builder, images = StudyBuilder(), dict[str, int]()
    notes, configs = list[str](), set[str]()
    with remembering(derivatives_dir) as memory, replacing(long) as file:
        table = LongTable(file)
        for participant in participants(derivatives_dir, expected, memory):
            images[participant.label] = participant.images
            notes += participant.notes
            configs |= participant.configs
            table.add(participant.rows)
            builder.add(participant.label, participant.rows)
        if not any(images.values()) and not builder.structures:
            raise _nothing(derivatives_dir)
    study = builder.build()
    write_dataset_files(derivatives_dir, None)
    write_long_sidecar(long)
    write_participants(derivatives_dir, images)
    wide = write_wide(derivatives_dir, study, sorted(images))
    notes += note_on_configs(frozenset(configs))
    return Gathered(study, images, tuple(notes), wide, long)


def _nothing(derivatives_dir: Path) -> NoInput:
    return NoInput(
        f"{derivatives_dir} has no finished segmentation; expected *_dseg.tsv and JSON; "
        "run the participant level into this folder first"
    )
