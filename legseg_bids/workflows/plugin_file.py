"""``--use-plugin``: a file that says how nipype is to run the graph.

The file is that of the NiPreps: YAML (or JSON, which is YAML) with ``plugin`` and
``plugin_args``. ``MultiProc`` is run by our own plug-in, which survives killed workers.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from legseg_bids.errors import UsageError

PLUGINS = (
    "Linear", "MultiProc", "LegacyMultiProc", "Debug", "Condor", "CondorDAGMan", "IPython",
    "LSF", "OAR", "PBS", "PBSGraph", "SGE", "SGEGraph", "SLURM", "SLURMGraph", "SomaFlow",
)  # fmt: skip
KEYS = ("plugin", "plugin_args")
#: Arguments that the command line knows by other names, and that go through the settings.
IN_SETTINGS = ("n_procs", "memory_gb")


@dataclass(frozen=True)
class Plugin:
    """A plug-in of nipype and its arguments."""

    name: str
    args: dict[str, Any] = field(default_factory=dict)

    @property
    def is_local(self) -> bool:
        """Whether our own parallel plug-in takes its place."""
        return self.name in ("MultiProc", "LegacyMultiProc")

    @property
    def is_remote(self) -> bool:
        """Whether it hands the steps to other machines."""
        return not self.is_local and self.name not in ("Linear", "Debug")


def read_plugin(path: Path) -> Plugin:
    """Read and check a plug-in file; nipype is not imported.

    Raises
    ------
    UsageError
        If it cannot be read, or names what nipype has not got.
    """
    content = _parse(path)
    if not isinstance(content, dict) or not isinstance(content.get("plugin"), str):
        raise UsageError(
            f"plug-in file {path} names no plug-in; expected 'plugin: MultiProc' and, if need "
            "be, 'plugin_args:' with its arguments; add it"
        )
    for key in content:
        _must_be_known(path, str(key), KEYS)
    _must_be_known(path, content["plugin"], PLUGINS)
    args = content.get("plugin_args") or {}
    if not isinstance(args, dict):
        raise UsageError(
            f"plug-in file {path}: plugin_args is {args!r}; expected names with values, "
            "like 'n_procs: 4'; repair it"
        )
    return Plugin(content["plugin"], {str(key): value for key, value in args.items()})


def make_plugin(
    plugin: Plugin, on_status: Callable[[Any, str], None], work_dir: Path | None = None
) -> Any:
    """An instance of nipype's own plug-in, or of ours in the place of ``SLURMGraph``.

    Raises
    ------
    UsageError
        If it hands steps to other machines and there is no work folder that they can see.
    """
    args = {**plugin.args, "status_callback": on_status}
    if plugin.is_remote:
        slurm_graph = import_module("legseg_bids.workflows.slurm_graph")
        slurm_graph.prepare_for_batch(plugin.name, work_dir)
        if plugin.name == "SLURMGraph":
            return slurm_graph.WaitingSLURMGraph(args)
    module = import_module("nipype.pipeline.plugins")
    return getattr(module, f"{plugin.name}Plugin")(plugin_args=args)


def _parse(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UsageError(
            f"plug-in file {path} cannot be read ({error}); expected YAML; check --use-plugin"
        ) from error
    try:
        return json.loads(text)
    except ValueError:
        return _parse_yaml(path, text)


def _parse_yaml(path: Path, text: str) -> Any:
    try:
        yaml = import_module("yaml")
    except ImportError as error:
        raise UsageError(
            f"plug-in file {path} is not JSON, and PyYAML, which reads YAML, is not installed; "
            "expected one of the two; write it as JSON, or install PyYAML"
        ) from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise UsageError(
            f"plug-in file {path} is not YAML ({reason}); expected 'plugin: MultiProc'; repair it"
        ) from error


def _must_be_known(path: Path, word: str, known: tuple[str, ...]) -> None:
    if word not in known:
        near = difflib.get_close_matches(word, known, 1, cutoff=0.5)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(
            f"plug-in file {path}: {word!r} is unknown; expected one of {', '.join(known)}{meant}"
        )
