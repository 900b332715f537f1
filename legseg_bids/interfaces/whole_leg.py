"""The step after the stations: their results become one image of the whole leg."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
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

from legseg_bids.bids.derivative import read_legseg
from legseg_bids.bids.measures import MeasureTables
from legseg_bids.bids.merged import MergedResult, station_sums, write_merged
from legseg_bids.bids.names import OutputPaths, output_paths
from legseg_bids.bids.places import require_output
from legseg_bids.bids.stations import Station
from legseg_bids.errors import ImageError
from legseg_bids.imaging.orientation import to_canonical
from legseg_bids.imaging.stacks import Grid, common_grid
from legseg_bids.imaging.volume import Volume
from legseg_bids.interfaces.prepare import read_station
from legseg_bids.measure import Scene, measure_image
from legseg_bids.report.overlay import draw_overlay
from legseg_bids.report.scene import grey_levels
from legseg_bids.segment.whole_leg import Piece, WholeLeg


class _InputSpec(BaseInterfaceInputSpec):
    stations = traits.List(traits.Dict, mandatory=True, desc="stations to merge, as plain values")
    members = traits.List(traits.Str, mandatory=True, desc="names of all stations of the set")
    name = traits.Str(mandatory=True, desc="the path after which the image is named")
    warnings = traits.List(traits.Str, usedefault=True, desc="what a person should know")
    output_dir = traits.Str(mandatory=True, desc="root of the derivative")
    config_hash = traits.Str(mandatory=True, desc="changes with version and weights")
    run = traits.Str("", usedefault=True, nohash=True, desc="identifier of the run")


class _OutputSpec(TraitedSpec):
    sidecar = File(exists=True, desc="JSON of the label image")
    figure = File(exists=True, desc="PNG")


class MergeStations(SimpleInterface):
    """Merge the results of stations; no network is needed.

    See :class:`legseg_bids.segment.whole_leg.WholeLeg`.
    """

    input_spec = _InputSpec
    output_spec = _OutputSpec
    # The output folder is not ours alone: somebody may have cleared it since the last run.
    _always_run = True

    def _run_interface(self, runtime):  # type: ignore[no-untyped-def]
        output = Path(self.inputs.output_dir)
        require_output(output)
        stations = [Station.from_dict(values) for values in self.inputs.stations]
        sums = station_sums(output, [station.output_name for station in stations])
        leg, spans = join(output, stations)
        facts = fat_facts(output, stations) if leg.fat_fraction is not None else {}
        measured = measure_image(
            Scene(
                labels=leg.labels,
                affine=leg.grid.affine,
                limbs=leg.mask,
                fat_fraction=leg.fat_fraction,
                highest_fraction=facts.get("HighestFraction", 1.0),
                confidence=leg.confidence,
                seen=leg.seen,
            )
        )
        tables = MeasureTables(
            measured.compartments, measured.profiles, measured.limbs, leg.fat_fraction, facts
        )
        details = {
            "RunUUID": self.inputs.run,
            "Stations": [_told(*pair) for pair in zip(stations, spans, strict=True)],
            "Warnings": [*self.inputs.warnings, *measured.warnings],
        }
        result = MergedResult(
            labels=leg.labels,
            affine=leg.grid.affine,
            rows=measured.muscles,
            sums=sums,
            members=self.inputs.members,
            measures=tables,
            details=details,
        )
        paths = write_merged(output, self.inputs.name, result, self.inputs.config_hash)
        title = f"{paths.labels.name.partition('.')[0]} ({len(stations)} stations)"
        draw_overlay(leg.grey, leg.labels, leg.grid.spacing, paths.figure, title)
        self._results["sidecar"], self._results["figure"] = str(paths.sidecar), str(paths.figure)
        return runtime


def join(output_dir: Path, stations: Sequence[Station]) -> tuple[WholeLeg, list[tuple[int, int]]]:
    """Read the results of stations onto one grid, one station in memory at a time.

    Returns
    -------
    leg : WholeLeg
    spans : list of (int, int)
        First and last slice of the grid that each station covers.

    Raises
    ------
    ImageError
        If a source cannot be read, does not fit its labels, or lies too far from the others.
    """
    leg = WholeLeg(common_grid([station_grid(output_dir, station) for station in stations]))
    return leg, [leg.add(load_piece(output_dir, station)) for station in stations]


def station_grid(output_dir: Path, station: Station) -> Grid:
    """Canonical grid of a station's label image, by its header alone."""
    image: Any = nib.load(output_paths(output_dir, station.output_name).labels)
    return Grid.of(to_canonical(Volume(np.zeros(image.shape, np.bool_), image.affine))[0])


def load_piece(output_dir: Path, station: Station) -> Piece:
    """Read the results of a station and what its image looks like, canonical axes.

    Raises
    ------
    ImageError
        If a source cannot be read, or does not fit its labels.
    """
    paths = output_paths(output_dir, station.output_name)
    labels, confidence, mask = _results(paths)
    source = read_station(station)[0]
    if source.shape != labels.shape:
        raise ImageError(
            f"{station.source} has {source.shape} voxels, its labels have {labels.shape}; "
            f"expected the same grid; run again with --overwrite"
        )
    turned, _ = to_canonical(labels)
    return Piece(
        grid=Grid.of(turned),
        labels=turned.data,
        confidence=to_canonical(confidence)[0].data,
        mask=to_canonical(mask)[0].data,
        grey=to_canonical(Volume(grey_levels(source.data), labels.affine))[0].data,
        fat_fraction=_fat_fraction(paths),
    )


def fat_facts(output_dir: Path, stations: Sequence[Station]) -> dict[str, Any]:
    """How the map of a merged image was made, from the sidecars of the stations' own maps.

    Returns
    -------
    dict
        ``Stations``: what each of them says; ``HighestFraction``: the lowest of them.
    """
    paths = {s.output_name: output_paths(output_dir, s.output_name) for s in stations}
    told = {name: read_legseg(own.fat_fraction_sidecar) for name, own in paths.items()}
    known = {name: facts for name, facts in told.items() if facts}
    highest = min((facts["HighestFraction"] for facts in known.values()), default=1.0)
    return {"HighestFraction": highest, "Stations": known}


def _fat_fraction(paths: OutputPaths) -> NDArray[np.float32] | None:
    """A station's map of the fat fraction, canonical axes."""
    if not paths.fat_fraction.is_file():
        return None
    image: Any = nib.load(paths.fat_fraction)
    fraction = np.asarray(image.dataobj, dtype=np.float32)
    return to_canonical(Volume(fraction, image.affine))[0].data


def _results(paths: OutputPaths) -> tuple[Volume, Volume, Volume]:
    """Labels, confidence in steps of 1/255, and mask, in the axes of the files."""
    files = (paths.labels, paths.confidence, paths.mask)
    images: list[Any] = [nib.load(path) for path in files]
    labels, confidence, mask = (np.asarray(image.dataobj.get_unscaled()) for image in images)
    affine = images[0].affine
    return (
        Volume(labels.astype(np.uint8), affine),
        Volume(confidence.astype(np.uint8), affine),
        Volume(mask > 0, affine),
    )


def _told(station: Station, span: tuple[int, int]) -> dict[str, Any]:
    """What the sidecar says of a station; slices count from the feet end."""
    return {"Name": station.output_name, "FirstSlice": span[0], "LastSlice": span[1]}
