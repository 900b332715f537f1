from __future__ import annotations

from pathlib import Path

import pytest
from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline.engine import Node, Workflow

from legseg_bids.workflows.graph_files import to_dot, write_graph


def same(value):  # type: ignore[no-untyped-def]
    return value


@pytest.fixture
def workflow() -> Workflow:
    whole = Workflow(name="whole")
    for name in ("one", "two"):
        part = Workflow(name=name)
        first, second = (
            Node(IdentityInterface(fields=["a", "b"]), name=step) for step in ("first", "second")
        )
        part.connect([(first, second, [("a", "a"), (("b", same), "b")])])
        whole.add_nodes([part])
    return whole


def fake_dot(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    folder.mkdir()
    (folder / "dot").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "dot").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_steps_stand_in_the_box_of_their_image(workflow: Workflow) -> None:
    text = to_dot(workflow)
    assert text.startswith('digraph "whole" {')
    assert text.count("subgraph cluster_") == 2
    assert '    label="one";' in text
    assert '    "whole.one.first" [label="first"];' in text
    assert '  "whole.two.first" -> "whole.two.second" [label="a, b"];' in text
    assert text.count("{") == text.count("}")


def test_without_graphviz_the_source_is_written(
    workflow: Workflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    lines: list[str] = []
    assert write_graph(workflow, tmp_path / "run.1_graph", lines.append) == [
        tmp_path / "run.1_graph.dot"
    ]
    assert "install Graphviz" in lines[0]


def test_with_graphviz_there_is_a_picture(
    workflow: Workflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_dot(tmp_path / "bin", monkeypatch, 'test "$1" = -Tsvg && cp "$4" "$3"')
    source, picture = write_graph(workflow, tmp_path / "graph")
    assert picture == tmp_path / "graph.svg"
    assert picture.read_text() == source.read_text() == to_dot(workflow)


def test_a_graphviz_that_fails_stops_nothing(
    workflow: Workflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_dot(tmp_path / "bin", monkeypatch, "exit 3")
    lines: list[str] = []
    assert write_graph(workflow, tmp_path / "graph", lines.append) == [tmp_path / "graph.dot"]
    assert "no picture of graph.dot" in lines[0]


def test_a_folder_that_cannot_be_written_stops_nothing(workflow: Workflow, tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("not a folder")
    lines: list[str] = []
    assert write_graph(workflow, tmp_path / "logs" / "graph", lines.append) == []
    assert "no drawing of the graph" in lines[0]


def test_drawing_changes_nothing(workflow: Workflow) -> None:
    assert to_dot(workflow) == to_dot(workflow)
