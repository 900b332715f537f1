"""Read an ONNX file of unknown origin: bounded in size, complete, and with nothing but numbers.

Weights that lie in files of their own are taken into the one file, if they lie in the folder of
the network: a path that leads out of it could make a bundle of somebody's secrets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from legseg_bids.errors import ModelError

LARGEST = 2**31 - 1
"""Bytes that one ONNX file can hold (a limit of protobuf)."""
STANDARD = ("", "ai.onnx")
"""Domains of operators that the ONNX standard defines."""
ONE_IMAGE = "expected a segmentation network of one image"
Dims = tuple[int | None, ...]


@dataclass(frozen=True, eq=False)
class OnnxNetwork:
    """A network in ONNX.

    Attributes
    ----------
    path : Path
        Where it was read.
    proto : onnx.ModelProto
        All of it, weights included.
    content : bytes
        The same, serialised.
    dims : tuple of int or None
        Sizes of the axes of its input; ``None`` where any size may come.
    """

    path: Path
    proto: Any
    content: bytes
    dims: Dims


def read_onnx(path: Path) -> OnnxNetwork:
    """Read and check an ONNX file.

    Parameters
    ----------
    path : Path

    Raises
    ------
    ModelError
        If it is missing, too large, not ONNX, refers to files outside its folder, uses operators
        that are not of the standard, or does not take one image and give one answer.
    """
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    if not path.is_file():
        raise ModelError(f"{path} does not exist; expected an ONNX file; check the path")
    _require_size(path, path.stat().st_size)
    try:
        proto = onnx.load_model_from_string(path.read_bytes())
        if not (proto.ir_version and proto.graph.node):
            raise DecodeError("no graph in it")
        _take_in(proto, path)
        onnx.checker.check_model(proto)
    except (DecodeError, onnx.checker.ValidationError, ValueError) as error:
        raise ModelError(
            f"{path} is not an ONNX file ({_first_line(error)}); expected a network as ONNX; "
            f"export it again"
        ) from error
    _require_standard(path, proto)
    return OnnxNetwork(path, proto, proto.SerializeToString(), _input_dims(path, proto))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["unreadable"])[0]


def _require_size(path: Path, size: int) -> None:
    if size > LARGEST:
        raise ModelError(
            f"{path} holds {size} bytes; expected at most {LARGEST}; export the network in half "
            f"precision"
        )


def _take_in(proto: Any, path: Path) -> None:
    """Replace what lies in other files by the numbers themselves."""
    import onnx

    total = len(proto.SerializeToString())
    for tensor in _tensors(proto):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        told = {entry.key: entry.value for entry in tensor.external_data}
        file = _within(path, told.get("location", ""))
        offset = int(told.get("offset") or 0)
        length = int(told.get("length") or file.stat().st_size - offset)
        if offset < 0 or length < 0 or offset + length > file.stat().st_size:
            raise ModelError(
                f"{path} takes bytes {offset} to {offset + length} of {file.name}, which has "
                f"{file.stat().st_size}; expected the file exported with it; copy it again"
            )
        total += length
        _require_size(path, total)
        with file.open("rb") as stream:
            stream.seek(offset)
            tensor.raw_data = stream.read(length)
        del tensor.external_data[:]
        tensor.data_location = onnx.TensorProto.DEFAULT


def _within(path: Path, location: str) -> Path:
    """The file of weights, if it lies in the folder of the network."""
    folder = path.resolve().parent
    file = (folder / location).resolve()
    if not location or folder not in file.parents:
        raise ModelError(
            f"{path} takes weights from {location!r}, outside its folder; expected files beside "
            f"it; export the network into a folder of its own"
        )
    if not file.is_file():
        raise ModelError(
            f"{path} takes weights from {location}, which does not exist beside it; expected all "
            f"files that were exported; copy them too"
        )
    return file


def _tensors(proto: Any) -> Iterator[Any]:
    """All constants, also those of inner graphs and of functions."""
    yield from _graph_tensors(proto.graph)
    for function in proto.functions:
        yield from _node_tensors(function.node)


def _graph_tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _node_tensors(graph.node)


def _node_tensors(nodes: Iterable[Any]) -> Iterator[Any]:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for graph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                yield from _graph_tensors(graph)


def _require_standard(path: Path, proto: Any) -> None:
    own = {function.name for function in proto.functions}
    odd = {n.op_type for n in proto.graph.node if n.domain not in STANDARD} - own
    if odd:
        raise ModelError(
            f"{path} uses {', '.join(sorted(odd))}, operators of its maker's own; expected those "
            f"of the ONNX standard; export it without them"
        )


def _input_dims(path: Path, proto: Any) -> Dims:
    constants = {tensor.name for tensor in proto.graph.initializer}
    inputs = [value for value in proto.graph.input if value.name not in constants]
    if len(inputs) != 1 or len(proto.graph.output) != 1:
        raise ModelError(
            f"{path} has {len(inputs)} inputs and {len(proto.graph.output)} outputs; {ONE_IMAGE}; "
            f"export it with one input and one output"
        )
    shape = inputs[0].type.tensor_type.shape
    dims = tuple(d.dim_value if d.HasField("dim_value") else None for d in shape.dim)
    if len(dims) not in (4, 5):
        raise ModelError(
            f"{path} takes an input of {len(dims)} axes; expected 5 (batch, channel, three of "
            f"space) or 4 (no batch, or slices); export it so"
        )
    return dims
