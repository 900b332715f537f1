"""Stations of a real dataset, as the application hands them to the thigh network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load
from torch import nn

from legseg_bids.anatomy.regions import Region
from legseg_bids.bids.dataset import index
from legseg_bids.bids.discover import discover
from legseg_bids.imaging.dixon import choose_in_phase_echoes, choose_opposed_echo
from legseg_bids.imaging.volume import Volume
from legseg_bids.interfaces.exchange import Prepared
from legseg_bids.interfaces.prepare import prepare
from legseg_bids.segment import pipeline
from legseg_bids.segment.engines import Engine, load_engine
from legseg_bids.segment.locate import Location
from legseg_bids.segment.models import TORCH, Model, load_model
from legseg_bids.segment.region import LimbRun, run_region
from legseg_bids.train.export import load_network
from legseg_bids.train.recipe import load_recipe

NETWORK = "thigh"


@dataclass(frozen=True, eq=False)
class Real:
    """A station, ready to be segmented."""

    participant: str
    prepared: Prepared
    location: Location

    @property
    def in_phase(self) -> Volume | None:
        """The in-phase image, if there is one."""
        data = self.prepared.in_phase
        return None if data is None else Volume(data, self.prepared.volume.affine)


def stations(dataset: Path, models: Path) -> Iterator[Real]:
    """Every station of a dataset, located."""
    found = discover(index(dataset), choose_opposed_echo, None, choose_in_phase_echoes)
    locator = load_model(models, pipeline.LOCATOR)
    for station in found.stations:
        one = prepare(station)
        place = pipeline.locate_station(one.volume, one.mask, one.limbs, locator, load_engine)
        yield Real(station.subject, one, place)


def runs(real: Real, model: Model, engine: Engine, in_phase: bool) -> list[LimbRun]:
    """What a thigh network makes of each limb; nothing without a thigh in view."""
    one = real.prepared
    regions = pipeline.regions_in_view(real.location.parts, one.volume.spacing[2])
    z_range = dict(regions).get(Region.UPPER)
    if z_range is None:
        return []
    spec = model.segmentation
    also = real.in_phase if in_phase else None
    return list(
        run_region(
            one.volume, one.mask, one.limbs, real.location, z_range, spec, engine, None, None, also
        )
    )


def network_of(model: Model) -> nn.Module:
    """The thigh network in PyTorch, in single precision."""
    return load_network(load_recipe(NETWORK), load(model.weights(TORCH)))
