"""What an image shows, from the words of its header: a table, and how to read it."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

PARTS = ("phase", "real", "imaginary")
CONTRASTS = ("opposed", "in_phase", "water", "fat")
UNCLEAR = "unclear"
TEXT = "SeriesDescription"


@dataclass(frozen=True)
class Rule:
    """One line of ``data/contrasts.tsv``.

    Attributes
    ----------
    vendor : str
        ``siemens``, ``philips``, ``ge`` or ``any``.
    tag : str
        Where it looks.
    pattern : re.Pattern
        What it looks for: a whole word of ``ImageType``, or a part of the description (small
        letters, words separated by single spaces).
    says : str
        What that means.
    """

    vendor: str
    tag: str
    pattern: re.Pattern[str]
    says: str


@dataclass(frozen=True)
class Shown:
    """What an image shows.

    Attributes
    ----------
    contrast : str
        ``opposed``, ``in_phase``, ``water``, ``fat``, ``other``, ``localizer``, ``dixon``,
        ``unclear``, or empty.
    part : str
        ``magnitude``, ``phase``, ``real``, ``imaginary``.
    stitched : bool
        Composed of several stations.
    because : str
        What says so.
    """

    contrast: str
    part: str = "magnitude"
    stitched: bool = False
    because: str = ""


@cache
def load_rules() -> tuple[Rule, ...]:
    """The table that the package ships.

    Examples
    --------
    >>> len({rule.tag for rule in load_rules()})
    4
    """
    return tuple(
        Rule(row["vendor"], row["tag"], re.compile(row["pattern"]), row["says"])
        for row in read_table("contrasts.tsv")
    )


def read_table(name: str) -> list[dict[str, str]]:
    """Rows of one of this room's tab-separated tables."""
    text = resources.files(__package__).joinpath("data", name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))


def vendor_of(manufacturer: str) -> str:
    """The maker in one small word.

    Examples
    --------
    >>> vendor_of("GE MEDICAL SYSTEMS"), vendor_of("Philips Healthcare"), vendor_of("")
    ('ge', 'philips', 'unknown')
    """
    words = manufacturer.lower().split()
    known = next((name for name in ("siemens", "philips") if name in manufacturer.lower()), None)
    return known or (words[0] if words else "unknown")


def what_it_shows(
    vendor: str, tags: Mapping[str, Iterable[str]], rules: Iterable[Rule] | None = None
) -> Shown:
    """Tell what an image shows; ``ImageType`` and the maker's own tags before descriptions.

    Parameters
    ----------
    vendor : str
        From :func:`vendor_of`.
    tags : mapping of str to iterable of str
        Values by the names that the table uses.
    rules : iterable of Rule, optional
        In place of the table.

    Examples
    --------
    >>> what_it_shows("siemens", {"ImageType": ["ORIGINAL", "PRIMARY", "M", "OPP_PHASE"]}).contrast
    'opposed'
    >>> what_it_shows("ge", {"SeriesDescription": ["InPhase: Ax LAVA-Flex"]}).contrast
    'in_phase'
    >>> tags = {"ImageType": ["WATER"], "SeriesDescription": ["dixon_F"]}
    >>> shown = what_it_shows("siemens", tags)
    >>> shown.contrast, shown.because
    ('unclear', 'ImageType WATER says water, SeriesDescription says fat')
    """
    said = [
        (rule, word)
        for rule in (load_rules() if rules is None else rules)
        if rule.vendor in ("any", vendor)
        for word in _matches(rule, tags.get(rule.tag, ()))
    ]
    header = [(rule, word) for rule, word in said if rule.tag != TEXT]
    text = [(rule, word) for rule, word in said if rule.tag == TEXT]
    parts = [rule.says for rule, _ in header if rule.says in PARTS]
    contrast, because = _contrast(header, text)
    return Shown(
        contrast,
        parts[0] if parts else "magnitude",
        any(rule.says == "stitched" for rule, _ in said),
        because,
    )


def plain(description: str) -> str:
    """A description in small letters, its words separated by single spaces.

    Examples
    --------
    >>> plain("T1_VIBE-Dixon  tra_opp"), plain("t1VibeDixon")
    ('t1 vibe dixon tra opp', 't1vibedixon')
    """
    return " ".join(re.sub(r"[^a-z0-9]+", " ", description.lower()).split())


def _matches(rule: Rule, values: Iterable[str]) -> list[str]:
    if rule.tag == TEXT:
        return [value for value in values if rule.pattern.search(plain(value))]
    return [value for value in values if rule.pattern.fullmatch(value.strip().upper())]


Said = list[tuple[Rule, str]]


def _contrast(header: Said, text: Said) -> tuple[str, str]:
    """The contrast that all agree on, and what says so."""
    for unwanted in ("localizer", "other"):
        for rule, word in (*header, *text):
            if rule.says == unwanted:
                return (
                    unwanted,
                    f"{rule.tag} {word}" if rule.tag != TEXT else f"{rule.tag} says so",
                )
    first, second = ([(r, w) for r, w in said if r.says in CONTRASTS] for said in (header, text))
    found = {rule.says for rule, _ in (*first, *second)}
    named = ", ".join(
        [
            *dict.fromkeys(f"{rule.tag} {word} says {rule.says}" for rule, word in first),
            *dict.fromkeys(f"{rule.tag} says {rule.says}" for rule, _ in second),
        ]
    )
    if len({rule.says for rule, _ in first}) == 1 and len({r.says for r, _ in second}) > 1:
        # Siemens' inline names list all contrasts of the sequence; the image type is about this.
        return first[0][0].says, f"{first[0][0].tag} {first[0][1]}"
    if len(found) > 1:
        return UNCLEAR, named
    if found:
        return found.pop(), named
    dixon = any(rule.says == "dixon" for rule, _ in text)
    return ("dixon" if dixon else ""), ""
