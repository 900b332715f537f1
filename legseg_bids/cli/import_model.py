"""``legseg-import``: wrap a network of another tool into a bundle that the application uses."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from legseg_bids.train.importing.wrap import Source

NATIVE = "native"


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    out = argparse.ArgumentParser(
        prog="legseg-import",
        description="Wrap a segmentation network of another tool (an ONNX file, or a result "
        "folder of nnU-Net 2) into a bundle for legseg --models.",
    )
    out.add_argument("network", type=Path, help="ONNX file, or result folder of nnU-Net 2")
    out.add_argument("--into", type=Path, required=True, help="folder of bundles; made if need be")
    out.add_argument(
        "--region",
        required=True,
        choices=("upper", "lower", "hip", "whole"),
        help="what the network knows: thigh, lower leg, hip, or the whole leg",
    )
    out.add_argument("--labels", type=Path, help="names of its classes (ONNX); see the manual")
    out.add_argument(
        "--like",
        default="legseg",
        metavar="MAKER",
        help="whose conventions it follows: legseg or qmritools (default: legseg)",
    )
    out.add_argument(
        "--spacing",
        nargs="+",
        metavar="MM",
        help="voxel size it was trained on along x, y, z (left-right, back-front, foot-head), or "
        "the word native: it is fed the voxels of the image",
    )
    out.add_argument(
        "--orientation",
        metavar="XYZ",
        help="where its axes of space lead to, as SAR (superior, anterior, right)",
    )
    out.add_argument("--scaling", metavar="NAME", help="of intensities, as zscore; see the manual")
    out.add_argument(
        "--patch", type=int, nargs=3, metavar="N", help="size of all patches, along its own axes"
    )
    out.add_argument("--mapping", type=Path, help="mapping file (default: beside the bundle)")
    out.add_argument("--fold", help="of nnU-Net (default: the first that has a checkpoint)")
    out.add_argument("--mem", default="8GB", help="what one patch may take (default: 8GB)")
    out.add_argument("--overwrite", action="store_true", help="replace a bundle that is there")
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``legseg-import``."""
    options = parser().parse_args(arguments)
    from legseg_bids.anatomy.regions import Region
    from legseg_bids.cli.resources import parse_memory
    from legseg_bids.errors import LegsegError
    from legseg_bids.train.importing.bundle import bundle_name
    from legseg_bids.train.importing.wrap import Wanted, wrap

    try:
        region = Region(options.region)
        beside = options.into / f"{bundle_name(region)}_labels.tsv"
        wanted = Wanted(
            models=options.into,
            region=region,
            mapping=options.mapping or beside,
            memory=parse_memory(options.mem),
            overwrite=options.overwrite,
        )
        bundle, warnings = wrap(_source(options), wanted)
    except LegsegError as error:
        print(f"legseg-import: {error}", file=sys.stderr)
        return int(error.exit_code)
    for warning in warnings:
        print(f"legseg-import: {warning}", file=sys.stderr)
    print(f"wrote {bundle}; use it with --models {options.into}")
    return 0


def _source(options: argparse.Namespace) -> Source:
    """The network and what is known about it.

    Raises
    ------
    LegsegError
        If it cannot be used, or something must be said that was not.
    """
    if options.network.is_dir():
        from legseg_bids.train.importing.nnunet import read_result_folder

        _refuse(options, ("labels", "spacing", "scaling", "patch"), "an ONNX file; the plans say")
        return read_result_folder(options.network, options.fold, options.orientation)
    _refuse(options, ("fold",), "a result folder of nnU-Net; an ONNX file has none of")
    return _onnx_source(options)


def _refuse(options: argparse.Namespace, names: Sequence[str], why: str) -> None:
    from legseg_bids.errors import UsageError

    given = [f"--{name}" for name in names if getattr(options, name) is not None]
    if given:
        raise UsageError(f"{', '.join(given)} belongs to {why} that; leave it out")


def _onnx_source(options: argparse.Namespace) -> Source:
    from legseg_bids.errors import UsageError
    from legseg_bids.train.importing.onnx_file import read_onnx
    from legseg_bids.train.importing.tables import read_label_table
    from legseg_bids.train.importing.wrap import Source, liked, named_convention

    like = liked(options.like)
    if options.labels is None:
        raise UsageError(
            f"nothing says what the classes of {options.network} are; expected a label table; "
            f"give it with --labels"
        )
    return Source(
        onnx=read_onnx(options.network),
        origin=options.network.name,
        names=read_label_table(options.labels),
        convention=named_convention(like, options.orientation, options.scaling),
        spacing=_spacing(options, bool(like.get("native_spacing", False))),
        patch=tuple(options.patch) if options.patch else None,
    )


def _spacing(options: argparse.Namespace, native: bool) -> tuple[float, float, float] | None:
    """What ``--spacing`` says; None means the voxels of the image.

    Raises
    ------
    UsageError
        If it is needed and not given, or no voxel size.
    """
    from legseg_bids.errors import UsageError

    told = options.spacing
    if told == [NATIVE] or (told is None and native):
        return None
    try:
        x, y, z = (float(text) for text in told or ())
    except ValueError:
        x, y, z = 0.0, 0.0, 0.0
    if min(x, y, z) <= 0 or max(x, y, z) > 1000:
        found = "nothing" if told is None else " ".join(told)
        raise UsageError(
            f"the voxel size of {options.network} is given as {found}; expected three numbers "
            f"in mm along x, y, z, or native; say on which voxels it was trained with --spacing"
        )
    return x, y, z


if __name__ == "__main__":
    sys.exit(main())
