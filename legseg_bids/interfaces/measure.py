"""Fifth step: the tables of what muscles, compartments and limbs measure."""

from __future__ import annotations

import json
from pathlib import Path

from nipype.interfaces.base import BaseInterfaceInputSpec, File, SimpleInterface, TraitedSpec

from legseg_bids.interfaces.exchange import load, load_prepared
from legseg_bids.measure import Scene, measure_image
from legseg_bids.segment.pipeline import limb_mask


class _InputSpec(BaseInterfaceInputSpec):
    prepared = File(exists=True, mandatory=True, desc="from TryToPrepare")
    labels = File(exists=True, mandatory=True, desc="from MergeLabels")


class _OutputSpec(TraitedSpec):
    measures = File(exists=True, desc="the rows of all tables, and warnings, as JSON")


class MeasureMuscles(SimpleInterface):
    """Measure an image; see :func:`legseg_bids.measure.image.measure_image`."""

    input_spec = _InputSpec
    output_spec = _OutputSpec

    def _run_interface(self, runtime):  # type: ignore[no-untyped-def]
        station = load_prepared(Path(self.inputs.prepared))
        merged = load(Path(self.inputs.labels))[1]
        fat = station.fat
        scene = Scene(
            labels=merged["labels"],
            affine=station.volume.affine,
            limbs=limb_mask(station.limbs),
            fat_fraction=None if fat is None else fat.fraction,
            highest_fraction=1.0 if fat is None else fat.highest,
            confidence=merged["probability"],
        )
        path = Path(runtime.cwd) / "measures.json"
        path.write_text(json.dumps(measure_image(scene).as_dict()), encoding="utf-8")
        self._results["measures"] = str(path)
        return runtime
