"""Folders of the output that are links to somewhere else."""

from __future__ import annotations

import os
from pathlib import Path

from legseg_bids.errors import OutputError


def refuse_links(output_dir: Path) -> None:
    """Make sure that everything below the output folder is written there.

    The output folder itself may be a link. A folder below it that leads elsewhere is refused:
    nobody can tell whether it was meant, or planted by somebody who may write to the output
    folder but not where it leads. Links to files do no harm: files are replaced, not followed.

    Parameters
    ----------
    output_dir : Path
        Root of the derivative; need not exist.

    Raises
    ------
    OutputError
        If a folder leads out of the output folder.
    """
    root = output_dir.resolve()
    for folder, names, _ in os.walk(root):
        for link in (Path(folder, name) for name in names):
            if link.is_symlink() and not link.resolve().is_relative_to(root):
                raise OutputError(
                    f"{link} is a link to {link.resolve()}; expected a folder of the output "
                    "itself; remove the link, or let the whole output folder be one"
                )
