"""Whitening of value embeddings: what it does to decodability (paper section 3)."""

from collections.abc import Callable

import torch
from torch import Tensor

from factcore.support import check_embeddings


def whiten(values: Tensor, ridge: float = 0.0) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """(V - mean) S^(-1/2) and the map back, with S the covariance of `values` (v, d) plus a ridge.

    ridge is a share of the mean variance, S = cov + ridge * tr(cov) / d * I; 0 makes the covariance I. The map back
    takes whitened rows (..., d). Both keep the dtype of `values`. ValueError for a singular S: give a ridge.
    """
    check_embeddings("values", values)
    if ridge < 0:
        raise ValueError(f"ridge must be non-negative, got {ridge}")
    x = values.detach().double()
    mean = x.mean(0)
    variance, axes = torch.linalg.eigh((x - mean).T @ (x - mean) / len(x))
    variance = variance.clamp(min=0.0) + ridge * variance.mean()
    rank = int((variance > variance.max() * x.shape[1] * torch.finfo(x.dtype).eps).sum())
    if rank < x.shape[1]:
        raise ValueError(f"the covariance of values has rank {rank} of {x.shape[1]}: pass ridge > 0 (say 1e-3)")
    root, inverse_root = (axes * variance.sqrt()) @ axes.T, (axes / variance.sqrt()) @ axes.T

    def unwhiten(whitened: Tensor) -> Tensor:
        return (whitened.double() @ root + mean).to(values.dtype)

    return ((x - mean) @ inverse_root).to(values.dtype), unwhiten
