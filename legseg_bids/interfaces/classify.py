"""Second step: what each slice shows, as the classifier sees it slice by slice."""

from __future__ import annotations

from pathlib import Path

from nipype.interfaces.base import File, SimpleInterface, TraitedSpec, traits

from legseg_bids.bids.derivative import checksums
from legseg_bids.bids.stations import Station
from legseg_bids.interfaces.exchange import View, load_prepared, save_view
from legseg_bids.interfaces.networks import NetworkInputSpec, open_network
from legseg_bids.interfaces.tolerant import Problem, read_problem, tolerate
from legseg_bids.segment.pipeline import classify_station


class _InputSpec(NetworkInputSpec):
    station = traits.Dict(mandatory=True, desc="the station, as plain values")
    prepared = File(exists=True, mandatory=True, desc="from TryToPrepare")


class _OutputSpec(TraitedSpec):
    view = File(exists=True, desc="probabilities of each slice, or what went wrong")


class ClassifySlices(SimpleInterface):
    """Classify each slice; see :func:`legseg_bids.segment.classify.classify`."""

    input_spec = _InputSpec
    output_spec = _OutputSpec

    def _run_interface(self, runtime):  # type: ignore[no-untyped-def]
        folder = Path(runtime.cwd)
        station = Station.from_dict(self.inputs.station)
        path = folder / "view.npz"
        tried = tolerate(lambda: self._classify(station, path), folder)
        problem = read_problem(tried)
        if problem is not None:
            save_view(path, View(station.output_name, _sums(station, problem), None, str(tried)))
        self._results["view"] = str(path)
        return runtime

    def _classify(self, station: Station, path: Path) -> Path:
        handed = Path(self.inputs.prepared)
        problem = read_problem(handed)
        if problem is not None:
            raise problem.exception()
        prepared = load_prepared(handed)
        model, engine = open_network(self.inputs, "locator")
        seen = classify_station(
            prepared.volume, prepared.mask, prepared.limbs, model, lambda _: engine
        )
        return save_view(path, View(station.output_name, checksums(station), seen))


def _sums(station: Station, problem: Problem) -> dict[str, str] | None:
    """Check sums of files that cannot be used; None where another try may end better."""
    if not problem.lasts:
        return None
    try:
        return checksums(station)
    except OSError:
        return None
