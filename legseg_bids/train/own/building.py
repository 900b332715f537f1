"""From a recipe to a network: built, checked, and given weights to begin with."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from legseg_bids.errors import ModelError, UsageError
from legseg_bids.networks import create
from legseg_bids.networks.residual_unet import total_step
from legseg_bids.networks.resnet_unet import ResNet34UNet
from legseg_bids.segment.models import TORCH, UNREPORTED, Model, find_models_dir, load_model
from legseg_bids.train.heads import inherited_rows
from legseg_bids.train.imagenet import begin_with_imagenet
from legseg_bids.train.own.recipe import Recipe
from legseg_bids.train.own.structures import class_name, meaning_of

#: No network looks farther than this many of its steps in each direction, or it looks everywhere.
FARTHEST_STEPS = 24


@dataclass(frozen=True)
class Design:
    """What a network is built from.

    Attributes
    ----------
    options : mapping
        ``name`` of the architecture and its options, the number of classes among them.
    channels : tuple of int
        Code of each class; -1 is whatever was drawn and is no class.
    """

    options: Mapping[str, Any]
    channels: tuple[int, ...]

    def build(self) -> nn.Module:
        """The network, with random weights.

        Raises
        ------
        UsageError
            If the architecture or an option does not exist.
        """
        options = {k: v for k, v in self.options.items() if k != "name"}
        try:
            return create(self.options["name"], **options)
        except (TypeError, ValueError) as error:
            raise UsageError(f"[network] of the recipe: {error}") from error


def design(recipe: Recipe, channels: Sequence[int]) -> Design:
    """What a recipe wants: its own network, or that of the bundle to begin with."""
    own = dict(recipe.network)
    if not own:
        own = dict(starting_bundle(recipe).network)
    return Design({**own, "classes": len(channels)}, tuple(channels))


def step_of(network: nn.Module) -> tuple[int, int, int]:
    """By what the image's (z, y, x) must be divisible.

    Examples
    --------
    >>> step_of(create("ResidualUNet3d", features=[4, 8], strides=[[1, 2, 2]],
    ...                kernels=[[1, 3, 3], [3, 3, 3]]))
    (1, 2, 2)
    """
    step = getattr(network, "step", None)
    if step is None:
        strides = [m.stride for m in network.modules() if isinstance(m, nn.ConvTranspose3d)]
        return total_step(strides) if strides else (1, 1, 1)
    if len(step) != 3:
        raise UsageError(
            f"{type(network).__name__} works on {len(step)}-D images; expected a 3-D network; "
            "wrap it: name = 'SliceBySlice', network = {name = …}"
        )
    z, y, x = step
    return int(z), int(y), int(x)


def padded_to_step(image: Tensor, step: Sequence[int]) -> Tensor:
    """Air behind an image (…, z, y, x), so that its axes are multiples of the step."""
    after = [n for size, s in zip(image.shape[-3:], step, strict=True) for n in (-size % s, 0)]
    return nn.functional.pad(image, after[::-1])


def check_network(network: nn.Module, classes: int) -> None:
    """Make sure that a network gives logits of every voxel of a stack.

    Raises
    ------
    UsageError
        If it does not.
    """
    step = step_of(network)
    shape = [2 * s if s > 1 else 4 for s in step]
    network.eval()
    try:
        with torch.inference_mode():
            out = network(torch.zeros(1, 1, *shape))
    except (RuntimeError, TypeError, ValueError) as error:
        raise UsageError(
            f"{type(network).__name__} cannot compute a stack of {shape} voxels: {error}; "
            "expected a 3-D network with one image as its input"
        ) from error
    if not isinstance(out, Tensor) or tuple(out.shape) != (1, classes, *shape):
        found = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        raise UsageError(
            f"{type(network).__name__} gives {found} for {classes} classes and {shape} voxels; "
            "expected logits of each voxel; choose another [network]"
        )


def receptive_radius(network: nn.Module, axis: int) -> int | None:
    """Voxels along one axis (z, y, x) beyond which nothing changes a logit, measured.

    Gradients of the logits in one cell of the coarsest grid are followed back to the image, in
    double precision, with random weights. None if they reach the ends of a very long image, as
    where a network normalises by statistics of the patch.
    """
    step = step_of(network)
    cells = 2 * FARTHEST_STEPS + 1 if step[axis] > 1 else 8 * FARTHEST_STEPS + 1
    shape = [max(s, 1) for s in step]
    shape[axis] = cells * step[axis]
    image = torch.rand(1, 1, *shape, dtype=torch.float64, requires_grad=True)
    start = cells // 2 * step[axis]
    network = _smooth(network).double().eval()
    logits = network(image).narrow(2 + axis, start, step[axis])
    (slope,) = torch.autograd.grad(logits.square().sum() + logits.sum(), image)
    others = [a for a in range(5) if a != 2 + axis]
    reached = torch.nonzero(slope.abs().sum(others)).flatten()
    if not len(reached):
        return 0
    low, high = int(reached[0]), int(reached[-1])
    if low == 0 or high == shape[axis] - 1:
        return None
    # From the far end of the cell: the cell's own width is counted in.
    return max(start + step[axis] - 1 - low, high - start)


def _smooth(network: nn.Module) -> nn.Module:
    """A copy through which every path lets a gradient pass: no maximum, no cut at zero."""
    network = copy.deepcopy(network)
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.ReLU):
                setattr(parent, name, nn.LeakyReLU(0.1))
            elif isinstance(child, nn.MaxPool2d):
                setattr(parent, name, nn.AvgPool2d(child.kernel_size, child.stride))
            elif isinstance(child, nn.MaxPool3d):
                setattr(parent, name, nn.AvgPool3d(child.kernel_size, child.stride))
    return network


def starting_bundle(recipe: Recipe) -> Model:
    """The bundle that a recipe begins with.

    Raises
    ------
    ModelError
        If it does not exist or is damaged.
    """
    path = Path(recipe.start.bundle)
    folder = path.parent if path.is_dir() else find_models_dir()
    return load_model(folder, path.name)


@dataclass(frozen=True)
class Inherited:
    """From which class of the old network each new class begins.

    Attributes
    ----------
    sources : tuple of int or None
        Channel of the old network; None begins at random.
    """

    channels: tuple[int, ...]
    old: tuple[int, ...]
    sources: tuple[int | None, ...]

    def rows(self) -> list[dict[str, str]]:
        """A table for people: each class, and what it begins as."""
        return [
            {
                "class": class_name(code),
                "begins_as": "random" if source is None else class_name(self.old[source]),
            }
            for code, source in zip(self.channels, self.sources, strict=True)
        ]


def inherit(channels: Sequence[int], old: Sequence[int], labels: Mapping[str, str]) -> Inherited:
    """Decide from which old class each new one begins.

    Parameters
    ----------
    channels, old : sequence of int
        Codes of the new and of the old classes.
    labels : mapping of str to str
        ``[start.labels]`` of the recipe: new name to old name.

    Raises
    ------
    UsageError
        If a name is in neither network.
    """
    told = {}
    for new, source in labels.items():
        pair = [meaning_of(name, {}, "[start.labels]").code for name in (new, source)]
        for code, name, there in zip(pair, (new, source), (channels, old), strict=True):
            if code not in there:
                known = ", ".join(class_name(c) for c in there)
                raise UsageError(f"[start.labels] names {name!r}; expected one of {known}")
        told[pair[0]] = pair[1]
    wanted = [told.get(code, code) for code in channels]
    sources = tuple(list(old).index(code) if code in old else None for code in wanted)
    return Inherited(tuple(channels), tuple(old), sources)


def start_from_bundle(network: nn.Module, recipe: Recipe, channels: Sequence[int]) -> Inherited:
    """Give a network the weights of a bundle, its last layer class by class.

    Raises
    ------
    ModelError
        If the bundle is of another architecture.
    UsageError
        If ``[start.labels]`` names what neither network has.
    """
    from safetensors.torch import load

    model = starting_bundle(recipe)
    old = model.segmentation.channels
    plan = inherit(channels, old, recipe.start.labels)
    weights = load(model.weights(TORCH))
    merged, problems = {}, []
    for name, own in network.state_dict().items():
        given = weights.get(name)
        if given is not None and given.shape == own.shape and len(old) == len(channels):
            # Of the same size, but perhaps in another order.
            merged[name] = _reordered(name, given, own, plan, network)
        elif given is not None and given.shape == own.shape:
            merged[name] = given
        elif given is not None and _is_head(given, own, len(old), len(channels)):
            merged[name] = inherited_rows(given, own, plan.sources)
        else:
            problems.append(name)
    if problems or set(weights) - set(merged):
        raise another_architecture(str(model.path), network, problems or sorted(weights)[:3])
    network.load_state_dict(merged)
    return plan


def start_from_imagenet(network: nn.Module, recipe: Recipe) -> None:
    """Give a network's ResNet-34 encoder the weights of torchvision's file.

    Raises
    ------
    ModelError
        If the file is missing, or holds other weights.
    UsageError
        If the network has no such encoder.
    """
    flat = getattr(network, "flat", network)
    if not isinstance(flat, ResNet34UNet):
        raise UsageError(
            f"[start] has imagenet, but {type(flat).__name__} has no ResNet-34 encoder; expected "
            "[network] name = 'SliceBySlice', network = {name = 'ResNet34UNet'}"
        )
    begin_with_imagenet(flat, Path(recipe.start.imagenet))


def another_architecture(where: str, network: nn.Module, names: Sequence[str]) -> ModelError:
    """Weights that do not fit, in words."""
    return ModelError(
        f"{where} holds weights of another architecture: {', '.join(list(names)[:3])} do not fit "
        f"{type(network).__name__} of the recipe; expected its own; name the same [network] (none "
        "takes that of the bundle), or choose another folder or bundle"
    )


def _is_head(given: Tensor, own: Tensor, old: int, new: int) -> bool:
    same = given.shape[1:] == own.shape[1:] and given.ndim == own.ndim > 0
    return same and (given.shape[0], own.shape[0]) == (old, new)


def _reordered(
    name: str, given: Tensor, own: Tensor, plan: Inherited, network: nn.Module
) -> Tensor:
    """The last layer's rows in the new order; every other weight as it is."""
    last = [n for n, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Conv3d)][-1]
    ours = name.rpartition(".")[0] == last and given.shape[0] == len(plan.old)
    return inherited_rows(given, own, plan.sources) if ours else given


def channels_of(classes: Sequence[int], other: bool) -> tuple[int, ...]:
    """Channels of a network: the classes, and perhaps one for whatever else was drawn.

    Examples
    --------
    >>> channels_of((0, 55), True)
    (0, 55, -1)
    """
    return (*classes, UNREPORTED) if other else tuple(classes)
