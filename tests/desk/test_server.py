"""The desk as a process: who hears it, what it leaves, what becomes of it when it is killed."""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import nibabel as nib
import numpy as np
import pytest
from desks import ROOT, Served, served
from reported import affine_of, label_image, write_study
from skeleton import outphase_dataset, tree

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")


def until(true, patience: float = 60) -> None:
    limit = time.monotonic() + patience
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.02)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def desk(folder: Path, tiny_models: Path) -> Iterator[Served]:
    """A server for the tests that leave it as it is, and the last of which ends it."""
    with served(folder, "--models", tiny_models) as found:
        yield found


def listening(pid: int) -> set[str]:
    """Local addresses of all sockets of a process that wait for connections."""
    inodes = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(path.readlink())
        except FileNotFoundError:  # closed since it was listed
            continue
        if target.startswith("socket:"):
            inodes.add(target[8:-1])
    rows = [
        line.split()
        for table in ("tcp", "tcp6", "udp", "udp6")
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
    ]
    return {row[1] for row in rows if row[9] in inodes and row[3] in ("0A", "07")}


def test_only_this_machine_hears_it(desk: Served) -> None:
    assert listening(desk.process.pid) == {f"0100007F:{desk.port:04X}"}
    own = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for address in own - {"127.0.0.1"}:
        with pytest.raises(OSError, match=r"refused|timed out|unreachable"):
            socket.create_connection((address, desk.port), 2).close()


def test_the_token_is_in_no_list_of_processes_and_no_open_file(desk: Served, folder: Path) -> None:
    token = desk.address.partition("token=")[2]
    assert len(token) >= 43
    for name in ("cmdline", "environ"):
        assert token.encode() not in Path(f"/proc/{desk.process.pid}/{name}").read_bytes()
    holders = [p for p in folder.rglob("*") if p.is_file() and token.encode() in p.read_bytes()]
    assert holders == [folder / "desk" / "open-legseg-desk.html"]
    assert holders[0].stat().st_mode & 0o777 == 0o600
    assert (folder / "desk").stat().st_mode & 0o777 == 0o700


def test_a_stranger_gets_nothing(desk: Served) -> None:
    with httpx.Client(base_url=desk.base) as client:
        assert client.get("/api/session").status_code == 401
        assert client.get("/open?token=guess").status_code == 403
        assert client.get("/", headers={"host": "evil.example"}).status_code == 403
        assert client.get("/").status_code == 200


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_gets_nothing_even_with_the_token(desk: Served) -> None:
    script = (
        "import os, socket, sys\n"
        "os.setgid(12345); os.setuid(12345)\n"
        "port, path = sys.argv[1:]\n"
        "client = socket.socket()\n"
        "client.connect((b'127.0.0.1', int(port)))\n"
        "head = f'GET {path} HTTP/1.1\\r\\nhost: 127.0.0.1:{port}\\r\\n\\r\\n'\n"
        "client.sendall(head.encode())\n"
        "while piece := client.recv(9999): print(piece.decode(), end='')\n"
    )
    for path in (desk.address.removeprefix(desk.base), "/"):
        done = subprocess.run(
            [sys.executable, "-I", "-c", script, str(desk.port), path],
            capture_output=True, text=True, check=False, cwd="/",
        )  # fmt: skip
        assert done.stdout.startswith("HTTP/1.1 403 "), done.stderr
        assert "another user" in done.stdout


def test_a_second_start_leads_to_the_first(desk: Served, folder: Path) -> None:
    words = ["--no-browser", "--workspace", folder / "desk"]
    done = subprocess.run(
        [sys.executable, "-m", "legseg_bids.cli.desk", *words],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0
    assert "running already" in done.stdout
    assert "open-legseg-desk.html" in done.stdout
    assert (folder / "desk" / "open-legseg-desk.html").is_file()


def test_an_upload_that_breaks_off_leaves_nothing(desk: Served, folder: Path) -> None:
    with desk.browser() as browser:
        project = browser.post("/api/projects", json={"name": "cut"}).json()["id"]
        headers = {**browser.headers, "host": desk.base.removeprefix("http://")}
        headers["cookie"] = "; ".join(f"{key}={value}" for key, value in browser.cookies.items())
        head = [
            f"PUT /api/projects/{project}/files?path=a.dcm HTTP/1.1",
            "content-length: 9000000",
        ]
        head += [f"{key}: {value}" for key, value in headers.items() if key != "content-length"]
        inside = folder / "desk" / project
        with socket.create_connection(("127.0.0.1", desk.port)) as sender:
            sender.sendall("\r\n".join([*head, "", ""]).encode() + bytes(4_000_000))
            until(lambda: list((inside / "uploading").iterdir()))
        until(lambda: not list((inside / "uploading").iterdir()))
        assert tree(inside / "incoming") == []
        assert browser.get(f"/api/projects/{project}").json()["files"] == 0


def test_from_images_to_a_correction(desk: Served, folder: Path) -> None:
    """The whole way, with the real application and networks that label by brightness."""
    bids = outphase_dataset(folder / "scans")
    before = tree(bids)
    with desk.browser() as browser:
        asked = {"name": "Real", "path": str(bids)}
        project = f"/api/projects/{browser.post('/api/projects', json=asked).json()['id']}"

        def state() -> str:
            return browser.get(project).json()["state"]

        until(lambda: state() in ("ready", "failed"))
        options = {"reports": True, "validate": False}
        browser.post(f"{project}/run", json={"options": options})
        until(lambda: state() in ("done", "failed"))
        told = browser.get(project).json()
        assert (told["state"], told["results"]) == ("done", 1), told
        (result,) = browser.get(f"{project}/results").json()
        address = f"{project}/results/{result['id']}"
        for part in ("overlay.png", "report", "image.nii.gz", "measures"):
            assert browser.get(f"{address}/{part}").status_code == 200, part
        original = browser.get(f"{address}/labels.nii.gz").content
        labels = nib.Nifti1Image.from_bytes(gzip.decompress(original))
        data = np.asarray(labels.dataobj).copy()
        value = int(data.max())
        data[data == value] = 0
        edited = gzip.compress(nib.Nifti1Image(data, labels.affine).to_bytes())
        browser.put(f"{address}/draft", content=edited, headers={"if-match": "0"})
        made = browser.post(f"{address}/correction", json={"author": "A", "note": "n"}, timeout=60)
        assert made.status_code == 200, made.text
        assert made.json()["changed_voxels"] == (np.asarray(labels.dataobj) == value).sum()
        assert {after for _, after in made.json()["changed"].values()} == {0}
        (result,) = browser.get(f"{project}/results").json()
        assert (result["corrected"], result["draft"], result["revision"]) == (True, False, 2)
        now = gzip.decompress(browser.get(f"{address}/labels.nii.gz").content)
        assert (np.asarray(nib.Nifti1Image.from_bytes(now).dataobj) == data).all()
        assert browser.get(f"{address}/labels.nii.gz?original=1").content == original
        undone = browser.delete(f"{address}/correction")
        assert undone.status_code == 200, undone.text
        assert browser.get(f"{address}/labels.nii.gz").content == original
    assert tree(bids) == before
    modes = {p.stat().st_mode & 0o077 for p in (folder / "desk").rglob("*") if not p.is_symlink()}
    assert modes == {0}


def test_ctrl_c_ends_it_and_nothing_was_sent_anywhere(desk: Served, folder: Path) -> None:
    with desk.browser() as browser:
        project = browser.get("/api/projects").json()[0]["id"]
        stream = threading.Thread(
            target=lambda: browser.get(f"/api/projects/{project}/events"), daemon=True
        )
        stream.start()
        time.sleep(0.3)
        assert desk.end() == 0
        stream.join(10)
        assert not stream.is_alive()
    assert not (folder / "desk" / "open-legseg-desk.html").exists()
    assert (folder / "stderr.txt").read_text() == ""
    seen = desk.sockets()
    assert [event for event, _ in seen].count("socket.bind") >= 1  # or the watcher sees nothing
    # Packages try whether they may listen at all; and between processes, a path is an address.
    own = ("('127.0.0.1', 0)", "('::1', 0)")
    strange = [
        (event, told)
        for event, told in seen
        if not (event == "socket.bind" and told[-1] in own)
        and not (event in ("socket.bind", "socket.connect") and told[-1].startswith(("'/", "b'")))
    ]
    assert strange == []
    assert tree(folder / "home") == []


# ---------------------------------------------------------------------------- killed


def alive(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] != "Z"


def test_a_killed_desk_takes_its_job_along_and_loses_nothing(
    tmp_path: Path, tiny_models: Path
) -> None:
    """Killed while a run is at work and drafts are saved, one after the other."""
    bids = outphase_dataset(tmp_path / "scans")
    study = write_study(tmp_path / "made", chunks=(1,))
    root = tmp_path / "desk"
    with served(tmp_path, "--models", tiny_models) as desk, desk.browser() as browser:
        cookies = dict(browser.cookies)
        drawn = browser.post("/api/projects", json={"name": "Drawn"}).json()["id"]
        (root / drawn / "derivatives").mkdir()
        shutil.move(study.output_dir, root / drawn / "derivatives" / "legseg")
        (result,) = browser.get(f"/api/projects/{drawn}/results").json()
        draft = f"/api/projects/{drawn}/results/{result['id']}/draft"

        asked = {"name": "At work", "path": str(bids)}
        at_work = f"/api/projects/{browser.post('/api/projects', json=asked).json()['id']}"
        until(lambda: browser.get(at_work).json()["state"] == "ready")
        browser.post(f"{at_work}/run", json={"options": {"validate": False}})
        children = Path(f"/proc/{desk.process.pid}/task/{desk.process.pid}/children")
        until(lambda: children.read_text().split())
        (child,) = map(int, children.read_text().split())
        # From now on nothing but the system can tell it that the desk has gone.
        until(
            lambda: (
                b"legseg_bids.cli.main" in Path(f"/proc/{child}/cmdline").read_bytes()
                and b"tether" not in Path(f"/proc/{child}/cmdline").read_bytes()
            )
        )

        killer = threading.Timer(0.3, desk.process.kill)
        killer.start()
        confirmed = _save_until_nobody_answers(browser, draft)
        killer.join()
        until(lambda: not alive(child))
    assert not list((root / at_work.rpartition("/")[2]).rglob("*_dseg.json"))  # it did not go on
    door = root / "open-legseg-desk.html"
    assert door.exists()  # nobody could remove it
    with served(tmp_path, "--models", tiny_models) as again:
        assert again.address in door.read_text().replace("&amp;", "&")
        with httpx.Client(base_url=again.base, cookies=cookies) as stranger:
            assert stranger.get("/api/session").status_code == 401
        with again.browser() as browser:
            told = browser.get(at_work).json()
            assert (told["state"], told["job"]["interrupted"]) == ("failed", True)
            assert "run again to go on" in told["job"]["line"]
            answer = browser.get(draft)
            revision = int(answer.headers["x-revision"])
            assert confirmed > 0
            assert revision in (confirmed, confirmed + 1)
            data = np.asarray(nib.Nifti1Image.from_bytes(gzip.decompress(answer.content)).dataobj)
            np.testing.assert_array_equal(data, _numbered(revision))
        assert again.end(signal.SIGTERM) == 143
        assert not door.exists()
    assert tree(root / drawn / "uploading") == []


def _numbered(revision: int) -> np.ndarray:
    """Labels of which one voxel tells the revision."""
    labels = label_image()
    labels[0, 0, 0] = 1 + revision % 2
    return labels


def _save_until_nobody_answers(browser: httpx.Client, address: str) -> int:
    """The last revision that was confirmed."""
    confirmed = 0
    try:
        while True:
            body = nib.Nifti1Image(_numbered(confirmed + 1), affine_of()).to_bytes()
            answer = browser.put(address, content=body, headers={"if-match": str(confirmed)})
            confirmed = answer.json()["revision"]
    except httpx.TransportError:
        return confirmed
