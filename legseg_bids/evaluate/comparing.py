"""From the tables of an evaluation to statistics, figures and one page."""

from __future__ import annotations

from pathlib import Path

from legseg_bids.errors import NoInput
from legseg_bids.evaluate.compared import Compared
from legseg_bids.evaluate.comparison_tables import write_tables
from legseg_bids.evaluate.groups import by_groups, read_groupings
from legseg_bids.evaluate.observations import TABLE
from legseg_bids.evaluate.rivals import between_models, with_operators
from legseg_bids.evaluate.summaries import agree, summarise
from legseg_bids.evaluate.tidy import read_observations


def write_comparison(
    out: Path,
    *,
    participants: Path | None = None,
    group_by: str | None = None,
    operators: Path | None = None,
) -> list[Path]:
    """Write statistics, figures and ``evaluation.html`` beside the tables of an evaluation.

    Parameters
    ----------
    out : Path
        Folder with ``evaluation.tsv``, and with ``evaluation_slices.tsv``, ``confusion.tsv`` and
        ``troubles.tsv`` where there are such.
    participants : Path, optional
        ``participants.tsv``, whose columns make groups.
    group_by : str, optional
        The column that makes groups; without it, the first few that can.
    operators : Path, optional
        Folder of another evaluation: a second rater against the same reference.

    Returns
    -------
    list of Path
        Everything that was written.

    Raises
    ------
    NoInput
        If a table is not there or cannot be used.
    UsageError
        If groups are wanted that ``participants.tsv`` does not tell of.
    OutputError
        If a file cannot be written.
    """
    from legseg_bids.evaluate.figures import write_figures
    from legseg_bids.evaluate.page import write_page

    compared = compare(out, participants=participants, group_by=group_by, operators=operators)
    tables = write_tables(out, compared.summaries, compared.tests, compared.agreed)
    figures = write_figures(out, compared)
    return [*tables, *figures, write_page(out, compared, figures)]


def compare(
    out: Path,
    *,
    participants: Path | None = None,
    group_by: str | None = None,
    operators: Path | None = None,
) -> Compared:
    """Compute everything, write nothing; see :func:`write_comparison`.

    Raises
    ------
    NoInput, UsageError
        See :func:`write_comparison`.
    """
    seen = read_observations(out / TABLE)
    if not seen.items:
        raise NoInput(
            f"{out / TABLE} has no rows; expected a row for each structure of each image; see "
            "troubles.tsv beside it for what went wrong"
        )
    raters = None
    if operators is not None:
        raters = read_observations(operators if operators.is_file() else operators / TABLE)
    groupings = read_groupings(participants, group_by, seen.participants)
    tests = [*between_models(seen), *by_groups(seen, groupings.used)]
    tests += with_operators(seen, raters) if raters else []
    summaries = summarise(seen, groupings.used)
    return Compared(seen, raters, groupings, tuple(summaries), tuple(tests), tuple(agree(seen)))
