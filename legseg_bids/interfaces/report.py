"""After the images: the page about a participant, made from the derivative and the sources."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import nibabel as nib
import numpy as np
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    SimpleInterface,
    TraitedSpec,
    traits,
)
from numpy.typing import NDArray

from legseg_bids.bids.derivative import read_legseg, sha256, sidecar_of
from legseg_bids.bids.finished import FinishedImage
from legseg_bids.bids.places import require_output
from legseg_bids.bids.reading import read_image
from legseg_bids.errors import ImageError
from legseg_bids.imaging.orientation import to_canonical
from legseg_bids.imaging.stacks import Grid
from legseg_bids.imaging.volume import Volume
from legseg_bids.interfaces.prepare import compose
from legseg_bids.report.findings import RAW, listed, read_sidecar
from legseg_bids.report.scene import Scene, grey_levels
from legseg_bids.report.subject import write_subject_report
from legseg_bids.report.troubles import Trouble
from legseg_bids.segment.whole_leg import Piece, WholeLeg

#: What the opposed-phase image is made of; the first that is there.
ROLES = (("opposed",), ("real", "imaginary"), ("water", "fat"))


class _InputSpec(BaseInterfaceInputSpec):
    subject = traits.Str(mandatory=True, desc="label without sub-")
    output_dir = traits.Str(mandatory=True, desc="root of the derivative")
    bids_dir = traits.Str("", usedefault=True, desc="the dataset, if it is at hand")
    troubles = traits.List(traits.Dict, usedefault=True, desc="images without a result")


class _OutputSpec(TraitedSpec):
    report = File(exists=True, desc="HTML")


class WriteReport(SimpleInterface):
    """Write the page; see :func:`legseg_bids.report.subject.write_subject_report`."""

    input_spec = _InputSpec
    output_spec = _OutputSpec
    # The output folder is not ours alone: somebody may have cleared it since the last run.
    _always_run = True

    def _run_interface(self, runtime):  # type: ignore[no-untyped-def]
        output = Path(self.inputs.output_dir)
        require_output(output)
        sources = Sources(output, Path(self.inputs.bids_dir) if self.inputs.bids_dir else None)
        troubles = [Trouble(**trouble) for trouble in self.inputs.troubles]
        path = write_subject_report(output, self.inputs.subject, sources, troubles)
        self._results["report"] = str(path)
        return runtime


@dataclass(frozen=True)
class Sources:
    """Reads what images were made from, for pictures alone.

    Attributes
    ----------
    output_dir : Path
        Root of the derivative.
    bids_dir : Path or None
        The dataset; None if it is not at hand.
    """

    output_dir: Path
    bids_dir: Path | None

    def available(self, image: FinishedImage) -> int:
        """How many source files are there: a page is made anew when there are more."""
        sidecars = [image.paths.sidecar, *map(sidecar_of, image.members)]
        files = [path for sidecar in sidecars for path in self._files(sidecar)]
        return sum(path.is_file() for path in files)

    def read(self, image: FinishedImage) -> Scene:
        """Labels in canonical axes, and the image below them as far as it can be read.

        Raises
        ------
        ImageError
            If the label image itself cannot be read.
        """
        labels = _read_labels(image.paths.labels)
        grid = Grid.of(labels)
        if not image.merged:
            grey, problem = self._grey_or_why(image.paths.sidecar, grid)
            return Scene(labels.data, grid.affine, grey, problem)
        grey, problems = self._grey_of_leg(image, grid)
        return Scene(labels.data, grid.affine, grey, "; ".join(problems))

    def _grey_of_leg(
        self, image: FinishedImage, grid: Grid
    ) -> tuple[NDArray[np.uint8] | None, list[str]]:
        """The images of the stations in their places, by the rule by which they were merged."""
        leg, problems = WholeLeg(grid), []
        for member in image.members:
            own = Grid.of(_read_labels(member))
            grey, problem = self._grey_or_why(sidecar_of(member), own)
            if grey is None:
                problems.append(problem)
                continue
            nothing = np.zeros(own.shape, np.uint8)
            leg.add(Piece(own, nothing, nothing, nothing.astype(bool), grey))
        return (leg.grey if len(problems) < len(image.members) else None), problems

    def _grey_or_why(self, sidecar: Path, grid: Grid) -> tuple[NDArray[np.uint8] | None, str]:
        try:
            return self._grey(sidecar, grid), ""
        except (ImageError, OSError, ValueError, KeyError) as error:
            return None, f"the image below the labels is not shown: {error}"

    def _grey(self, sidecar: Path, grid: Grid) -> NDArray[np.uint8]:
        """The opposed-phase image, as it was acquired or rebuilt as it was then."""
        files = self._by_role(sidecar)
        wanted = next(roles for roles in ROLES if set(roles) <= files.keys())
        volume = compose({role: read_image(*files[role]) for role in wanted})[0]
        turned = to_canonical(volume)[0]
        if turned.shape != grid.shape:
            raise ImageError(
                f"{files[wanted[0]][0].name} has {turned.shape} voxels, its labels have "
                f"{grid.shape}; expected the same grid; run again with --overwrite"
            )
        return grey_levels(turned.data)

    def _by_role(self, sidecar: Path) -> dict[str, tuple[Path, int | None]]:
        """File and volume of each role, known by their check sums.

        Raises
        ------
        ImageError
            If the dataset is not at hand, or a file is gone or has changed.
        """
        if self.bids_dir is None:
            raise ImageError("the dataset was not at hand; run with BIDS_DIR to see it")
        sums = {sha256(path): path for path in self._files(sidecar) if path.is_file()}
        found: dict[str, tuple[Path, int | None]] = {}
        for role, text in read_legseg(sidecar).get("SourceSHA256", {}).items():
            digest, _, number = str(text).removesuffix("]").partition("[")
            if digest in sums:
                found[str(role)] = (sums[digest], int(number) if number else None)
        if not any(set(roles) <= found.keys() for roles in ROLES):
            names = ", ".join(path.name for path in self._files(sidecar)) or "the source"
            raise ImageError(f"{names} is gone, or not what it was when it was segmented")
        return found

    def _files(self, sidecar: Path) -> list[Path]:
        """Source files inside the dataset that a sidecar names."""
        if self.bids_dir is None:
            return []
        uris = [str(uri) for uri in listed(read_sidecar(sidecar), "Sources")]
        names = [uri.removeprefix(RAW) for uri in uris if uri.startswith(RAW)]
        inside = [name for name in names if _stays_inside(name)]
        return [self.bids_dir / name for name in inside]


def _stays_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def _read_labels(path: Path) -> Volume:
    """Label image in canonical axes.

    Raises
    ------
    ImageError
        If it cannot be read.
    """
    try:
        image: Any = nib.load(path)
        data = np.asarray(image.dataobj.get_unscaled())
        return to_canonical(Volume(data, image.affine))[0]
    except Exception as error:  # nibabel raises many kinds on a damaged file
        raise ImageError(
            f"{path} cannot be read ({error}); expected the label image that this program wrote; "
            "run the participant again with --overwrite"
        ) from error
