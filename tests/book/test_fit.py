"""Predictive power against scipy and against bootstraps done by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from factbook import fit


@pytest.fixture
def table() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    rows = 60
    x = np.exp(rng.normal(size=rows))
    y = x**-1.5 * np.exp(0.7 * rng.normal(size=rows))
    x[:20] = np.round(x[:20], 1) + 0.1  # ties
    names = [f"g{i // 6}" for i in range(rows)]
    return pd.DataFrame({"x": x, "y": y, "geometry": names, "n": [128, 256] * (rows // 2)})


def test_values_are_scipys(table):
    found = fit.predictive_power(table, "x", "y", cluster="geometry")
    line = stats.linregress(np.log(table.x), np.log(table.y))
    assert found.rank.value == pytest.approx(stats.spearmanr(table.x, table.y).statistic, abs=1e-9)
    assert found.r2.value == pytest.approx(line.rvalue**2, abs=1e-7)
    assert found.slope.value == pytest.approx(line.slope, abs=1e-7)
    assert found.runs == len(table)


def test_intervals_are_those_of_resampling_whole_clusters(table):
    found = fit.predictive_power(table, "x", "y", cluster="geometry", seed=5)
    parts = [rows for _, rows in table.groupby("geometry", sort=False)]
    drawn = np.random.default_rng(5).integers(len(parts), size=(fit.RESAMPLES, len(parts)))
    again = [pd.concat([parts[i] for i in draw]) for draw in drawn[:200]]
    ranks = [stats.spearmanr(rows.x, rows.y).statistic for rows in again]
    slopes = [stats.linregress(np.log(rows.x), np.log(rows.y)).slope for rows in again]
    # 200 of the 2000 draws: quantiles agree to their sampling error
    for mine, hand in ((found.rank, ranks), (found.slope, slopes)):
        width = mine.high - mine.low
        assert width > 0.05
        np.testing.assert_allclose([mine.low, mine.high], np.quantile(hand, [0.025, 0.975]), atol=0.25 * width)


def test_a_resample_equals_the_repeated_table(table):
    weights = np.repeat(np.random.default_rng(0).integers(0, 4, 10), 6).astype(float)
    repeated = table.loc[np.repeat(table.index, weights.astype(int))]
    logs = np.log(table[["x", "y"]].to_numpy()).T
    everything = np.ones((len(table),) * 2)
    ranks = [fit._midranks(log, weights[None], everything) for log in logs]
    found, _ = fit._correlate(*ranks, weights[None], everything)
    assert found[0] == pytest.approx(stats.spearmanr(repeated.x, repeated.y).statistic, abs=1e-9)


def test_draws_are_paired_between_predictors(table):
    # x and 1/x explain y equally well in every resample; were the resamples not shared, R² would differ
    plain, inverse = (
        fit.predictive_power(t, "x", "y", cluster="geometry") for t in (table, table.assign(x=1 / table.x))
    )
    np.testing.assert_allclose(plain.r2_draws, inverse.r2_draws, atol=1e-6)
    assert plain.r2_draws.shape == (fit.RESAMPLES,) and plain.r2_draws.std() > 0.02
    np.testing.assert_allclose(np.quantile(plain.r2_draws, [0.025, 0.975]), plain.r2[1:])


def test_within_removes_the_effect_of_a_column(table):
    shifted = table.assign(y=table.y * np.where(table.n == 256, 1e4, 1.0))
    plain = fit.predictive_power(shifted, "x", "y", cluster="geometry")
    removed = fit.predictive_power(shifted, "x", "y", cluster="geometry", within="n")
    centred = np.log(table[["x", "y"]]) - np.log(table[["x", "y"]]).groupby(table.n).transform("mean")
    assert plain.r2.value < 0.2
    assert removed.r2.value == pytest.approx(np.corrcoef(centred.x, centred.y)[0, 1] ** 2, abs=1e-7)
    ranks = table.groupby("n")[["x", "y"]].rank()
    ranks -= ranks.groupby(table.n).transform("mean")
    assert removed.rank.value == pytest.approx(np.corrcoef(ranks.x, ranks.y)[0, 1], abs=1e-9)


def test_monotone_and_power_laws_are_certain():
    x = np.geomspace(1, 9, 12)
    table = pd.DataFrame({"x": x, "y": 3 * x**-2, "g": list("aabbccddeeff")})
    found = fit.predictive_power(table, "x", "y", cluster="g")
    np.testing.assert_allclose([*found.rank], -1, atol=1e-9)
    np.testing.assert_allclose([*found.r2], 1, atol=1e-6)
    np.testing.assert_allclose([*found.slope], -2, atol=1e-6)


def test_clusters_make_wider_intervals_than_rows(table):
    copies = pd.concat([table] * 5)
    rows = copies.assign(geometry=range(len(copies)))
    width = [
        (lambda e: e.high - e.low)(fit.predictive_power(t, "x", "y", cluster="geometry").rank) for t in (copies, rows)
    ]
    assert width[0] > 1.5 * width[1]


def test_a_constant_predictor_has_no_power(table):
    found = fit.predictive_power(table.assign(x=1 + 1e-13 * table.x), "x", "y", cluster="geometry")
    assert np.isnan([*found.rank, *found.r2, *found.slope]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": 0.0}, "x and y must be positive"),
        ({"y": np.nan}, "x and y must be positive"),
        ({"y": np.inf}, "x and y must be positive"),
    ],
)
def test_bad_entries_are_refused(table, change, message):
    with pytest.raises(ValueError, match=message):
        fit.predictive_power(table.assign(**change), "x", "y", cluster="geometry")


def test_bad_tables_are_refused(table):
    with pytest.raises(ValueError, match="no column 'rho'"):
        fit.predictive_power(table, "rho", "y", cluster="geometry")
    with pytest.raises(ValueError, match="no column 'm'"):
        fit.predictive_power(table, "x", "y", cluster="geometry", within="m")
    with pytest.raises(ValueError, match="at least three rows, got 2"):
        fit.predictive_power(table[:2], "x", "y", cluster="geometry")
