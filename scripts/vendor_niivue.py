#!/usr/bin/env python3
"""Fetch the pinned NiiVue bundle with npm, check it, and store it compressed with its licences.

Reports carry NiiVue (https://github.com/niivue/niivue, BSD-2-Clause), so that they open without
a network. Whoever installs the package has no npm, so the compressed bundle is a file of the
package; this script makes that file, the same bytes every time. Run it again to change the
version: set ``VERSION`` and ``SHA256``, then commit what it writes.

    python scripts/vendor_niivue.py            # needs npm and a network
    python scripts/vendor_niivue.py --check    # compares what is there with the pinned sums
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE = "@niivue/niivue"
VERSION = "0.69.0"
BUNDLE = "dist/niivue.umd.js"
SHA256 = "47b896b77ec4a5be3ef1949c33ad393b6f45629921f326c279000bcf51bdb4af"
VENDOR = Path(__file__).parents[1] / "legseg_bids" / "report" / "vendor"
RULE = "=" * 72

NIIVUE = """\
BSD 2-Clause License

Copyright (c) 2021, Niivue
All rights reserved.

Redistribution and use in source and binary forms, with or without
modification, are permitted provided that the following conditions are met:

1. Redistributions of source code must retain the above copyright notice, this
   list of conditions and the following disclaimer.

2. Redistributions in binary form must reproduce the above copyright notice,
   this list of conditions and the following disclaimer in the documentation
   and/or other materials provided with the distribution.

THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS "AS IS"
AND ANY EXPRESS OR IMPLIED WARRANTIES, INCLUDING, BUT NOT LIMITED TO, THE
IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS FOR A PARTICULAR PURPOSE ARE
DISCLAIMED. IN NO EVENT SHALL THE COPYRIGHT HOLDER OR CONTRIBUTORS BE LIABLE
FOR ANY DIRECT, INDIRECT, INCIDENTAL, SPECIAL, EXEMPLARY, OR CONSEQUENTIAL
DAMAGES (INCLUDING, BUT NOT LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS OR
SERVICES; LOSS OF USE, DATA, OR PROFITS; OR BUSINESS INTERRUPTION) HOWEVER
CAUSED AND ON ANY THEORY OF LIABILITY, WHETHER IN CONTRACT, STRICT LIABILITY,
OR TORT (INCLUDING NEGLIGENCE OR OTHERWISE) ARISING IN ANY WAY OUT OF THE USE
OF THIS SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.
"""
INSIDE = """\
numcodecs (above) contains, compiled to WebAssembly: c-blosc (BSD-3-Clause,
Copyright (c) 2009-2018 Francesc Alted, 2019-present The Blosc Development Team),
LZ4 library (BSD-2-Clause, Copyright (c) Yann Collet), Zstandard (BSD-3-Clause,
Copyright (c) Meta Platforms, Inc. and affiliates); on the conditions of the BSD
licence at the top and, for BSD-3-Clause: neither the name of the copyright holder
nor the names of its contributors may be used to endorse or promote products derived
from this software without specific prior written permission.

NiiVue contains outlines of the font Roboto (Apache-2.0, Copyright Google Inc.).
"""


def main() -> int:
    """Fetch or check; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="only compare what is there")
    if parser.parse_args().check:
        return check()
    with tempfile.TemporaryDirectory(prefix="niivue-") as folder:
        store(fetch(Path(folder)))
    return check()


def fetch(folder: Path) -> Path:
    """Install the pinned version, scripts switched off; its folder ``node_modules``."""
    command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run([*command, f"{PACKAGE}@{VERSION}"], cwd=folder, check=True)
    return folder / "node_modules"


def store(modules: Path) -> None:
    """Compress the bundle, and collect the licences of all that is in it."""
    bundle = (modules / PACKAGE / BUNDLE).read_bytes()
    found = hashlib.sha256(bundle).hexdigest()
    if found != SHA256:
        sys.exit(f"{PACKAGE} {VERSION} has SHA-256 {found}; expected {SHA256}; do not use it")
    VENDOR.mkdir(parents=True, exist_ok=True)
    packed = gzip.compress(bundle, 9, mtime=0)
    (VENDOR / "niivue.umd.js.gz").write_bytes(packed)
    parts = [f"{PACKAGE} {VERSION}\n\n{NIIVUE}"]
    parts += [licence_of(modules / name) for name in bundled(modules)]
    (VENDOR / "LICENSE").write_text(f"\n{RULE}\n".join([*parts, INSIDE]), encoding="utf-8")
    facts = {"package": PACKAGE, "version": VERSION, "file": BUNDLE, "sha256": SHA256}
    (VENDOR / "niivue.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def bundled(modules: Path) -> list[str]:
    """Packages whose code is in the bundle, by NiiVue's own record of its build."""
    record = json.loads((modules / PACKAGE / "dist" / "metafile-esm.json").read_text("utf-8"))
    names = set()
    for path in record["inputs"]:
        _, inside, rest = path.rpartition("node_modules/")
        if inside:
            first, second, *_ = rest.split("/")
            names.add(f"{first}/{second}" if first.startswith("@") else first)
    return sorted(names - {PACKAGE})


def licence_of(package: Path) -> str:
    """Name and licence text of an installed package (its version is npm's, not the bundle's)."""
    facts = json.loads((package / "package.json").read_text(encoding="utf-8"))
    texts = [path for path in package.iterdir() if path.name.lower().startswith("licen")]
    if not texts:
        sys.exit(f"{package.name} has no licence file; expected one; look for it before shipping")
    text = texts[0].read_text(encoding="utf-8").strip()
    return f"{facts['name']} ({facts.get('license')})\n\n{text}\n"


def check() -> int:
    """Whether the stored bundle is the pinned one."""
    bundle = gzip.decompress((VENDOR / "niivue.umd.js.gz").read_bytes())
    same = hashlib.sha256(bundle).hexdigest() == SHA256
    print(f"NiiVue {VERSION}: {'as pinned' if same else 'NOT the pinned bundle'}")
    return 0 if same else 1


if __name__ == "__main__":
    if shutil.which("npm") is None and "--check" not in sys.argv:
        sys.exit("npm was not found; expected Node.js; install it, then run again")
    sys.exit(main())
