from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("starlette")
pytest.importorskip("httpx")

from desks import InHand, desk_in_hand, worker_here


@pytest.fixture
def hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InHand]:
    """A desk in this process, workers and all, and a browser that has shown the token."""
    for module in ("stages", "api_results", "shifts"):
        monkeypatch.setattr(f"legseg_bids.desk.{module}.ask_worker", worker_here)
    with desk_in_hand(tmp_path / "desk") as found:
        yield found
