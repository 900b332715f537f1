"""One participant of a finished derivative, for a command that changes files of it by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from legseg_bids.bids.places import prepare_output, sweep
from legseg_bids.errors import Busy, NoInput
from legseg_bids.workflows.locks import claim


def derivative(output_dir: Path) -> Path:
    """The folder, if it holds a derivative of ours that can be written.

    Raises
    ------
    NoInput
        If it does not.
    OutputError
        If it cannot be written, or is somebody else's.
    """
    if not (output_dir / "dataset_description.json").is_file():
        raise NoInput(
            f"{output_dir} has no dataset_description.json; expected the output folder of the "
            "participant level; check the path"
        )
    prepare_output(output_dir)
    return output_dir


def subject_of(root: Path, path: Path) -> str:
    """Label, without ``sub-``, of the participant whose file this is.

    Examples
    --------
    >>> subject_of(Path("out"), Path("out/sub-01/anat/sub-01_T1w.json"))
    '01'
    """
    return path.relative_to(root).parts[0].removeprefix("sub-")


@contextmanager
def alone(root: Path, subject: str) -> Iterator[str]:
    """Work on a participant alone; what killed processes left is put in order first.

    Parameters
    ----------
    root : Path
        Root of the derivative.
    subject : str
        Label without ``sub-``.

    Raises
    ------
    Busy
        If another run is at work on it.
    OutputError
        If the lock file cannot be made.
    """
    with claim(root, [subject], lambda _: None) as claims:
        if subject in claims.busy:
            raise Busy(
                f"sub-{subject} is being worked on by another run ({claims.busy[subject]}); "
                "expected nobody else; try again when it has ended"
            )
        sweep(root, [subject])
        yield subject
