"""Fourth step: regions and sides become one clean label image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nipype.interfaces.base import BaseInterfaceInputSpec, File, SimpleInterface, TraitedSpec
from numpy.typing import NDArray

from legseg_bids.interfaces.exchange import load_candidates, load_prepared, save
from legseg_bids.segment.pipeline import finish


class _InputSpec(BaseInterfaceInputSpec):
    prepared = File(exists=True, mandatory=True, desc="from TryToPrepare")
    candidates = File(exists=True, mandatory=True, desc="from SegmentRegions")


class _OutputSpec(TraitedSpec):
    labels = File(exists=True, desc="labels and their probability, canonical axes")


class MergeLabels(SimpleInterface):
    """Merge and clean; see :func:`legseg_bids.segment.pipeline.finish`."""

    input_spec = _InputSpec
    output_spec = _OutputSpec

    def _run_interface(self, runtime):  # type: ignore[no-untyped-def]
        volume = load_prepared(Path(self.inputs.prepared)).volume
        merged = finish(load_candidates(Path(self.inputs.candidates)), volume)
        arrays: dict[str, NDArray[Any]] = {
            "labels": merged.labels,
            "probability": merged.probability,
        }
        path = save(Path(runtime.cwd) / "labels.npz", {}, arrays)
        self._results["labels"] = str(path)
        return runtime
