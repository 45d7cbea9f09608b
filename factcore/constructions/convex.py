"""Certified convex minimisation, and the problem behind `max-margin`: a multi-class squared hinge (Crammer and Singer
2001) over outputs linear in θ.

    Φ(θ) = ½ Σ_i Σ_{j≠f(i)} max(0, 1 − ⟨F_i(θ), v_f(i) − v_j⟩)² + (κ/2) ‖θ‖²,    F(θ) = F₀ + J θ.

Φ is κ-strongly convex, so its minimiser is unique, and the hinge residuals at any θ are a feasible point of the dual
whose duality gap is exactly ‖∇Φ(θ)‖² / 2κ: every answer comes with the certificate Φ(θ) − min Φ ≤ gap.
"""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from factcore.support import progress_bar, row_blocks

LOGITS = 2**18  # held at once: on a CPU as many as its cache holds
CHUNK = 10  # iterations between two looks at the gap
PAIRS = 20  # of steps and slopes that L-BFGS keeps
MOST_ITERATIONS = 3000
RIVALS = 48  # values that a fact looks at while it stays where it is; the hinge counts about ten

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
    """Φ of this file for `minimise`, from F (n, e) as a function of θ and the transpose of its Jacobian.

    Few values come near a fact's own. The others keep a margin of 1 until F_i is farther than what they have beyond it
    / 2 max ‖v‖ from where it last looked at all of them (kept between calls), in blocks of facts: logits are n × v.
    """
    rivals, own, reach = min(RIVALS, len(values)), values[targets], 2 * values.norm(dim=1).max()
    near, anchor, room = targets.new_zeros(len(own), rivals), torch.zeros_like(own), own.new_full((len(own),), -1.0)

    def evaluate(theta: Tensor) -> tuple[Tensor, Tensor, float]:
        at = outputs(theta)
        loss, slope, worst, lack = at.new_zeros(()), torch.empty_like(at), at.new_zeros(()), 1 - (at * own).sum(dim=1)
        stays = (at - anchor).norm(dim=1) < room
        moved, stay = torch.where(~stays)[0], torch.where(stays)[0]
        blocks = [moved[part] for part in row_blocks(len(moved), len(values), at.device, entries=LOGITS)]
        for rows in filter(len, [stay, *blocks]):
            if rows is stay:
                asked = _sparse(among := near[rows], among.to(at.dtype), len(values))
                slack = torch.sparse.sampled_addmm(asked, at[rows], values.T, beta=0.0).values().view(among.shape)
                slack.add_(lack[rows, None]).masked_fill_(among == targets[rows, None], -torch.inf)
            else:
                slack = (at[rows] @ values.T).scatter_(1, targets[rows, None], -torch.inf).add_(lack[rows, None])
                if (slack > 0).sum() <= rivals * len(rows):  # else most would look at all values again
                    most = slack.topk(rivals)
                    near[rows], anchor[rows] = most.indices.sort(dim=1).values, at[rows]
                    room[rows] = most.values[:, -1] / -reach
            slack.clamp_(min=0)
            loss += 0.5 * slack.square().sum()
            worst = torch.maximum(worst, slack.amax())
            pull = (_sparse(among, slack, len(values)) if rows is stay else slack) @ values
            slope[rows] = pull - slack.sum(dim=1, keepdim=True) * own[rows]
        return loss + 0.5 * curvature * theta @ theta, pullback(slope) + curvature * theta, 1 - float(worst)

    return evaluate


def _sparse(columns: Tensor, entries: Tensor, width: int) -> Tensor:
    """The matrix (n, ``width``) with these entries (n, k) at these columns (n, k), sorted."""
    starts = torch.arange(0, columns.numel() + 1, columns.shape[1], device=columns.device)
    with warnings.catch_warnings():  # of sparse rows that are in beta
        warnings.simplefilter("ignore")
        return torch.sparse_csr_tensor(starts, columns.flatten(), entries.flatten(), (len(columns), width))
