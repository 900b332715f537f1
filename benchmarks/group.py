#!/usr/bin/env python3
"""Time and memory of the group level for a simulated study: first run, then once more.

    python benchmarks/group.py [--participants 1000] [--keep FOLDER]

Every participant has two stations of 44 labels each and the merged image of both, with tables of
labels, compartments, profiles and limbs, written in the format of the participant level. Values
depend on sex, age, group and chance, so that the page has something to show. Images are random
bytes of a usual size, linked from one file: their check sums are computed as for real ones, but
from the page cache, so a slow disk adds its own time to the first run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from legseg_bids.anatomy.labels import Label, load_labels  # noqa: E402
from legseg_bids.bids.description import write_dataset_files  # noqa: E402
from legseg_bids.bids.names import output_paths  # noqa: E402
from legseg_bids.bids.sets import merged_paths  # noqa: E402
from legseg_bids.bids.sidecars import load_columns, to_tsv  # noqa: E402

LABELS_BYTES, CONFIDENCE_BYTES = 300_000, 2_000_000
SETTLED = 2.5
"""Seconds after which the group level remembers a file that it read."""
COMPARTMENTS = {
    "quadriceps": ("RF", "VL", "VI", "VM"),
    "hamstrings": ("BFLH", "BFSH", "SM", "ST"),
    "adductors": ("AM", "AL", "AB", "GRA"),
    "triceps_surae": ("SOL", "MG", "LG"),
    "anterior": ("TA", "EDL", "EHL"),
    "lateral": ("FL",),
    "deep_posterior": ("TP", "FDL", "FHL", "POP"),
}
TYPICAL = {
    "VL": 620, "VM": 430, "VI": 560, "RF": 240, "SAR": 160, "BFLH": 210, "BFSH": 110, "SM": 240,
    "ST": 180, "AM": 560, "AL": 170, "AB": 100, "GRA": 100, "PEC": 60, "SOL": 440, "MG": 250,
    "LG": 150, "TA": 130, "EDL": 65, "EHL": 28, "FL": 110, "TP": 105, "FDL": 30, "FHL": 78,
    "POP": 22,
}  # fmt: skip


@dataclass(frozen=True)
class Person:
    """Who is simulated."""

    label: str
    sex: str
    age: int
    group: str
    height: float


def people(count: int, generator: np.random.Generator) -> Iterator[Person]:
    """Participants of a study of patients and controls."""
    for number in range(1, count + 1):
        sex = "F" if generator.random() < 0.5 else "M"
        height = generator.normal(166 if sex == "F" else 179, 7)
        group = "patient" if generator.random() < 0.4 else "control"
        age = int(np.clip(generator.normal(50, 17), 18, 89))
        yield Person(f"{number:05d}", sex, age, group, height)


class Simulation:
    """Writes the derivative of a study, and the table of its participants.

    Parameters
    ----------
    root : Path
        Folder for ``bids`` and ``out``.
    sessions : int
        Sessions of each participant; 0 writes images without a session.
    seed : int
        Of chance.
    """

    def __init__(self, root: Path, sessions: int = 0, seed: int = 1) -> None:
        self.bids, self.out = root / "bids", root / "out"
        self.sessions = [f"{n}" for n in range(1, sessions + 1)] or [None]
        self.generator = np.random.default_rng(seed)
        self.bids.mkdir(parents=True)
        self.images = self._images(root)
        self.profiles = root / "profiles.tsv"
        self.profiles.write_text(_profiles())
        write_dataset_files(self.out, None)

    def write(self, participants: int) -> None:
        """Write so many participants."""
        rows = []
        for person in people(participants, self.generator):
            top = "89+" if person.age == 89 else person.age
            rows.append(
                {
                    "participant_id": f"sub-{person.label}", "sex": person.sex, "age": top,
                    "group": person.group, "height": round(person.height, 1),
                }
            )  # fmt: skip
            self._person(person)
        columns = ["participant_id", "sex", "age", "group", "height"]
        (self.bids / "participants.tsv").write_text(to_tsv(columns, rows))
        described = {"age": {"Units": "year"}, "height": {"Units": "cm"}}
        (self.bids / "participants.json").write_text(json.dumps(described))

    def _person(self, person: Person) -> None:
        size = (person.height / 172) ** 2.5 * (1.0 if person.sex == "F" else 1.18)
        size *= 1 - 0.004 * (person.age - 50)
        size *= float(np.exp(self.generator.normal(0, 0.1)))
        spread = {name: np.exp(self.generator.normal(0, 0.1)) for name in TYPICAL}
        ill = person.group == "patient"
        for visit, session in enumerate(self.sessions):
            drop = 1 - 0.03 * visit if ill else 1.0
            fat = 0.05 + 0.0008 * person.age + (0.05 + 0.02 * visit if ill else 0)
            rows = [
                self._row(label, size * drop * spread[_base(label)], fat, ill)
                for label in load_labels()
                if _base(label) in TYPICAL
            ]
            self._images_of(person, session, rows)

    def _row(self, label: Label, size: float, fat: float, ill: bool) -> dict[str, object]:
        weak = 0.85 if ill and _base(label) in COMPARTMENTS["quadriceps"] else 1.0
        noise = self.generator.normal(0, 0.03)
        volume = float(TYPICAL[_base(label)] * size * weak * np.exp(noise))
        if self.generator.random() < 0.002:
            volume *= 0.3
        fraction = float(np.clip(fat * np.exp(self.generator.normal(0, 0.25)), 0.005, 0.9))
        chance = self.generator.random()
        quality = "poor" if chance < 0.01 else "check" if chance < 0.05 else "good"
        cut = self.generator.random() < 0.03
        length = 400 * (volume / 600) ** 0.33
        return {
            "index": label.index, "name": label.name, "abbreviation": label.abbreviation,
            "side": label.side, "region": label.region, "tissue": label.tissue,
            "color": label.color, "voxels": int(volume * 200), "volume": volume,
            "first_slice": 3, "last_slice": 60, "slices": 58, "touches_edge": cut,
            "truncated": "proximal" if cut else "none", "cut_in_plane": False,
            "mean_fat_fraction": fraction, "median_fat_fraction": fraction * 0.9,
            "length": length, "max_csa": 1700 * volume / length, "max_csa_slice": 30,
            "fat_fraction_voxels": int(volume * 100), "intramuscular_fat": volume * fraction,
            "lean_volume": volume * (1 - fraction), "mean_confidence": 0.97, "quality": quality,
            "quality_reasons": "low confidence" if quality != "good" else "n/a",
        }  # fmt: skip

    def _images_of(
        self, person: Person, session: str | None, rows: list[dict[str, object]]
    ) -> None:
        middle = f"_ses-{session}" if session else ""
        folder = f"sub-{person.label}" + (f"/ses-{session}" if session else "")
        stem = f"{folder}/anat/sub-{person.label}{middle}_acq-opp"
        told = {}
        for chunk in (1, 2):
            paths = output_paths(self.out, f"{stem}_chunk-{chunk}_T1w.nii.gz")
            self._tables(paths, rows[: 44 if chunk == 1 else None][-44:])
            self._sidecar(paths, {})
            for role, path in (("Labels", paths.labels), ("Confidence", paths.confidence)):
                path.hardlink_to(self.images[role][0])
            table = hashlib.sha256(paths.table.read_bytes()).hexdigest()
            sums = {role: sha256 for role, (_, sha256) in self.images.items()}
            told[paths.labels.relative_to(self.out).as_posix()] = {**sums, "Table": table}
        paths = merged_paths(self.out, f"{stem}_T1w.nii.gz")
        self._tables(paths, rows)
        paths.profiles.hardlink_to(self.profiles)
        paths.labels.hardlink_to(self.images["Labels"][0])
        self._sidecar(paths, {"StationSHA256": told})
        (self.out / f"sub-{person.label}.html").touch()

    def _tables(self, paths: object, rows: list[dict[str, object]]) -> None:
        paths.table.parent.mkdir(parents=True, exist_ok=True)
        paths.table.write_text(to_tsv(list(dict.fromkeys([*load_columns(), *rows[0]])), rows))
        grouped = list(_compartments(rows))
        paths.compartments.write_text(to_tsv(list(grouped[0]), grouped))
        limbs = list(_limbs(rows))
        paths.limbs.write_text(to_tsv(list(limbs[0]), limbs))

    def _sidecar(self, paths: object, legseg: dict[str, object]) -> None:
        filling = dict.fromkeys(("Models", "Location", "Warnings", "Methods"), "x" * 200)
        content = {"ConfigHash": "simulated", "Version": "0", **filling, **legseg}
        paths.sidecar.write_text(
            json.dumps({"Description": "Simulated", **load_columns(), "Legseg": content})
        )

    def _images(self, root: Path) -> dict[str, tuple[Path, str]]:
        """One file for each role, and its check sum."""
        found = {}
        for role, size in (("Labels", LABELS_BYTES), ("Confidence", CONFIDENCE_BYTES)):
            path = root / f"{role}.bin"
            path.write_bytes(self.generator.bytes(size))
            found[role] = path, hashlib.sha256(path.read_bytes()).hexdigest()
        return found


def _base(label: Label) -> str:
    return label.abbreviation.rpartition("_")[0]


def _compartments(rows: list[dict[str, object]]) -> Iterator[dict[str, object]]:
    for name, members in COMPARTMENTS.items():
        for side, letter in (("left", "L"), ("right", "R")):
            parts = [r for r in rows if r["abbreviation"] in {f"{m}_{letter}" for m in members}]
            if parts:
                volume = sum(r["volume"] for r in parts)
                fat = sum(r["intramuscular_fat"] for r in parts)
                yield {
                    "compartment": name, "side": side,
                    "includes": " ".join(str(r["abbreviation"]) for r in parts),
                    "complete": all(r["truncated"] == "none" for r in parts), "volume": volume,
                    "max_csa": max(r["max_csa"] for r in parts) * len(parts) * 0.8,
                    "length": max(r["length"] for r in parts),
                    "mean_fat_fraction": fat / volume, "median_fat_fraction": fat / volume,
                    "fat_fraction_voxels": 1000, "intramuscular_fat": fat,
                    "lean_volume": volume - fat, "asymmetry": "n/a", "quality": "good",
                }  # fmt: skip


def _limbs(rows: list[dict[str, object]]) -> Iterator[dict[str, object]]:
    for side in ("left", "right"):
        parts = [row for row in rows if row["side"] == side]
        muscle = sum(row["volume"] for row in parts)
        fat = sum(row["intramuscular_fat"] for row in parts)
        if muscle:
            yield {
                "side": side, "limb_volume": muscle * 1.9, "muscle_volume": muscle,
                "subcutaneous_fat_volume": muscle * 0.6, "subcutaneous_fat_max_area": 6000,
                "intermuscular_fat_volume": muscle * 0.05, "intramuscular_fat_volume": fat,
                "bone_volume": muscle * 0.15, "mean_muscle_fat_fraction": fat / muscle,
            }  # fmt: skip


def _profiles() -> str:
    """Areas of 60 structures in 80 slices: as long as a real table, never read."""
    line = "RF_L\tmuscle\tleft\t{}\t{}\tfemur\t50.0\t1234.5\t0.123\n"
    header = "structure\tkind\tside\tslice\tposition\tbone\tbone_percent\tcsa\tmean_fat_fraction\n"
    return header + "".join(line.format(s, s * 5) for s in range(80)) * 60


def run(bids: Path, out: Path) -> dict[str, float]:
    """Run the group level; seconds, processor time, peak memory in MiB, exit code."""
    begun = time.monotonic()
    words = [sys.executable, str(ROOT / "run.py"), str(bids), str(out), "group"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - begun
    return {
        "seconds": seconds,
        "cpu": usage.ru_utime + usage.ru_stime,
        "mib": usage.ru_maxrss / 1024,
        "code": process.returncode,
    }


def main() -> int:
    """Simulate, run twice, tell."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--participants", type=int, default=1000)
    parser.add_argument("--sessions", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="simulate into this folder, and keep it")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="legseg-group-") as folder:
        root = args.keep or Path(folder)
        simulation = Simulation(root, args.sessions)
        simulation.write(args.participants)
        time.sleep(SETTLED)
        runs = [run(simulation.bids, simulation.out) for _ in range(2)]
        sizes = {
            name: sum(path.stat().st_size for path in simulation.out.glob(pattern)) / 1e6
            for name, pattern in (
                ("group.html", "group.html"),
                ("tables", "group_*.tsv"),
                ("phenotype", "phenotype/*.tsv"),
                ("figures", "figures/*"),
                ("cache", "logs/group_cache*"),
            )
        }
    for name, told in zip(("first run", "second run"), runs, strict=True):
        print(
            f"{args.participants} participants, {name}: {told['seconds']:.1f} s "
            f"({told['cpu']:.1f} s of processor time), {told['mib']:.0f} MiB, "
            f"exit code {told['code']:.0f}"
        )
    print(", ".join(f"{name} {size:.1f} MB" for name, size in sizes.items()))
    return max(int(told["code"]) for told in runs)


if __name__ == "__main__":
    sys.exit(main())
