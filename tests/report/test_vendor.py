"""NiiVue as it is shipped: the pinned one, with its licences."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import json
import shutil
from importlib import resources
from pathlib import Path
from types import ModuleType

import pytest

VENDOR = resources.files("legseg_bids.report") / "vendor"
SCRIPT = Path(__file__).parents[2] / "scripts" / "vendor_niivue.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("vendor_niivue", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_bundle_is_the_pinned_one(script: ModuleType) -> None:
    bundle = gzip.decompress((VENDOR / "niivue.umd.js.gz").read_bytes())
    facts = json.loads((VENDOR / "niivue.json").read_text(encoding="utf-8"))
    assert hashlib.sha256(bundle).hexdigest() == facts["sha256"] == script.SHA256
    assert (facts["package"], facts["version"]) == (script.PACKAGE, script.VERSION)
    assert script.check() == 0


@pytest.mark.parametrize(
    "word",
    ["BSD 2-Clause", "numcodecs", "gl-matrix", "fflate", "nifti-reader-js", "Roboto", "c-blosc"],
)
def test_licences_of_all_parts_are_kept(word: str) -> None:
    assert word in (VENDOR / "LICENSE").read_text(encoding="utf-8")


def test_another_bundle_is_refused(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / script.PACKAGE / script.BUNDLE
    bundle.parent.mkdir(parents=True)
    bundle.write_text("alert(1)")
    shutil.copytree(Path(str(VENDOR)), tmp_path / "vendor")
    monkeypatch.setattr(script, "VENDOR", tmp_path / "vendor")
    with pytest.raises(SystemExit, match="do not use it"):
        script.store(tmp_path)
    (tmp_path / "vendor" / "niivue.umd.js.gz").write_bytes(gzip.compress(b"alert(1)"))
    assert script.check() == 1
