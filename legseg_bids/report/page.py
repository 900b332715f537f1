"""From values to a page: templates, the files that go into it, and what the page may do.

A page is one file. Its content security policy names its two scripts by their hashes and allows
no connection at all, so that a page can neither load anything nor run what came with the data.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from legseg_bids.anatomy.labels import load_labels
from legseg_bids.report.methods import references

#: What a page is made of beside its data; a change of any of them makes pages anew.
ASSETS = (
    "templates/subject.html.j2",
    "templates/methods.txt.j2",
    "static/report.css",
    "static/report.js",
    "vendor/niivue.json",
)
POLICY = (
    "default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; "
    "img-src data: blob:; connect-src data: blob:; font-src data:; base-uri 'none'; "
    "form-action 'none'"
)


def render(context: Mapping[str, Any]) -> str:
    """Fill the page of a participant; all that comes from the data is escaped."""
    environment = _environment(autoescape=True)
    template = environment.get_template("subject.html.j2")
    return str(template.render(**_fixed(), **context))


def render_methods(facts: Mapping[str, Any]) -> str:
    """Fill the methods text: plain text, which the page then escapes as a whole."""
    numbers = {row["key"]: index for index, row in enumerate(references(), start=1)}
    template = _environment(autoescape=False).get_template("methods.txt.j2")
    return str(template.render(number=numbers.__getitem__, **facts)).strip()


def assets_digest() -> str:
    """Hash of everything that is in a page beside its data.

    Examples
    --------
    >>> len(assets_digest())
    64
    """
    return hashlib.sha256(b"".join(map(_asset, ASSETS))).hexdigest()


def viewer_bundle() -> tuple[bytes, str]:
    """NiiVue, compressed, and the SHA-256 (hex) of what it unpacks to."""
    facts = json.loads(_asset("vendor/niivue.json"))
    return _asset("vendor/niivue.umd.js.gz"), str(facts["sha256"])


def viewer_text() -> str:
    """NiiVue's own script."""
    return gzip.decompress(viewer_bundle()[0]).decode("utf-8")


def _fixed() -> dict[str, Any]:
    """What is the same in every page."""
    script = _asset("static/report.js").decode("utf-8")
    bundle, digest = viewer_bundle()
    hashes = [_source_hash(hashlib.sha256(script.encode()).digest())]
    hashes.append(_source_hash(bytes.fromhex(digest)))
    return {
        "policy": POLICY.format(scripts=" ".join(hashes)),
        "style": _asset("static/report.css").decode("utf-8"),
        "script": script,
        "niivue": base64.b64encode(bundle).decode("ascii"),
        "niivue_licence": _asset("vendor/LICENSE").decode("utf-8"),
        "niivue_version": json.loads(_asset("vendor/niivue.json"))["version"],
        "labels": load_labels(),
    }


@cache
def _environment(*, autoescape: bool) -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("legseg_bids.report", "templates"),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _asset(name: str) -> bytes:
    return resources.files(__package__).joinpath(*name.split("/")).read_bytes()


def _source_hash(digest: bytes) -> str:
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
