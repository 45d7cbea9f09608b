"""Certified convex minimisation, and the problem behind `max-margin`: a multi-class squared hinge (Crammer and Singer
2001) over outputs linear in θ.

    Φ(θ) = ½ Σ_i Σ_{j≠f(i)} max(0, 1 − ⟨F_i(θ), v_f(i) − v_j⟩)² + (κ/2) ‖θ‖²,    F(θ) = F₀ + J θ.

Φ is κ-strongly convex, so its minimiser is unique, and the hinge residuals at any θ are a feasible point of the dual
whose duality gap is exactly ‖∇Φ(θ)‖² / 2κ: every answer comes with the certificate Φ(θ) − min Φ ≤ gap.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from factcore.support import progress_bar, row_blocks

LOGITS = 2**18  # held at once: on a CPU as many as its cache holds
CHUNK = 10  # iterations between two looks at the gap
PAIRS = 20  # of steps and slopes that L-BFGS keeps
MOST_ITERATIONS = 3000

Linear = Callable[[Tensor], Tensor]  # θ (p,) -> outputs F (n, e), or back: ∂Φ/∂F (n, e) -> Jᵀ of it (p,)
Evaluate = Callable[[Tensor], tuple[Tensor, Tensor, float]]  # θ -> Φ, ∇Φ and the smallest margin


class Solve(NamedTuple):
    """One convex solve."""

    theta: Tensor
    objective: float  # Φ(θ)
    gap: float  # certified, above the minimum
    margin: float  # min over i, j of ⟨F_i, v_f(i) − v_j⟩, cut at 1; above 0 every fact decodes
    iterations: int

    def certificate(self) -> dict[str, float]:
        """All but θ."""
        return {name: number for name, number in self._asdict().items() if name != "theta"}


def hinge(outputs: Tensor, values: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """½ Σ_i Σ_{j≠f(i)} max(0, 1 − ⟨F_i, v_f(i) − v_j⟩)², its gradient by F (n, e), and the largest term's root.

    In blocks of facts: the logits are n × v.
    """
    total, slope, worst = outputs.new_zeros(()), torch.empty_like(outputs), outputs.new_zeros(())
    for rows in row_blocks(len(outputs), len(values), outputs.device, entries=LOGITS):
        target = targets[rows, None]
        slack = outputs[rows] @ values.T  # (block, v)
        slack = slack.sub_(slack.gather(1, target) - 1).clamp_(min=0)
        slack.scatter_(1, target, 0.0)
        total += 0.5 * slack.square().sum()
        worst = torch.maximum(worst, slack.amax())
        slack.scatter_(1, target, -slack.sum(dim=1, keepdim=True))
        slope[rows] = slack @ values
    return total, slope, worst


def minimise(
    evaluate: Evaluate, *, start: Tensor, curvature: float, tol: float, enough: float = 1.0, most: int = MOST_ITERATIONS
) -> Solve:
    """Minimise a Φ that is ``curvature``-strongly convex from ``start``; ``evaluate`` gives Φ, ∇Φ and the margin there.

    Stops when the certified gap is at most ``tol`` · Φ, when the margin is at least ``enough`` (below 1: the facts are
    stored, whatever is left of Φ), when rounding ends the progress, or after ``most`` iterations. L-BFGS with a strong
    Wolfe line search.
    """
    theta = start.clone().requires_grad_()

    @torch.no_grad()
    def closure() -> Tensor:
        objective, theta.grad, _ = evaluate(theta.detach())
        return objective

    solver = torch.optim.LBFGS(
        [theta], max_iter=CHUNK, history_size=PAIRS, tolerance_grad=0, tolerance_change=0, line_search_fn="strong_wolfe"
    )
    iterations, last = 0, float("inf")
    with progress_bar(None, "convex solve", total=most) as bar:
        while True:
            with torch.no_grad():
                objective, slope, margin = evaluate(theta.detach())
            gap = float(slope.square().sum()) / (2 * curvature)
            stored = enough < 1 and margin >= enough
            if gap <= tol * objective or stored or iterations >= most or objective >= last:
                return Solve(theta.detach(), float(objective), gap, margin, iterations)
            last = float(objective)
            solver.step(closure)
            iterations += CHUNK
            bar.update(CHUNK)


def hinge_problem(outputs: Linear, pullback: Linear, values: Tensor, targets: Tensor, *, curvature: float) -> Evaluate:
    """Φ of this file for `minimise`, from F (n, e) as a function of θ and the transpose of its Jacobian."""

    def evaluate(theta: Tensor) -> tuple[Tensor, Tensor, float]:
        loss, slope, worst = hinge(outputs(theta), values, targets)
        return loss + 0.5 * curvature * theta @ theta, pullback(slope) + curvature * theta, 1 - float(worst)

    return evaluate
