"""ZIP archives: what is plain is unpacked, what is not leaves nothing behind."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from skeleton import tree

from legseg_bids.desk.archives import unpack
from legseg_bids.desk.limits import load_limits
from legseg_bids.desk.refusals import NoSpace, Refused
from legseg_bids.desk.uploads import Room

LIMITS = replace(load_limits(), disk_reserve=0)
ROOM = Room(10**9, 10**5)


def archive(*entries: tuple[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how) as made:
        for name, content in entries:
            made.writestr(zipfile.ZipInfo(name), content, how)
    return out.getvalue()


def unpacked(folder: Path, content: bytes, room: Room = ROOM, limits=LIMITS):
    """Unpack into a folder that holds two files next to what must stay alone."""
    for name in ("incoming", "passing"):
        (folder / name).mkdir(exist_ok=True)
    path = folder / "upload.part"
    path.write_bytes(content)
    try:
        return unpack(path, folder / "incoming" / "a.zip", room, limits, folder / "passing")
    finally:
        path.unlink()


def special(mode: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        entry = zipfile.ZipInfo("link")
        entry.external_attr = (mode | 0o777) << 16
        made.writestr(entry, "/etc/passwd")
    return out.getvalue()


def overlapping() -> bytes:
    """A second entry in the table that points at the bytes of the first."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("a", b"x" * 1000)
        again = zipfile.ZipInfo("b")
        first = made.infolist()[0]
        again.header_offset, again.compress_size = first.header_offset, first.compress_size
        again.file_size, again.CRC = first.file_size, first.CRC
        made.filelist.append(again)
    return out.getvalue()


def lying(field: str, value: int) -> Callable[[], bytes]:
    """The table says another size than there is."""

    def make() -> bytes:
        content = bytearray(archive(("a", b"x" * 50_000)))
        at = content.rfind(b"PK\x01\x02") + {"file_size": 24, "compress_size": 20}[field]
        content[at : at + 4] = struct.pack("<I", value)
        return bytes(content)

    return make


def encrypted() -> bytes:
    content = bytearray(archive(("a", b"x")))
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.find(mark) + at] |= 1
    return bytes(content)


def many(count: int) -> bytes:
    """The end of an archive that claims so many entries."""
    content = bytearray(archive(("a", b"x")))
    end = content.rfind(b"PK\x05\x06")
    content[end + 8 : end + 12] = struct.pack("<HH", count, count)
    return bytes(content)


def large_format() -> bytes:
    """The ends of the format for large archives, with a table of 16 EiB."""
    content = bytearray(archive(("a", b"x")))
    end = content.rfind(b"PK\x05\x06")
    end64 = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, 2**62, 0)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1)
    tail = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 65535, 65535, 2**32 - 1, 2**32 - 1, 0)
    return bytes(content[:end]) + end64 + locator + tail


STORED = archive(("a", bytes(range(256)) * 9), how=zipfile.ZIP_STORED)
TWICE = pytest.warns(UserWarning, match="Duplicate")
BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "no ZIP archive"),
    "text": (lambda: b"not an archive" * 50, "no ZIP archive"),
    "cut": (lambda: archive(("a", b"x" * 999))[:-30], "no ZIP archive"),
    "damaged": (lambda: STORED.replace(b"\x10\x11\x12", b"\0" * 3), "damaged"),
    "empty": (archive, "holds no file"),
    "folders": (lambda: archive(("a/", b"")), "holds no file"),
    "link": (lambda: special(stat.S_IFLNK), "a link or a device"),
    "pipe": (lambda: special(stat.S_IFIFO), "a link or a device"),
    "device": (lambda: special(stat.S_IFBLK), "a link or a device"),
    "overlapping": (overlapping, "share bytes"),
    "larger": (lying("compress_size", 10_000_000), "share bytes"),
    "longer": (lying("file_size", 10), "damaged|larger than it says"),
    "encrypted": (encrypted, "encrypted"),
    "unusual": (lambda: archive(("a", b"x"), how=zipfile.ZIP_BZIP2), "unusual"),
    "file and folder": (lambda: archive(("a", b"x"), ("a/b", b"y")), "as a file and as a folder"),
    "climbing": (lambda: archive(("../a", b"x")), "expected a plain path"),
    "deep climbing": (lambda: archive(("a/../../../b", b"x")), "expected a plain path"),
    "absolute": (lambda: archive(("/etc/cron.d/a", b"x")), "expected a plain path"),
    "drive": (lambda: archive(("C:/a", b"x")), "expected a plain path"),
    "backslash": (lambda: archive(("..\\a", b"x")), "expected a plain path"),
    "reserved": (lambda: archive(("con", b"x")), "Windows"),
    "many": (lambda: many(65534), "damaged|expected"),
    "large": (large_format, "expected at most"),
    "bomb": (lambda: archive(("zeros", bytes(3_000_000))), "times its size"),
}  # fmt: skip
STRICT = replace(LIMITS, archive_innocent=1_000_000, archive_entries=1000)


@pytest.mark.parametrize("kind", BAD)
def test_what_is_not_plain_is_refused_and_leaves_nothing(tmp_path: Path, kind: str) -> None:
    make, message = BAD[kind]
    outside = tmp_path / "victim"
    outside.write_text("old")
    with pytest.raises(Refused, match=message):
        unpacked(tmp_path, make(), limits=STRICT)
    assert tree(tmp_path) == ["victim"]
    assert outside.read_text() == "old"
    assert list((tmp_path / "incoming").iterdir()) == []


def test_one_name_twice_is_refused(tmp_path: Path) -> None:
    with TWICE:
        content = archive(("a", b"x"), ("a", b"y"))
    with pytest.raises(Refused, match="twice"):
        unpacked(tmp_path, content)


@pytest.mark.parametrize("room", [Room(100, 10), Room(10**6, 1)])
def test_more_than_there_is_room_for(tmp_path: Path, room: Room) -> None:
    with pytest.raises(Refused, match="may still take"):
        unpacked(tmp_path, archive(("a", b"x" * 60), ("b", b"y" * 60)), room)
    assert tree(tmp_path) == []


def test_a_disk_that_would_be_full(tmp_path: Path) -> None:
    with pytest.raises(NoSpace, match="free space"):
        unpacked(tmp_path, archive(("a", b"x")), limits=replace(LIMITS, disk_reserve=2**62))


def test_archives_inside_are_left_out_and_named(tmp_path: Path) -> None:
    inside = archive(("z", bytes(1000)))
    content = archive(("a/b.zip", inside), ("a/c.TAR.GZ", b"x"), ("a/d", b"y"))
    assert unpacked(tmp_path, content) == (1, 1, ["a/b.zip", "a/c.TAR.GZ"])
    assert tree(tmp_path) == ["incoming/a.zip/a/d"]


def test_leftovers_of_file_managers_are_left_out(tmp_path: Path) -> None:
    content = archive(("__MACOSX/._a", b"x"), ("a/.DS_Store", b"x"), ("a/b", b"y"))
    assert unpacked(tmp_path, content)[0] == 1


def test_the_same_archive_again_takes_the_place_of_the_first(tmp_path: Path) -> None:
    unpacked(tmp_path, archive(("a", b"old"), ("gone", b"x")))
    unpacked(tmp_path, archive(("a", b"new")))
    assert tree(tmp_path) == ["incoming/a.zip/a"]
    assert (tmp_path / "incoming/a.zip/a").read_bytes() == b"new"
    with pytest.raises(Refused):
        unpacked(tmp_path, b"damaged")
    assert (tmp_path / "incoming/a.zip/a").read_bytes() == b"new"


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    unpacked(tmp_path, archive(("a/b", b"x")))
    assert (tmp_path / "incoming/a.zip").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "incoming/a.zip/a/b").stat().st_mode & 0o777 == 0o600


NAMES = st.lists(st.text("abcä ._-", min_size=1, max_size=5), min_size=1, max_size=4).map("/".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.dictionaries(NAMES, st.binary(max_size=2000), max_size=6), st.booleans())
def test_plain_archives_come_out_as_they_went_in(tmp_path_factory, files, stored: bool) -> None:
    folder = tmp_path_factory.mktemp("unpacked")
    how = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    try:
        count, size, _ = unpacked(folder, archive(*files.items(), how=how))
    except Refused:
        assert tree(folder) == []
        return
    root = folder / "incoming/a.zip"
    assert {name: (root / name).read_bytes() for name in tree(root)} == files
    assert (count, size) == (len(files), sum(map(len, files.values())))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.data())
def test_damage_never_reaches_beyond_the_folder(tmp_path_factory, data) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    content = bytearray(archive(("a/b", b"x" * 300), ("c", bytes(range(200)))))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        unpacked(folder, bytes(content))
    except Refused:
        assert tree(folder) == []
        return
    assert all(name.startswith("incoming/a.zip/") for name in tree(folder))
