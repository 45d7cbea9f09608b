"""`block-convex`: fact-storing MLPs from a stated number of convex solves (ours, not in the papers).

From a start by linear least squares, prox-linear (Gauss–Newton-like) steps on the log loss: all matrices
move at once, with the outputs linearised where the weights stand and the step kept short, which makes each step a
strongly convex problem.
"""

import torch
from torch import Tensor

from factcore.constructions.convex import Evaluate, Solve, minimise
from factcore.constructions.problem import CLEAR, Problem, Weights, checked_gate, log_loss, scaled_problem
from factcore.constructions.start import balanced, least_squares_start
from factcore.facts import FactSet
from factcore.mlp import GatedMLP
from factcore.support import check_integer

PROXIMITY = 3.0  # κ of the first solve: how dear a step away from the point of linearisation is
MOST = 200  # iterations of one solve
SHARES = (2.0, 1.5, 1.0, 0.7, 0.5, 0.3, 0.15, 0.05)  # of a step that are tried; κ halves where a whole one is taken


def block_convex(
    facts: FactSet,
    width: int,
    seed: int,
    *,
    solves: int = 5,
    gate: str | None = None,
    form: str = "gated",
    tol: float = 0.1,
) -> GatedMLP:
    """At most ``solves`` convex problems, fewer if every fact decodes before.

    The first weights are drawn, then found by linear solves (`least_squares_start`). Steps are prox-linear, for all
    matrices together: with the outputs linearised at the current weights, the step minimises the log loss
    Σ_i log Σ_j exp⟨F_i, v_j − v_f(i)⟩ plus (κ/2)‖step‖², and the share of it that lowers the true loss most is taken.
    It stops when its duality gap is at most ``tol`` times the objective, or after `MOST` iterations of L-BFGS;
    `mlp.solves` holds the certificates, with the gaps as reached.

    form: 'gated', or 'plain', D σ(Gx + b). gate: 'identity' (bilinear, None), 'silu', 'gelu' or 'relu'; in the plain
    form 'gelu' (None), 'silu' or 'relu'. A network too narrow loses facts. ValueError for an option out of range.
    """
    if not tol > 0:
        raise ValueError(f"tol must be positive, got {tol}")
    check_integer("solves", solves)
    problem = scaled_problem(facts, checked_gate(gate, form), form, facts.keys.dtype)
    w = least_squares_start(problem, problem.random_weights(width, seed))
    loss, _, margin = problem.loss(w)
    kappa, done = PROXIMITY, list[Solve]()
    while len(done) < solves and margin < CLEAR:
        zero = torch.zeros_like(w.flat())
        done.append(minimise(_linearised(problem, w, kappa), start=zero, curvature=kappa, tol=tol, most=MOST))
        share, w, loss, margin = _best_share(problem, w, done[-1].theta, loss)
        kappa *= 0.5 if share >= 1 else 1.0 if share >= 0.3 else 2.0
    mlp = problem.network(w, facts)
    mlp.solves = [solve.certificate() for solve in done]
    return mlp


def _linearised(problem: Problem, w: Weights, kappa: float) -> Evaluate:
    """The log loss of a step θ from ``w`` with the outputs linear in it, plus (κ/2)‖θ‖²."""
    phi, forward, transpose = problem.linearised(w)

    def evaluate(theta: Tensor) -> tuple[Tensor, Tensor, float]:
        loss, by_left, by_right, margin = log_loss(*forward(theta), problem.values, problem.targets)
        slope = transpose(by_left[:, : phi.shape[1]], by_right[:, phi.shape[1] :])
        return loss + 0.5 * kappa * theta @ theta, slope + kappa * theta, margin

    return evaluate


def _best_share(problem: Problem, w: Weights, theta: Tensor, loss: Tensor) -> tuple[float, Weights, Tensor, float]:
    """The share of the step ``theta`` with the lowest true loss, the weights there, their loss and smallest margin.

    Shares are tried from the longest on, as long as the loss falls; 0 where none lowers it.
    """
    step, margin = w.like(theta), -torch.inf
    best = (0.0, w, loss, margin)
    for share in SHARES:
        new = Weights(*(at + share * by for at, by in zip(w, step)))
        at_share, _, margin = problem.loss(new)
        if at_share < best[2]:
            best = (share, balanced(new, problem.gate), at_share, margin)
        elif best[0]:
            break
    return best
