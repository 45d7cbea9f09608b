"""The convex problem behind `max-margin` and `block-convex`: a multi-class squared hinge over outputs linear in θ.

    Φ(θ) = ½ Σ_i Σ_{j≠f(i)} max(0, 1 − ⟨F_i(θ), v_f(i) − v_j⟩)² + (κ/2) ‖θ‖²,    F(θ) = F₀ + J θ.

Φ is κ-strongly convex, so its minimiser is unique, and the hinge residuals at any θ are a feasible point of the dual
whose duality gap is exactly ‖∇Φ(θ)‖² / 2κ: every answer comes with the certificate Φ(θ) − min Φ ≤ gap.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

BLOCK = 2**18  # logits held at once: on a CPU as many as its cache holds
GPU_BLOCK = 2**25
CHUNK = 10  # iterations between two looks at the gap
MEMORY = 20  # pairs of steps that L-BFGS keeps
MOST_ITERATIONS = 3000

Outputs = Callable[[Tensor], Tensor]  # θ (p,) -> outputs F (n, d)
Pullback = Callable[[Tensor], Tensor]  # ∂Φ/∂F (n, d) -> Jᵀ of it (p,)


class Solve(NamedTuple):
    """One convex solve: θ, Φ(θ), the certified gap above the minimum, the smallest margin, and iterations."""

    theta: Tensor
    objective: float
    gap: float
    margin: float  # min over i, j of ⟨F_i, v_f(i) − v_j⟩, cut at 1; above 0 every fact decodes
    iterations: int


def hinge(outputs: Tensor, values: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """½ Σ_i Σ_{j≠f(i)} max(0, 1 − ⟨F_i, v_f(i) − v_j⟩)², its gradient by F (n, d), and the largest term's root.

    In blocks of facts: the logits are n × v.
    """
    total, slope, worst = outputs.new_zeros(()), torch.empty_like(outputs), outputs.new_zeros(())
    held = BLOCK if outputs.device.type == "cpu" else GPU_BLOCK
    for rows in torch.arange(len(outputs), device=outputs.device).split(max(1, held // len(values))):
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
    outputs: Outputs,
    pullback: Pullback,
    values: Tensor,
    targets: Tensor,
    *,
    start: Tensor,
    curvature: float,
    tol: float,
    enough: float = 1.0,
) -> Solve:
    """Minimise Φ with κ = ``curvature`` > 0 from ``start``.

    Stops when the certified gap is at most ``tol`` · Φ, when every margin is at least ``enough`` (below 1: the facts
    are stored, whatever is left of Φ), or after `MOST_ITERATIONS`. L-BFGS with a strong Wolfe line search.
    """
    theta = start.clone().requires_grad_()

    def evaluate(at: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        loss, slope, worst = hinge(outputs(at), values, targets)
        return loss + 0.5 * curvature * at @ at, pullback(slope) + curvature * at, worst

    @torch.no_grad()
    def closure() -> Tensor:
        objective, theta.grad, _ = evaluate(theta.detach())
        return objective

    solver = torch.optim.LBFGS(
        [theta],
        max_iter=CHUNK,
        history_size=MEMORY,
        tolerance_grad=0,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )
    iterations, last = 0, float("inf")
    while True:
        with torch.no_grad():
            objective, slope, worst = evaluate(theta.detach())
        gap, margin = float(slope @ slope) / (2 * curvature), 1 - float(worst)
        stored = enough < 1 and margin >= enough
        if gap <= tol * objective or stored or iterations >= MOST_ITERATIONS or objective >= last:
            return Solve(theta.detach(), float(objective), gap, margin, iterations)
        last = float(objective)
        solver.step(closure)
        iterations += CHUNK
