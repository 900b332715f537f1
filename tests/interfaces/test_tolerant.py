"""A step that fails hands its problem on; the station's own next step raises it."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from legseg_bids.bids.derivative import checksums
from legseg_bids.bids.stations import Station
from legseg_bids.errors import ImageError
from legseg_bids.interfaces.classify import ClassifySlices
from legseg_bids.interfaces.exchange import View, load_location, load_view, save_view
from legseg_bids.interfaces.locate import LocateLimbs
from legseg_bids.interfaces.tolerant import PROBLEM, Problem, TryToPrepare, read_problem, tolerate


def fail(error: Exception) -> Path:
    raise error


@pytest.mark.parametrize(
    ("error", "kind", "lasts"),
    [
        (ImageError("a.nii is empty"), ImageError, True),
        (MemoryError("no room"), MemoryError, False),
        (OSError(28, "No space left on device"), OSError, False),
        (gzip.BadGzipFile("odd"), RuntimeError, False),
        (UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"), RuntimeError, False),
    ],
)
def test_a_problem_is_handed_on_and_raised_again(
    tmp_path: Path, error: Exception, kind: type, lasts: bool
) -> None:
    problem = read_problem(tolerate(lambda: fail(error), tmp_path))
    assert problem is not None
    again = problem.exception()
    assert isinstance(again, kind)
    assert str(error) in str(again)
    assert problem.lasts == lasts
    assert "in fail" in again.__notes__[0]


def test_a_result_is_no_problem_and_removes_an_old_one(tmp_path: Path) -> None:
    tolerate(lambda: fail(ValueError("x")), tmp_path)
    done = tmp_path / "result.npz"
    assert tolerate(lambda: done, tmp_path) == done
    assert read_problem(done) is None
    assert not (tmp_path / PROBLEM).exists()


def test_an_interruption_is_not_held_up(tmp_path: Path) -> None:
    def interrupt() -> Path:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tolerate(interrupt, tmp_path)


@pytest.fixture
def handed(opposed_station: Station, tiny_models: Path, tmp_path: Path):  # type: ignore[no-untyped-def]
    """Views of a sound station, and of one whose file is damaged."""

    def look(station: Station, name: str) -> Path:
        plain = {**station.as_dict(), "output_name": name}
        folders = [tmp_path / name.replace("/", "_") / step for step in ("prepare", "classify")]
        for folder in folders:
            folder.mkdir(parents=True)
        prepared = TryToPrepare(station=plain).run(cwd=str(folders[0])).outputs.prepared
        engine = {"models_dir": str(tiny_models), "config_hash": "abc"}
        step = ClassifySlices(station=plain, prepared=prepared, **engine)
        return Path(step.run(cwd=str(folders[1])).outputs.view)

    good = look(opposed_station, "sub-01/anat/good.nii.gz")
    opposed_station.source.write_bytes(b"damaged")
    return good, look(opposed_station, "sub-01/anat/bad.nii.gz")


def locate(name: str, views: tuple[Path, ...], folder: Path):  # type: ignore[no-untyped-def]
    step = LocateLimbs(station={"output_name": name}, views=[str(view) for view in views])
    return step.run(cwd=str(folder)).outputs


def test_a_damaged_neighbour_is_left_out_and_named(handed, tmp_path: Path) -> None:
    outputs = locate("sub-01/anat/good.nii.gz", handed, tmp_path)
    (warning,) = load_location(Path(outputs.location)).warnings
    assert warning == "sub-01/anat/bad.nii.gz could not be read and was left out of the set"


def test_the_damaged_station_itself_fails_with_its_own_reason(handed, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="is not a NIfTI image"):
        locate("sub-01/anat/bad.nii.gz", handed, tmp_path)


def test_check_sums_of_a_damaged_file_are_kept_those_of_a_mishap_are_not(
    handed, opposed_station: Station, tmp_path: Path
) -> None:
    from legseg_bids.interfaces.classify import _sums

    assert load_view(handed[1]).sums == checksums(opposed_station)
    assert _sums(opposed_station, Problem("MemoryError", "", "")) is None
    opposed_station.source.unlink()
    assert _sums(opposed_station, Problem("ImageError", "", "")) is None


def test_views_survive(handed, tmp_path: Path) -> None:
    view = load_view(handed[0])
    again = load_view(save_view(tmp_path / "again.npz", view))
    assert again.seen is not None
    assert view.seen is not None
    assert (again.name, again.sums, again.seen.limbs) == (view.name, view.sums, 2)
    assert again.seen.parts.tobytes() == view.seen.parts.tobytes()
    assert again.seen.grid.shape == view.seen.grid.shape
    lost = load_view(save_view(tmp_path / "lost.npz", View("a", None, None, "p")))
    assert (lost.sums, lost.seen, lost.problem) == (None, None, "p")
