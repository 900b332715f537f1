"""Statistics of the image itself in the batch normalisation, by share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.accuracy.bench import Bench
from benchmarks.accuracy.cases import BANDS
from benchmarks.accuracy.real import groups_of
from benchmarks.adaptation.real import Real, network_of, runs
from legseg_bids.evaluate.answers import answer, hits, mean_dice
from legseg_bids.evaluate.overlap import dice
from legseg_bids.imaging.orientation import from_canonical
from legseg_bids.segment import pipeline
from legseg_bids.segment.engines import Array
from legseg_bids.segment.models import Model


class Adapted:
    """A network whose batch normalisation mixes in statistics of the image; an ``Engine``.

    ``share`` is that of the image's own mean and variance (Schneider et al., Improving robustness
    against common corruptions by covariate shift adaptation, NeurIPS 2020).
    """

    name, device = "torch", "cpu"

    def __init__(self, model: Model, share: float) -> None:
        self._network = network_of(model)
        for module in self._network.modules():
            if isinstance(module, nn.BatchNorm3d):
                module.forward = _mixing(module, share)  # type: ignore[method-assign]

    def __call__(self, batch: Array) -> tuple[Array, ...]:
        """Logits of a batch."""
        with torch.inference_mode():
            return (self._network(torch.from_numpy(np.ascontiguousarray(batch))).numpy(),)


def _mixing(module: nn.BatchNorm3d, share: float) -> Callable[[Tensor], Tensor]:
    mean, var = module.running_mean, module.running_var
    assert mean is not None
    assert var is not None

    def forward(x: Tensor) -> Tensor:
        now = torch.lerp(mean, x.mean((0, 2, 3, 4)), share)
        spread = torch.lerp(var, x.var((0, 2, 3, 4), unbiased=False), share)
        return nn.functional.batch_norm(
            x, now, spread, module.weight, module.bias, False, 0.0, module.eps
        )

    return forward


def on_simulated(bench: Bench, shares: Sequence[float], people: int) -> Iterator[tuple[str, str]]:
    """Mean Dice in every band, one line a share."""
    for share in shares:
        engine = Adapted(bench.model, share)
        means = []
        for case in BANDS:
            found = []
            for number in range(people):
                trial = bench.trial(case, number)
                _, labels = answer(trial, bench.model, engine)
                found.append(mean_dice(hits(trial, labels, bench.model.segmentation.labels)))
            means.append(float(np.nanmean(found)))
        yield f"share {share:g}", "  ".join(f"{m:.3f}" for m in [*means, float(np.mean(means))])


def on_real(
    real: Real, reference: Path, model: Model, shares: Sequence[float], scheme: str
) -> Iterator[tuple[str, str]]:
    """Mean Dice over the reference's muscles, both images fed, one line a share."""
    for share in shares:
        found = runs(real, model, Adapted(model, share), in_phase=True)
        labels = pipeline.finish([run.result for run in found], real.prepared.volume).labels
        yield f"share {share:g}", f"{_agreement(labels, real, reference, scheme):.3f}"


def _agreement(labels: np.ndarray, real: Real, reference: Path, scheme: str) -> float:
    stored: Mapping[str, object] | object = nib.load(reference)
    wanted = np.asanyarray(stored.dataobj).astype(int)  # type: ignore[union-attr]
    found = from_canonical(labels, real.prepared.orientation)
    there = wanted.any(axis=(0, 1))
    pairs = groups_of(scheme).values()
    values = [
        dice(np.isin(found, ours)[..., there], np.isin(wanted, theirs)[..., there])
        for ours, theirs in pairs
        if np.isin(wanted, theirs).any()
    ]
    return float(np.mean(values))
