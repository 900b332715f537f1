"""``legseg-labels``: names and colours for viewers, and labels as DICOM."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from legseg_bids.anatomy.labels import Label

TABLES = {
    "itksnap": "label descriptions of ITK-SNAP",
    "slicer": "colour table of 3D Slicer (.ctbl or .txt)",
}


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    out = argparse.ArgumentParser(
        prog="legseg-labels",
        description="Write names and colours of the labels for a viewer, or a label image as "
        "DICOM Segmentation.",
    )
    kinds = out.add_subparsers(dest="kind", required=True, metavar="KIND")
    for name, what in TABLES.items():
        table = kinds.add_parser(name, help=what, description=f"Write {what}.")
        table.add_argument("out", type=Path, help="file to write")
        table.add_argument(
            "--only", type=Path, metavar="DSEG", help="only the labels that this image holds"
        )
    seg = kinds.add_parser(
        "dicom-seg",
        help="a label image as DICOM Segmentation",
        description="Write a label image as DICOM Segmentation that refers to the series that it "
        "was made from; the series is found by its geometry.",
    )
    seg.add_argument("dseg", type=Path, help="label image of a station (.nii.gz)")
    seg.add_argument("dicom", type=Path, help="folder with its DICOM series")
    seg.add_argument("out", type=Path, help="file to write (.dcm)")
    for one in kinds.choices.values():
        one.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``legseg-labels``."""
    options = parser().parse_args(arguments)
    from legseg_bids.errors import LegsegError

    try:
        print(_write(options))
    except LegsegError as error:
        print(f"legseg-labels: {error}", file=sys.stderr)
        return int(error.exit_code)
    return 0


def _write(options: argparse.Namespace) -> str:
    """Write what was asked for; a line that tells so.

    Raises
    ------
    LegsegError
        If it cannot be written.
    """
    from legseg_bids.errors import OutputError, UsageError

    if options.out.exists() and not options.overwrite:
        raise OutputError(
            f"{options.out} is there already; expected a new file; choose another name or add "
            "--overwrite"
        )
    if options.kind != "dicom-seg":
        return _write_table(options)
    try:
        from legseg_bids.dicom.seg import write_seg

        series = write_seg(options.dseg, options.dicom, options.out)
    except ImportError as error:
        raise UsageError(
            f"{error.name} is not installed; expected what DICOM needs; "
            "pip install 'legseg-bids[dicom]'"
        ) from error
    return f"wrote {options.out}, which refers to {series}"


def _write_table(options: argparse.Namespace) -> str:
    from legseg_bids.anatomy import colour_tables
    from legseg_bids.bids.write import write_text

    labels = _labels(options.only)
    write_text(options.out, getattr(colour_tables, options.kind)(labels))
    return f"wrote {options.out} with {len(labels)} labels"


def _labels(only: Path | None) -> list[Label]:
    """All labels, or those of an image.

    Raises
    ------
    ImageError
        If the image cannot be read.
    """
    from legseg_bids.anatomy.labels import load_labels

    if only is None:
        return list(load_labels())
    import numpy as np

    from legseg_bids.bids.reading import read_labels

    present = set(np.unique(read_labels(only).data).tolist())
    return [label for label in load_labels() if label.index in present]


if __name__ == "__main__":
    sys.exit(main())
