"""MLPs trained to store facts: the bar that constructions are measured against."""

import math

import torch

from factcore.constructions.convex import minimise
from factcore.constructions.problem import CLEAR, Problem, Weights, checked_gate, scaled_problem
from factcore.constructions.start import least_squares_start
from factcore.facts import FactSet
from factcore.mlp import GatedMLP
from factcore.support import check_choice, check_integer, progress_bar

MOST = 600  # iterations of L-BFGS: what it has not stored by then it does not store
LOUD = 8.0  # scale of Adam's logits for a network that is bilinear: it begins sharp


def trained(
    facts: FactSet,
    width: int,
    seed: int,
    *,
    gate: str | None = None,
    form: str = "gated",
    descent: str = "both",
    steps: int = 4000,
    lr: float | None = None,
) -> GatedMLP:
    """All matrices by gradient training on the cross-entropy of the logits ⟨g(k_i), v_j⟩, stopped at 100% recall.

    descent: 'l-bfgs', jointly from linear solves (`least_squares_start`), at most `MOST` iterations; 'adam', full batch
    from Gaussian weights, at most ``steps`` steps with cosine decay from ``lr`` (None: 0.2 for bilinear networks, 0.02
    for others, the best of benchmarks/training_grid.py); 'both', Adam where L-BFGS, which is quicker, has stalled. The
    network may still fall short.

    form: 'gated', or 'plain', D σ(Gx + b). gate: 'identity' (bilinear, None), 'silu', 'gelu' or 'relu'; in the plain
    form 'gelu' (None), 'silu' or 'relu'. ValueError for an option out of range.
    """
    check_integer("steps", steps)
    if lr is not None and not 0 < lr < math.inf:
        raise ValueError(f"lr must be positive, got {lr!r}")
    check_choice("descent", descent, ("both", "l-bfgs", "adam"))
    problem = scaled_problem(facts, checked_gate(gate, form), form, facts.keys.dtype)
    w = problem.random_weights(width, seed)
    if descent != "adam":
        first, stored = descended(problem, least_squares_start(problem, w))
        if stored or descent == "l-bfgs":
            return problem.network(first, facts)
    return problem.network(_adam(problem, w, steps, lr), facts)


def descended(problem: Problem, w: Weights) -> tuple[Weights, bool]:
    """All matrices jointly by L-BFGS on the log loss from ``w``; and whether every fact is stored then."""
    solve = minimise(
        lambda theta: problem.loss(w.like(theta)), start=w.flat(), curvature=1.0, tol=0.0, enough=CLEAR, most=MOST
    )
    return w.like(solve.theta), solve.margin >= CLEAR


def _adam(problem: Problem, w: Weights, steps: int, lr: float | None) -> Weights:
    """Full-batch Adam on the mean log loss from Gaussian weights, cosine decay to zero."""
    loud, lr = (LOUD, lr or 0.2) if problem.gate == "identity" else (1.0, lr or 0.02)
    problem = problem._replace(values=problem.values * loud)
    w = w._replace(down=w.down * (w.down.shape[0] / w.down.shape[1]) ** 0.5)  # spread 1/√h
    theta = w.flat().requires_grad_()
    adam = torch.optim.Adam([theta], lr=lr)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for _ in progress_bar(range(steps), "training"):
        _, slope, margin = problem.loss(w.like(theta.detach()))
        if margin >= CLEAR * loud:
            break
        theta.grad = slope / len(problem.keys)
        adam.step()
        decay.step()
    return w.like(theta.detach())
