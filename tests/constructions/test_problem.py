"""What the solved and the trained networks share: slopes against autograd, losses against torch's own."""

from functools import partial

import pytest
import torch
from by_hand import outputs
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

import factcore as fc
from factcore.constructions import problem as module
from factcore.constructions import start
from factcore.constructions.problem import Problem, Weights, checked_gate, log_loss, scaled_problem
from factcore.constructions.start import ROUNDS, balanced, least_squares_start

few = settings(deadline=None, max_examples=25)
kinds = pytest.mark.parametrize(
    "gate, form", [("identity", "gated"), ("silu", "gated"), ("gelu", "plain"), ("relu", "plain")]
)


def small_problem(gate="identity", form="gated", n=11, d=4, v=6, width=5, seed=0) -> tuple[Problem, Weights]:
    facts = fc.spherical_facts(n, d, n_values=v, seed=seed, dtype=torch.float64)
    problem = scaled_problem(facts, gate, form)
    w = problem.random_weights(width, seed)
    return problem, w._replace(gates=w.gates + 0.1 * drawn(w.gates, 9))  # biases differ from 0


def drawn(like, seed=0):
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(seed), dtype=like.dtype)


@kinds
def test_linearised_outputs_are_the_derivative_of_the_network(gate, form):
    problem, w = small_problem(gate, form)
    phi, forward, transpose = problem.linearised(w)
    network = partial(outputs, problem)
    torch.testing.assert_close(phi @ w.down.T, network(*w))
    theta = drawn(w.flat())
    value, slope = torch.autograd.functional.jvp(network, tuple(w), tuple(w.like(theta)), strict=False)
    left, right = forward(theta)
    torch.testing.assert_close(left @ right.T, value + slope)
    back = drawn(value, 1)
    by_vjp = torch.func.vjp(network, *w)[1](back)
    found = transpose(back @ w.down, back.T @ phi)
    torch.testing.assert_close(found, torch.cat([part.flatten() for part in by_vjp]))


@kinds
@pytest.mark.parametrize("width", [1, 5])  # beside d = 4: factored, and with the outputs formed
def test_the_slope_of_the_loss_by_autograd(gate, form, width):
    problem, w = small_problem(gate, form, width=width)
    loss, slope, _ = problem.loss(w)
    parts = [part.clone().requires_grad_() for part in w]
    exact = cross_entropy(outputs(problem, *parts) @ problem.values.T, problem.targets, reduction="sum")
    torch.testing.assert_close(loss, exact.detach())
    exact.backward()
    torch.testing.assert_close(slope, torch.cat([part.grad.flatten() for part in parts if len(part)]))


@kinds
def test_the_network_computes_the_outputs_at_the_keys_as_they_came(gate, form):
    facts = fc.spherical_facts(12, 5, n_values=4, dtype=torch.float64)
    facts = fc.FactSet(3 * facts.keys.unique(dim=0), facts.values, facts.targets)  # in the order that problems use
    problem = scaled_problem(facts, gate, form)
    w = problem.random_weights(3, 0)
    w = w._replace(gates=w.gates + 0.1 * drawn(w.gates))
    mlp = problem.network(w, facts)
    torch.testing.assert_close(mlp(facts.keys), outputs(problem, *w))
    assert (mlp.up is None) == (mlp.gate_bias is not None) == (form == "plain")
    assert mlp.n_params == (3 * (5 + 5 + 5) if form == "gated" else 3 * (5 + 5 + 1))


@few
@given(
    n=st.integers(1, 9),
    v=st.integers(1, 7),
    r=st.integers(1, 5),
    seed=st.integers(0, 99),
    room=st.integers(1, 40),
    size=st.floats(-3, 3),
)
def test_the_log_loss_is_cross_entropy(n, v, r, seed, room, size):
    """With e = 6 numbers in an output: r of 1 and 2 are factored, for the others outputs are formed."""
    generator = torch.Generator().manual_seed(seed)
    phi = 10**size * torch.randn(n, r, generator=generator, dtype=torch.float64)
    down, values = (torch.randn(rows, k, generator=generator, dtype=torch.float64) for rows, k in ((6, r), (v, 6)))
    targets = torch.randint(v, (n,), generator=generator)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LOGITS", room)
        loss, *slopes, margin = log_loss(phi, down, values, targets)
    exact = cross_entropy(phi.requires_grad_() @ down.requires_grad_().T @ values.T, targets, reduction="sum")
    torch.testing.assert_close(loss, exact.detach(), atol=1e-9, rtol=1e-9)
    for found, expected in zip(slopes, torch.autograd.grad(exact, (phi, down))):
        torch.testing.assert_close(found, expected, atol=1e-8 * 10**size, rtol=1e-9)
    scores = (phi @ down.T @ values.T).detach()
    rivals = [scores[i, targets[i]] - scores[i, j] for i in range(n) for j in range(v) if j != targets[i]]
    assert margin == pytest.approx(float(min(rivals)) if rivals else float("inf"))


@kinds
@pytest.mark.parametrize("width", [1, 4])
def test_least_squares_are_at_rest_in_the_last_matrix_they_solved(gate, form, width, monkeypatch):
    """D minimises Σ‖F − v‖² + ridge n ‖D‖², by the normal equations, up to the balance and the scale of the outputs."""
    monkeypatch.setattr(start, "SCALES", [1.0])
    monkeypatch.setattr(start, "balanced", lambda w, gate: w)
    problem, w = small_problem(gate, form, n=40, d=6, v=9, width=width)
    w = least_squares_start(problem, w)
    down = w.down.clone().requires_grad_()
    out = outputs(problem, *w._replace(down=down))
    missed = (out - problem.values[problem.targets]).square().sum()
    (slope,) = torch.autograd.grad(missed + start.RIDGE * len(out) * down.square().sum(), down)
    assert float(slope.abs().max()) < 1e-8


def test_least_squares_come_near_the_values_the_more_units_they_have(monkeypatch):
    facts = fc.spherical_facts(64, 16, dtype=torch.float64)
    problem = scaled_problem(facts, "identity")
    wanted = problem.values[problem.targets]
    missed = []
    for width in (3, 6, 12, 24):
        w = least_squares_start(problem, problem.random_weights(width, 0))
        out = outputs(problem, *w)
        best = (out * wanted).sum() / out.square().sum()  # whatever the scale
        missed.append(float((best * out - wanted).square().sum() / wanted.square().sum()))
    assert missed == sorted(missed, reverse=True) and missed[-1] < 0.1 < missed[0] and ROUNDS > 1


def test_units_do_not_collapse_where_there_are_many_facts(monkeypatch):
    """A penalty that grows with the number of keys outweighs what a unit fits, and most units shrink to nothing."""
    problem = scaled_problem(fc.spherical_facts(8192, 16), "identity", dtype=torch.float32)
    monkeypatch.setattr(start, "ROUNDS", 10)
    monkeypatch.setattr(start, "SCALES", [1.0])
    norms = least_squares_start(problem, problem.random_weights(40, 0)).down.norm(dim=0)
    assert norms.median() > 0.5 * norms.max()
    monkeypatch.setattr(start, "MOST_KEYS", 2 * start.MOST_KEYS)
    norms = least_squares_start(problem, problem.random_weights(40, 0)).down.norm(dim=0)
    assert norms.median() < 1e-3 * norms.max()


@few
@given(
    gate=st.sampled_from(["identity", "silu"]), seed=st.integers(0, 99), width=st.integers(1, 6), power=st.floats(-6, 6)
)
def test_balance_leaves_the_function_unchanged(gate, seed, width, power):
    problem, w = small_problem(gate, width=width, seed=seed)
    w = w._replace(up=w.up * 10**power)
    even = balanced(w, problem.gate)
    torch.testing.assert_close(outputs(problem, *even), outputs(problem, *w), rtol=1e-9, atol=1e-12 * 10**power)
    torch.testing.assert_close(even.up.norm(dim=1), even.down.norm(dim=0))
    if gate == "identity":
        torch.testing.assert_close(even.gates.norm(dim=1), even.down.norm(dim=0))
    else:
        assert torch.equal(even.gates, w.gates)


def test_gates_have_their_forms():
    assert checked_gate(None, "gated") == "identity" and checked_gate(None, "plain") == "gelu"
    for gate, form in [("step", "gated"), ("identity", "plain"), ("tanh", "plain")]:
        with pytest.raises(ValueError, match=f"form='{form}', gate must have a slope, .*got '{gate}'"):
            checked_gate(gate, form)
    with pytest.raises(ValueError, match="form must be one of"):
        checked_gate(None, "round")
