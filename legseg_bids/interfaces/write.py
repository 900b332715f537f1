"""Sixth step: the files of the derivative, on the grid of the source."""

from __future__ import annotations

import json
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
    isdefined,
    traits,
)
from numpy.typing import NDArray

from legseg_bids.anatomy.labels import label_by_index
from legseg_bids.bids.derivative import StationResult, write_station
from legseg_bids.bids.measures import MeasureTables
from legseg_bids.bids.places import require_output
from legseg_bids.bids.stations import Station
from legseg_bids.imaging.orientation import Orientation, from_canonical
from legseg_bids.interfaces.exchange import (
    Prepared,
    load,
    load_candidates,
    load_location,
    load_prepared,
)
from legseg_bids.measure.trust import mean_prediction
from legseg_bids.segment.limb import RegionResult
from legseg_bids.segment.locate import Location
from legseg_bids.segment.pipeline import limb_mask


class _InputSpec(BaseInterfaceInputSpec):
    station = traits.Dict(mandatory=True, desc="the station, as plain values")
    prepared = File(exists=True, mandatory=True, desc="from TryToPrepare")
    location = File(exists=True, mandatory=True, desc="from LocateLimbs")
    candidates = File(exists=True, mandatory=True, desc="from SegmentRegions")
    networks = File(exists=True, mandatory=True, desc="from SegmentRegions")
    probabilities = File(exists=True, desc="from SegmentRegions, if asked for")
    labels = File(exists=True, mandatory=True, desc="from MergeLabels")
    measures = File(exists=True, mandatory=True, desc="from MeasureMuscles")
    neighbours = File(exists=True, mandatory=True, desc="from LocateLimbs")
    output_dir = traits.Str(mandatory=True, desc="root of the derivative")
    config_hash = traits.Str(mandatory=True, desc="changes with version and weights")
    run = traits.Str("", usedefault=True, nohash=True, desc="identifier of the run")


class _OutputSpec(TraitedSpec):
    sidecar = File(exists=True, desc="JSON of the label image, written last")


class WriteDerivatives(SimpleInterface):
    """Write labels, tables, masks, maps, sidecars and, if asked for, probabilities."""

    input_spec = _InputSpec
    output_spec = _OutputSpec
    # The output folder is not ours alone: somebody may have cleared it since the last run.
    _always_run = True

    def _run_interface(self, runtime):  # type: ignore[no-untyped-def]
        require_output(Path(self.inputs.output_dir))
        station = Station.from_dict(self.inputs.station)
        paths = write_station(
            Path(self.inputs.output_dir),
            station,
            nib.load(station.source).header,
            self._result(),
            self.inputs.config_hash,
        )
        self._results["sidecar"] = str(paths.sidecar)
        return runtime

    def _result(self) -> StationResult:
        prepared = load_prepared(Path(self.inputs.prepared))
        names, probabilities = self._probabilities(prepared.orientation)
        details = describe(
            prepared,
            load_location(Path(self.inputs.location)),
            load_candidates(Path(self.inputs.candidates)),
            json.loads(Path(self.inputs.networks).read_text(encoding="utf-8")),
        )
        measured = json.loads(Path(self.inputs.measures).read_text(encoding="utf-8"))
        details["Warnings"] += measured["warnings"]
        details["PredictedDice"] = mean_prediction(measured["muscles"])
        merged = load(Path(self.inputs.labels))[1]
        neighbours = json.loads(Path(self.inputs.neighbours).read_text(encoding="utf-8"))
        return StationResult(
            labels=from_canonical(merged["labels"], prepared.orientation),
            rows=measured["muscles"],
            mask=from_canonical(limb_mask(prepared.limbs), prepared.orientation),
            probabilities=probabilities,
            probability_names=names,
            confidence=from_canonical(merged["probability"], prepared.orientation),
            measures=_tables(measured, prepared),
            details={"RunUUID": self.inputs.run, "Neighbours": neighbours, **details},
        )

    def _probabilities(
        self, orientation: Orientation
    ) -> tuple[list[str], NDArray[np.float16] | None]:
        if not isdefined(self.inputs.probabilities):
            return [], None
        facts, maps = load(Path(self.inputs.probabilities))
        labels = facts["labels"]
        stacked = np.stack([maps[str(label)] for label in labels], axis=-1)
        names = [label_by_index(label).abbreviation for label in labels]
        return names, from_canonical(stacked, orientation)


def _tables(measured: dict[str, Any], prepared: Prepared) -> MeasureTables:
    """The other tables, and the map on the grid of the source."""
    fat = prepared.fat
    return MeasureTables(
        compartments=measured["compartments"],
        profiles=measured["profiles"],
        limbs=measured["limbs"],
        fat_fraction=None if fat is None else from_canonical(fat.fraction, prepared.orientation),
        fat_facts={} if fat is None else fat.facts(),
    )


def describe(
    prepared: Prepared,
    location: Location,
    candidates: Sequence[RegionResult],
    networks: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """What the sidecar tells of how the labels came about; slices count from the feet end.

    Returns
    -------
    dict
        ``Models``, ``Parts``, ``Regions``, ``SideProbabilities``, ``Warnings``.
    """
    return {
        "Models": list(networks),
        "Parts": [part.name.lower() for part in location.parts],
        "Regions": [_region(result) for result in candidates],
        "SideProbabilities": [round(value, 4) for value in location.side_probabilities],
        "Warnings": [*prepared.warnings, *location.warnings],
    }


def _region(result: RegionResult) -> dict[str, Any]:
    """One region of one limb; the score is the mean probability of what was labelled."""
    found = result.probability[result.labels > 0]
    return {
        "Name": str(result.region),
        "Side": str(result.side),
        "FirstSlice": result.box[2].start,
        "LastSlice": result.box[2].stop - 1,
        "Score": round(float(found.mean()), 4) if found.size else 0.0,
    }
