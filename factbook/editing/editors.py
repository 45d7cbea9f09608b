"""Weight editors as formulas on a linear associative memory: W (d, h) maps keys (h,) to values (d,).

Keys are rows of (n, h), values rows of (n, d). Everything is solved in float64. Sources: ROME (Meng et al. 2022,
arXiv 2202.05262), MEMIT (Meng et al. 2023, arXiv 2210.07229), AlphaEdit (Fang et al. 2025, arXiv 2410.02355).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


def covariance(keys: Tensor) -> Tensor:
    """C = (1/n) Σ k kᵀ over the rows of ``keys`` (n, h): (h, h)."""
    keys = keys.double()
    return keys.T @ keys / len(keys)


def rome_update(weight: Tensor, c: Tensor, key: Tensor, value: Tensor, *, ridge: float = 1e-6) -> Tensor:
    """ROME: the W' nearest to ``weight`` in ‖(W' − W) C^½‖ with W' key = value; a rank-one change.

    W' = W + (v − W k)(C⁻¹k)ᵀ / (kᵀC⁻¹k). ``ridge`` times the mean of C's diagonal is added to it, so that it can be
    inverted where fewer keys than hidden units were seen.
    """
    w, k, v = weight.double(), key.double(), value.double()
    direction = torch.linalg.solve(_raised(c.double(), ridge), k)
    return w + torch.outer(v - w @ k, direction) / (k @ direction)


def memit_update(weight: Tensor, c: Tensor, keys: Tensor, values: Tensor, *, weight_of_old: float) -> Tensor:
    """MEMIT: W + R K₁ᵀ(λC + K₁K₁ᵀ)⁻¹, R = V₁ − W K₁: the least squares of new facts and λ times the old ones.

    λ is ``weight_of_old``; C is the `covariance` of the preserved keys, so λ stands for that many of them.
    """
    w, k = weight.double(), keys.double()
    residual = values.double() - k @ w.T  # (n, d)
    return w + torch.linalg.solve(_raised(weight_of_old * c.double() + k.T @ k, 1e-9), k.T @ residual).T


def null_space_projector(keys: Tensor, tol: float) -> Tensor:
    """P (h, h) onto the directions of the ``keys`` (n, h) whose eigenvalue in C is below ``tol`` times the largest."""
    values, vectors = torch.linalg.eigh(covariance(keys))
    free = vectors[:, values < tol * values[-1]]
    return free @ free.T


def alphaedit_update(weight: Tensor, projector: Tensor, keys: Tensor, values: Tensor, *, ridge: float = 1.0) -> Tensor:
    """AlphaEdit: W + R K₁ᵀP (K₁K₁ᵀP + ridge·I)⁻¹: the ridge regression of the residual inside the null space.

    Keys that ``projector`` removes keep their values exactly.
    """
    w, k = weight.double(), keys.double()
    residual = values.double() - k @ w.T
    seen = k.T @ k @ projector
    eye = torch.eye(len(projector), dtype=w.dtype, device=w.device)
    step = torch.linalg.solve((seen + ridge * eye).T, projector @ k.T @ residual).T
    return w + step @ projector  # P is idempotent: projecting again only removes rounding errors


def _raised(matrix: Tensor, share: float) -> Tensor:
    lift = share * matrix.diagonal().mean().clamp_min(torch.finfo(matrix.dtype).tiny)
    return matrix + lift * torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)


def wanted_outputs(
    logits, outputs: Tensor, targets: Tensor, *, steps: int, lr: float, clip: float | None, weight_decay: float = 0.0
) -> Tensor:
    """v* = output + δ, the output of the MLP that makes the new fact likely: (n, d).

    Every fact has its own δ, found by ``steps`` steps of Adam on the cross-entropy of ``targets`` (n,), averaged over
    the contexts of ``outputs`` (n, t, d), plus weight_decay·‖δ‖². δ is then cut to ``clip`` times the norm of the mean
    output; None leaves it. ``logits`` maps outputs (…, d) to scores of all tokens.
    """
    outputs = outputs.detach()
    delta = torch.zeros_like(outputs[:, 0]).requires_grad_()
    optimiser, labels = torch.optim.Adam([delta], lr=lr), targets[:, None].expand(outputs.shape[:2])
    with torch.enable_grad():
        for _ in range(steps):
            optimiser.zero_grad()
            scores = logits(outputs + delta[:, None])
            each = cross_entropy(scores.flatten(0, 1), labels.flatten(), reduction="sum") / outputs.shape[1]
            (each + weight_decay * delta.square().sum()).backward()
            optimiser.step()
    mean, delta = outputs.mean(dim=1), delta.detach()
    if clip is not None:
        longest = clip * mean.norm(dim=1, keepdim=True)
        delta = delta * (longest / delta.norm(dim=1, keepdim=True).clamp_min(1e-12)).clamp_max(1)
    return mean + delta
