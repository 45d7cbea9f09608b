"""Decoders: a random projection D and codes that pick the right value through it (spec section 3; paper section 4).

The value j scores ⟨c, w_j⟩ with w_j = Dᵀ v_j, so a code c decodes to i when it separates w_i from every other w_j.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from factcore.decodability import decodability

CODES = ("separators", "projected")
CODE_TOLERANCE = 1e-2  # a code needs a clear margin, not the last digit of the largest one
LEAST_MARGIN = 1e-3  # normalised margin below which a code counts as failed: float32 would blur it


class Codes(NamedTuple):
    """D (d, m), one unit code per value (v, m), and each code's smallest normalised margin (v,)."""

    projection: Tensor
    codes: Tensor
    margins: Tensor


def projection_basis(d: int, generator: torch.Generator) -> Tensor:
    """A random orthonormal basis of R^d (d, d) in float64; its first m columns are the projection D.

    Orthonormal columns span what Gaussian ones span, and nested columns make a longer code never worse.
    """
    q, r = torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64))
    return q * r.diagonal().sign()


def separator_codes(values: Tensor, projection: Tensor) -> Codes:
    """c_i = the separator of w_i among the projected values: the code with the largest margin there is."""
    solved = decodability(values @ projection, tol=CODE_TOLERANCE)
    return Codes(projection, solved.separators, solved.lower)


def projected_codes(values: Tensor, projection: Tensor, separators: Tensor) -> Codes:
    """c_i = Dᵀ u_i with u_i the separator of v_i in R^d: the paper's codes, good when D nearly keeps angles."""
    codes = torch.nn.functional.normalize(separators @ projection, dim=1)
    return Codes(projection, codes, code_margins(codes, values @ projection))


def code_margins(codes: Tensor, projected: Tensor) -> Tensor:
    """min over j ≠ i of ⟨c_i, w_i − w_j⟩ / ‖w_i − w_j‖, shape (v,), in blocks of rows."""
    square = projected.square().sum(dim=1)
    margins = []
    for start in range(0, len(codes), 1024):
        rows = slice(start, start + 1024)
        own = torch.arange(len(codes), device=codes.device)[rows, None]
        distance = (square[rows, None] + square - 2 * projected[rows] @ projected.T).clamp_min(1e-30).sqrt()
        scores = codes[rows] @ projected.T
        margins.append(((scores.gather(1, own) - scores) / distance).scatter_(1, own, torch.inf).amin(dim=1))
    return torch.cat(margins)
