"""A sketch of the keys: 512 signs of each, enough to tell how similar a question is to the nearest of them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from factcore.support.streams import stream

BITS = 512  # the angle between two rows is known to about 4°
HELD = 2**24  # agreements held at once


def sketch_of(keys: Tensor) -> Tensor:
    """Signs of 512 random projections of each key, packed: (n, 64) uint8. Directions alone, whatever the scale.

    Two rows at angle θ agree in a share 1 − θ/π of the signs (Goemans and Williamson 1995, Charikar 2002).
    """
    return torch.from_numpy(np.packbits(_signs(keys).numpy(), axis=1))


def similarity(queries: Tensor, sketch: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Cosine of every query to the nearest key, (q,) float64, and for each query the keys that are as near."""
    keys = torch.from_numpy(np.unpackbits(sketch.numpy(), axis=1)).float() * 2 - 1  # (n, 512) of ±1
    cosine, near = [], []
    for part in queries.split(max(1, HELD // len(keys))):
        agreement = (_signs(part).float() * 2 - 1) @ keys.T  # 512 less twice the signs that differ
        most = agreement.amax(dim=1)
        cosine.append(torch.sin(most.double() / BITS * torch.pi / 2))
        near += [(row == top).nonzero().flatten() for row, top in zip(agreement, most)]
    return torch.cat(cosine), near


def _signs(rows: Tensor) -> Tensor:
    """(n, 512) of bool."""
    d = rows.shape[1]
    directions = torch.randn(d, BITS, generator=stream(0, "projection"), dtype=torch.float64)
    x = rows.detach().cpu().double()
    return x / x.abs().amax(dim=1, keepdim=True).clamp_min(1e-300) @ directions > 0
