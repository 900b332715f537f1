"""Run a network once in a process of its own: what it gives, and how much memory it takes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from legseg_bids.errors import ModelError

PATIENCE = 900
"""Seconds after which a network counts as too slow for any use."""
_RUN = """
import json, re, sys
sys.modules["openvino_telemetry"] = None
import numpy, openvino
def memory(key):
    with open("/proc/self/status") as file:
        return int(re.search(key + r":\\s+(\\d+)", file.read()).group(1)) * 1024
core = openvino.Core()
network = core.read_model(sys.argv[1])
shape = [int(n) for n in sys.argv[2:]]
before = memory("VmRSS")
network.reshape(shape)
run = core.compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32",
                                          "INFERENCE_NUM_THREADS": 2})
image = numpy.random.default_rng(0).random(shape, dtype="f4")
answer = run([image])[0]
sums = [answer.sum(axis=axis) for axis in range(answer.ndim)]
print(json.dumps({
    "shape": answer.shape, "bytes": memory("VmHWM") - before, "low": float(answer.min()),
    "high": float(answer.max()), "finite": bool(numpy.isfinite(answer).all()),
    "one": [bool(abs(total - 1).max() < 1e-3) for total in sums]}))
"""


@dataclass(frozen=True)
class Answer:
    """What a network gave for an image of noise between 0 and 1.

    Attributes
    ----------
    shape : tuple of int
        Of its answer.
    bytes : int
        Memory that compiling and running it took.
    low, high : float
        Least and largest number of the answer.
    sums_to_one : tuple of bool
        For each axis of the answer, whether the numbers along it sum to one everywhere.
    """

    shape: tuple[int, ...]
    bytes: int
    low: float
    high: float
    sums_to_one: tuple[bool, ...]


def probe(path: Path, shape: Sequence[int]) -> Answer:
    """Run a network once.

    Parameters
    ----------
    path : Path
        ONNX file.
    shape : sequence of int
        Of its input.

    Raises
    ------
    ModelError
        If OpenVINO cannot run it, it takes too long, or its answer is not finite.
    """
    command = [sys.executable, "-c", _RUN, str(path), *map(str, shape)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(
            f"the network took more than {PATIENCE} s for an input of {tuple(shape)}; expected an "
            f"answer; export it for smaller patches, or give smaller ones with --patch"
        ) from error
    if done.returncode != 0:
        why = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise ModelError(
            f"OpenVINO cannot run the network on an input of {tuple(shape)}: {why}; expected an "
            f"answer; give --patch if it takes one size only, or export it again"
        )
    told = json.loads(done.stdout)
    if not told["finite"]:
        raise ModelError(
            "the network's answer to an image of noise is not finite; expected numbers; export "
            "it again in single precision"
        )
    return Answer(
        tuple(told["shape"]), told["bytes"], told["low"], told["high"], tuple(told["one"])
    )
