"""Last step: the picture that a person looks at."""

from __future__ import annotations

from pathlib import Path

from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    SimpleInterface,
    TraitedSpec,
    traits,
)

from legseg_bids.bids.names import figure_path
from legseg_bids.bids.places import require_output
from legseg_bids.bids.stations import Station
from legseg_bids.interfaces.exchange import load, load_prepared
from legseg_bids.report.overlay import draw_overlay


class _InputSpec(BaseInterfaceInputSpec):
    station = traits.Dict(mandatory=True, desc="the station, as plain values")
    prepared = File(exists=True, mandatory=True, desc="from TryToPrepare")
    labels = File(exists=True, mandatory=True, desc="from MergeLabels")
    output_dir = traits.Str(mandatory=True, desc="root of the derivative")
    sidecar = traits.Str(desc="from WriteDerivatives: no picture of what was not written")


class _OutputSpec(TraitedSpec):
    figure = File(exists=True, desc="PNG")


class DrawOverlay(SimpleInterface):
    """Draw a station; see :func:`legseg_bids.report.overlay.draw_overlay`."""

    input_spec = _InputSpec
    output_spec = _OutputSpec
    # The output folder is not ours alone: somebody may have cleared it since the last run.
    _always_run = True

    def _run_interface(self, runtime):  # type: ignore[no-untyped-def]
        output = Path(self.inputs.output_dir)
        station = Station.from_dict(self.inputs.station)
        volume = load_prepared(Path(self.inputs.prepared)).volume
        labels = load(Path(self.inputs.labels))[1]["labels"]
        path = figure_path(output, station.output_name)
        draw_overlay(
            volume.data,
            labels,
            volume.spacing,
            path,
            station.stem,
            before=lambda: require_output(output),
        )
        self._results["figure"] = str(path)
        return runtime
