"""Where a run may read and write, checked before anything is done."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from legseg_bids.bids.description import GENERATOR, read_description
from legseg_bids.bids.write import cannot_write
from legseg_bids.errors import OutputError, UsageError


def check_places(bids_dir: Path, output_dir: Path, work_dir: Path | None = None) -> None:
    """Make sure that nothing is written among the input.

    Parameters
    ----------
    bids_dir, output_dir : Path
        Input and output; the output may lie in the input's ``derivatives`` folder.
    work_dir : Path or None
        Folder for intermediate files.

    Raises
    ------
    UsageError
        If the output is the input or lies inside it elsewhere, or if the work folder is or
        lies inside the input.
    """
    source, target = bids_dir.resolve(), output_dir.resolve()
    derivatives = source / "derivatives"
    if target == source:
        raise UsageError(
            f"output {output_dir} is the input dataset; expected another folder; "
            f"for example {derivatives / 'legseg'}"
        )
    if target.is_relative_to(source) and derivatives not in target.parents:
        raise UsageError(
            f"output {output_dir} lies inside the input dataset {bids_dir}; expected a folder "
            f"outside it or in its derivatives; for example {derivatives / 'legseg'}"
        )
    if work_dir is not None and work_dir.resolve().is_relative_to(source):
        raise UsageError(
            f"work folder {work_dir} lies inside the input dataset {bids_dir}; expected one "
            "outside; choose a scratch folder"
        )


def prepare_output(output_dir: Path) -> None:
    """Make the output folder, and make sure that it is ours and can be written.

    Raises
    ------
    OutputError
        If it cannot be made or written, or if it holds a dataset of something else.
    """
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output_dir):
            pass
    except OSError as error:
        raise cannot_write(output_dir, error) from error
    _check_ours(output_dir)


def _check_ours(output_dir: Path) -> None:
    try:
        description = read_description(output_dir)
    except (OSError, json.JSONDecodeError) as error:
        raise OutputError(
            f"{output_dir / 'dataset_description.json'} cannot be read ({error}); expected ours "
            "or none; remove it or choose another output folder"
        ) from error
    if description is not None and GENERATOR not in _generators(description):
        raise OutputError(
            f"{output_dir} already holds the dataset {description.get('Name')!r}; expected a "
            "folder that is empty or was written by this program; choose another output folder"
        )


def _generators(description: dict[str, Any]) -> set[str]:
    listed = description.get("GeneratedBy")
    entries = listed if isinstance(listed, list) else []
    return {str(entry.get("Name")) for entry in entries if isinstance(entry, dict)}
