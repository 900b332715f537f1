from __future__ import annotations

from legseg_bids.anatomy.regions import Part, Region, Side, parts_of


def test_parts_run_from_the_toes_to_the_trunk() -> None:
    assert [part.name for part in sorted(Part)] == ["FOOT", "LOWER", "KNEE", "UPPER", "HIP"]
    assert [int(part) for part in sorted(Part)] == [0, 1, 2, 3, 4]


def test_regions_cover_all_parts_and_share_the_knee() -> None:
    lower, upper = parts_of(Region.LOWER), parts_of(Region.UPPER)
    assert lower | upper == set(Part)
    assert lower & upper == {Part.KNEE}
    assert parts_of(Region.HIP) == {Part.HIP} < upper
    assert parts_of(Region.WHOLE) == set(Part)
    assert all(parts_of(region) for region in Region)


def test_enums_are_plain_words() -> None:
    assert str(Side.LEFT) == "left"
    assert [str(region) for region in Region] == ["lower", "upper", "hip", "whole"]
