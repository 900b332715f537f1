"""How far a network looks, and into what it halves its input: read from its graph.

Followed from the input to the output, each tensor has a *cell* (the distance of its neighbouring
values, in voxels of the input) and a *reach* (how far the voxels lie that a value depends on).
Strides make cells wider, enlarging makes them finer, kernels add to the reach by their cell. The
largest cell is the network's step; the reach of the output is its halo, an upper bound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from legseg_bids.train.importing.onnx_file import OnnxNetwork

KERNELS = ("Conv", "MaxPool", "AveragePool", "LpPool")
ENLARGING = ("Resize", "Upsample")
WHOLE = (
    "InstanceNormalization", "GroupNormalization", "LayerNormalization", "GlobalAveragePool",
    "GlobalMaxPool", "ReduceMean", "ReduceSum", "ReduceMax", "MeanVarianceNormalization",
)  # fmt: skip
"""Operators that look at all of a patch: their answer depends on its size."""
UNCLEAR = ("Reshape", "Flatten", "MatMul", "Gemm", "DepthToSpace", "SpaceToDepth", "Loop", "If",
           "Scan", "LSTM", "GRU", "RNN", "Einsum")  # fmt: skip
PROBE = 128
"""Voxels of each free axis when the shapes of all tensors are worked out."""
Cells = tuple[float, ...]


@dataclass(frozen=True)
class Reach:
    """How a network sees its input, along its own spatial axes.

    Attributes
    ----------
    step : tuple of int
        The input must be a multiple of this.
    halo : tuple of int
        Radius of the receptive field, voxels.
    whole : tuple of str
        Operators that look at all of a patch.
    """

    step: tuple[int, ...]
    halo: tuple[int, ...]
    whole: tuple[str, ...] = ()


def reach_of(network: OnnxNetwork, layout: str) -> Reach | None:
    """Follow a network from its input to its output.

    Parameters
    ----------
    network : OnnxNetwork
    layout : str
        Of its input, such as ``NCDHW``; channels must stand before the axes of space.

    Returns
    -------
    Reach or None
        ``None`` if the graph does what is not understood here.
    """
    space = sum(axis in layout for axis in "DHW")
    graph = network.proto.graph
    followed = _Followed(_sizes(network), _constants(graph), space)
    constants = {tensor.name for tensor in graph.initializer}
    start = next(value.name for value in graph.input if value.name not in constants)
    followed.known[start] = (1.0,) * space, (0.0,) * space
    for node in graph.node:
        if not followed.follow(node):
            return None
    end = followed.known.get(graph.output[0].name)
    if end is None or max(abs(cell - 1) for cell in end[0]) > 1e-6:
        return None
    step = tuple(round(max(cells)) for cells in zip(*followed.cells, strict=True))
    whole = {node.op_type for node in graph.node} & set(WHOLE)
    return Reach(step, tuple(int(np.ceil(reach)) for reach in end[1]), tuple(sorted(whole)))


class _Followed:
    """What is known of the tensors up to now."""

    def __init__(
        self, sizes: Mapping[str, Sequence[int]], constants: Mapping[str, Any], space: int
    ) -> None:
        self.known: dict[str, tuple[Cells, Cells]] = {}
        self.cells: list[Cells] = [(1.0,) * space]
        self._sizes, self._constants, self._space = sizes, constants, space

    def follow(self, node: Any) -> bool:
        """Take in one node; False if it cannot be understood."""
        fed = [self.known[name] for name in node.input if name in self.known]
        if not fed or node.op_type in ("Shape", "Size"):
            return True  # computes with constants only
        if node.op_type in UNCLEAR or not (found := self._after(node, fed)):
            return False
        self.cells.append(found[0])
        self.known |= dict.fromkeys(node.output, found)
        return True

    def _after(self, node: Any, fed: list[tuple[Cells, Cells]]) -> tuple[Cells, Cells] | None:
        cell, reach = fed[0][0], tuple(map(max, zip(*(r for _, r in fed), strict=True)))
        if any(max(abs(a - b) for a, b in zip(cell, c, strict=True)) > 1e-6 for c, _ in fed):
            return None  # tensors of different grids meet
        if node.op_type in KERNELS or node.op_type == "ConvTranspose":
            return self._kernel(node, cell, reach)
        if node.op_type in ENLARGING:
            return self._enlarged(node, cell, reach)
        return cell, reach

    def _kernel(self, node: Any, cell: Cells, reach: Cells) -> tuple[Cells, Cells] | None:
        told = {a.name: list(a.ints) for a in node.attribute}
        ones = [1] * self._space
        kernel = told.get("kernel_shape") or list(self._constants_shape(node))
        if len(kernel) != self._space:
            return None
        stride, dilation = told.get("strides") or ones, told.get("dilations") or ones
        pads = told.get("pads") or [0] * 2 * self._space
        if node.op_type == "ConvTranspose":
            finer = tuple(c / s for c, s in zip(cell, stride, strict=True))
            wider = [-(-k // s) * c for k, s, c in zip(kernel, stride, cell, strict=True)]
            return finer, tuple(r + w for r, w in zip(reach, wider, strict=True))
        wider = []
        for k, d, p, c in zip(kernel, dilation, pads, cell, strict=False):
            span = (k - 1) * d
            wider.append(max(p, span - p) * c)
        coarser = tuple(c * s for c, s in zip(cell, stride, strict=True))
        return coarser, tuple(r + w for r, w in zip(reach, wider, strict=True))

    def _enlarged(self, node: Any, cell: Cells, reach: Cells) -> tuple[Cells, Cells] | None:
        before, after = (self._sizes.get(n) for n in (node.input[0], node.output[0]))
        if before is None or after is None or len(before) != len(after):
            return None
        factors = [b / a for b, a in zip(before, after, strict=True)][-self._space :]
        finer = tuple(c * f for c, f in zip(cell, factors, strict=True))
        wider = [c if f != 1 else 0.0 for c, f in zip(cell, factors, strict=True)]
        return finer, tuple(r + w for r, w in zip(reach, wider, strict=True))

    def _constants_shape(self, node: Any) -> Sequence[int]:
        weights = self._constants.get(node.input[1]) if len(node.input) > 1 else None
        return () if weights is None else tuple(weights.dims)[2:]


def _constants(graph: Any) -> dict[str, Any]:
    return {tensor.name: tensor for tensor in graph.initializer}


def _sizes(network: OnnxNetwork) -> dict[str, list[int]]:
    """Shape of every tensor for an input of a size that can be halved often."""
    import onnx

    proto = onnx.ModelProto()
    proto.CopyFrom(network.proto)
    constants = {tensor.name for tensor in proto.graph.initializer}
    (fed,) = [value for value in proto.graph.input if value.name not in constants]
    for i, dim in enumerate(fed.type.tensor_type.shape.dim):
        if network.dims[i] is None:
            dim.dim_value = PROBE if i >= len(network.dims) - 3 else 1
    del proto.graph.value_info[:]
    for value in proto.graph.output:
        value.type.tensor_type.ClearField("shape")
    try:
        told = onnx.shape_inference.infer_shapes(proto, data_prop=True).graph
    except (onnx.shape_inference.InferenceError, ValueError):
        return {}
    values = (*told.value_info, *told.input, *told.output)
    found = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}
    return {name: sizes for name, sizes in found.items() if sizes and all(sizes)}


def largest_pair(network: OnnxNetwork) -> int:
    """Bytes of the two largest tensors that a fixed network holds at once, a lower bound."""
    sizes = _sizes(network)
    held = [
        sum(4 * int(np.prod(sizes[name])) for name in {*node.input, *node.output} & set(sizes))
        for node in network.proto.graph.node
    ]
    return max(held, default=0)
