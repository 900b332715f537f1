from __future__ import annotations

import sys
from pathlib import Path

import pytest

from legseg_bids.errors import UsageError
from legseg_bids.workflows.plugin_file import PLUGINS, Plugin, read_plugin


def read(folder: Path, text: str) -> Plugin:
    (folder / "plugin.yml").write_text(text)
    return read_plugin(folder / "plugin.yml")


@pytest.mark.parametrize(
    "text",
    [
        "plugin: MultiProc\nplugin_args:\n  n_procs: 8\n  memory_gb: 16\n",
        '{"plugin": "MultiProc", "plugin_args": {"n_procs": 8, "memory_gb": 16}}',
    ],
)
def test_yaml_and_json(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == Plugin("MultiProc", {"n_procs": 8, "memory_gb": 16})


@pytest.mark.parametrize("text", ["plugin: Linear", "plugin: Linear\nplugin_args:\n"])
def test_arguments_may_be_left_out(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == Plugin("Linear")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no plug-in"),
        ("- MultiProc", "names no plug-in"),
        ("plugin: 3", "names no plug-in"),
        ("plugin: MultiProcs", "did you mean MultiProc"),
        ("plugin: MultiProc\nplugin_arg: {}", "did you mean plugin_args"),
        ("plugin: MultiProc\nplugin_args: 8", "like 'n_procs: 4'"),
        ("plugin: [", "is not YAML"),
        ("plugin: !!python/object/apply:os.system [echo]", "is not YAML"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read(tmp_path, text)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_plugin(tmp_path / "none.yml")


def test_without_pyyaml_json_is_still_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert read(tmp_path, '{"plugin": "Linear"}').name == "Linear"
    with pytest.raises(UsageError, match="install PyYAML"):
        read(tmp_path, "plugin: Linear")


def test_the_plugins_are_those_of_nipype() -> None:
    import nipype.pipeline.plugins as plugins

    there = {name.removesuffix("Plugin") for name in dir(plugins) if name.endswith("Plugin")}
    assert set(PLUGINS) == there
