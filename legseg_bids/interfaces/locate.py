"""Second step: which sides are in view, and which part of the leg each slice shows."""

from __future__ import annotations

from pathlib import Path

from nipype.interfaces.base import File, SimpleInterface, TraitedSpec

from legseg_bids.interfaces.exchange import load_prepared, save_location
from legseg_bids.interfaces.networks import NetworkInputSpec, open_network
from legseg_bids.segment.pipeline import locate_station


class _InputSpec(NetworkInputSpec):
    prepared = File(exists=True, mandatory=True, desc="from PrepareImage")


class _OutputSpec(TraitedSpec):
    location = File(exists=True, desc="sides, parts and doubts, as JSON")


class LocateLimbs(SimpleInterface):
    """Find sides and parts; see :func:`legseg_bids.segment.locate.locate`."""

    input_spec = _InputSpec
    output_spec = _OutputSpec

    def _run_interface(self, runtime):  # type: ignore[no-untyped-def]
        station = load_prepared(Path(self.inputs.prepared))
        model, engine = open_network(self.inputs, "locator")
        location = locate_station(
            station.volume, station.mask, station.limbs, model, lambda _: engine
        )
        path = save_location(Path(runtime.cwd) / "location.json", location)
        self._results["location"] = str(path)
        return runtime
