"""The rules against intervals whose verdict is plain, and the page that states them against the code."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from factbook import fit
from factbook.claims import rules

ROOT = Path(__file__).resolve().parents[2]
E = fit.Estimate


@pytest.mark.parametrize(
    "low, high, word",
    [(-0.09, 0.09, "reproduced"), (0.11, 0.3, "differs"), (-0.5, -0.2, "differs"), (0.0, 0.2, "undecided")],
)
def test_equality_of_exponents_is_a_band(low, high, word):
    assert rules.equal_exponent(E(0.0, low, high)) == word
    assert rules.equal_exponent(E(1.0, 1 + low, 1 + high), 1.0) == word


def test_a_wide_interval_around_the_claim_reproduces_nothing():
    assert rules.equal_exponent(E(0.0, -5.0, 5.0)) == "undecided"
    assert rules.equal_ratio(E(2.0, 0.01, 400.0), 2.0) == "undecided"


@pytest.mark.parametrize(
    "low, high, word",
    [
        (2.5, 12.4, "reproduced"),
        (13, 20, "differs"),
        (1, 2.3, "differs"),
        (2, 4, "undecided"),
        (np.inf, np.inf, "undecided"),
        (0.0, 0.0, "undecided"),
        (0.0, 1.0, "differs"),
    ],
)
def test_a_range_is_widened_by_the_band(low, high, word):
    assert rules.equal_ratio(E(low, low, high), 3, 10) == word


def test_bounds_are_one_sided_and_have_no_band():
    for low, high, word in ((0.1, 2.9, "reproduced"), (3.1, 9.0, "differs"), (2.9, 3.1, "undecided")):
        assert rules.at_most(E(1.0, low, high), 3.0) == word
        assert rules.at_least(E(1.0, -high, -low), -3.0) == word
    assert rules.at_most(E(-9.0, -10.0, -8.0), 3.0) == "reproduced"  # far beyond is not a difference


def test_what_lies_on_the_bound_has_neither_risen_nor_fallen():
    for estimate, fallen, risen in (
        (E(1.0, 1.0, 1.0), "differs", "differs"),
        (E(0.9, 0.8, 1.0), "reproduced", "undecided"),
        (E(1.1, 1.05, 1.2), "differs", "reproduced"),
    ):
        assert (rules.below(estimate, 1.0), rules.above(estimate, 1.0)) == (fallen, risen)


def test_a_bound_with_an_about_is_granted_the_band():
    for low, high, word in ((0.81, 2.0, "reproduced"), (0.5, 0.79, "differs"), (0.7, 0.9, "undecided")):
        assert rules.at_least_about(E(1.0, low, high), 1.0) == word


def test_a_setting_between_two_of_ours_is_refuted_from_one_side_alone():
    near, low, high = E(2.0, 1.9, 2.1), E(1.0, 0.9, 1.1), E(5.0, 4.9, 5.1)
    for estimates, word in (
        ((near, near), "reproduced"),
        ((low, low), "differs"),
        ((high, high), "differs"),
        ((low, high), "undecided"),
        ((near, high), "undecided"),
    ):
        assert rules.bracketed(estimates, 2.0, 2.0) == word


def test_some_are_not_refuted_by_others():
    assert [rules.for_some(word) for word in rules.VERDICTS[:3]] == ["reproduced", "undecided", "undecided"]


def test_a_law_that_bounds_is_granted_the_band():
    assert rules.grows_no_faster(E(-3.0, -4.0, -2.0)) == "reproduced"
    assert rules.grows_no_faster(E(0.05, 0.02, 0.09)) == "reproduced"
    assert rules.grows_no_faster(E(0.2, 0.15, 0.25)) == "differs"
    assert rules.grows_no_faster(E(0.1, 0.05, 0.15)) == "undecided"


def test_almost_all_needs_enough_runs_and_refutation_more_than_one_failure():
    """Against the closed form when none fails: the interval ends at 1 − 0.025^(1/runs)."""
    needed = int(np.ceil(np.log(0.025) / np.log(0.95)))
    assert rules.failing_share(0, 40).high == pytest.approx(1 - 0.025 ** (1 / 40))
    assert (rules.almost_all(0, needed), rules.almost_all(0, needed - 1)) == ("reproduced", "undecided")
    assert (rules.almost_all(1, 1000), rules.almost_all(1, 20)) == ("undecided", "undecided")
    assert rules.almost_all(30, 100) == "differs"


def test_existence_is_never_refuted():
    assert (rules.exists(1), rules.exists(0)) == ("reproduced", "undecided")


def test_sizes_must_agree_and_parts_must_all_hold():
    assert rules.everywhere(["differs", "differs"]) == "differs"
    assert rules.everywhere(["reproduced", "differs"]) == "undecided"
    assert rules.both("reproduced", "undecided") == "undecided"
    assert rules.both("undecided", "differs") == "differs"
    with pytest.raises(ValueError, match="no verdict"):
        rules.everywhere([])


def test_the_rate_of_wrong_words_is_that_of_the_interval():
    """Exponents drawn at the edge of the band: at most 2.5% (and noise) of the tests call them equal."""
    rng, n = np.random.default_rng(0), np.repeat([64, 256, 1024, 4096], 3).astype(float)
    words = []
    for _ in range(800):
        rows = pd.DataFrame({"n": n, "p": n**0.1 * np.exp(0.05 * rng.standard_normal(len(n)))})
        words.append(rules.equal_exponent(fit.line(rows, "n", "p")))
    assert 0.005 < np.mean([word == "reproduced" for word in words]) < 0.045
    assert 0.005 < np.mean([word == "differs" for word in words]) < 0.045


def test_a_line_has_the_interval_of_the_textbook():
    rng, n = np.random.default_rng(1), np.repeat([64.0, 256, 1024], 2)
    rows = pd.DataFrame({"n": n, "p": n**0.4 * np.exp(0.1 * rng.standard_normal(6))})
    x, y = np.log(rows.n), np.log(rows.p)
    slope = ((x - x.mean()) * y).sum() / ((x - x.mean()) ** 2).sum()
    left = y - y.mean() - slope * (x - x.mean())
    error = ((left**2).sum() / 4 / ((x - x.mean()) ** 2).sum()) ** 0.5
    found = fit.line(rows, "n", "p")
    assert tuple(found) == pytest.approx((slope, slope - 2.7764451 * error, slope + 2.7764451 * error), rel=1e-7)
    with pytest.raises(ValueError, match="three different values"):
        fit.line(rows[rows.n < 1000], "n", "p")
    with pytest.raises(ValueError, match="positive finite"):
        fit.line(rows.assign(p=np.inf), "n", "p")


def test_mean_ratios_pool_the_spread_and_keep_what_is_infinite():
    rng = np.random.default_rng(2)
    rows = pd.DataFrame({"size": np.repeat([1, 2, 3], 2), "ratio": np.exp(rng.standard_normal(6) * 0.1 + 1)})
    found = fit.mean_ratios(rows, "size", "ratio")
    logs = np.log(rows.ratio.to_numpy()).reshape(3, 2)
    pooled = (logs.var(axis=1, ddof=1).mean() / 2) ** 0.5
    reach = stats.t.ppf(0.975, 3) * pooled
    for size, row in zip((1, 2, 3), logs):
        middle = row.mean()
        assert tuple(found[size]) == pytest.approx(tuple(np.exp([middle, middle - reach, middle + reach])))
    lost = pd.concat(
        [rows, pd.DataFrame({"size": 4, "ratio": [np.inf, np.inf]}), pd.DataFrame({"size": [5], "ratio": 1.0})]
    )
    again = fit.mean_ratios(lost, "size", "ratio")
    assert again[1] == found[1] and again[4] == E(np.inf, np.inf, np.inf) and 5 not in again
    for wrong in (rows.assign(ratio=-1.0), rows.assign(ratio=np.nan)):
        with pytest.raises(ValueError, match="numbers from 0"):
            fit.mean_ratios(wrong, "size", "ratio")
    with pytest.raises(ValueError, match="two ratios in one group"):
        fit.mean_ratio(pd.Series([1.0]))
    with pytest.raises(ValueError, match="two finite numbers"):
        fit.mean(pd.Series([1.0, np.nan]))


def test_the_page_states_the_constants_of_the_code():
    page = " ".join((ROOT / "book" / "rules.md").read_text().split())
    assert f"**{rules.DATE}**" in page
    for word in rules.VERDICTS:
        assert f"**{word}**" in page
    for stated in (
        f"band ± {rules.EXPONENT_BAND}",
        f"widened by {rules.RATIO_BAND} ×",
        f"limit {rules.FAILING_SHARE:.0%}",
        f"bound {rules.STRONG_RANK}",
        f"{rules.MOST_OF_D} d is capped",
        f"a factor of {rules.LEAST_SPAN:.0f}",
        f"two-sided {rules.CONFIDENCE:.0%} interval",
    ):
        assert stated in page, stated
    assert re.search(r"no test below three sizes for an exponent, or below two draws", page)
    assert (rules.LEAST_SIZES, rules.LEAST_DRAWS) == (3, 2)
