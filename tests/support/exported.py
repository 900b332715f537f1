"""What a network computes after it was exported to ONNX, by OpenVINO."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence

import numpy as np
import torch


def run_exported(
    network: torch.nn.Module,
    example: Sequence[torch.Tensor],
    inputs: Sequence[torch.Tensor] | None = None,
) -> list[np.ndarray]:
    """Export with an example, all its axes but the channels free, run, return all outputs.

    ``inputs`` may have other sizes than the example; by default they are the example.
    """
    import openvino

    names = [f"in{i}" for i in range(len(example))]
    axes = {
        name: {axis: f"{name}_{axis}" for axis in range(value.ndim) if axis != 1}
        for name, value in zip(names, example, strict=True)
    }
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            tuple(example),
            buffer,
            input_names=names,
            dynamic_axes=axes,
            opset_version=17,
            dynamo=False,
        )
    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    compiled = core.compile_model(core.read_model(buffer.getvalue()), "CPU", settings)
    results = compiled([t.numpy() for t in inputs or example])
    return [results[port] for port in compiled.outputs]
