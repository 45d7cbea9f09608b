"""What a geometry tells beforehand, by brute force over pairs."""

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import factcore as fc
from factbook import geometries
from factbook.predictors import predictors


@settings(max_examples=15, deadline=None)
@given(v=st.integers(7, 14), d=st.integers(2, 4), seed=st.integers(0, 99))
def test_predictors_by_brute_force(v, d, seed):
    x = geometries.value_geometry("gaussian", v, d, seed=seed).numpy()
    centred = x - x.mean(0)
    pairs = list(combinations(range(v), 2))
    distances = np.array([np.linalg.norm(x[i] - x[j]) for i, j in pairs])
    cosine = lambda a, b: a @ b / np.linalg.norm(a) / np.linalg.norm(b)  # noqa: E731
    covariance = np.cov(x.T, bias=True)
    solved = fc.decodability(torch.from_numpy(x))
    expected = {
        "rho": solved.rho,
        "median_rho": float(solved.lower.median()),
        "coherence": max(cosine(centred[i], centred[j]) for i, j in pairs),
        "condition": np.linalg.cond(covariance),
        "effective_rank": np.trace(covariance) ** 2 / (covariance**2).sum(),
        "nearest": distances.min() / np.sqrt((distances**2).mean()),
    }
    found = predictors(torch.from_numpy(x))
    assert list(found) == list(expected)
    np.testing.assert_allclose(list(found.values()), list(expected.values()), rtol=1e-6, atol=1e-9)


def test_predictors_ignore_shift_and_scale_and_see_the_rank():
    x = geometries.value_geometry("low-rank", 40, 8, strength=0.0)
    plain, moved = predictors(x), predictors(7 * x + 3)
    np.testing.assert_allclose(list(moved.values()), list(plain.values()), rtol=2e-6)
    assert plain["condition"] < 10 and plain["effective_rank"] <= 2 + 1e-9
    white = predictors(geometries.whiten(geometries.value_geometry("spiked", 40, 8))[0])
    assert white["condition"] == pytest.approx(1) and white["effective_rank"] == pytest.approx(8)
