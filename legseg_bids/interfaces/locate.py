"""Third step: which sides are in view, and which part of the leg each slice shows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    InputMultiObject,
    SimpleInterface,
    TraitedSpec,
    traits,
)

from legseg_bids.interfaces.exchange import View, load_view, save_location
from legseg_bids.interfaces.tolerant import read_problem
from legseg_bids.segment.locate import Location
from legseg_bids.segment.neighbours import locate_among


class _InputSpec(BaseInterfaceInputSpec):
    station = traits.Dict(mandatory=True, desc="the station, as plain values")
    views = InputMultiObject(
        File(exists=True), mandatory=True, desc="from ClassifySlices of all stations of the set"
    )


class _OutputSpec(TraitedSpec):
    location = File(exists=True, desc="sides, parts and doubts, as JSON")
    neighbours = File(exists=True, desc="check sums of the other stations' files, as JSON")


class LocateLimbs(SimpleInterface):
    """Find sides and parts; see :func:`legseg_bids.segment.neighbours.locate_among`.

    If the station could not be prepared or classified, that is raised here.
    """

    input_spec = _InputSpec
    output_spec = _OutputSpec

    def _run_interface(self, runtime):  # type: ignore[no-untyped-def]
        name = self.inputs.station["output_name"]
        views = {view.name: view for view in map(load_view, map(Path, self.inputs.views))}
        _raise_problem(views[name])
        folder = Path(runtime.cwd)
        location = locate_views(name, list(views.values()))
        sums = {other: view.sums for other, view in sorted(views.items()) if other != name}
        neighbours = folder / "neighbours.json"
        neighbours.write_text(json.dumps(sums), encoding="utf-8")
        self._results["location"] = str(save_location(folder / "location.json", location))
        self._results["neighbours"] = str(neighbours)
        return runtime


def locate_views(name: str, views: Sequence[View]) -> Location:
    """Locate a station among those that could be classified, and name those that could not."""
    seen = {view.name: view.seen for view in views if view.seen is not None}
    lost = sorted(view.name for view in views if view.seen is None)
    warnings = (f"{other} could not be read and was left out of the set" for other in lost)
    location = locate_among(name, seen)
    return replace(location, warnings=(*location.warnings, *warnings))


def _raise_problem(view: View) -> None:
    """Raise what kept the station from being classified."""
    problem = read_problem(Path(view.problem)) if view.problem else None
    if problem is not None:
        raise problem.exception()
