"""Where a run may read and write, checked before anything is done."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from legseg_bids.bids.description import GENERATOR, read_description
from legseg_bids.bids.journal import settle
from legseg_bids.bids.links import refuse_links
from legseg_bids.bids.names import log_dir, printable
from legseg_bids.bids.write import cannot_write, remove_leftovers
from legseg_bids.errors import OutputError, UsageError

OLD = 24 * 3600.0
"""Seconds after which nobody writes a file any more."""


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
        lies inside the input or the output, or if a path is no text.
    """
    for folder in filter(None, (bids_dir, output_dir, work_dir)):
        _must_be_text(folder)
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
    if work_dir is None:
        return
    for name, folder in (("the input dataset", bids_dir), ("the output", output_dir)):
        # In the output it would not be BIDS, and be handed on with notes that can run code.
        if work_dir.resolve().is_relative_to(folder.resolve()):
            raise UsageError(
                f"work folder {work_dir} lies inside {name} {folder}; expected one outside; "
                "choose a scratch folder"
            )


def prepare_output(output_dir: Path) -> None:
    """Make the output folder, and make sure that it is ours and can be written.

    Raises
    ------
    OutputError
        If it cannot be made or written, holds a dataset of something else, or has a folder that
        leads elsewhere.
    """
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output_dir):
            pass
    except OSError as error:
        raise cannot_write(output_dir, error) from error
    refuse_links(output_dir)
    _check_ours(output_dir)


@contextmanager
def work_folder(asked: Path | None) -> Iterator[Path]:
    """The folder that was asked for, kept; or a private one that is removed at the end.

    Raises
    ------
    OutputError
        If it cannot be made or written.
    """
    with ExitStack() as stack:
        try:
            folder = _made_work_folder(asked, stack)
        except OSError as error:
            where = f"work folder {asked}" if asked else "the folder for temporary files"
            raise OutputError(
                f"{where} cannot be written ({error.strerror or error}); expected a writable "
                "folder with space left; choose another one with -w, or set TMPDIR"
            ) from error
        if "DENO_DIR" not in os.environ:
            # The validator caches compiled code: not in anybody's home.
            os.environ["DENO_DIR"] = str(folder / "deno")
            stack.callback(os.environ.pop, "DENO_DIR", None)
        yield folder


def require_output(output_dir: Path) -> None:
    """Make sure, in the middle of a run, that the output is still there.

    A mount that vanished leaves an empty folder, into which everything would be written.

    Raises
    ------
    OutputError
        If the description that the run wrote at its start is gone.
    """
    if not (output_dir / "dataset_description.json").exists():
        raise OutputError(
            f"{output_dir} is no longer what it was when the run began (it has no "
            "dataset_description.json); expected the output folder; if it is a mount, mount it "
            "again, then run again: finished images are kept"
        )


def sweep(output_dir: Path, subjects: Iterable[str]) -> None:
    """Carry out what killed runs had decided, and remove their temporary files.

    Parameters
    ----------
    output_dir : Path
        Root of the derivative.
    subjects : iterable of str
        Labels without ``sub-`` on which no other run is at work. Files of no participant are
        removed once they are old: another run may be writing one.
    """
    for subject in subjects:
        settle(output_dir, subject)
        remove_leftovers(output_dir / f"sub-{subject}")
        remove_leftovers(log_dir(output_dir, subject))
    remove_leftovers(output_dir, deep=False, older_than=OLD)


def _made_work_folder(asked: Path | None, stack: ExitStack) -> Path:
    if asked is None:
        private = tempfile.TemporaryDirectory(prefix="legseg-", ignore_cleanup_errors=True)
        return Path(stack.enter_context(private))
    asked.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=asked):
        return asked


def _must_be_text(folder: Path) -> None:
    """Refuse what this system cannot spell: database and sidecars hold text, not bytes."""
    try:
        str(folder).encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"folder {printable(str(folder))} is not named in the encoding of this system; "
            "expected UTF-8; set LC_ALL=C.UTF-8, or rename the folder"
        ) from error


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
