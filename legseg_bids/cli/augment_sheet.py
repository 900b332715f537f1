"""``legseg-augment-sheet``: see what an augmentation does to one image."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from legseg_bids.train.augment import Sample


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    out = argparse.ArgumentParser(
        prog="legseg-augment-sheet",
        description="Draw examples of each augmentation of a table, and of all together.",
    )
    out.add_argument("image", type=Path, help="a NIfTI image")
    out.add_argument("labels", type=Path, help="its labels, numbers of the label scheme")
    out.add_argument("sheet", type=Path, help="the PNG to write")
    out.add_argument(
        "--augmentation",
        default="legs",
        metavar="NAME",
        help="legs, qmritools, or a TOML file with tables [augment.…] (default: legs)",
    )
    out.add_argument("--examples", type=int, default=4, help="pictures a row (default: 4)")
    out.add_argument("--seed", type=int, default=0, help="of the first example (default: 0)")
    out.add_argument("--slice", type=int, dest="row", help="counted from 0, from the feet up")
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``legseg-augment-sheet``."""
    options = parser().parse_args(arguments)
    from legseg_bids.bids.write import replacing
    from legseg_bids.errors import LegsegError, UsageError
    from legseg_bids.train.augment import load_augmentation
    from legseg_bids.train.augment.sheet import draw_sheet

    try:
        augmentation = load_augmentation(options.augmentation)
        sample = read_sample(options.image, options.labels)
        if options.examples < 1 or options.seed < 0:
            raise UsageError("--examples or --seed is too small; expected at least 1 and 0")
        if options.row is not None and not 0 <= options.row < sample.shape[0]:
            raise UsageError(
                f"--slice is {options.row}; expected 0 to {sample.shape[0] - 1}, the slices of "
                f"{options.image}"
            )
        sheet = draw_sheet(sample, augmentation, options.examples, options.seed, options.row)
        with replacing(options.sheet) as file:
            sheet.save(file, format="PNG")
    except LegsegError as error:
        print(f"legseg-augment-sheet: {error}", file=sys.stderr)
        return int(error.exit_code)
    print(f"wrote {options.sheet}")
    return 0


def read_sample(image: Path, labels: Path) -> Sample:
    """An image and its labels from NIfTI files, in canonical axes.

    Raises
    ------
    ImageError
        If one cannot be read, or they lie on different grids.
    """
    import numpy as np
    import torch

    from legseg_bids.bids.reading import check_same_grid, read_image
    from legseg_bids.imaging.orientation import to_canonical
    from legseg_bids.imaging.volume import Volume
    from legseg_bids.train.augment import Sample

    both = read_image(image), read_image(labels)
    check_same_grid(*both)
    grey, numbers = (to_canonical(Volume(i.data, i.affine))[0] for i in both)
    magnitude = np.nan_to_num(grey.data).clip(0).astype(np.float32).transpose(2, 1, 0)
    structures = numbers.data.round().astype(np.int64).transpose(2, 1, 0)
    dx, dy, dz = grey.spacing
    return Sample(
        torch.from_numpy(magnitude.copy())[None],
        torch.from_numpy(structures.copy()),
        (dz, dy, dx),
    )


if __name__ == "__main__":
    sys.exit(main())
