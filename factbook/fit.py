"""Fits with bootstrap intervals: how parameters grow with the number of facts, and what foretells them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

RESAMPLES = 2000


class TooLittle(ValueError):
    """There are too few rows, or they vary too little, for the estimate."""


class PowerLaw(NamedTuple):
    """y ≈ constant · x^exponent, and the 95% bootstrap interval of the exponent."""

    exponent: float
    low: float
    high: float
    constant: float

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return self.constant * np.asarray(x, dtype=float) ** self.exponent


def power_law(table: pd.DataFrame, x: str, y: str, *, seed: int = 0) -> PowerLaw:
    """Least squares of log y on log x over the rows of ``table``; runs are resampled within each x.

    ValueError for fewer than two different x or entries that are not positive.
    """
    slopes, constant = _resampled_slopes(table, x, y, np.random.default_rng(seed))
    low, high = np.quantile(slopes[1:], [0.025, 0.975])
    return PowerLaw(float(slopes[0]), float(low), float(high), constant)


def _resampled_slopes(table: pd.DataFrame, x: str, y: str, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Slopes of log y on log x, first of the table itself and then of its resamples, and the table's constant."""
    for column in (x, y):
        if column not in table.columns:
            raise ValueError(f"the table has no column {column!r}; it has {list(table.columns)}")
    values = table[[x, y]].to_numpy(dtype=float)
    if not (values > 0).all():
        raise ValueError(f"{x} and {y} must be positive numbers")
    log_x, log_y = np.log(values).T
    if len(np.unique(log_x)) < 2:
        raise TooLittle(f"an exponent needs at least two different values of {x}")
    draws = np.tile(np.arange(len(table)), (RESAMPLES + 1, 1))
    for value in np.unique(log_x):
        rows = np.flatnonzero(log_x == value)
        draws[1:, rows] = rng.choice(rows, size=(RESAMPLES, len(rows)))
    centred = log_x - log_x.mean()
    slopes = log_y[draws] @ centred / (centred @ centred)
    return slopes, float(np.exp(log_y.mean() - slopes[0] * log_x.mean()))


class Estimate(NamedTuple):
    """A number and its 95% interval."""

    value: float
    low: float
    high: float


class PredictivePower(NamedTuple):
    """How well x foretells y: Spearman's rank correlation, and R² and slope of log y on log x, over `runs` rows.

    `r2_draws` is R² in every resample. For the same rows, clusters and seed the resamples are the same, so that two
    predictors can be compared draw by draw.
    """

    rank: Estimate
    r2: Estimate
    slope: Estimate
    runs: int
    r2_draws: np.ndarray


def predictive_power(
    table: pd.DataFrame, x: str, y: str, *, cluster: str, within: str | None = None, seed: int = 0
) -> PredictivePower:
    """Spearman's rank correlation of x and y, and the least squares fit of log y on log x.

    The bootstrap draws whole clusters, all rows that share an entry of the column ``cluster``: rows of one geometry
    are no independent evidence. With ``within``, ranks are taken and means removed among rows that share an entry
    of that column, so that its effect is out. NaN for an x that does not vary (relative 1e-9) there.
    ValueError for unknown columns, fewer than three rows and entries that are not positive and finite.
    """
    for column in (x, y, cluster, *([within] if within else [])):
        if column not in table.columns:
            raise ValueError(f"the table has no column {column!r}; it has {list(table.columns)}")
    values = table[[x, y]].to_numpy(dtype=float)
    if not ((values > 0) & np.isfinite(values)).all():
        raise ValueError(f"{x} and {y} must be positive finite numbers")
    if len(table) < 3:
        raise TooLittle(f"a correlation needs at least three rows, got {len(table)}")
    group = np.zeros(len(table)) if within is None else pd.factorize(table[within])[0]
    together = (group[:, None] == group).astype(float)
    labels, names = pd.factorize(table[cluster])
    drawn = np.random.default_rng(seed).integers(len(names), size=(RESAMPLES, len(names)))
    times = np.stack([(drawn == label).sum(axis=1) for label in range(len(names))], axis=1)
    weights = np.vstack([np.ones(len(table)), times[:, labels]])  # the first row is the table itself
    log_x, log_y = (column.round(9) for column in np.log(values).T)
    rank_x, rank_y = _midranks(log_x, weights, together), _midranks(log_y, weights, together)
    rank, _ = _correlate(rank_x, rank_y, weights, together)
    fit, slope = _correlate(log_x[None], log_y[None], weights, together)
    return PredictivePower(_estimate(rank), _estimate(fit**2), _estimate(slope), len(table), fit[1:] ** 2)


def _midranks(values: np.ndarray, weights: np.ndarray, together: np.ndarray) -> np.ndarray:
    """Ranks (draws, rows) of the rows in every resample, ties shared, among the rows of the same group."""
    order = np.sign(values[:, None] - values).clip(0) + (values[:, None] == values) / 2
    return weights @ (order * together).T


def _correlate(
    x: np.ndarray, y: np.ndarray, weights: np.ndarray, together: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pearson's correlation and slope (draws,) of weighted rows, means of each group removed."""
    size = np.maximum(weights @ together, 1)
    x, y = (z - ((weights * z) @ together) / size for z in (x, y))
    covariance, spread_x, spread_y = ((weights * a * b).sum(axis=1) for a, b in ((x, y), (x, x), (y, y)))
    smallest = 1e-12 * weights.sum(axis=1)
    safe = np.where((spread_x > smallest) & (spread_y > smallest), spread_x, np.nan)
    return covariance / np.sqrt(safe * spread_y), covariance / safe


def _estimate(draws: np.ndarray) -> Estimate:
    """The first entry, which is of the table itself, with the 95% interval of the others (resamples)."""
    usable = draws[1:][np.isfinite(draws[1:])]
    if not np.isfinite(draws[0]) or not len(usable):
        return Estimate(np.nan, np.nan, np.nan)
    low, high = np.quantile(usable, [0.025, 0.975])
    return Estimate(float(draws[0]), float(low), float(high))


def line(table: pd.DataFrame, x: str, y: str) -> Estimate:
    """Slope of log y on log x by least squares over all rows, with Student's interval from the residuals.

    What is no line widens it, as the spread of the rows does. ValueError for entries that are not positive and finite
    and for fewer than three different x.
    """
    values = table[[x, y]].to_numpy(dtype=float)
    if not ((values > 0) & np.isfinite(values)).all():
        raise ValueError(f"{x} and {y} must be positive finite numbers")
    log_x, log_y = np.log(values).T
    if len(np.unique(log_x)) < 3:
        raise TooLittle(f"an exponent with an interval needs at least three different values of {x}")
    found = stats.linregress(log_x, log_y)
    reach = float(stats.t.ppf(0.975, len(table) - 2)) * found.stderr
    return Estimate(float(found.slope), float(found.slope - reach), float(found.slope + reach))


def mean_ratio(ratios: pd.Series) -> Estimate:
    """Geometric mean of the ratios, with Student's interval of the mean logarithm.

    Where one is infinite or 0 (a run that stored nothing is infinitely dear), the median and the range. ValueError for
    fewer than two ratios and for entries that are negative or NaN.
    """
    return mean_ratios(pd.DataFrame({"ratio": ratios, "size": 0}), "size", "ratio")[0]


def mean_ratios(table: pd.DataFrame, by: str | list[str], ratio: str) -> dict[Any, Estimate]:
    """Geometric mean of the column ``ratio`` in each group of ``by`` that has two rows, with Student's interval.

    The spread of the logarithms is taken to be the same in all groups and pooled over them: two or three draws of one
    group know little of it. Groups with an infinite ratio or 0 give the median and the range. ValueError for ratios
    that are negative or NaN, and where no group has two.
    """
    if not (table[ratio] >= 0).all():
        raise ValueError(f"ratios must be numbers from 0, got {list(table[ratio])}")
    groups = {key: rows[ratio].to_numpy(dtype=float) for key, rows in table.groupby(by) if len(rows) > 1}
    if not groups:
        raise TooLittle(f"a mean ratio needs two ratios in one group of {by}")
    logs = {key: np.log(rows) for key, rows in groups.items() if (rows > 0).all() and np.isfinite(rows).all()}
    freedom = sum(len(rows) - 1 for rows in logs.values())
    spread = (sum(((rows - rows.mean()) ** 2).sum() for rows in logs.values()) / max(1, freedom)) ** 0.5
    reach = float(stats.t.ppf(0.975, max(1, freedom))) * spread
    found = {}
    for key, rows in groups.items():
        if key in logs:
            middle, wide = logs[key].mean(), reach / len(rows) ** 0.5
            found[key] = Estimate(*(float(np.exp(z)) for z in (middle, middle - wide, middle + wide)))
        else:
            found[key] = Estimate(float(np.median(rows)), float(rows.min()), float(rows.max()))
    return found


def mean(values: pd.Series) -> Estimate:
    """Mean and Student's interval of it; ValueError for fewer than two values or any that are not finite."""
    numbers = values.to_numpy(dtype=float)
    if len(numbers) < 2 or not np.isfinite(numbers).all():
        raise TooLittle(f"a mean needs at least two finite numbers, got {list(numbers)}")
    reach = float(stats.t.ppf(0.975, len(numbers) - 1)) * numbers.std(ddof=1) / len(numbers) ** 0.5
    return Estimate(float(numbers.mean()), float(numbers.mean() - reach), float(numbers.mean() + reach))
