"""The squared hinge, its duality gap and the certified minimiser, against loops, autograd, an explicit dual, scipy."""

import numpy as np
import pytest
import scipy.optimize
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from factcore.constructions import convex
from factcore.constructions.convex import hinge_problem, minimise

few = settings(deadline=None, max_examples=15)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def hinge(outputs, values, targets):
    """The sum over all pairs, its slope by the outputs and the largest term's root: θ is the outputs, and free."""
    problem = hinge_problem(lambda t: t.view_as(outputs), torch.flatten, values, targets, curvature=0.0)
    loss, slope, margin = problem(outputs.flatten())
    return loss, slope.view_as(outputs), torch.tensor(1 - margin, dtype=torch.float64)


class Affine:
    """A small random problem F = F₀ + J θ with everything written out: J (n, d, p), differences (n, v − 1, d)."""

    def __init__(self, n=7, v=6, d=3, p=8, seed=0, offset=0.5):
        self.base, self.jacobian = offset * normal(n, d, seed=seed), normal(n, d, p, seed=seed + 1)
        self.values = normal(v, d, seed=seed + 2)
        self.targets = torch.randint(v, (n,), generator=torch.Generator().manual_seed(seed))
        others = [[j for j in range(v) if j != t] for t in self.targets.tolist()]
        self.differences = self.values[self.targets][:, None] - self.values[torch.tensor(others).view(n, v - 1)]

    def outputs(self, theta):
        return self.base + self.jacobian @ theta

    def pullback(self, slope):
        return torch.einsum("ndp,nd->p", self.jacobian, slope)

    def slack(self, theta):
        return 1 - torch.einsum("nd,njd->nj", self.outputs(theta), self.differences)

    def primal(self, theta, curvature):
        return 0.5 * self.slack(theta).clamp_min(0).square().sum() + 0.5 * curvature * theta @ theta

    def dual(self, alpha, curvature):
        """min over θ and slacks of the Lagrangian, for multipliers α (n, v − 1) ≥ 0 of slack ≥ 1 − ⟨F, v_f − v_j⟩."""
        pull = self.pullback(torch.einsum("nj,njd->nd", alpha, self.differences))
        offset = 1 - torch.einsum("nd,njd->nj", self.base, self.differences)
        return (alpha * offset).sum() - 0.5 * alpha.square().sum() - 0.5 * pull @ pull / curvature

    def solve(self, **options):
        start = options.pop("start", torch.zeros(self.jacobian.shape[2], dtype=torch.float64))
        objective = hinge_problem(
            self.outputs, self.pullback, self.values, self.targets, curvature=options["curvature"]
        )
        return minimise(objective, start=start, **options)

    def exact(self, curvature, seed=5):
        """The minimum by scipy's BFGS on the written-out objective."""
        theta = lambda x: torch.tensor(x, requires_grad=True)  # noqa: E731

        def both(x):
            at = theta(x)
            value = self.primal(at, curvature)
            return float(value.detach()), torch.autograd.grad(value, at)[0].numpy()

        start = normal(self.jacobian.shape[2], seed=seed).numpy()
        found = scipy.optimize.minimize(both, start, jac=True, method="BFGS", options={"gtol": 1e-10, "maxiter": 5000})
        return found.x, found.fun


@few
@given(n=st.integers(1, 9), v=st.integers(1, 9), d=st.integers(1, 5), seed=st.integers(0, 99))
def test_hinge_and_its_slope_are_the_sum_over_all_pairs(n, v, d, seed):
    outputs, values = normal(n, d, seed=seed).requires_grad_(), normal(v, d, seed=seed + 1)
    targets = torch.randint(v, (n,), generator=torch.Generator().manual_seed(seed))
    total, largest = torch.zeros((), dtype=torch.float64), 0.0
    for i in range(n):
        for j in range(v):
            if j != targets[i]:
                slack = (1 - outputs[i] @ (values[targets[i]] - values[j])).clamp_min(0)
                total, largest = total + 0.5 * slack**2, max(largest, float(slack.detach()))
    (by_autograd,) = torch.autograd.grad(total, outputs) if v > 1 else (torch.zeros_like(outputs),)
    loss, slope, worst = hinge(outputs.detach(), values, targets)
    torch.testing.assert_close(loss, torch.as_tensor(total).detach())
    torch.testing.assert_close(slope, by_autograd, atol=1e-12, rtol=1e-10)
    assert float(worst) == pytest.approx(largest, abs=1e-12)


def test_slope_is_the_derivative_by_finite_differences():
    values, targets = normal(6, 3, seed=1), torch.tensor([0, 2, 2, 5])

    class Hinge(torch.autograd.Function):
        @staticmethod
        def forward(ctx, outputs):
            loss, slope, _ = hinge(outputs, values, targets)
            ctx.save_for_backward(slope)
            return loss

        @staticmethod
        def backward(ctx, above):
            return above * ctx.saved_tensors[0]

    assert torch.autograd.gradcheck(Hinge.apply, normal(4, 3).requires_grad_())


@pytest.mark.parametrize("block", [1, 7, 16, 1000])
def test_blocks_change_nothing(block, monkeypatch):
    outputs, values, targets = normal(23, 4), normal(8, 4, seed=1), torch.arange(23) % 8
    whole = hinge(outputs, values, targets)
    monkeypatch.setattr(convex, "LOGITS", 8 * block)
    for one, other in zip(whole, hinge(outputs, values, targets)):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@few
@given(
    n=st.integers(1, 12),
    v=st.integers(1, 40),
    rivals=st.integers(1, 6),
    steps=st.lists(st.sampled_from([0.0, 1e-3, 0.03, 0.3, 10.0]), min_size=1, max_size=8),
    seed=st.integers(0, 99),
)
def test_facts_that_hardly_moved_count_as_if_they_looked_at_all_values(n, v, rivals, steps, seed):
    values = normal(v, 3, seed=seed)
    targets = torch.randint(v, (n,), generator=torch.Generator().manual_seed(seed))
    at = 4 * values[targets] + 0.3 * normal(n, 3, seed=seed + 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convex, "RIVALS", rivals)
        walking = hinge_problem(lambda t: t.view(n, 3), torch.flatten, values, targets, curvature=0.0)
        for count, step in enumerate(steps):
            at = at + step * normal(n, 3, seed=seed + 2 + count)
            there = at.requires_grad_()
            slack = (1 - (there * values[targets]).sum(dim=1, keepdim=True) + there @ values.T).clamp_min(0)
            slack = slack * (torch.arange(v) != targets[:, None])
            whole = 0.5 * slack.square().sum()
            (by_autograd,) = torch.autograd.grad(whole, there)
            at = at.detach()
            loss, slope, margin = walking(at.flatten())
            torch.testing.assert_close(loss, whole.detach(), rtol=1e-10, atol=1e-12)
            torch.testing.assert_close(slope.view(n, 3), by_autograd, rtol=1e-9, atol=1e-11)
            assert margin == pytest.approx(1 - float(slack.detach().max()), abs=1e-12)


def test_a_fact_looks_again_just_before_a_value_it_left_out_can_count(monkeypatch):
    """Of two values at −1 one is left out; it counts from F = ½ on, which is as far as F may move from 1: ½ / 2."""
    values, asked, sparse = torch.tensor([[1.0], [-1.0], [-1.0]]).double(), [], convex._sparse
    monkeypatch.setattr(convex, "RIVALS", 1)
    monkeypatch.setattr(convex, "_sparse", lambda *matrix: asked.append(1) or sparse(*matrix))
    at_once = hinge_problem(lambda t: t.view(1, 1), torch.flatten, values, torch.tensor([0]), curvature=0.0)
    exact = lambda place: max(0.0, 1 - 2 * place) ** 2  # ½ (1 − 2F)² for each of the two  # noqa: E731
    places = {1.0: False, 0.51: True, 0.49: False, 0.4: False, torch.inf: False, 0.3: False}
    for place, few_looked_at in places.items():
        loss = at_once(torch.tensor([place], dtype=torch.float64))[0]
        assert bool(asked) == few_looked_at and (place == torch.inf or float(loss) == pytest.approx(exact(place)))
        asked.clear()


@few
@given(seed=st.integers(0, 99), offset=st.sampled_from([0.0, 1.0]), curvature=st.sampled_from([1e-3, 0.1, 10.0]))
def test_gap_is_primal_minus_dual_at_the_hinge_residuals(seed, offset, curvature):
    """The multipliers α = max(0, slack) are feasible; primal − dual there is ‖∇Φ‖² / 2κ."""
    problem, theta = Affine(seed=seed, offset=offset), normal(8, seed=seed + 7).requires_grad_()
    primal = problem.primal(theta, curvature)
    (gradient,) = torch.autograd.grad(primal, theta)
    difference = primal - problem.dual(problem.slack(theta).clamp_min(0), curvature)
    torch.testing.assert_close(difference.detach(), gradient @ gradient / (2 * curvature), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("curvature", [1e-2, 1.0])
def test_dual_is_below_the_minimum_for_any_multipliers_and_meets_it(curvature):
    problem = Affine(seed=1)
    theta, minimum = problem.exact(curvature)
    for seed, scale in ((s, 10.0**-p) for s in range(20) for p in range(4)):
        alpha = scale * normal(7, 5, seed=seed).clamp_min(0)
        assert float(problem.dual(alpha, curvature)) <= minimum + 1e-9
    best = problem.slack(torch.tensor(theta)).clamp_min(0)
    assert float(problem.dual(best, curvature)) == pytest.approx(minimum, rel=1e-8)


@pytest.mark.parametrize("tol", [0.5, 1e-2, 1e-9])
@pytest.mark.parametrize("curvature, seed", [(1e-3, 0), (1e-1, 1), (1e-1, 2), (10.0, 3)])
def test_certificate_holds_against_scipy(seed, curvature, tol):
    problem = Affine(n=9, v=7, d=3, p=10, seed=seed)
    solve = problem.solve(curvature=curvature, tol=tol)
    theta, minimum = problem.exact(curvature)
    assert solve.gap <= tol * solve.objective and solve.iterations < convex.MOST_ITERATIONS
    assert solve.objective == pytest.approx(float(problem.primal(solve.theta, curvature)), rel=1e-10)
    assert minimum - 1e-9 <= solve.objective <= minimum + solve.gap + 1e-9
    assert np.linalg.norm(solve.theta.numpy() - theta) <= (2 * solve.gap / curvature) ** 0.5 + 1e-5
    assert solve.margin == pytest.approx(min(1.0, 1 - float(problem.slack(solve.theta).max())), abs=1e-10)


def test_two_starts_end_in_one_minimiser():
    problem = Affine(seed=3)
    one, other = (problem.solve(curvature=0.1, tol=1e-12, start=3 * normal(8, seed=s)) for s in (1, 2))
    torch.testing.assert_close(one.theta, other.theta, atol=1e-4, rtol=0)


def test_a_margin_that_is_enough_ends_the_solve_and_so_do_the_iterations():
    problem = Affine(n=3, v=4, d=3, p=30, seed=2)  # more unknowns than conditions
    stored = problem.solve(curvature=1e-6, tol=1e-12, enough=0.5)
    assert stored.margin >= 0.5 and stored.gap > 1e-12 * stored.objective
    assert float(problem.slack(stored.theta).max()) <= 0.5 and stored.iterations == convex.CHUNK
    stopped = Affine(seed=4).solve(curvature=1e-6, tol=1e-15, most=10)
    assert stopped.iterations == 10 and stopped.gap > 1e-15 * stopped.objective


def test_one_value_only_has_nothing_to_solve():
    objective = hinge_problem(
        lambda t: t.view(2, 1), torch.flatten, normal(1, 1), torch.zeros(2, dtype=torch.int64), curvature=1.0
    )
    solve = minimise(objective, start=torch.zeros(2, dtype=torch.float64), curvature=1.0, tol=1e-2)
    assert solve.objective == solve.gap == 0 and solve.iterations == 0


@few
@given(seed=st.integers(0, 99), size=st.integers(1, 12), decades=st.floats(0, 4))
def test_a_quadratic_is_solved_as_closely_as_the_certificate_says(seed, size, decades):
    """½ θᵀHθ − bᵀθ + 1 with H of smallest eigenvalue κ: the minimiser by a linear solve, no hinge in it."""
    basis = torch.linalg.qr(normal(size, size, seed=seed))[0]
    stretch = 10 ** torch.linspace(0, decades, size, dtype=torch.float64)
    hessian, right = basis @ stretch.diag() @ basis.T, normal(size, seed=seed + 1)
    best = torch.linalg.solve(hessian, right)
    floor = 1 + float(right @ best)  # keeps the objective positive
    objective = lambda at: float(0.5 * at @ hessian @ at - right @ at) + floor  # noqa: E731
    evaluate = lambda at: (torch.tensor(objective(at), dtype=torch.float64), hessian @ at - right, -torch.inf)  # noqa: E731
    start = normal(size, seed=seed + 2)
    solve = minimise(evaluate, start=start, curvature=1.0, tol=1e-6)
    assert solve.gap <= 1e-6 * solve.objective and solve.objective == pytest.approx(objective(solve.theta), rel=1e-6)
    assert objective(best) - 1e-9 <= solve.objective <= objective(best) + solve.gap + 1e-6
    assert float((solve.theta - best).norm()) <= (2 * solve.gap) ** 0.5 + 1e-6
    torch.testing.assert_close(start, normal(size, seed=seed + 2), rtol=0, atol=0)  # left as it was
