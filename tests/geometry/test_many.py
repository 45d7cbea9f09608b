"""Codes for very many values: bounds below the exact margins, the same values hidden as by the solver."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

import factcore as fc
from factbook.cost import build_cost, comfortable_width
from factcore import decoder, projection, quick_codes
from factcore.geometry.many import _Checks, _largest_margin, quick_separators


def points(v, m, seed=0):
    return torch.randn(v, m, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def exact_margins(codes, w, rows):
    """Each code's smallest normalised inner product, pair by pair from the differences themselves."""
    found = []
    for c, i in zip(codes, rows.tolist()):
        z = w[i] - torch.cat([w[:i], w[i + 1 :]])
        found.append(((z @ c) / z.norm(dim=1).clamp_min(1e-300)).min())
    return torch.stack(found)


@settings(deadline=None, max_examples=25)
@given(v=st.integers(2, 60), m=st.integers(1, 6), seed=st.integers(0, 50), closeness=st.sampled_from([1.0, 1e-4, 1e-9]))
def test_bounds_never_exceed_the_exact_margin(v, m, seed, closeness):
    w = points(v, m, seed)
    w[-1] = w[0] + closeness * w[-1]
    w, rows = w + 3.0, torch.arange(v)
    codes, lower = quick_separators(w, rows, tol=1e-3, enough=0.02)
    torch.testing.assert_close(codes.norm(dim=1), torch.ones(v, dtype=torch.float64))
    claimed = lower > 0
    assert (lower <= exact_margins(codes, w, rows) + 1e-9)[claimed].all()


def test_the_check_is_the_gap_over_a_bound_of_the_distances():
    w, rows = points(200, 40), torch.tensor([3, 150, 42])
    centred = w - w.mean(dim=0)
    codes = torch.nn.functional.normalize(centred[rows], dim=1)
    bound, rivals = _Checks(centred)(codes, rows)
    for c, i, found in zip(codes, rows.tolist(), bound):
        gaps = (centred[i] - centred) @ c
        gaps[i] = torch.inf
        assert found == pytest.approx(float(gaps.min() / (centred[i].norm() + centred.norm(dim=1).max())), abs=1e-5)
    assert (bound > 0.1).all() and (exact_margins(codes, w, rows) >= bound).all()


def test_the_same_values_are_hidden_as_for_the_solver(monkeypatch):
    w, rows = points(400, 6), torch.arange(400)
    solved = projection.hidden_values(w, rows)
    monkeypatch.setattr(projection, "QUICK_FROM", 2)
    monkeypatch.setattr(projection, "SOLVE_UP_TO", 400)
    assert 10 < len(solved) < 390
    quick = projection.hidden_values(w, rows)
    margin = fc.decodability(w, tol=1e-5).lower
    largest = 0.012  # both stop at a gap of 0.01 between the bounds
    assert (margin[solved] <= largest).all() and (margin[quick] <= largest).all()
    assert set(rows[margin < 0.0019].tolist()) <= set(quick.tolist())
    monkeypatch.setattr(projection, "SOLVE_UP_TO", 0)  # without the solver a few more may be named, none is missed
    without = projection.hidden_values(w, rows)
    assert set(quick.tolist()) <= set(without.tolist())
    assert len(without) < len(quick) + 40


def test_points_of_the_hull_and_twins_have_no_code():
    w = torch.cat([points(50, 5), points(50, 5).mean(dim=0, keepdim=True), points(50, 5)[:1]])
    lower = quick_separators(w, torch.arange(52), tol=1e-4, enough=0.02)[1]
    assert (lower[[0, 50, 51]] <= 0).all()


def test_newton_steps_reach_the_minimum_that_scipy_finds():
    z = torch.nn.functional.normalize(points(40, 5) + 1.0, dim=1)

    def objective(c):
        return float(np.square(np.maximum(0, 1 - z.numpy() @ c)).sum() + quick_codes.RIDGE * c @ c)

    best = minimize(objective, np.zeros(5), method="BFGS", options={"gtol": 1e-9}).x
    np.testing.assert_allclose(_largest_margin(z[None])[0].numpy(), best / np.linalg.norm(best), atol=1e-4)


def test_construct_by_quick_codes_stores_everything(monkeypatch):
    facts = fc.spherical_facts(600, 24, seed=1)
    best = fc.construct(facts, projection="aimed")
    for module in (projection, decoder):
        monkeypatch.setattr(module, "QUICK_FROM", 2)
    quick = fc.construct(facts, projection="aimed")
    assert fc.recall(quick, facts) == 1.0
    assert quick.n_params <= 1.2 * best.n_params


def test_cost_in_a_fresh_process():
    found = build_cost("hebbian", 24, 16, 0, variant="data-dependent")
    assert found["recall"] == 1.0 and found["width"] == comfortable_width("hebbian", 24, 16) == 28
    assert found["parameters"] == 3 * 16 * 28
    asked = build_cost("hebbian", 24, 16, 0, width=40, fresh=False, variant="data-dependent")
    assert asked["width"] == 40
    assert 50 < found["rest_mb"] <= found["peak_mb"] < 2000
    assert 0 < found["build_s"] + found["verify_s"] and found["cpu_s"] > 0


def test_a_failing_process_is_named():
    with pytest.raises(ValueError, match="building 'best' for 9 facts failed: .*method must be one of"):
        build_cost("best", 9, 4, 0)
