"""Drawings of a graph (``--write-graph``): always ``.dot``; ``.svg`` where Graphviz is there.

nipype's own ``write_graph`` fails without Graphviz, and writes names that parallel runs share.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from legseg_bids.bids.write import write_text
from legseg_bids.errors import OutputError

SECONDS = 120
"""Longer than any drawing of use to a person takes."""


def write_graph(workflow: Any, stem: Path, say: Callable[[str], None] = print) -> list[Path]:
    """Draw a graph; a drawing that fails is worth a line, not a run.

    Parameters
    ----------
    workflow : nipype.Workflow
        What to draw; it is neither changed nor run.
    stem : Path
        Of the files, without ending; unique to the run.
    say : callable
        Takes a line about what is missing.

    Returns
    -------
    list of Path
        The files that were written.
    """
    source = stem.with_name(stem.name + ".dot")
    try:
        write_text(source, to_dot(workflow))
    except OutputError as error:
        say(f"no drawing of the graph: {error}")
        return []
    command = shutil.which("dot")
    if command is None:
        say(f"{source.name} is written; for a picture install Graphviz (dot)")
        return [source]
    return [source, *_picture(command, source, say)]


def to_dot(workflow: Any) -> str:
    """Text in the language of Graphviz: a box for each image, with its steps and their links.

    Parameters
    ----------
    workflow : nipype.Workflow
        Its nodes' names are letters, digits and underscores.
    """
    graph = workflow._create_flat_graph()
    boxes: dict[str, list[str]] = {}
    for node in graph.nodes:
        boxes.setdefault(str(node._hierarchy), []).append(str(node.fullname))
    lines = [f"digraph {_quoted(workflow.name)} {{", "  rankdir=LR;", "  node [shape=box];"]
    for number, (box, nodes) in enumerate(sorted(boxes.items())):
        lines += [f"  subgraph cluster_{number} {{", f"    label={_quoted(_last(box))};"]
        lines += [f"    {_quoted(node)} [label={_quoted(_last(node))}];" for node in sorted(nodes)]
        lines.append("  }")
    lines += sorted(_edge(*edge) for edge in graph.edges(data=True))
    return "\n".join([*lines, "}\n"])


def _edge(start: Any, end: Any, data: dict[str, Any]) -> str:
    fields = ", ".join(_field_names(data["connect"]))
    names = _quoted(str(start.fullname)), _quoted(str(end.fullname))
    return f"  {names[0]} -> {names[1]} [label={_quoted(fields)}];"


def _field_names(connected: Iterable[tuple[Any, str]]) -> list[str]:
    """What is handed on; an output may stand there with a function that changes it."""
    return sorted(str(out[0] if isinstance(out, tuple) else out) for out, _ in connected)


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _picture(command: str, source: Path, say: Callable[[str], None]) -> list[Path]:
    target = source.with_suffix(".svg")
    try:
        subprocess.run(
            [command, "-Tsvg", "-o", str(target), str(source)],
            check=True,
            capture_output=True,
            timeout=SECONDS,
        )
    except (OSError, subprocess.SubprocessError) as error:
        say(f"no picture of {source.name}: {error}")
        target.unlink(missing_ok=True)
        return []
    return [target]
