"""`block-convex` against autograd, adjoint identities, its own certificates and what an average must do."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import factcore as fc
from factcore.constructions import block_convex as module
from factcore.constructions import convex
from factcore.constructions.convex import hinge
from factcore.constructions.max_margin import Problem, Weights, random_weights, scaled_problem

few = settings(deadline=None, max_examples=25)
gates = pytest.mark.parametrize("gate", ["identity", "silu"])


def small_problem(gate="identity", n=11, d=4, v=6, width=5, seed=0) -> tuple[Problem, Weights]:
    facts = fc.spherical_facts(n, d, n_values=v, seed=seed, dtype=torch.float64)
    problem, _ = scaled_problem(facts, gate)
    return problem, random_weights(problem, width, seed)


def like(theta, seed=0):
    return torch.randn(theta.shape, generator=torch.Generator().manual_seed(seed), dtype=theta.dtype)


def spied(monkeypatch):
    """Solves go on as before; their outputs and pullbacks, and their starts and results, are kept."""
    problems, solves = [], []

    def hinge_problem(outputs, pullback, *rest, **options):
        problems.append((outputs, pullback))
        return convex.hinge_problem(outputs, pullback, *rest, **options)

    def minimise(objective, **options):
        solve = convex.minimise(objective, **options)
        solves.append((options["start"], solve))
        return solve

    monkeypatch.setattr(module, "hinge_problem", hinge_problem)
    monkeypatch.setattr(module, "minimise", minimise)
    return problems, solves


@gates
def test_linearised_outputs_are_the_derivative_of_the_network(gate, monkeypatch):
    problem, w = small_problem(gate)
    problems, solves = spied(monkeypatch)
    module._solve_all(problem, w, 1e-2)
    ((outputs, pullback),), ((start, _),) = problems, solves
    network = lambda gates, up, down: problem.outputs(Weights(gates, up, down))  # noqa: E731
    torch.testing.assert_close(outputs(start), network(*w))
    theta = like(start)
    step = tuple(part.view(old.shape) for part, old in zip(theta.split([x.numel() for x in w]), w))
    value, slope = torch.autograd.functional.jvp(network, tuple(w), step)
    torch.testing.assert_close(outputs(theta), value + slope)
    back = like(value, 1)
    by_vjp = torch.func.vjp(network, *w)[1](back)
    torch.testing.assert_close(pullback(back), torch.cat([part.flatten() for part in by_vjp]))


@few
@given(gate=st.sampled_from(["identity", "silu"]), seed=st.integers(0, 99), width=st.integers(2, 8))
def test_a_step_goes_towards_the_solution_and_lowers_the_true_loss_no_less_than_all_of_it(gate, seed, width):
    problem, w = small_problem(gate, seed=seed, width=width)
    new, solve = module._solve_all(problem, w, 1e-2)
    whole = solve.theta
    moved = torch.cat([(a - b).flatten() for a, b in zip(new, w)])
    share = float(moved @ whole / (whole @ whole))
    assert 0 < share <= 1 + 1e-9
    torch.testing.assert_close(moved, share * whole, rtol=1e-9, atol=1e-9)  # along the step, nowhere else
    parts = whole.split([x.numel() for x in w])
    full = Weights(*(at + by.view(at.shape) for at, by in zip(w, parts)))
    loss = lambda w: float(hinge(problem.outputs(w), problem.values, problem.targets)[0])  # noqa: E731
    assert loss(new) <= min(loss(full), loss(w)) * (1 + 1e-12)


@gates
def test_the_solve_for_d_is_exact_in_its_own_coordinates(gate, monkeypatch):
    problem, w = small_problem(gate)
    problems, solves = spied(monkeypatch)
    new, solve = module._solve_down(problem, w, 0.1, 1e-9)
    ((outputs, pullback),), ((start, _),) = problems, solves
    torch.testing.assert_close(outputs(start), problem.outputs(w), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(outputs(solve.theta), problem.outputs(new), atol=1e-6, rtol=1e-6)
    theta, back = like(start), like(problem.outputs(w), 1)
    assert float((outputs(theta) * back).sum()) == pytest.approx(float(theta @ pullback(back)), rel=1e-9)
    assert torch.equal(new.gates, w.gates) and torch.equal(new.up, w.up)
    mean_square = outputs(theta).square().sum() / len(problem.keys)  # the ridge on E is one on the outputs
    assert float(mean_square) == pytest.approx(float(theta @ theta), rel=1e-6)


@few
@given(
    gate=st.sampled_from(["identity", "silu"]),
    seed=st.integers(0, 99),
    width=st.integers(1, 6),
    count=st.integers(0, 3),
)
def test_an_average_is_the_direction_in_which_outputs_grow_towards_their_values(gate, seed, width, count):
    """By autograd of Σ_i ⟨g(k_i), v_f(i)⟩; for bilinear units of norm 1 that sum then never falls."""
    problem, w = small_problem(gate, width=width, seed=seed)
    wanted = problem.values[problem.targets]
    growth = lambda w: (problem.outputs(w) * wanted).sum()  # noqa: E731
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "AVERAGES", count)
        old = module._hebbian_start(problem, w)
        patch.setattr(module, "AVERAGES", count + 1)
        new = module._hebbian_start(problem, w)
    field = ("up", "gates", "down")[count % 3]
    free = getattr(old, field).clone().requires_grad_()
    (slope,) = torch.autograd.grad(growth(old._replace(**{field: free})), free)
    axis = 0 if field == "down" else 1
    torch.testing.assert_close(getattr(new, field), torch.nn.functional.normalize(slope, dim=axis))
    assert all(torch.equal(getattr(new, other), getattr(old, other)) for other in w._fields if other != field)
    if gate == "identity" and count >= 3:  # every part has norm 1 by then
        assert float(growth(new)) >= float(growth(old)) - 1e-9


@few
@given(
    gate=st.sampled_from(["identity", "silu"]), seed=st.integers(0, 99), width=st.integers(1, 6), power=st.floats(-6, 6)
)
def test_balance_leaves_the_function_unchanged(gate, seed, width, power):
    problem, w = small_problem(gate, width=width, seed=seed)
    w = w._replace(up=w.up * 10**power)
    even = module._balance(w, gate)
    torch.testing.assert_close(problem.outputs(even), problem.outputs(w), rtol=1e-9, atol=1e-12 * 10**power)
    torch.testing.assert_close(even.up.norm(dim=1), even.down.norm(dim=0))
    if gate == "identity":
        torch.testing.assert_close(even.gates.norm(dim=1), even.down.norm(dim=0))
    else:
        assert torch.equal(even.gates, w.gates)


@gates
@pytest.mark.parametrize("solves", [1, 2, 3, 5])
def test_stated_number_of_certified_solves(gate, solves, monkeypatch):
    _, seen = spied(monkeypatch)
    facts = fc.spherical_facts(48, 16)
    mlp = fc.construct(facts, "block-convex", width=5, solves=solves, gate=gate, strict=False)
    assert len(mlp.solves) == len(seen) == solves  # so narrow that none is to spare
    linearised, last = mlp.solves[:-1], mlp.solves[-1]
    assert all(solve["gap"] <= 1e-2 * solve["objective"] for solve in linearised)
    assert last["gap"] <= 1e-2 * last["objective"] or last["margin"] >= module.ENOUGH
    assert all(solve["iterations"] < convex.MOST_ITERATIONS for solve in mlp.solves)
    assert seen[-1][0].numel() == 5 * 16  # the last is for D alone
    assert all(start.numel() == 3 * 5 * 16 for start, _ in seen[:-1])
    assert mlp.n_solved == mlp.n_params == 3 * 5 * 16


@pytest.mark.parametrize("solves, width", [(2, 10), (5, 7)])
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
    assert len(mlp.solves) <= 2 and fc.recall(mlp, facts) == 1.0


def test_order_of_facts_repeated_keys_and_the_place_of_the_values_do_not_matter():
    facts = fc.spherical_facts(30, 8, n_values=12, dtype=torch.float64)
    build = lambda f: fc.construct(f, "block-convex", width=8, solves=2)(facts.keys)  # noqa: E731
    order = torch.cat([torch.arange(29, -1, -1), torch.tensor([3, 3, 7])])
    again = fc.FactSet(facts.keys[order], facts.values + 100, facts.targets[order])
    torch.testing.assert_close(build(again), build(facts), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("solves", [1, 2, 5])
@pytest.mark.parametrize("n, v", [(1, 1), (1, 3), (2, 2), (20, 2), (6, 6), (30, 7)])
def test_few_facts_few_values_many_to_one(n, v, solves):
    facts = fc.spherical_facts(n, 8, n_values=v)
    mlp = fc.construct(facts, "block-convex", solves=solves)
    assert fc.recall(mlp, facts) == 1.0 and 1 <= len(mlp.solves) <= solves


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
        ({"ridge": -1.0}, "ridge"),
        ({"tol": 0.0}, "tol"),
        ({"width": 0}, "width"),
        ({"order": "ADG"}, "order"),
    ],
)
def test_options_out_of_range_are_named(options, named):
    with pytest.raises(ValueError, match=named):
        fc.construct(fc.spherical_facts(8, 4), "block-convex", **{"width": 4, **options})
