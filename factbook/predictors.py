"""What may foretell the cost of facts: numbers of their values, decodability first."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from factcore.geometry import decodability

PLAINER = ("median_rho", "distinct", "condition", "effective_rank", "nearest")  # distinct: 1 − coherence


def predictors(values: Tensor) -> dict[str, float]:
    """Numbers of ``values`` (v ≥ 2, d) that may foretell what storing facts about them costs.

    Scores decide by differences of values, so all are taken after subtracting the mean:
        rho             decodability, the certified lower bound (0: no network can store these values).
        median_rho      the median over the values of the same bound.
        coherence       largest cosine between two values.
        condition       largest eigenvalue of the covariance over the smallest that is not zero.
        effective_rank  tr(S)² / tr(S²) of the covariance S: how many directions share the variance.
        nearest         smallest distance between two values over the root mean square distance.
    ValueError as in `decodability`. Scaling all values changes none of them.
    """
    solved = decodability(values)
    x = values.detach().double()
    x = x - x.mean(0)
    variance = torch.linalg.eigvalsh(x.T @ x / len(x))
    spanned = variance[variance > variance.max() * x.shape[1] * torch.finfo(x.dtype).eps]
    cosines = normalize(x, dim=1) @ normalize(x, dim=1).T
    distances = torch.nn.functional.pdist(x)
    return {
        "rho": solved.rho,
        "median_rho": float(solved.lower.median()),
        "coherence": float(cosines.fill_diagonal_(-1).max()),
        "condition": float(spanned.max() / spanned.min()),
        "effective_rank": float(variance.sum() ** 2 / variance.square().sum()),
        "nearest": float(distances.min() / distances.square().mean().sqrt()),
    }
