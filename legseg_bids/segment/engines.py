"""Run a network with OpenVINO or with PyTorch, behind one call.

OpenVINO is the default on a CPU. Its numbers are set to float32 explicitly, for its own
default changes with the processor. PyTorch serves CUDA devices, or a CPU on demand; it is
imported by nothing else.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from legseg_bids.errors import ModelError, UsageError
from legseg_bids.segment.models import ONNX, TORCH, Model

Array = NDArray[np.float32]

ENGINES = ("auto", "openvino", "torch")


class Engine(Protocol):
    """A network that is ready to run.

    Attributes
    ----------
    name, device : str
        For the log: ``openvino`` or ``torch``; ``cpu`` or ``cuda:N``.
    """

    name: str
    device: str

    def __call__(self, batch: Array) -> tuple[Array, ...]:
        """Run the network.

        Parameters
        ----------
        batch : ndarray, float32, shape (n, 1, ...)

        Returns
        -------
        tuple of ndarray, float32
            The network's outputs in their order.
        """
        ...


def choose(engine: str = "auto", device: str = "auto") -> tuple[str, str]:
    """Decide which engine runs on which device.

    PyTorch if a CUDA device is asked for or evidently there; else OpenVINO on the CPU.

    Parameters
    ----------
    engine : str
        ``auto``, ``openvino`` or ``torch``.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Returns
    -------
    engine, device : str

    Raises
    ------
    UsageError
        If the two do not go together or are unknown.

    Examples
    --------
    >>> choose("auto", "cpu"), choose("torch", "cpu"), choose("auto", "cuda:1")
    (('openvino', 'cpu'), ('torch', 'cpu'), ('torch', 'cuda:1'))
    """
    if engine not in ENGINES:
        raise UsageError(f"engine is {engine!r}; expected one of {', '.join(ENGINES)}")
    if device not in ("auto", "cpu") and not device.startswith("cuda"):
        raise UsageError(f"device is {device!r}; expected auto, cpu, cuda or cuda:N")
    if device.startswith("cuda") and engine == "openvino":
        raise UsageError(
            f"device {device} with engine openvino; OpenVINO runs on the CPU here; "
            f"choose --engine torch or --device cpu"
        )
    if device == "auto":
        device = "cuda" if engine != "openvino" and _cuda_is_likely() else "cpu"
    if engine == "auto":
        engine = "torch" if device.startswith("cuda") else "openvino"
    return engine, device


def load_engine(
    model: Model, engine: str = "auto", device: str = "auto", threads: int = 1
) -> Engine:
    """Make a network ready to run.

    Parameters
    ----------
    model : Model
    engine, device : str
        See :func:`choose`.
    threads : int
        Threads that it may use on a CPU. The result does not depend on it.

    Raises
    ------
    ModelError
        If the weights are missing or damaged, or the engine is not installed.
    UsageError
        If engine and device do not go together, or the device is not there.
    """
    chosen, where = choose(engine, device)
    if threads < 1:
        raise UsageError(f"{threads} threads asked for; expected 1 or more")
    if chosen == "openvino":
        return OpenVinoEngine(model, threads)
    return TorchEngine(model, where, threads)


class OpenVinoEngine:
    """A network in OpenVINO on the CPU, in float32.

    It is compiled for each shape of input that comes along; the last one is kept, for a
    compiled network holds its activations too.
    """

    name = "openvino"
    device = "cpu"

    def __init__(self, model: Model, threads: int) -> None:
        openvino = _imported("openvino", "pip install openvino")
        self._core = openvino.Core()
        try:
            self._network = self._core.read_model(model.weights(ONNX))
        except RuntimeError as error:
            raise ModelError(
                f"{model.path / ONNX} cannot be read by OpenVINO: {error}; "
                f"expected an ONNX network; export or install the model again"
            ) from error
        self._config = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": False,  # or several processes would share the first cores
        }
        self._shape: tuple[int, ...] | None = None
        self._compiled: Any = None

    def __call__(self, batch: Array) -> tuple[Array, ...]:
        """Run the network; see :class:`Engine`."""
        if batch.shape != self._shape:
            self._compile(batch.shape)
        results = self._compiled(np.ascontiguousarray(batch), share_inputs=True)
        return tuple(results[i] for i in range(len(self._compiled.outputs)))

    def _compile(self, shape: tuple[int, ...]) -> None:
        self._compiled = None  # frees the memory of the last shape first
        self._network.reshape(list(shape))
        self._compiled = self._core.compile_model(self._network, "CPU", self._config)
        self._shape = shape


class TorchEngine:
    """A network in PyTorch, on the CPU or a CUDA device, in float32."""

    name = "torch"

    def __init__(self, model: Model, device: str, threads: int) -> None:
        self._torch = _imported("torch", "pip install torch")
        self.device = device
        if device.startswith("cuda"):
            _require_cuda(self._torch, device)
        else:
            self._torch.set_num_threads(threads)
        self._network = _build(model).to(device).eval()

    def __call__(self, batch: Array) -> tuple[Array, ...]:
        """Run the network; see :class:`Engine`."""
        exact = self._torch.backends.cudnn.flags(allow_tf32=False, deterministic=True)
        with self._torch.inference_mode(), exact:
            tensor = self._torch.from_numpy(np.ascontiguousarray(batch)).to(self.device)
            results = self._network(tensor)
            if not isinstance(results, (tuple, list)):
                results = (results,)
            return tuple(result.float().cpu().numpy() for result in results)


def _build(model: Model) -> Any:
    """Architecture from the registry, weights from the bundle."""
    create = import_module("legseg_bids.networks").create
    safetensors = _imported("safetensors.torch", "pip install safetensors")
    content = model.weights(TORCH)
    settings = dict(model.network)
    try:
        network = create(settings.pop("name"), **settings)
        network.load_state_dict(safetensors.load(content))
    except Exception as error:  # the library's own errors share no base with the others
        raise ModelError(
            f"{model.path / TORCH} does not fit its network {dict(model.network)}: {error}; "
            f"expected its weights as safetensors; export or install the model again"
        ) from error
    return network


def _require_cuda(torch: Any, device: str) -> None:
    if not torch.cuda.is_available():
        raise UsageError(
            f"device {device} asked for, but PyTorch {torch.__version__} finds no CUDA device; "
            f"use --device cpu, or install a CUDA build and pass the GPU to the container"
        )


def _cuda_is_likely() -> bool:
    """Whether an NVIDIA driver and PyTorch are installed; does not import PyTorch."""
    return Path("/dev/nvidiactl").exists() and find_spec("torch") is not None


def _imported(module: str, remedy: str) -> Any:
    # OpenVINO reports its import to its maker, and writes into the home folder, if it finds this
    # package; None makes the import of it fail, which OpenVINO takes calmly.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        return import_module(module)
    except ImportError as error:
        raise ModelError(
            f"the engine {module} cannot be imported: {error}; {remedy}, or choose "
            f"the other --engine"
        ) from error
