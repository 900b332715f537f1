#!/usr/bin/env python3
"""How fast patches are loaded and augmented, and how fast the network takes them.

    python benchmarks/loading.py RECIPE.toml --run RUN [--workers 0 1 2] [--seconds 20]

In one run: this package's pipeline, MONAI's standard one and (if the package nnunetv2 is
installed) the transforms of nnU-Net's trainer from the same prepared limbs, and the training
steps of the recipe's network. The network waits if its patches per second are more than those of
the pipeline. Memory is what a worker has to itself.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch

from legseg_bids.interfaces.prepare import prepare
from legseg_bids.train.losses import LossSum
from legseg_bids.train.own.building import design
from legseg_bids.train.own.checkpoints import State, new_optimiser
from legseg_bids.train.own.fitting import step
from legseg_bids.train.own.loading import Patches, batches, to_channels
from legseg_bids.train.own.recipe_file import load_recipe
from legseg_bids.train.own.training import LIMBS, Ready, make_ready

MIB = 1024**2


def speed(stream: Iterator[Any], size: int, seconds: float) -> tuple[float, float]:
    """Patches per second after the first batch, and the mean memory of a worker, MiB."""
    next(stream)
    begun, count = time.monotonic(), 0
    while time.monotonic() - begun < seconds:
        next(stream)
        count += size
    rate = count / (time.monotonic() - begun)
    return rate, own_memory()


def own_memory() -> float:
    """Mean memory that the loading processes share with nobody, MiB; 0 if there are none."""
    import multiprocessing

    values = []
    for process in multiprocessing.active_children():
        text = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="utf-8")
        values += [
            int(line.split()[1]) / 1024
            for line in text.splitlines()
            if line.startswith("Private_Dirty")
        ]
    return float(np.mean(values)) if values else 0.0


def monai_stream(ready: Ready, workers: int) -> Iterator[Any]:
    """MONAI's usual dictionary transforms, about as much as the table ``legs``."""
    from monai import transforms as t
    from monai.data import CacheDataset, DataLoader

    keys, size = ["image", "labels"], ready.recipe.grid.patch
    modes = ("bilinear", "nearest")
    folder = ready.run / LIMBS
    items = [
        {
            "image": np.load(folder / limb.image)[:1],
            "labels": to_channels(np.load(folder / limb.labels), ready.channels)[None].clip(0),
        }
        for limb in ready.limbs
    ]
    chain = t.Compose(
        [
            t.EnsureTyped(keys),
            t.SpatialPadd(keys, size),
            t.RandAffined(
                keys,
                prob=0.75,
                rotate_range=(0.05, 0.05, 0.26),
                shear_range=(0.1, 0.1),
                translate_range=(0, 10, 10),
                scale_range=(0.1, 0.2, 0.2),
                mode=modes,
                padding_mode="zeros",
            ),
            t.Rand3DElasticd(keys, (5, 7), (10, 40), prob=0.5, mode=modes, padding_mode="zeros"),
            t.RandCropByPosNegLabeld(keys, "labels", size, num_samples=1),
            t.RandGaussianSmoothd("image", prob=0.3),
            t.RandGaussianSharpend("image", prob=0.2),
            t.RandAdjustContrastd("image", prob=0.5),
            t.RandShiftIntensityd("image", 0.1, prob=0.3),
            t.RandRicianNoised("image", prob=0.5, std=0.05),
        ]
    )
    data = CacheDataset(items, chain, progress=False)
    options: dict[str, Any] = {}
    if workers:
        options = {"multiprocessing_context": "forkserver", "persistent_workers": True}
    loader = DataLoader(
        data, batch_size=ready.recipe.batch, shuffle=True, num_workers=workers, **options
    )
    while True:
        yield from loader


class NnUNetPatches(torch.utils.data.IterableDataset):  # type: ignore[type-arg]
    """Patches as nnU-Net draws and augments them: a random place, then its trainer's transforms.

    Patches this flat are turned and scaled slice by slice there ("dummy 2-D"), from a patch that
    is large enough for any turn.
    """

    def __init__(self, ready: Ready) -> None:
        from nnunetv2.training.data_augmentation.compute_initial_patch_size import get_patch_size

        self.size = ready.recipe.grid.patch
        flat = get_patch_size(np.array(self.size[1:]), np.pi, 0, 0, (0.85, 1.25))
        self.drawn = (self.size[0], *(int(n) for n in flat))
        folder = ready.run / LIMBS
        self.limbs = []
        for limb in ready.limbs:
            image = np.load(folder / limb.image)[:1].astype(np.float32)
            labels = to_channels(np.load(folder / limb.labels), ready.channels)[None].clip(0)
            self.limbs.append((image, labels.astype(np.int16)))

    def __iter__(self) -> Iterator[Any]:
        from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

        chain = nnUNetTrainer.get_training_transforms(
            self.size, (-np.pi, np.pi), None, (0, 1, 2), True, use_mask_for_norm=[False]
        )
        draw = np.random.default_rng()
        while True:
            pair = self.limbs[draw.integers(len(self.limbs))]
            room = [max(0, d - n) for d, n in zip(self.drawn, pair[0].shape[1:], strict=True)]
            pads = [(0, 0), *((r // 2, r - r // 2) for r in room)]
            image, labels = (np.pad(a, pads) for a in pair)
            low = [
                draw.integers(n - d + 1) for n, d in zip(image.shape[1:], self.drawn, strict=True)
            ]
            box = (slice(None), *(slice(a, a + d) for a, d in zip(low, self.drawn, strict=True)))
            both = (torch.from_numpy(a[box].copy()) for a in (image, labels))
            yield chain(**dict(zip(("image", "segmentation"), both, strict=True)))


def nnunet_stream(ready: Ready, workers: int) -> Iterator[Any]:
    """nnU-Net's transforms behind PyTorch's loader."""
    options: dict[str, Any] = {}
    if workers:
        options = {"multiprocessing_context": "forkserver", "persistent_workers": True}
    return iter(
        torch.utils.data.DataLoader(
            NnUNetPatches(ready), batch_size=ready.recipe.batch, num_workers=workers, **options
        )
    )


def network_speed(ready: Ready, seconds: float, device: str) -> float:
    """Patches per second of training steps, from one batch that is there already."""
    network = design(ready.recipe, ready.channels).build().to(device)
    state = State(network, new_optimiser(network, ready.recipe.optimiser))
    patches = Patches(ready.recipe, ready.limbs, ready.run / LIMBS, ready.channels)
    batch = next(batches(patches, 0, 0))
    loss = LossSum(ready.recipe.loss)
    step(ready.recipe, state, batch, loss, 1e-3, device)
    begun, count = time.monotonic(), 0
    while time.monotonic() - begun < seconds:
        step(ready.recipe, state, batch, loss, 1e-3, device)
        count += ready.recipe.batch
    return count / (time.monotonic() - begun)


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--run", type=Path, required=True, help="folder with prepared limbs")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    ready = make_ready(load_recipe(args.recipe), args.run, prepare, lambda _: None)
    patches = Patches(ready.recipe, ready.limbs, args.run / LIMBS, ready.channels)
    size, cores = ready.recipe.batch, len(os.sched_getaffinity(0))
    print(f"{len(ready.limbs)} limbs, patches of {ready.recipe.grid.patch}, batches of {size}")
    print(f"{cores} cores, load {os.getloadavg()[0]:.1f}, {torch.get_num_threads()} threads")
    print(f"| {'pipeline':10} | workers | patches/s | MiB a worker |\n|---|---|---|---|")
    for workers in args.workers:
        streams = {
            "ours": lambda n=workers: batches(patches, 0, n),
            "MONAI": lambda n=workers: monai_stream(ready, n),
        }
        if find_spec("nnunetv2"):
            streams["nnU-Net"] = lambda n=workers: nnunet_stream(ready, n)
        for name, begin in streams.items():
            stream = begin()
            rate, memory = speed(stream, size, args.seconds)
            print(f"| {name:10} | {workers:7} | {rate:9.1f} | {memory:12.0f} |", flush=True)
            del stream
    taken = network_speed(ready, args.seconds, args.device)
    print(f"the network takes {taken:.1f} patches/s on {args.device}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
