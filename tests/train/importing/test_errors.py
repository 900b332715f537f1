"""What cannot be imported, and what is said about it: a row for each."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from foreign_models import Rims, export, write_snap_labels
from onnx import TensorProto, helper, numpy_helper
from tiny_models import write_models

from legseg_bids.cli.import_model import main

NAMES = ("VI", "VL", "VM", "ST", "RF")
SHAPE = (1, 1, 4, 16, 16)


@pytest.fixture(autouse=True)
def _shipped(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.getbasetemp() / "shipped-for-errors"
    monkeypatch.setenv("LEGSEG_MODELS", str(folder if folder.exists() else write_models(folder)))


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("network") / "n.onnx"
    return export(Rims(), path, SHAPE, (0,)).read_bytes()


def refused(folder: Path, *words: object, code: int = 1) -> str:
    """Import what the folder holds; what it says on the standard error."""
    given = [*words] if "--labels" in words else [*words, "--labels", folder / "n.txt"]
    given = given if "--like" in given else [*given, "--like", "qmritools"]
    command = [folder / "n.onnx", "--into", folder / "m", "--region", "upper", *given]
    from contextlib import redirect_stderr
    from io import StringIO

    said = StringIO()
    with redirect_stderr(said):
        assert main([str(word) for word in command]) == code, said.getvalue()
    assert not (folder / "m" / "thigh").exists()
    assert not list((folder / "m").glob(".*")) if (folder / "m").exists() else True
    return said.getvalue()


def altered(change: Callable[[onnx.ModelProto], object]) -> Callable[[bytes], bytes]:
    def alter(content: bytes) -> bytes:
        proto = onnx.load_model_from_string(content)
        change(proto)
        return proto.SerializeToString()

    return alter


def small(shape: list, operator: str = "Relu", domain: str = "", outputs: int = 1) -> bytes:
    """A network of one node."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)
    names = [f"out{i}" for i in range(outputs)]
    nodes = [helper.make_node(operator, ["image"], [name], domain=domain) for name in names]
    rank = 2 if operator == "Flatten" else len(shape)
    axes = [f"a{axis}" for axis in range(rank)]
    answers = [helper.make_tensor_value_info(n, TensorProto.FLOAT, axes) for n in names]
    graph = helper.make_graph(nodes, "small", [image], answers)
    opsets = [helper.make_opsetid("", 17)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def outside(location: str) -> Callable[[onnx.ModelProto], None]:
    """Weights that lie in another file."""

    def change(proto: onnx.ModelProto) -> None:
        tensor = proto.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", location

    return change


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (lambda _: b"", "is not an ONNX file"),
        (lambda _: b"\x89PNG\r\n\x1a\n" + bytes(100), "is not an ONNX file"),
        (lambda content: content[: len(content) // 2], "is not an ONNX file"),
        (lambda _: small([1, 8, 8]), "takes an input of 3 axes; expected 5"),
        (lambda _: small([1, 1, 4, 8, 8, 8]), "takes an input of 6 axes"),
        (lambda _: small([1, 2, 4, 8, 8]), r"takes an input of \(1, 2, 4, 8, 8\); expected one"),
        (lambda _: small(["n", 3, 8, 8]), r"takes an input of \(any, 3, 8, 8\)"),
        (lambda _: small([1, 1, 4, 8, 8], "Magic", "my.own"), "uses Magic, operators of its"),
        (lambda _: small([1, 1, 4, 8, 8], outputs=2), "has 1 inputs and 2 outputs"),
        (lambda _: small([1, 1, 4, 8, 8], "Sigmoid"), "ends with Sigmoid"),
        (lambda _: small([1, 1, 4, 8, 8], "Flatten"), "answers an input of"),
        (lambda _: small([1, 1, "z", "y", "x"], "Flatten"), "does not understand.*--patch"),
        (lambda _: small([1, 1, 4, 8, 8]), "gives 1 classes; the label table has 6"),
        (altered(outside("/etc/hostname")), "weights from '/etc/hostname', outside its folder"),
        (altered(outside("../secret.bin")), "weights from '../secret.bin', outside"),
        (altered(outside("link.bin")), "weights from 'link.bin', outside its folder"),
        (altered(outside("gone.bin")), "which does not exist beside it"),
        (altered(outside("")), "outside its folder"),
    ],
)
def test_network_is_refused(
    tmp_path: Path, network: bytes, alter: Callable[[bytes], bytes], message: str
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(100))
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    (folder / "n.onnx").write_bytes(alter(network))
    write_snap_labels(folder / "n.txt", NAMES)
    assert re.search(message, refused(folder))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("channel\tname\n1\tVL\n2\tRF\n", "gives 6 classes; the label table has 3"),
        ("channel\tname\n1\tVL\n1\tRF\n", "has the number 1 more than once"),
        ("channel\tname\n1\tVL\n2\tVL\n", "has the name VL more than once"),
        ("channel\tname\n1\tVL\n3\tRF\n", r"has the numbers \[0, 1, 3\]; expected 0"),
        ("name\nVL\n", "columns are"),
        ("channel\tname\n", r"has the numbers \[0\]"),
        ("channel,name\n1,Xyzzy\n", r"structure 'Xyzzy' \(nothing looks like it\)"),
        ("channel,name\n1,Vastus latralis\n2,RF\n", "it looks like Vastus lateralis"),
        ("channel,name\n1,VL\n2,Vastus lateralis\n", "'VL' and 'Vastus lateralis' mean the same"),
        ("channel,name\n1,VL left\n2,RF\n", "some structures have a side and 'RF' none"),
        ("channel,name\n1,VL right\n2,RF right\n", "all structures are on the right"),
        ("channel,name\n0,VM\n1,VL\n2,RF\n", "no channel is background"),
        ("\x00\xff", "cannot be read"),
        ("", "cannot be read"),
    ],
)
def test_label_table_is_refused(tmp_path: Path, network: bytes, table: str, message: str) -> None:
    (tmp_path / "n.onnx").write_bytes(network)
    (tmp_path / "n.tsv").write_bytes(table.encode("latin-1"))
    assert re.search(message, refused(tmp_path, "--labels", tmp_path / "n.tsv"))


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--like", "legseg"], 2, "voxel size of .* is given as nothing; expected three numbers"),
        (["--spacing", "1.5", "1.5"], 2, "given as 1.5 1.5; expected three numbers"),
        (["--spacing", "1", "0", "1"], 2, "expected three numbers"),
        (["--spacing", "a", "b", "c"], 2, "expected three numbers"),
        (["--like", "somebody"], 2, "'somebody'; expected legseg or qmritools"),
        (["--orientation", "XYZ"], 2, "orientation is 'XYZ', expected three letters"),
        (["--scaling", "magic"], 2, "expected one of slices, equalised"),
        (["--patch", "8", "8", "8"], 2, "leave --patch out"),
        (["--mem", "1kB"], 2, r"needs 0\.0 GiB; 0\.0 are allowed; raise --mem"),
        (["--mem", "1"], 2, "expected a number with a unit"),
        (["--fold", "0"], 2, "--fold belongs to a result folder of nnU-Net"),
        (["--labels", "nowhere.txt"], 1, "label table nowhere.txt is not a file"),
    ],
)
def test_option_is_refused(
    tmp_path: Path, network: bytes, words: list[str], code: int, message: str
) -> None:
    (tmp_path / "n.onnx").write_bytes(network)
    write_snap_labels(tmp_path / "n.txt", NAMES)
    assert re.search(message, refused(tmp_path, *words, code=code))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    write_snap_labels(tmp_path / "n.txt", NAMES)
    assert "n.onnx does not exist; expected an ONNX file" in refused(tmp_path)


def test_the_folder_of_the_shipped_models_is_not_written(
    tmp_path: Path, network: bytes, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setenv("LEGSEG_MODELS", str(tmp_path))
    (tmp_path / "n.onnx").write_bytes(network)
    labels = write_snap_labels(tmp_path / "n.txt", NAMES)
    words = [tmp_path / "n.onnx", "--into", tmp_path, "--region", "upper", "--labels", labels]
    assert main([*map(str, words), "--like", "qmritools"]) == 2
    assert "holds the models that a run uses by default" in capsys.readouterr().err


def test_weights_beside_the_network_are_taken_in(tmp_path: Path, network: bytes, capsys) -> None:
    proto = onnx.load_model_from_string(network)
    plain = {t.name: numpy_helper.to_array(t) for t in proto.graph.initializer}
    onnx.save_model(
        proto, tmp_path / "n.onnx", save_as_external_data=True, location="n.bin", size_threshold=0
    )
    assert (tmp_path / "n.bin").exists()
    labels = write_snap_labels(tmp_path / "n.txt", NAMES)
    words = [tmp_path / "n.onnx", "--into", tmp_path / "m", "--region", "upper"]
    assert main([*map(str, [*words, "--labels", labels]), "--like", "qmritools"]) == 0
    (tmp_path / "n.bin").unlink()
    copied = onnx.load(tmp_path / "m/thigh/models/model.onnx")
    for tensor in copied.graph.initializer:
        assert (numpy_helper.to_array(tensor) == plain[tensor.name]).all()
