"""What a path says of an image, whichever convention its name follows, and its BIDS name.

BIDS itself, QMRITools (``dix/…_stk-UPLEG_megre_dix_outph``), TPTBox
(``vibe/…_part-outphase_vibe``) and ORMIR-MIDS (``mr-anat/…_MEGRE``) are told apart by nothing
but the words of ``data/queries.json``. Outputs are named as if the source had been BIDS.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from legseg_bids.bids.entities import Entity, entity_order, load_entities
from legseg_bids.bids.names import parse_name, printable
from legseg_bids.bids.queries import QueryTable, TypeWords, is_contrast, is_part

LABEL = re.compile(r"[A-Za-z0-9+]+")
NOT_FAMILY = frozenset({"sub", "ses", "chunk", "stk"})
LONGEST_NAME = 180
"""Of a name without suffix: with all endings and a temporary one, 255 bytes must do."""
IMAGE_EXTENSIONS = (".nii.gz", ".nii")


@dataclass(frozen=True)
class Spelling:
    """What a path says.

    Attributes
    ----------
    subject : str
        Label of the participant's folder, without ``sub-``.
    session : str or None
        Label of the session's folder, or else of the name, without ``ses-``.
    datatype : str
        Name of the folder that holds the image.
    entities : tuple of (str, str)
        Keys and values as they stand in the name; words that are no part of the type have an
        empty value.
    type : TypeWords
        Kind of image.
    contrast : str
        A contrast that stands alone in the name; empty if none does.
    part : str or None
        A part of complex data that stands in the name.
    suffix : str
        The last word of the name, as it stands there.
    extension : str
        ``.nii.gz`` or ``.nii``.
    """

    subject: str
    session: str | None
    datatype: str
    entities: tuple[tuple[str, str], ...]
    type: TypeWords
    contrast: str
    part: str | None
    suffix: str
    extension: str

    def get(self, key: str) -> str | None:
        """Value of an entity as it stands in the name, or None."""
        return dict(self.entities).get(key)


def read_spelling(relative: PurePath, table: QueryTable) -> Spelling | None:
    """Take a path apart; None if it is no image of a kind that may be used.

    Parameters
    ----------
    relative : PurePath
        Path of the image, relative to its dataset.
    table : QueryTable
        Words of types, contrasts and parts.

    Examples
    --------
    >>> from legseg_bids.bids.queries import load_queries
    >>> path = PurePath("sub-1/ses-2/dix/sub-1_ses-2_stk-UPLEG_megre_dix_outph.nii.gz")
    >>> spelling = read_spelling(path, load_queries())
    >>> spelling.contrast, spelling.type.suffix, spelling.get("stk")
    ('outph', 'MEGRE', 'UPLEG')
    """
    name, folders = parse_name(relative.name), relative.parts[:-1]
    if name.extension not in IMAGE_EXTENSIONS or len(folders) not in {2, 3}:
        return None
    if folders[-1] not in table.folders or not folders[0].startswith("sub-"):
        return None
    if len(folders) == 3 and not folders[1].startswith("ses-"):
        return None
    words = [*(key for key, value in name.entities if not value), name.suffix]
    contrast, part, rest = _take_ending(words, table)
    kind, more = _take_type(rest, bool(contrast), table)
    if kind is None or table.not_images & {word.lower() for word in more}:
        return None
    entities = [pair for pair in name.entities if pair[1]]
    labelled = dict(entities).get("part", "")
    if not contrast and labelled and not is_part(labelled, table):
        contrast = labelled
    elif part is None and is_part(labelled, table):
        part = labelled
    session = folders[1].removeprefix("ses-") if len(folders) == 3 else dict(entities).get("ses")
    return Spelling(
        subject=folders[0].removeprefix("sub-"),
        session=session,
        datatype=folders[-1],
        entities=(*entities, *((word, "") for word in more)),
        type=kind,
        contrast=contrast,
        part=part,
        suffix=name.suffix,
        extension=name.extension,
    )


def name_problem(spelling: Spelling) -> str | None:
    """Say why no output could be named after an image, or None if one can.

    Examples
    --------
    >>> from legseg_bids.bids.queries import load_queries
    >>> path = PurePath("sub-1/anat/sub-2_acq-out_T1w.nii.gz")
    >>> print(name_problem(read_spelling(path, load_queries())))
    lies in the folder of sub-1, but is named sub-2; expected one participant; rename one of them
    """
    for key, label in (("sub", spelling.subject), ("ses", spelling.session)):
        if label is None:
            continue
        if not LABEL.fullmatch(label):
            return (
                f"belongs to {key}-{printable(label)}; expected a label of letters and digits; "
                "rename folder and files"
            )
        named = spelling.get(key)
        if named not in {None, label}:
            what = "participant" if key == "sub" else "session"
            return (
                f"lies in the folder of {key}-{label}, but is named {key}-{printable(named or '')}"
                f"; expected one {what}; rename one of them"
            )
    length = len(_stem(standard_entities(spelling)))
    if length > LONGEST_NAME:
        return (
            f"has a name of {length} characters; expected {LONGEST_NAME} at most, so that outputs "
            "can be named after it; shorten its labels"
        )
    return None


def standard_name(spelling: Spelling, *, without_part: bool = False) -> str:
    """Path of the image in BIDS, relative to the dataset, with forward slashes.

    A name that is BIDS stays as it is. Else: the folder becomes ``anat``; entities that BIDS
    lacks, values it does not allow and odd words are put into ``acq-``, letters and digits
    only; the type becomes the nearest suffix.

    Parameters
    ----------
    spelling : Spelling
        Without a `name_problem`.
    without_part : bool
        Leave out ``part-``, for a signal that is made of several parts.

    Examples
    --------
    >>> from legseg_bids.bids.queries import load_queries
    >>> for name in ("dix/sub-1_stk-UPLEG_megre_dix_outph", "vibe/sub-1_part-outphase_vibe"):
    ...     path = PurePath(f"sub-1/{name}.nii.gz")
    ...     print(standard_name(read_spelling(path, load_queries())))
    sub-1/anat/sub-1_acq-UPLEG_MEGRE.nii.gz
    sub-1/anat/sub-1_acq-outphase_T1w.nii.gz
    """
    entities = standard_entities(spelling, without_part=without_part)
    folders = [f"{key}-{entities[key]}" for key in ("sub", "ses") if key in entities]
    name = f"{_stem(entities)}_{spelling.type.suffix}{spelling.extension}"
    return "/".join([*folders, "anat", name])


def standard_entities(spelling: Spelling, *, without_part: bool = False) -> dict[str, str]:
    """Entities of the BIDS name, in the order of BIDS; see `standard_name`."""
    known = load_entities()
    kept = {"sub": spelling.subject}
    if spelling.session is not None:
        kept["ses"] = spelling.session
    folded: list[str] = []
    for key, value in spelling.entities:
        if key in {"sub", "ses"}:
            continue
        fitting = _fitting(known.get(key), value)
        if fitting and key not in kept:
            kept[key] = fitting
        else:
            folded.append(_clean(value or key))
    folded.append(spelling.type.acq)
    acquisition = kept.get("acq", "") + "".join(folded)
    if acquisition:
        kept["acq"] = acquisition
    if without_part:
        kept.pop("part", None)
    return {key: kept[key] for key in entity_order() if key in kept}


def family_of(spelling: Spelling, rest: str) -> str:
    """Text that is equal for the fields of view of one acquisition.

    Parameters
    ----------
    spelling : Spelling
        Of one image.
    rest : str
        Labels of ``acq-`` and ``rec-`` without the word of the contrast.
    """
    kept = station_entities(spelling.entities)
    entities = [f"{key}-{value}" for key, value in kept if key not in NOT_FAMILY]
    session = [] if spelling.session is None else [f"ses-{spelling.session}"]
    return "|".join([f"sub-{spelling.subject}", *session, rest, *entities, spelling.type.family])


def station_entities(entities: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Entities that tell stations apart; the others tell images of one station apart."""
    return tuple(pair for pair in entities if pair[0] not in {"acq", "rec", "echo", "part"})


def _take_ending(words: Sequence[str], table: QueryTable) -> tuple[str, str | None, list[str]]:
    """Contrast and part that end a name, and the words before them."""
    last, rest = words[-1], list(words[:-1])
    if is_contrast(last, table):
        return last, None, rest
    if is_part(last, table):
        return "", last, rest
    return "", None, list(words)


def _take_type(
    words: Sequence[str], contrast: bool, table: QueryTable
) -> tuple[TypeWords | None, list[str]]:
    """The longest type that the last words spell, and the words before it."""
    for start in range(len(words)):
        found = table.types.get("_".join(words[start:]))
        if found:
            return found, list(words[:start])
    return (table.types.get("") if contrast and not words else None), []


def _fitting(entity: Entity | None, value: str) -> str:
    """The value, cleaned, if an output may carry it as this entity; else nothing."""
    if entity is None or not entity.output:
        return ""
    if entity.index:
        return value if value.isascii() and value.isdigit() else ""
    if entity.values:
        return value if value in entity.values else ""
    return _clean(value)


def _clean(value: str) -> str:
    return "".join(LABEL.findall(value))


def _stem(entities: Mapping[str, str]) -> str:
    return "_".join(f"{key}-{value}" for key, value in entities.items())
