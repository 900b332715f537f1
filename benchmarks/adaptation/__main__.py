"""Real images without labels: do they make a network better that knows simulated legs only.

    python benchmarks/adaptation intensity DATASET
    python benchmarks/adaptation normalisation DATASET --reference REF --atlas ATLAS --cache CACHE
    python benchmarks/adaptation self-training DATASET --atlas ATLAS --cache CACHE --run RUN

``intensity``      what real images look like, in the terms in which legs are simulated
``normalisation``  statistics of the image itself in the batch normalisation, by share, on
                   simulated held-out people and on the participant of REF
``self-training``  refine the thigh network on simulated stacks and on what it is sure of in real
                   ones (``--none``: the same without real ones); RUN then holds a checkpoint for
                   ``legseg-export``

The participant that --left-out names is left out of the self-training, image and all.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from benchmarks.accuracy.bench import Bench, Source
from benchmarks.adaptation import intensity, normalisation, self_training
from benchmarks.adaptation.real import NETWORK, runs, stations
from legseg_bids.segment import pipeline
from legseg_bids.segment.engines import load_engine
from legseg_bids.segment.models import find_models_dir, load_model
from legseg_bids.train.recipe import load_recipe
from legseg_bids.train.subjects import anatomies_of, composites_of

SHARES = (0.0, 0.1, 0.3, 0.6, 1.0)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    text = __doc__ or ""
    out = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    out.add_argument("what", choices=("intensity", "normalisation", "self-training"))
    out.add_argument("dataset", type=Path)
    out.add_argument("--reference", type=Path, help="label image of one participant")
    out.add_argument("--scheme", default="thigh_partial", help="its numbers")
    out.add_argument("--atlas", type=Path, help="folder with the label maps")
    out.add_argument("--cache", type=Path, help="folder for the prepared maps")
    out.add_argument("--models", type=Path, help="folder of the model bundles")
    out.add_argument("--run", type=Path, help="receives the refined checkpoint")
    out.add_argument("--minutes", type=float, default=20.0)
    out.add_argument("--learning-rate", type=float, default=3e-4)
    out.add_argument("--left-out", default="05", help="label of a participant")
    out.add_argument("--none", action="store_true", help="without real images, to compare with")
    out.add_argument("--people", type=int, default=4, help="simulated people a band")
    out.add_argument("--threads", type=int, default=1)
    return out


def _intensity(options: argparse.Namespace) -> Iterator[str]:
    models = find_models_dir(options.models)
    model = load_model(models, NETWORK)
    engine = load_engine(model)

    def rows() -> Iterator[tuple[str, intensity.Floats]]:
        for real in stations(options.dataset, models):
            found = runs(real, model, engine, in_phase=True)
            if not found:
                continue
            one = real.prepared
            labels = pipeline.finish([run.result for run in found], one.volume).labels
            images = {"opposed": one.volume.data, "in phase": one.in_phase}
            for name, image in images.items():
                if image is not None:
                    told = intensity.described(image, labels, one.mask)
                    yield f"sub-{real.participant} {name}", told

    yield from intensity.table(rows())


def _normalisation(options: argparse.Namespace) -> Iterator[str]:
    source = Source(NETWORK, options.atlas, options.cache, options.models)
    bench = Bench.load(source)
    yield "simulated held-out people, five bands and their mean"
    for name, figures in normalisation.on_simulated(bench, SHARES, options.people):
        yield f"{name:12} {figures}"
    if options.reference is None:
        return
    participant = options.reference.name.split("_")[0].removeprefix("sub-")
    for real in stations(options.dataset, find_models_dir(options.models)):
        if real.participant == participant:
            yield f"sub-{participant}"
            for name, figures in normalisation.on_real(
                real, options.reference, bench.model, SHARES, options.scheme
            ):
                yield f"{name:12} {figures}"


def _self_training(options: argparse.Namespace) -> Iterator[str]:
    models = find_models_dir(options.models)
    recipe = replace(load_recipe(NETWORK), learning_rate=options.learning_rate)
    maps = anatomies_of(recipe, options.atlas, options.cache)
    composites = composites_of(recipe, maps, options.atlas, options.cache)
    limbs = []
    if not options.none:
        real = [r for r in stations(options.dataset, models) if r.participant != options.left_out]
        limbs = self_training.pseudo_labelled(real, load_model(models, NETWORK))
        yield f"{len(limbs)} limbs of {len({r.participant for r in real})} participants"
    self_training.refine(
        recipe, maps, composites, limbs, models / NETWORK, options.run, options.minutes
    )
    yield f"written: {options.run / 'checkpoint.pt'}"


def main() -> int:
    """Run one of the trials and tell what it finds."""
    options = parser().parse_args()
    torch.set_num_threads(options.threads)
    kinds = {
        "intensity": _intensity,
        "normalisation": _normalisation,
        "self-training": _self_training,
    }
    for line in kinds[options.what](options):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
