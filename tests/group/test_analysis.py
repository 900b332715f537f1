from __future__ import annotations

import numpy as np
import pytest
from studies import measured, simulated

from legseg_bids.group.analysis import (
    ASYMMETRY,
    by_covariates,
    find_outliers,
    first_records,
    over_sessions,
)
from legseg_bids.group.covariates import Covariate
from legseg_bids.group.statistics import Change, Comparison, Correlation, holm
from legseg_bids.group.study import StudyBuilder


def people(count: int) -> list[str]:
    return [f"sub-{n:02d}" for n in range(count)]


def levels(values: list[float]) -> Covariate:
    return Covariate("group", "group", ("a", "b"), np.array(values, float))


class TestOutliers:
    def study(self, last: float, **changes: object):
        builder = StudyBuilder()
        for n, name in enumerate(people(12)):
            value, told = (last, changes) if n == 11 else (100 + n, {})
            builder.add(name, [measured("RF_L", value, **told), measured("RF_R", 100 + n)])
        return builder.build()

    def test_the_furthest_comes_first(self) -> None:
        found = find_outliers(self.study(1000))
        assert [(o.record, o.column, o.measure) for o in found] == [
            (11, 0, "volume"), (11, 0, ASYMMETRY),
        ]  # fmt: skip
        assert found[0].value == 1000
        assert found[0].median == 105.5
        assert found[0].z == pytest.approx((1000 - 105.5) / (1.4826 * 3))

    def test_a_cut_muscle_is_none_but_its_fat_may_be(self) -> None:
        assert find_outliers(self.study(1, truncated="both")) == []
        assert find_outliers(self.study(1, cut_in_plane="true")) == []

    def test_a_poor_one_is(self) -> None:
        assert [o.measure for o in find_outliers(self.study(1, quality="poor"))] == ["volume"]

    def test_none_in_a_small_study(self) -> None:
        assert find_outliers(simulated(5)) == []


class TestByCovariates:
    def test_groups_are_compared_for_each_structure_and_measure(self) -> None:
        study = simulated(20)
        found = by_covariates(study, people(20), [levels([0, 1] * 10)])
        assert [(f.measure, f.structure.base) for f in found] == [
            (measure, base)
            for measure in ("volume", "mean_fat_fraction")
            for base in ("SOL", "RF", "quadriceps")
        ]
        first = found[0]
        assert isinstance(first.result, Comparison)
        both = study.values["volume"][:, :2].mean(axis=1)
        assert first.result.means == pytest.approx((both[::2].mean(), both[1::2].mean()))
        assert first.groups == ("a", "b")

    def test_the_family_is_all_structures_of_one_measure(self) -> None:
        found = by_covariates(simulated(20), people(20), [levels([0, 1] * 10)])
        volumes = [f for f in found if f.measure == "volume"]
        expected = holm([f.result.p for f in volumes])
        assert [f.p_holm for f in volumes] == pytest.approx(expected)

    def test_numbers_are_correlated(self) -> None:
        age = Covariate("age", "age", (), np.arange(20.0))
        found = by_covariates(simulated(20), people(20), [age])
        assert all(isinstance(f.result, Correlation) and f.result.n == 20 for f in found)

    def test_missing_people_and_values_are_left_out(self) -> None:
        values = np.arange(22.0)
        values[:4] = np.nan
        found = by_covariates(simulated(20), people(22), [Covariate("age", "age", (), values)])
        assert {f.result.n for f in found} == {16}

    @pytest.mark.parametrize("values", [[np.nan] * 20, [0.0] * 18 + [1.0] * 2])
    def test_too_few_give_nothing(self, values: list[float]) -> None:
        assert by_covariates(simulated(20), people(20), [levels(values)]) == []

    def test_the_first_session_counts(self) -> None:
        study = simulated(10, ["ses-1", "ses-2"])
        assert first_records(study, ["sub-03", "nobody"]) == [6, None]
        found = by_covariates(study, people(10), [levels([0, 1] * 5)])
        assert isinstance(found[0].result, Comparison)
        assert found[0].result.n == (5, 5)


class TestOverSessions:
    def test_each_later_session_is_compared_with_the_first(self) -> None:
        found = over_sessions(simulated(10, ["ses-1", "ses-2", "ses-10"]))
        assert {(f.by, *f.groups) for f in found} == {("ses-1", "ses-2"), ("ses-1", "ses-10")}
        assert all(isinstance(f.result, Change) and f.result.n == 10 for f in found)

    def test_images_without_a_session_do_not_count(self) -> None:
        assert over_sessions(simulated(10, ["n/a", "ses-1"])) == []

    def test_a_side_that_was_lost_is_no_change(self) -> None:
        """Left 100 and right 200 at first; of the right nothing later: only the left counts."""
        builder = StudyBuilder()
        for n, name in enumerate(people(5)):
            rows = [measured("RF_L", 100, "ses-1"), measured("RF_R", 200, "ses-1")]
            rows += [measured("RF_L", 101 + n, "ses-2")]
            builder.add(name, [*rows, measured("RF_R", 9, "ses-2", truncated="both")])
        (found,) = over_sessions(builder.build())
        assert isinstance(found.result, Change)
        assert (found.result.before, found.result.after) == (100, 103)
        assert found.result.percent is not None
        assert found.result.percent.value == pytest.approx(3)
