"""A network as an ONNX file: traced, its numbers stored as halves, its memory measured."""

from __future__ import annotations

import io
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

OPSET = 17


def onnx_bytes(network: nn.Module, kind: str, size: int) -> bytes:
    """The network as ONNX with free batch and (segmentation) image size."""
    if kind == "locator":
        example, outputs = torch.zeros(1, 1, size, size), ["side", "part"]
        axes = {"image": {0: "n"}, "side": {0: "n"}, "part": {0: "n"}}
    else:
        example, outputs = torch.zeros(1, 1, 8, 32, 32), ["logits"]
        free = {0: "n", 2: "z", 3: "y", 4: "x"}
        axes = {"image": free, "logits": free}
    return halved(traced(network, example, outputs, axes, folded=False))


def halved(model: bytes) -> bytes:
    """Store numbers of an ONNX model as halves that are made single again when it is read.

    Engines do that once, while they load: what is computed, and how fast, stays the same, and the
    file has half the size. Numbers that a half does not hold exactly stay as they are.

    Parameters
    ----------
    model : bytes
        Traced with ``folded=False`` from :func:`rounded` weights, so that all of them are exact.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    read = onnx.load_from_string(model)
    casts = []
    for one in list(read.graph.initializer):
        values = numpy_helper.to_array(one)
        half = values.astype(np.float16)
        if values.dtype != np.float32 or not np.array_equal(half.astype(np.float32), values):
            continue
        read.graph.initializer.remove(one)
        stored = numpy_helper.from_array(half, f"{one.name}_half")
        read.graph.initializer.append(stored)
        casts.append(helper.make_node("Cast", [stored.name], [one.name], to=TensorProto.FLOAT))
    nodes = [*casts, *read.graph.node]
    del read.graph.node[:]
    read.graph.node.extend(nodes)
    onnx.checker.check_model(read)
    return bytes(read.SerializeToString())


def traced(
    network: nn.Module,
    example: Tensor,
    outputs: list[str],
    axes: dict[str, dict[int, str]],
    folded: bool = True,
) -> bytes:
    """A network as ONNX, traced with an example of its input ``image``.

    Parameters
    ----------
    network : Module
    example : Tensor
    outputs : list of str
        Names of what it gives.
    axes : dict of str to dict of int to str
        Of the input and the outputs, which axes are free, and their names.
    folded : bool
        Whether normalisation is computed into the convolutions before it; engines do so, too.
    """
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The exporter that replaces this one needs a package more and writes no smaller file.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network,
            (example,),
            buffer,  # type: ignore[arg-type]
            input_names=["image"],
            output_names=outputs,
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
            do_constant_folding=folded,
            training=torch.onnx.TrainingMode.EVAL if folded else torch.onnx.TrainingMode.PRESERVE,
        )
    return buffer.getvalue()


def bytes_per_voxel(onnx: Path, step: tuple[int, int, int], classes: int) -> float:
    """Peak memory of OpenVINO per voxel of a patch, measured in processes of their own.

    Two patches of different size are run; the difference of their peaks over the difference of
    their voxels leaves out what the programme needs in any case. It is never less than the
    image and its logits themselves.
    """
    small, large = (
        tuple(max(s, n // s * s) for s, n in zip(step, shape, strict=True))
        for shape in ((8, 64, 64), (32, 160, 160))
    )
    peaks = [_peak(onnx, shape) for shape in (small, large)]
    voxels = [a * b * c for a, b, c in (small, large)]
    return max((peaks[1] - peaks[0]) / (voxels[1] - voxels[0]), 4.0 * (1 + classes))


_PEAK = """
import resource, sys, numpy, openvino
core = openvino.Core()
model = core.read_model(sys.argv[1])
shape = [1, 1, *map(int, sys.argv[2:])]
model.reshape(shape)
run = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32",
                                        "INFERENCE_NUM_THREADS": 2})
run([numpy.random.rand(*shape).astype("f4")])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def _peak(onnx: Path, shape: tuple[int, ...]) -> int:
    command = [sys.executable, "-c", _PEAK, str(onnx), *map(str, shape)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout)
