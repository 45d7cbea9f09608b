"""Weight editors as formulas on a linear associative memory: W (d, h) maps keys (h,) to values (d,).

Keys are rows of (n, h), values rows of (n, d). Everything is solved in float64. ValueError, naming it, for an argument
of another shape, with NaN or infinite entries, or that leaves the problem without a solution. Sources: ROME (Meng et
al. 2022, arXiv 2202.05262), MEMIT (Meng et al. 2023, arXiv 2210.07229), AlphaEdit (Fang et al. 2025, arXiv 2410.02355).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from factcore.support import check_embeddings, check_integer, described


def covariance(keys: Tensor) -> Tensor:
    """C = (1/n) Σ k kᵀ over the rows of ``keys`` (n, h): (h, h)."""
    check_embeddings("keys", keys)
    keys = keys.double()
    return keys.T @ keys / len(keys)


def rome_update(weight: Tensor, c: Tensor, key: Tensor, value: Tensor, *, ridge: float = 1e-6) -> Tensor:
    """ROME: the W' nearest to ``weight`` in ‖(W' − W) C^½‖ with W' key = value; a rank-one change.

    W' = W + (v − W k)(C⁻¹k)ᵀ / (kᵀC⁻¹k). ``ridge`` times the mean of C's diagonal is added to it, so that it can be
    inverted where fewer keys than hidden units were seen.
    """
    if key.ndim != 1 or value.ndim != 1:
        raise ValueError(f"key and value must be vectors (h,) and (d,), got {described(key)} and {described(value)}")
    w, keys, values = _checked(weight, key[None], value[None])
    k, v = keys[0], values[0]
    check_number("ridge", ridge, zero=True)
    c = _checked_covariance(c, len(k))
    if ridge == 0 and int(rank := torch.linalg.matrix_rank(c, hermitian=True)) < len(c):
        raise ValueError(f"c has rank {int(rank)}, not {len(c)}, and cannot be inverted: it needs a ridge above 0")
    direction = torch.linalg.solve(_raised(c, ridge), k)
    seen = float(k @ direction)
    if not seen > 0:
        raise ValueError(f"keyᵀ c⁻¹ key is {seen:.3g}, not positive: c is no covariance, or the key is too small")
    return w + torch.outer(v - w @ k, direction) / seen


def memit_update(weight: Tensor, c: Tensor, keys: Tensor, values: Tensor, *, weight_of_old: float) -> Tensor:
    """MEMIT: W + R K₁ᵀ(λC + K₁K₁ᵀ)⁻¹, R = V₁ − W K₁: the least squares of new facts and λ times the old ones.

    λ is ``weight_of_old``; C is the `covariance` of the preserved keys, so λ stands for that many of them.
    """
    w, k, v = _checked(weight, keys, values)
    check_number("weight_of_old", weight_of_old)
    normal = _raised(weight_of_old * _checked_covariance(c, k.shape[1]) + k.T @ k, 1e-9)
    return w + torch.linalg.solve(normal, k.T @ (v - k @ w.T)).T


def null_space_projector(keys: Tensor, tol: float) -> Tensor:
    """P (h, h) onto the directions of the ``keys`` (n, h) whose eigenvalue in C is below ``tol`` times the largest."""
    check_number("tol", tol)
    values, vectors = torch.linalg.eigh(_checked_covariance(covariance(keys), keys.shape[1]))
    free = vectors[:, values < tol * values[-1]]
    return free @ free.T


def alphaedit_update(weight: Tensor, projector: Tensor, keys: Tensor, values: Tensor, *, ridge: float = 1.0) -> Tensor:
    """AlphaEdit: W + R K₁ᵀP (K₁K₁ᵀP + ridge·I)⁻¹: the ridge regression of the residual inside the null space.

    Keys that ``projector`` removes keep their values exactly.
    """
    w, k, v = _checked(weight, keys, values)
    check_number("ridge", ridge)
    p = _checked_square("projector", projector, k.shape[1])
    seen = k.T @ k @ p + ridge * torch.eye(len(p), dtype=w.dtype, device=w.device)
    step = torch.linalg.solve(seen.T, p @ k.T @ (v - k @ w.T)).T
    return w + step @ p  # P is idempotent: projecting again only removes rounding errors


def wanted_changes(
    logits: Callable[[Tensor], Tensor],
    outputs: Tensor,
    targets: Tensor,
    *,
    steps: int,
    lr: float,
    weight_decay: float = 0.0,
) -> Tensor:
    """δ (n, d), the change of an MLP's output that makes the new fact likely.

    Every fact has its own δ, found by ``steps`` steps of Adam on the cross-entropy of ``targets`` (n,), averaged over
    the contexts of ``outputs`` (n, t, d), plus weight_decay·‖δ‖². ``logits`` maps outputs (…, d) to scores of all
    tokens.
    """
    check_integer("steps", steps)
    check_number("lr", lr)
    check_number("weight_decay", weight_decay, zero=True)
    if outputs.ndim != 3 or targets.shape != outputs.shape[:1]:
        raise ValueError(f"outputs (n, t, d) and targets (n,) do not fit: {described(outputs)}, {described(targets)}")
    check_embeddings("outputs", outputs.flatten(0, 1))
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
    return delta.detach()


def clipped(delta: Tensor, outputs: Tensor, clip: float | None) -> Tensor:
    """v* = mean output + δ (n, d), δ cut to ``clip`` times the norm of the mean.

    The mean is that of ``outputs`` (n, t, d) over the contexts; None leaves δ as it is.
    """
    mean = outputs.detach().mean(dim=1)
    if clip is None:
        return mean + delta
    check_number("clip", clip)
    longest = clip * mean.norm(dim=1, keepdim=True)
    return mean + delta * (longest / delta.norm(dim=1, keepdim=True).clamp_min(1e-12)).clamp_max(1)


def check_number(name: str, number: float, *, zero: bool = False) -> None:
    """ValueError unless ``number`` is positive and finite, or 0 where ``zero`` allows it."""
    real = isinstance(number, (int, float)) and not isinstance(number, bool)
    if not real or not math.isfinite(number) or number < 0 or (number == 0 and not zero):
        raise ValueError(f"{name} must be a finite number {'from' if zero else 'above'} 0, got {number!r}")


def _checked(weight: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """W (d, h), keys (n, h) and values (n, d) in float64; ValueError where they do not fit or a key is zero."""
    for name, rows in (("weight", weight), ("keys", keys), ("values", values)):
        check_embeddings(name, rows)
    (d, h), n = weight.shape, len(keys)
    if keys.shape[1] != h or values.shape != (n, d):
        raise ValueError(
            f"a weight of shape {(d, h)} maps keys (n, {h}) to values (n, {d}), got {described(keys)} and "
            f"{described(values)}"
        )
    silent = (~keys.any(dim=1)).nonzero().flatten()
    if len(silent):
        raise ValueError(f"{len(silent)} key(s) are zero, the first in row {int(silent[0])}: no weight can change them")
    return weight.double(), keys.double(), values.double()


def _checked_covariance(c: Tensor, h: int) -> Tensor:
    c = _checked_square("c", c, h)
    if (c.diagonal() < 0).any():
        raise ValueError("c is no covariance: its diagonal has negative entries")
    if not c.any():
        raise ValueError("the covariance c of the preserved keys is zero: there is nothing to preserve")
    return c


def _checked_square(name: str, matrix: Tensor, h: int) -> Tensor:
    check_embeddings(name, matrix)
    if matrix.shape != (h, h):
        raise ValueError(f"{name} must have shape {(h, h)}, as keys have {h} entries, got {described(matrix)}")
    return matrix.double()


def _raised(matrix: Tensor, share: float) -> Tensor:
    """``matrix`` with ``share`` times the mean of its diagonal added to the diagonal."""
    lift = share * matrix.diagonal().mean()
    return matrix + lift * torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
