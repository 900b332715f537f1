"""Third step: the networks, limb by limb and region by region."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from nipype.interfaces.base import File, SimpleInterface, TraitedSpec, isdefined, traits
from numpy.typing import NDArray

from legseg_bids.anatomy.labels import BACKGROUND, structure_names
from legseg_bids.imaging.volume import Volume
from legseg_bids.interfaces.exchange import (
    load_location,
    load_prepared,
    save,
    save_candidates,
)
from legseg_bids.interfaces.networks import NetworkInputSpec, open_network
from legseg_bids.segment.engines import Engine
from legseg_bids.segment.limb import LimbImage, RegionResult, class_maps, network_spacing
from legseg_bids.segment.models import Model, SegmentationSpec
from legseg_bids.segment.pipeline import networks_in_view
from legseg_bids.segment.region import LimbRun, run_region

Maps = dict[int, NDArray[np.float16]]


class _InputSpec(NetworkInputSpec):
    prepared = File(exists=True, mandatory=True, desc="from TryToPrepare")
    location = File(exists=True, mandatory=True, desc="from LocateLimbs")
    memory = traits.Int(nohash=True, desc="ceiling for this process, bytes")
    title = traits.Str(nohash=True, desc="name of the image for lines about the progress")
    keep_probabilities = traits.Bool(False, usedefault=True, desc="also keep all probabilities")


class _OutputSpec(TraitedSpec):
    candidates = File(exists=True, desc="labels of each region of each limb")
    networks = File(exists=True, desc="what was run on what, as JSON")
    probabilities = File(exists=True, desc="map of each label, if asked for")


class SegmentRegions(SimpleInterface):
    """Run the networks of all regions in view on all limbs."""

    input_spec = _InputSpec
    output_spec = _OutputSpec

    def _run_interface(self, runtime):  # type: ignore[no-untyped-def]
        folder = Path(runtime.cwd)
        station = load_prepared(Path(self.inputs.prepared))
        location = load_location(Path(self.inputs.location))
        in_phase = None
        if station.in_phase is not None:
            in_phase = Volume(station.in_phase, station.volume.affine)
        results: list[RegionResult] = []
        facts: list[dict[str, Any]] = []
        maps: Maps = {}
        models, distance = Path(self.inputs.models_dir), station.volume.spacing[2]
        for _, name, z_range in networks_in_view(models, location, distance):
            model, engine = open_network(self.inputs, name)
            spec = model.segmentation
            limbs: list[dict[str, Any]] = []
            facts.append(_facts(model, engine, station.volume) | {"Limbs": limbs})
            self._tell(f"{model.name} network, {len(station.limbs)} limb(s)")
            for run in run_region(
                station.volume,
                station.mask,
                station.limbs,
                location,
                z_range,
                spec,
                engine,
                self._memory(),
                in_phase=in_phase,
            ):
                results.append(run.result)
                limbs.append(_fed(run))
                if self.inputs.keep_probabilities:
                    add_maps(maps, run.image, run.probabilities, spec, station.volume.shape)
        self._results["candidates"] = str(save_candidates(folder / "candidates.npz", results))
        self._results["networks"] = str(_write(folder / "networks.json", facts))
        if self.inputs.keep_probabilities:
            self._results["probabilities"] = str(_save_maps(folder / "probabilities.npz", maps))
        return runtime

    def _tell(self, what: str) -> None:
        """One line for each region: they are what takes long. Nobody need be there to read it."""
        if isdefined(self.inputs.title):
            with suppress(OSError):
                print(f"{'':10} {self.inputs.title}: {what}", file=sys.stderr, flush=True)

    def _memory(self) -> int | None:
        return int(self.inputs.memory) if isdefined(self.inputs.memory) else None


def add_maps(
    maps: Maps,
    image: LimbImage,
    probabilities: NDArray[np.float32],
    spec: SegmentationSpec,
    shape: tuple[int, int, int],
) -> None:
    """Add the probabilities of one limb to the maps of the whole station.

    Where limbs or regions overlap, the larger probability of a label is kept.

    Parameters
    ----------
    maps : dict of int to ndarray of float16, (x, y, z)
        By label; changed in place.
    image : LimbImage
        Where the limb lies.
    probabilities : (labels, z, y, x) array
        From the network, on its own grid.
    spec : SegmentationSpec
        Of the network.
    shape : tuple of int
        Of the canonical source grid.
    """
    for label, values in class_maps(image, probabilities, spec):
        if label != BACKGROUND:
            whole = maps.setdefault(label, np.zeros(shape, np.float16))
            part = whole[image.box]
            np.maximum(part, values, out=part, casting="same_kind")


def _facts(model: Model, engine: Engine, volume: Volume) -> dict[str, Any]:
    z, y, x = network_spacing(volume.spacing, model.segmentation, volume.shape[2])
    return {
        "Name": model.name,
        "Version": model.version,
        "SHA256": dict(model.sha256),
        "Labels": structure_names(model.segmentation.labels),
        "ResampledTo": [x, y, z],
        "Engine": engine.name,
        "Device": engine.device,
    }


def _fed(run: LimbRun) -> dict[str, Any]:
    """Which images of a limb made its labels, and how sure the network was of each it saw."""
    return {
        "Side": str(run.result.side),
        "Contrasts": list(run.contrasts),
        "Confidence": {name: round(value, 4) for name, value in run.confidences.items()},
    }


def _save_maps(path: Path, maps: Mapping[int, NDArray[np.float16]]) -> Path:
    """By rising label."""
    labels = sorted(maps)
    return save(path, {"labels": labels}, {str(label): maps[label] for label in labels})


def _write(path: Path, facts: object) -> Path:
    path.write_text(json.dumps(facts), encoding="utf-8")
    return path
