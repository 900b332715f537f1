"""File names: taken apart, and output names made from source names by string edit.

Output names are never composed from an entity list, because every pattern forgets some
entity sooner or later, and then two stations of one person overwrite each other. Here the
stem of the source is kept whole; only the suffix is replaced and entities are inserted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from legseg_bids.bids.entities import entity_order
from legseg_bids.errors import OutputError

SEGMENTATION = "muscles"
EXTENSIONS = (".nii.gz", ".nii", ".json", ".tsv")
CONFIDENCE = "confidence"
FAT_FRACTION = "fatfraction"
MEASURES = ("compartments", "profiles", "limbs")
"""Tables beside that of the labels, each with a sidecar of its own."""


@dataclass(frozen=True)
class Name:
    """One BIDS file name, taken apart.

    Attributes
    ----------
    entities : tuple of (str, str)
        Keys and values in the order of the file name; a part without a hyphen has an
        empty value.
    suffix : str
        The last part of the stem, as ``T1w``.
    extension : str
        All from the first dot on, as ``.nii.gz``.
    """

    entities: tuple[tuple[str, str], ...]
    suffix: str
    extension: str

    def __str__(self) -> str:
        return "_".join([*map(_part, self.entities), self.suffix]) + self.extension

    def get(self, key: str) -> str | None:
        """Value of an entity, or None.

        Examples
        --------
        >>> parse_name("sub-01_acq-opp_T1w.nii.gz").get("acq")
        'opp'
        """
        return dict(self.entities).get(key)


@dataclass(frozen=True, kw_only=True)
class MeasurePaths:
    """What is measured beside the labels; stations and merged images have the same.

    Attributes
    ----------
    compartments, compartments_sidecar, profiles, profiles_sidecar, limbs, limbs_sidecar : Path
        Tables of groups of muscles, of areas slice by slice, and of whole limbs.
    fat_fraction, fat_fraction_sidecar : Path
        Map of the fat fraction, where the source tells it.
    """

    compartments: Path
    compartments_sidecar: Path
    profiles: Path
    profiles_sidecar: Path
    limbs: Path
    limbs_sidecar: Path
    fat_fraction: Path
    fat_fraction_sidecar: Path


@dataclass(frozen=True, kw_only=True)
class OutputPaths(MeasurePaths):
    """Every file that one station may give, beside those of :class:`MeasurePaths`.

    Attributes
    ----------
    labels, table, sidecar : Path
        Label image, its table and its JSON; these three always exist when a station is done.
    mask, mask_sidecar : Path
        Limb mask (voxels inside the legs).
    probabilities, probabilities_sidecar : Path
        Probability of each label, 4-D.
    confidence, confidence_sidecar : Path
        Probability of the label that each voxel has.
    figure : Path
        Picture for the report.
    """

    labels: Path
    table: Path
    sidecar: Path
    mask: Path
    mask_sidecar: Path
    probabilities: Path
    probabilities_sidecar: Path
    confidence: Path
    confidence_sidecar: Path
    figure: Path


def parse_name(name: str) -> Name:
    """Take a file name apart; ``str()`` of the result gives the name back.

    Parameters
    ----------
    name : str
        File name without folders.

    Examples
    --------
    >>> parse_name("sub-01_echo-1_MEGRE.nii.gz")
    Name(entities=(('sub', '01'), ('echo', '1')), suffix='MEGRE', extension='.nii.gz')
    """
    extension = _extension(name)
    *parts, suffix = name[: len(name) - len(extension)].split("_")
    pairs = (part.partition("-") for part in parts)
    return Name(tuple((key, value) for key, _, value in pairs), suffix, extension)


def printable(text: str) -> str:
    r"""Spell characters that would break a line or a terminal (``\n``), and lone bytes.

    Examples
    --------
    >>> print(printable("sub-1\nT1w"))
    sub-1\nT1w
    """
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def insert_entities(name: Name, entities: Mapping[str, str]) -> Name:
    """Put entities where BIDS wants them, leaving the others in their order.

    An entity that the name already has gets the new value.

    Examples
    --------
    >>> str(insert_entities(parse_name("sub-01_desc-x_dseg.tsv"), {"seg": "muscles"}))
    'sub-01_seg-muscles_desc-x_dseg.tsv'
    """
    for key, value in entities.items():
        name = replace(name, entities=_insert(name.entities, key, value))
    return name


def output_path(
    output_dir: Path,
    source: str,
    *,
    seg: str | None = SEGMENTATION,
    label: str | None = None,
    desc: str | None = None,
    suffix: str = "dseg",
    extension: str = ".nii.gz",
) -> Path:
    """Name an output after its source; all entities of the source are kept.

    Two sources that differ in a folder or in any entity have different outputs.

    Parameters
    ----------
    output_dir : Path
        Root of the derivative.
    source : str
        Source image relative to its dataset, with forward slashes.
    seg, label, desc : str or None
        Values of the entities to add; None adds none.

    Raises
    ------
    ValueError
        If the source is absolute or climbs out of its dataset.

    Examples
    --------
    >>> output_path(Path("out"), "sub-1/anat/sub-1_acq-opp_chunk-2_T1w.nii.gz").as_posix()
    'out/sub-1/anat/sub-1_acq-opp_chunk-2_seg-muscles_dseg.nii.gz'
    """
    path = _inside(source)
    added = {"seg": seg, "label": label, "desc": desc}
    name = insert_entities(parse_name(path.name), {k: v for k, v in added.items() if v})
    return output_dir / path.parent / str(replace(name, suffix=suffix, extension=extension))


def output_paths(output_dir: Path, source: str) -> OutputPaths:
    """Name every file that a station may give.

    Parameters
    ----------
    output_dir : Path
        Root of the derivative.
    source : str
        Source image relative to its dataset, with forward slashes.

    Examples
    --------
    >>> output_paths(Path("out"), "sub-1/anat/sub-1_acq-opp_T1w.nii.gz").mask.name
    'sub-1_acq-opp_label-leg_mask.nii.gz'
    """

    def name(**kwargs: str | None) -> Path:
        return output_path(output_dir, source, **kwargs)  # type: ignore[arg-type]

    return OutputPaths(
        labels=name(),
        table=name(extension=".tsv"),
        sidecar=name(extension=".json"),
        mask=name(seg=None, label="leg", suffix="mask"),
        mask_sidecar=name(seg=None, label="leg", suffix="mask", extension=".json"),
        probabilities=name(suffix="probseg"),
        probabilities_sidecar=name(suffix="probseg", extension=".json"),
        confidence=name(desc=CONFIDENCE, suffix="probseg"),
        confidence_sidecar=name(desc=CONFIDENCE, suffix="probseg", extension=".json"),
        **measure_paths(output_dir, source),
        figure=figure_path(output_dir, source),
    )


def measure_paths(output_dir: Path, source: str, before: str = "") -> dict[str, Path]:
    """Name the tables beside that of the labels, the map of the fat fraction, and their sidecars.

    Parameters
    ----------
    output_dir, source
        As for :func:`output_paths`.
    before : str
        What the value of ``desc-`` begins with, to tell a merged image's from a station's.

    Examples
    --------
    >>> paths = measure_paths(Path("out"), "sub-1/anat/sub-1_acq-opp_T1w.nii.gz")
    >>> paths["profiles"].name
    'sub-1_acq-opp_seg-muscles_desc-profiles_dseg.tsv'
    >>> paths["fat_fraction_sidecar"].name
    'sub-1_acq-opp_label-fat_desc-fatfraction_probseg.json'
    """
    found: dict[str, Path] = {}
    for table in MEASURES:
        for field, extension in ((table, ".tsv"), (f"{table}_sidecar", ".json")):
            found[field] = output_path(
                output_dir, source, desc=before + table, extension=extension
            )
    for field, extension in (("fat_fraction", ".nii.gz"), ("fat_fraction_sidecar", ".json")):
        found[field] = output_path(
            output_dir,
            source,
            seg=None,
            label="fat",
            desc=before + FAT_FRACTION,
            suffix="probseg",
            extension=extension,
        )
    return found


def figure_path(output_dir: Path, source: str) -> Path:
    """Name the picture of a station, in the ``figures`` folder of its participant.

    Examples
    --------
    >>> figure_path(Path("o"), "sub-1/ses-a/anat/sub-1_ses-a_T1w.nii").as_posix()
    'o/sub-1/figures/sub-1_ses-a_seg-muscles_dseg.png'
    """
    labels = output_path(output_dir, source, extension=".png")
    return output_dir / _inside(source).parts[0] / "figures" / labels.name


def log_dir(output_dir: Path, subject: str) -> Path:
    """Folder for the logs of one participant.

    Parameters
    ----------
    output_dir : Path
        Root of the derivative.
    subject : str
        Label without ``sub-``.

    Examples
    --------
    >>> log_dir(Path("out"), "01").as_posix()
    'out/logs/sub-01'
    """
    return output_dir / "logs" / f"sub-{subject}"


def assert_unique(paths: Iterable[Path]) -> None:
    """Make sure that no two outputs of a run share a name.

    Raises
    ------
    OutputError
        If a path occurs twice.
    """
    twice = sorted(str(path) for path, count in Counter(paths).items() if count > 1)
    if twice:
        raise OutputError(
            f"two images would be written to {twice[0]}; expected one source for each output; "
            "rename one source so that it differs in an entity (for instance run- or chunk-)"
        )


def _part(entity: tuple[str, str]) -> str:
    return "-".join(filter(None, entity))


def _extension(name: str) -> str:
    """All from the first dot on, unless the name ends as our files do: labels may hold dots."""
    known = next((ending for ending in EXTENSIONS if name.endswith(ending)), None)
    return known or "".join(name.partition(".")[1:])


def _insert(
    entities: tuple[tuple[str, str], ...], key: str, value: str
) -> tuple[tuple[str, str], ...]:
    keys = [known for known, _ in entities]
    if key in keys:
        return tuple((k, value if k == key else v) for k, v in entities)
    later = frozenset(entity_order()[entity_order().index(key) + 1 :])
    position = next((i for i, known in enumerate(keys) if known in later), len(keys))
    return (*entities[:position], (key, value), *entities[position:])


def _inside(source: str) -> PurePosixPath:
    path = PurePosixPath(source)
    if path.is_absolute() or ".." in path.parts or len(path.parts) < 2:
        raise ValueError(
            f"source {source!r}; expected a path inside the dataset, as sub-01/anat/…"
        )
    return path
