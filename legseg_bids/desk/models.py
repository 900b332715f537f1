"""The networks that a run will use, as far as their descriptions tell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from legseg_bids.bids.names import printable

DESCRIPTION = "configs/metadata.json"


def shown_models(folder: Path | None) -> list[dict[str, Any]]:
    """Name, version and region of each bundle in a folder; those that cannot be read are left out.

    Parameters
    ----------
    folder : Path or None
        Folder of bundles.
    """
    if folder is None or not folder.is_dir():
        return []
    found = [_shown(path) for path in sorted(folder.glob(f"*/{DESCRIPTION}"))]
    return [one for one in found if one]


def _shown(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        region = told.get("legseg", {}).get("region")
        version = str(told.get("version", ""))
    except (OSError, ValueError, AttributeError):
        return {}
    return {"name": printable(path.parents[1].name), "version": version, "region": region}
