"""Fifth step: the table of what each muscle measures."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from nipype.interfaces.base import BaseInterfaceInputSpec, File, SimpleInterface, TraitedSpec

from legseg_bids.interfaces.exchange import load, load_prepared
from legseg_bids.measure.muscles import measure


class _InputSpec(BaseInterfaceInputSpec):
    prepared = File(exists=True, mandatory=True, desc="from TryToPrepare")
    labels = File(exists=True, mandatory=True, desc="from MergeLabels")


class _OutputSpec(TraitedSpec):
    measures = File(exists=True, desc="one row for each label, as JSON")


class MeasureMuscles(SimpleInterface):
    """Measure each label; see :func:`legseg_bids.measure.muscles.measure`."""

    input_spec = _InputSpec
    output_spec = _OutputSpec

    def _run_interface(self, runtime):  # type: ignore[no-untyped-def]
        station = load_prepared(Path(self.inputs.prepared))
        labels = load(Path(self.inputs.labels))[1]["labels"]
        volume = station.volume
        rows = measure(
            labels,
            volume.spacing,
            station.fat_fraction,
            station.mask,
            voxel_volume=volume.voxel_volume,
        )
        path = Path(runtime.cwd) / "measures.json"
        path.write_text(json.dumps([asdict(row) for row in rows]), encoding="utf-8")
        self._results["measures"] = str(path)
        return runtime
