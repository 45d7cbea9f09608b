"""Changes to `block_convex` that are no option of it, put together from its parts, for block_convex_grid.py.

Each is a function of (facts, width, seed, **options) like `block_convex` itself, with as many convex solves.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from contextlib import ExitStack
from unittest.mock import patch

import torch
from torch import Tensor

from factcore import block_convex as parts
from factcore import convex
from factcore.constructions.convex import minimise
from factcore.constructions.max_margin import Problem, Weights, network, random_weights, scaled_problem

BLOCKS = "ADGAD"
SHARP = 8.0  # of the cross-entropy: logits are this times the outputs' products with the values
SHRINK = 0.1  # of the whitened averages: weight of the identity beside a Gram matrix of mean diagonal 1
ONE_STEP, HEBBIAN, BUILD = parts._solve_all, parts._hebbian_start, parts.block_convex


def changed(**replaced: Callable) -> Callable:
    """`block_convex` with these of its parts replaced."""

    @functools.wraps(BUILD)  # and so with its options
    def build(facts, width, seed, **options):
        with ExitStack() as stack:
            for name, part in replaced.items():
                stack.enter_context(patch.object(parts, name, part))
            return BUILD(facts, width, seed, **options)

    return build


def solve_block(problem: Problem, w: Weights, name: str, ridge: float, tol: float):
    """The block ``name`` (A, D or G) with the other two fixed, in the bilinear network exactly."""
    if name == "D":
        return parts._solve_down(problem, w, ridge, tol)
    field = {"A": "up", "G": "gates"}[name]
    keys, shape = problem.keys, w.up.shape
    other = keys @ (w.gates if name == "A" else w.up).T

    def outputs(theta: Tensor) -> Tensor:
        return (other * (keys @ theta.view(shape).T)) @ w.down.T

    def pullback(slope: Tensor) -> Tensor:
        return ((slope @ w.down * other).T @ keys).flatten()

    solve = minimise(
        outputs,
        pullback,
        problem.values,
        problem.targets,
        start=getattr(w, field).flatten(),
        curvature=ridge,
        tol=tol,
        enough=parts.ENOUGH,
    )
    return w._replace(**{field: solve.theta.view(shape)}), solve


def one_block_a_solve(facts, width, seed, *, solves=5, averages=4, ridge=1e-2, tol=1e-2):
    """A, D, G, A, D …: no linearised solves."""
    problem, scale = scaled_problem(facts, "identity")
    w, done = HEBBIAN(problem, random_weights(problem, width, seed), averages), []
    while len(done) < solves and not (done and problem.decodes(w)):
        w, solve = solve_block(problem, w, BLOCKS[len(done) % 3], ridge, tol)
        w = parts._balance(w, "identity")
        done.append(solve)
    return network(w, scale, facts, "identity", done, n_solved=sum(part.numel() for part in w))


def loss_of(problem: Problem, w: Weights) -> float:
    return float(convex.hinge(problem.outputs(w), problem.values, problem.targets)[0])


def full_step(problem: Problem, w: Weights, proximity: float, tol: float):
    """The linearised step uncut, (G, A, D) of it, and its solve."""
    with patch.object(parts, "STEPS", (1.0,)):
        new, solve = ONE_STEP(problem, w, proximity, tol)
    return Weights(*(a - b for a, b in zip(new, w))), solve


def three_shares(problem: Problem, w: Weights, proximity: float, tol: float):
    """The best shares of the step, one each for G, A and D."""
    step, solve = full_step(problem, w, proximity, tol)
    tried = (
        Weights(*(at + share * by for at, share, by in zip(w, shares, step)))
        for shares in itertools.product(parts.STEPS, repeat=3)
    )
    return min(tried, key=lambda new: loss_of(problem, new)), solve


def down_refitted(problem: Problem, w: Weights, proximity: float, tol: float):
    """Every share of the step of G and A is also tried with the D that fits the linearised outputs best (ridge)."""
    step, solve = full_step(problem, w, proximity, tol)
    here, slope = torch.func.jvp(lambda *at: problem.outputs(Weights(*at)), tuple(w), tuple(step))
    tried = []
    for share in parts.STEPS:
        new = Weights(*(at + share * by for at, by in zip(w, step)))
        phi = (problem.keys @ new.gates.T) * (problem.keys @ new.up.T)
        fitted = torch.cholesky_solve(phi.T @ (here + slope) / len(phi), parts._root(phi)).T
        tried += [new, new._replace(down=fitted)]
    return min(tried, key=lambda new: loss_of(problem, new)), solve


def falling_proximity() -> Callable:
    """Steps dear at first and cheap later: 100, 30, 10, 1."""

    def solve_all(problem: Problem, w: Weights, proximity: float, tol: float):
        return ONE_STEP(problem, w, next(falling), tol)

    falling = itertools.chain((100.0, 30.0, 10.0), itertools.repeat(1.0))
    return solve_all


def with_loss(loss: Callable) -> Callable:
    """Linearised solves, and the choice of the share, with ``loss`` for the hinge; the last solve as ever."""

    def solve_all(problem: Problem, w: Weights, proximity: float, tol: float):
        with patch.object(convex, "hinge", loss), patch.object(parts, "hinge", loss):
            return ONE_STEP(problem, w, proximity, tol)

    return solve_all


def cross_entropy(outputs: Tensor, values: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Σ_i log(1 + Σ_{j≠f(i)} exp(s(1 − ⟨F_i, v_f(i) − v_j⟩))) / s, s = `SHARP`; its slope, the worst slack."""
    right = targets[:, None]
    slack = outputs @ values.T
    slack = (slack - slack.gather(1, right) + 1).scatter(1, right, 0.0)
    chosen = torch.softmax(SHARP * slack, dim=1)
    total = torch.logsumexp(SHARP * slack, dim=1).sum() / SHARP
    return total, chosen @ values - values[targets], slack.amax().clamp_min(0)


def cubic_hinge(outputs: Tensor, values: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """⅓ Σ_i Σ_{j≠f(i)} max(0, 1 − ⟨F_i, v_f(i) − v_j⟩)³: the hardest pairs weigh more."""
    right = targets[:, None]
    slack = outputs @ values.T
    slack = (slack - slack.gather(1, right) + 1).clamp(min=0).scatter(1, right, 0.0)
    pull = slack.square()
    slope = pull @ values - pull.sum(dim=1, keepdim=True) * values[targets]
    return slack.pow(3).sum() / 3, slope, slack.amax()


def whitened_averages(problem: Problem, w: Weights, averages: int) -> Weights:
    """Averages over the facts with the units' correlations taken out: alternating least squares on the facts' tensor.

    G and A by the Gram matrix that keys in all directions would give, D by that of the facts (a ridge regression).
    """
    wanted, keys = problem.values[problem.targets], problem.keys
    unit = torch.nn.functional.normalize

    def apart(sums: Tensor, gram: Tensor) -> Tensor:
        shrunk = gram / gram.diagonal().mean() + SHRINK * torch.eye(len(gram)).to(gram)
        return unit(torch.linalg.solve(shrunk, sums), dim=1)

    for count in range(averages):
        opened, raised, aimed = keys @ w.gates.T, keys @ w.up.T, wanted @ w.down
        of_down = w.down.T @ w.down
        if count % 3 == 0:
            w = w._replace(up=apart((opened * aimed).T @ keys, w.gates @ w.gates.T * of_down))
        elif count % 3 == 1:
            w = w._replace(gates=apart((raised * aimed).T @ keys, w.up @ w.up.T * of_down))
        else:
            phi = opened * raised
            w = w._replace(down=apart((wanted.T @ phi).T, phi.T @ phi / len(phi)).T)
    return w


def best_of_draws(problem: Problem, w: Weights, averages: int) -> Weights:
    """Of eight random starts the one with the smallest hinge after the averages: no solve."""
    draws = [w] + [random_weights(problem, len(w.up), 1000 * more + len(w.up)) for more in range(1, 8)]
    return min((HEBBIAN(problem, draw, averages) for draw in draws), key=lambda new: loss_of(problem, new))


def start_times(factor: float) -> Callable:
    def start(problem: Problem, w: Weights, averages: int) -> Weights:
        return Weights(*(factor * part for part in HEBBIAN(problem, w, averages)))

    return start


def all_linearised(problem: Problem, w: Weights, ridge: float, tol: float):
    """In place of the last solve for D alone."""
    return ONE_STEP(problem, w, parts.PROXIMITY, tol)


@functools.wraps(BUILD)
def proximity_falls(facts, width, seed, **options):
    return changed(_solve_all=falling_proximity())(facts, width, seed, **options)


OURS = {
    "all linearised": changed(_solve_down=all_linearised),
    "one block a solve": one_block_a_solve,
    "one block, random start": one_block_a_solve,
    "best of 8 starts": changed(_hebbian_start=best_of_draws),
    "start x 0.5": changed(_hebbian_start=start_times(0.5)),
    "start x 2": changed(_hebbian_start=start_times(2.0)),
    "whitened averages": changed(_hebbian_start=whitened_averages),
    "orthogonal, whitened averages": changed(_hebbian_start=whitened_averages),
    "proximity falls": proximity_falls,
    "cross-entropy": changed(_solve_all=with_loss(cross_entropy)),
    "cubic hinge": changed(_solve_all=with_loss(cubic_hinge)),
    "three shares": changed(_solve_all=three_shares),
    "D refitted": changed(_solve_all=down_refitted),
}
