"""Scaling exponents with intervals: how parameters grow with the number of facts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

RESAMPLES = 2000


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
    for column in (x, y):
        if column not in table.columns:
            raise ValueError(f"the table has no column {column!r}; it has {list(table.columns)}")
    values = table[[x, y]].to_numpy(dtype=float)
    if not (values > 0).all():
        raise ValueError(f"{x} and {y} must be positive numbers")
    log_x, log_y = np.log(values).T
    if len(np.unique(log_x)) < 2:
        raise ValueError(f"an exponent needs at least two different values of {x}")
    rng = np.random.default_rng(seed)
    draws = np.empty((RESAMPLES, len(table)), dtype=int)
    for value in np.unique(log_x):
        rows = np.flatnonzero(log_x == value)
        draws[:, rows] = rng.choice(rows, size=(RESAMPLES, len(rows)))
    slopes = _slope(log_x, log_y[draws])
    low, high = np.quantile(slopes, [0.025, 0.975])
    slope = float(_slope(log_x, log_y))
    return PowerLaw(slope, float(low), float(high), float(np.exp(log_y.mean() - slope * log_x.mean())))


def _slope(log_x: np.ndarray, log_y: np.ndarray) -> np.ndarray:
    centred = log_x - log_x.mean()
    return log_y @ centred / (centred @ centred)
