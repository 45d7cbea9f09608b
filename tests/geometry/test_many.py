"""Codes for very many values: bounds below the exact margins, the same values hidden as by the solver."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

import factcore as fc
from factcore.constructions import decoder
from factcore.geometry import many, quick_separators, undecodable
from factcore.geometry.many import _Checks, _largest_margin


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


@settings(deadline=None, max_examples=25)
@given(v=st.integers(2, 300), m=st.integers(1, 50), seed=st.integers(0, 10**6), shift=st.sampled_from([0.0, 1.0, 1e3]))
def test_one_check_never_claims_too_much_and_half_of_the_truth_at_least(v, m, seed, shift):
    """On values of one norm about their mean: a distance is bounded by two norms, which is it or up to its double."""
    w = points(v, m, seed)
    w = torch.nn.functional.normalize(w, dim=1) + shift
    centred, rows = w - w.mean(dim=0), torch.arange(v)
    codes = torch.nn.functional.normalize(points(v, m, seed + 1) + 3 * centred, dim=1)
    bound, rivals = _Checks(centred)(codes, rows, 1)
    truth = exact_margins(codes, w, rows)
    proved = bound > 0
    assert (bound <= truth + 1e-9)[proved].all()
    scores = codes @ centred.T
    nearest = scores.scatter(1, rows[:, None], -torch.inf).amax(dim=1)
    # the rival that it brings to light is one of the largest score, but for float32
    torch.testing.assert_close(scores.gather(1, rivals)[:, 0], nearest, rtol=1e-5, atol=1e-5)
    apart = (w[:, None] - w).norm(dim=2).amax(dim=1)
    gap = scores.diagonal() - nearest
    assert (bound >= gap / (2 * apart.clamp_min(1e-9) + 2 * centred.norm(dim=1).max()) - 1e-4)[gap > 0].all()


def test_separators_hold_at_any_scale():
    """Below 1e-44 float32 has no numbers, below 1e-154 a square in float64 has none."""
    w, rows = points(60, 8), torch.arange(60)
    codes, plain = quick_separators(w, rows, tol=1e-3, enough=0.02)
    for power in (-990, -600, -150, 100, 600, 990):
        scaled = torch.ldexp(w, torch.tensor(power))
        other, lower = quick_separators(scaled, rows, tol=1e-3, enough=0.02)
        assert torch.equal(other, codes) and torch.equal(lower, plain)
    assert (plain <= 1).all()


def test_the_same_values_are_hidden_as_for_the_solver(monkeypatch):
    w, rows = points(400, 6), torch.arange(400)
    solved = undecodable(w, rows)
    monkeypatch.setattr(many, "QUICK_FROM", 2)
    monkeypatch.setattr(many, "SOLVE_UP_TO", 400)
    assert 10 < len(solved) < 390
    quick = undecodable(w, rows)
    margin = fc.decodability(w, tol=1e-5).lower
    largest = 0.012  # both stop at a gap of 0.01 between the bounds
    assert (margin[solved] <= largest).all() and (margin[quick] <= largest).all()
    assert set(rows[margin < 0.0019].tolist()) <= set(quick.tolist())
    monkeypatch.setattr(many, "SOLVE_UP_TO", 0)  # without the solver a few more may be named, none is missed
    without = undecodable(w, rows)
    assert set(quick.tolist()) <= set(without.tolist())
    assert len(without) < len(quick) + 40


def test_points_of_the_hull_and_twins_have_no_code():
    w = torch.cat([points(50, 5), points(50, 5).mean(dim=0, keepdim=True), points(50, 5)[:1]])
    lower = quick_separators(w, torch.arange(52), tol=1e-4, enough=0.02)[1]
    assert (lower[[0, 50, 51]] <= 0).all()


def test_newton_steps_reach_the_minimum_that_scipy_finds():
    z = torch.nn.functional.normalize(points(40, 5) + 1.0, dim=1)

    def objective(c):
        return float(np.square(np.maximum(0, 1 - z.numpy() @ c)).sum() + many.RIDGE * c @ c)

    best = minimize(objective, np.zeros(5), method="BFGS", options={"gtol": 1e-9}).x
    np.testing.assert_allclose(_largest_margin(z[None])[0].numpy(), best / np.linalg.norm(best), atol=1e-4)


def test_construct_by_quick_codes_stores_everything(monkeypatch):
    facts = fc.spherical_facts(600, 24, seed=1)
    best = fc.construct(facts, projection="equal-norms")
    for module in (many, decoder):
        monkeypatch.setattr(module, "QUICK_FROM", 2)
    quick = fc.construct(facts, projection="equal-norms")
    assert fc.recall(quick, facts) == 1.0
    assert quick.n_params <= 1.2 * best.n_params
