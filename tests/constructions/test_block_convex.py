"""`block-convex` against its own certificates and the true loss; its slopes are in test_problem.py."""

import pytest
import torch
from by_hand import outputs
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

import factcore as fc
from factcore.constructions import block_convex as module
from factcore.constructions import convex
from factcore.constructions.problem import Weights, scaled_problem

few = settings(deadline=None, max_examples=25)
kinds = pytest.mark.parametrize("gate, form", [("identity", "gated"), ("silu", "gated"), ("gelu", "plain")])


def small_problem(gate="identity", n=11, d=4, v=6, width=5, seed=0):
    facts = fc.spherical_facts(n, d, n_values=v, seed=seed, dtype=torch.float64)
    problem = scaled_problem(facts, gate)
    return problem, problem.random_weights(width, seed)


@few
@given(gate=st.sampled_from(["identity", "silu"]), seed=st.integers(0, 99), width=st.integers(2, 8))
def test_the_share_taken_lowers_the_true_loss_no_less_than_all_of_the_step(gate, seed, width):
    problem, w = small_problem(gate, seed=seed, width=width)
    objective, start = module._linearised(problem, w, 3.0), torch.zeros_like(w.flat())
    theta = convex.minimise(objective, start=start, curvature=3.0, tol=1e-3).theta
    loss = lambda w: float(  # noqa: E731
        cross_entropy(outputs(problem, *w) @ problem.values.T, problem.targets, reduction="sum")
    )
    share, new, after, _ = module._best_share(problem, w, theta, problem.loss(w)[0])
    at = lambda share: Weights(*(a + share * b for a, b in zip(w, w.like(theta))))  # noqa: E731
    assert loss(new) == pytest.approx(loss(at(share))) == pytest.approx(float(after))
    assert loss(new) <= loss(w) * (1 + 1e-12)
    if share >= 1:  # shares are tried from the longest on
        assert loss(new) <= loss(at(1.0)) * (1 + 1e-9)


def test_no_share_is_taken_uphill():
    problem, w = small_problem()
    loss, uphill, _ = problem.loss(w)
    share, new, after, _ = module._best_share(problem, w, uphill, loss)
    assert share == 0 and new is w and after == loss


@few
@given(seed=st.integers(0, 99), kappa=st.sampled_from([0.1, 3.0]))
def test_the_gap_bounds_the_distance_to_the_minimum(seed, kappa):
    """The log loss is convex, so what the squared gradient says of Φ holds: Φ(θ) − min Φ ≤ ‖∇Φ(θ)‖² / 2κ."""
    problem, w = small_problem(seed=seed)
    objective, start = module._linearised(problem, w, kappa), torch.zeros_like(w.flat())
    rough = convex.minimise(objective, start=start, curvature=kappa, tol=0.5)
    fine = convex.minimise(objective, start=start, curvature=kappa, tol=1e-12)
    assert -1e-9 <= rough.objective - fine.objective <= rough.gap + 1e-9


@kinds
@pytest.mark.parametrize("solves", [1, 2, 3, 5])
def test_stated_number_of_certified_solves(gate, form, solves):
    facts = fc.spherical_facts(48, 16)
    options = {"width": 4, "solves": solves, "gate": gate, "form": form}
    mlp = fc.construct(facts, "block-convex", strict=False, **options)
    assert len(mlp.solves) == solves  # so narrow that none is to spare
    for solve in mlp.solves:
        assert solve["gap"] <= 0.1 * solve["objective"] or solve["iterations"] >= module.MOST
    assert mlp.n_solved == mlp.n_params == (3 * 4 * 16 if form == "gated" else 4 * 33)


@pytest.mark.parametrize("solves, width", [(1, 10), (5, 7)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_stores_64_facts_in_16_dimensions_the_same_way_each_time(solves, width, dtype):
    facts = fc.spherical_facts(64, 16, dtype=dtype)
    mlp = fc.construct(facts, "block-convex", width=width, solves=solves)
    assert fc.recall(mlp, facts) == 1.0 and len(mlp.solves) <= solves and mlp.down.dtype == dtype
    again = fc.construct(facts, "block-convex", width=width, solves=solves)
    assert all(torch.equal(a, b) for a, b in zip(mlp.parameters(), again.parameters()))
    other = fc.construct(facts, "block-convex", width=width, solves=solves, seed=1)
    assert not torch.equal(mlp.up, other.up)


def test_smallest_width_and_more_solves_need_no_more_units():
    facts = fc.spherical_facts(64, 16)
    two, five = (
        fc.smallest_width(facts, "block-convex", solves=s, tries=1, start=start) for s, start in ((2, 9), (5, 6))
    )
    assert two.recall == five.recall == 1.0
    assert five.width <= two.width <= 12 and five.n_params < 6 * 64  # max-margin takes 18 units


def test_solves_end_when_every_fact_decodes():
    facts = fc.spherical_facts(20, 16)
    mlp = fc.construct(facts, "block-convex", width=30, solves=14)
    assert len(mlp.solves) <= 1 and fc.recall(mlp, facts) == 1.0


def test_the_order_of_facts_and_repeated_keys_do_not_matter():
    facts = fc.spherical_facts(30, 8, n_values=12, dtype=torch.float64)
    build = lambda f: fc.construct(f, "block-convex", width=8, solves=2)(facts.keys)  # noqa: E731
    order = torch.cat([torch.arange(29, -1, -1), torch.tensor([3, 3, 7])])
    again = fc.FactSet(facts.keys[order], facts.values, facts.targets[order])
    assert torch.equal(build(again), build(facts))


@pytest.mark.parametrize("solves", [1, 2, 5])
@pytest.mark.parametrize("n, v", [(1, 1), (1, 3), (2, 2), (20, 2), (6, 6), (30, 7)])
def test_few_facts_few_values_many_to_one(n, v, solves):
    facts = fc.spherical_facts(n, 8, n_values=v)
    mlp = fc.construct(facts, "block-convex", solves=solves)
    assert fc.recall(mlp, facts) == 1.0 and len(mlp.solves) <= solves


@pytest.mark.parametrize("method", ["block-convex", "max-margin"])
def test_values_far_from_the_origin_are_stored_in_single_precision(method):
    facts = fc.spherical_facts(40, 10, n_values=15)
    moved = fc.FactSet(facts.keys, facts.values + 3, facts.targets)
    assert fc.recall(fc.construct(moved, method), moved) == 1.0


@pytest.mark.parametrize("method", ["block-convex", "max-margin"])
def test_facts_that_no_width_stores_are_refused(method):
    """A bilinear network is even: it cannot tell a key from its opposite."""
    keys = fc.spherical_facts(2, 4).keys[[0, 0]] * torch.tensor([[1.0], [-1.0]])
    facts = fc.FactSet(keys, torch.eye(4)[:2], torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="no width up to 16"):
        fc.construct(facts, method, gate="identity")
    assert fc.recall(fc.construct(facts, method, gate="silu"), facts) == 1.0


def test_a_network_too_narrow_is_returned_with_what_it_stores_where_that_is_asked():
    facts = fc.spherical_facts(64, 16)
    mlp = fc.construct(facts, "block-convex", width=2, strict=False)
    assert 0 < fc.recall(mlp, facts) < 1 and len(mlp.solves) == 5


@pytest.mark.parametrize(
    "options, named",
    [
        ({"gate": "step"}, "gate"),
        ({"gate": "tanh"}, "gate"),
        ({"solves": 0}, "solves"),
        ({"solves": 2.5}, "solves"),
        ({"gate": "identity", "form": "plain"}, "gate"),
        ({"form": "round"}, "form"),
        ({"tol": 0.0}, "tol"),
        ({"width": 0}, "width"),
        ({"order": "ADG"}, "order"),
    ],
)
def test_options_out_of_range_are_named(options, named):
    with pytest.raises(ValueError, match=named):
        fc.construct(fc.spherical_facts(8, 4), "block-convex", **{"width": 4, **options})
