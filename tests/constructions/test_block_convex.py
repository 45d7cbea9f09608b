"""`block-convex` against loops over facts, autograd, adjoint identities and its own certificates."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import factcore as fc
from factcore import block_convex as module
from factcore import convex
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
    """Solves go on as before, and their outputs, pullback, start and result are kept."""
    seen = []

    def minimise(outputs, pullback, values, targets, **options):
        solve = convex.minimise(outputs, pullback, values, targets, **options)
        seen.append((outputs, pullback, options["start"], solve))
        return solve

    monkeypatch.setattr(module, "minimise", minimise)
    return seen


@gates
def test_linearised_outputs_are_the_derivative_of_the_network(gate, monkeypatch):
    problem, w = small_problem(gate)
    seen = spied(monkeypatch)
    module._solve_all(problem, w, 1.0, 1e-2)
    ((outputs, pullback, start, _),) = seen
    network = lambda gates, up, down: problem.outputs(Weights(gates, up, down))  # noqa: E731
    torch.testing.assert_close(outputs(start), network(*w))
    theta = like(start)
    step = tuple(part.view(old.shape) for part, old in zip(theta.split([x.numel() for x in w]), w))
    value, slope = torch.autograd.functional.jvp(network, tuple(w), step)
    torch.testing.assert_close(outputs(theta), value + slope)
    back = like(value, 1)
    by_vjp = torch.func.vjp(network, *w)[1](back)
    torch.testing.assert_close(pullback(back), torch.cat([part.flatten() for part in by_vjp]))


@gates
def test_the_share_of_the_step_is_the_best_one(gate, monkeypatch):
    problem, w = small_problem(gate, seed=3)
    seen = spied(monkeypatch)
    new, _ = module._solve_all(problem, w, 1.0, 1e-2)
    parts = seen[0][3].theta.split([x.numel() for x in w])
    tried = [Weights(*(at + s * by.view(at.shape) for at, by in zip(w, parts))) for s in module.STEPS]
    loss = lambda w: float(hinge(problem.outputs(w), problem.values, problem.targets)[0])  # noqa: E731
    assert loss(new) == pytest.approx(min(map(loss, tried)), rel=1e-12) and loss(new) < loss(w)


@gates
def test_the_solve_for_d_is_exact_in_its_own_coordinates(gate, monkeypatch):
    problem, w = small_problem(gate)
    seen = spied(monkeypatch)
    new, solve = module._solve_down(problem, w, 0.1, 1e-9)
    ((outputs, pullback, start, _),) = seen
    torch.testing.assert_close(outputs(start), problem.outputs(w), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(outputs(solve.theta), problem.outputs(new), atol=1e-6, rtol=1e-6)
    theta, back = like(start), like(problem.outputs(w), 1)
    assert float((outputs(theta) * back).sum()) == pytest.approx(float(theta @ pullback(back)), rel=1e-9)
    assert torch.equal(new.gates, w.gates) and torch.equal(new.up, w.up)
    mean_square = outputs(theta).square().sum() / len(problem.keys)  # the ridge on E is one on the outputs
    assert float(mean_square) == pytest.approx(float(theta @ theta), rel=1e-6)


@gates
def test_hebbian_start_is_the_average_over_facts(gate):
    problem, w = small_problem(gate)
    act = {"identity": lambda z: z, "silu": torch.nn.functional.silu}[gate]
    for count in range(1, 5):
        new = module._hebbian_start(problem, w, count)
        old = module._hebbian_start(problem, w, count - 1)
        at = torch.zeros_like([new.up, new.gates, new.down.T][(count - 1) % 3])
        for key, target in zip(problem.keys, problem.targets):
            value = problem.values[target]
            for h in range(len(at)):
                z = (key @ old.gates[h]).requires_grad_()
                opened = act(z)
                (bend,) = torch.autograd.grad(opened, z)
                raised, aimed = key @ old.up[h], value @ old.down[:, h]
                at[h] += [opened.detach() * aimed * key, bend * raised * aimed * key, opened.detach() * raised * value][
                    (count - 1) % 3
                ]
        at = at / at.norm(dim=1, keepdim=True)
        torch.testing.assert_close([new.up, new.gates, new.down.T][(count - 1) % 3], at)


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
    seen = spied(monkeypatch)
    facts = fc.spherical_facts(48, 16)
    mlp = fc.construct(facts, "block-convex", width=5, solves=solves, gate=gate)
    assert len(mlp.solves) == len(seen) == solves  # so narrow that none is to spare
    linearised, last = mlp.solves[:-1], mlp.solves[-1]
    assert all(solve["gap"] <= 1e-2 * solve["objective"] for solve in linearised)
    assert last["gap"] <= 1e-2 * last["objective"] or last["margin"] >= module.ENOUGH
    assert all(solve["iterations"] < convex.MOST_ITERATIONS for solve in mlp.solves)
    assert seen[-1][2].numel() == 5 * 16  # the last is for D alone
    assert all(start.numel() == 3 * 5 * 16 for _, _, start, _ in seen[:-1])
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


def test_orthogonal_directions_are_orthonormal_in_each_d_units_and_nothing_else_changes():
    facts = fc.spherical_facts(64, 16)
    problem, _ = scaled_problem(facts, "identity")
    drawn = random_weights(problem, 37, 3)
    even = module._orthogonal(drawn)
    for rows, old in zip((even.gates, even.up, even.down.T), (drawn.gates, drawn.up, drawn.down.T)):
        assert rows.shape == old.shape
        for part, was in zip(rows.split(16), old.split(16)):
            torch.testing.assert_close(part @ part.T, torch.eye(len(part)).double())
            torch.testing.assert_close(was @ part.T @ part, was)  # the same span
    build = lambda kind: fc.construct(facts, "block-convex", width=7, directions=kind)  # noqa: E731
    assert fc.recall(build("orthogonal"), facts) == 1.0
    assert torch.equal(build("orthogonal").up, build("orthogonal").up)
    assert not torch.equal(build("orthogonal").up, build("random").up)


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


def test_a_network_too_narrow_is_returned_with_what_it_stores():
    facts = fc.spherical_facts(64, 16)
    mlp = fc.construct(facts, "block-convex", width=2)
    assert 0 < fc.recall(mlp, facts) < 1 and len(mlp.solves) == 5


@pytest.mark.parametrize(
    "options, named",
    [
        ({"gate": "step"}, "gate"),
        ({"gate": "tanh"}, "gate"),
        ({"solves": 0}, "solves"),
        ({"solves": 2.5}, "solves"),
        ({"averages": -1}, "averages"),
        ({"averages": 1.5}, "averages"),
        ({"directions": "spread"}, "directions"),
        ({"proximity": 0.0}, "proximity"),
        ({"proximity": float("nan")}, "proximity"),
        ({"ridge": -1.0}, "ridge"),
        ({"tol": 0.0}, "tol"),
        ({"width": 0}, "width"),
        ({"order": "ADG"}, "order"),
    ],
)
def test_options_out_of_range_are_named(options, named):
    with pytest.raises(ValueError, match=named):
        fc.construct(fc.spherical_facts(8, 4), "block-convex", **{"width": 4, **options})
