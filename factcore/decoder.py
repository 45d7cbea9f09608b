"""Decoders: a random projection D and codes that pick the right value through it (spec section 3; paper section 4).

The value j scores ⟨c, w_j⟩ with w_j = Dᵀ v_j, so a code c decodes to i when it separates w_i from every other w_j.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from factcore.decodability import decodability
from factcore.facts import FactSet

CODES = ("separators", "projected")
CODE_TOLERANCE = 0.05  # a code needs a clear margin, not the last digit of the largest one
LEAST_MARGIN = 1e-3  # normalised margin below which a code counts as failed: float32 would blur it
HOPELESS = 0.2  # share of values with tight margins above which these are not worked out: D is too short anyway
AIMABLE = 0.02  # share of hidden values below which columns of D are aimed at them


class Codes(NamedTuple):
    """D (d, m), one unit code per value (v, m), and each code's smallest normalised margin (v,)."""

    projection: Tensor
    codes: Tensor
    margins: Tensor


def choose_codes(facts: FactSet, kind: str, code_dim: int | None, seed: int, strict: bool = True) -> Codes:
    """Codes of dimension ``code_dim``, or of the smallest one at which every used value has a clear margin.

    ``kind`` is one of `CODES`. With ``strict`` a ValueError names the first value without a margin, and says whether
    a longer code could help or the value lies in the hull of the others.
    """
    values, used = facts.values.double(), torch.unique(facts.targets)
    basis = projection_basis(facts.d, torch.Generator().manual_seed(seed)).to(values.device)
    if facts.n_values == 1:  # nothing to tell apart: any output will do
        m = code_dim or 1
        return Codes(basis[:, :m], torch.nn.functional.normalize(values.new_ones(1, m)), values.new_ones(1))
    if kind == "projected":
        solved = decodability(values).separators
        chosen = _projected(values, used, basis, solved, code_dim)
    else:
        projection = basis[:, :code_dim] if code_dim else shortest_projection(values, used, basis)
        chosen = separator_codes(values, projection)
        if code_dim and 0 < len(failing(chosen, used)) <= _aimable(used):  # aimed columns may still save it
            shortest = shortest_projection(values, used, basis)
            if shortest.shape[1] <= code_dim:
                longer = torch.linalg.qr(torch.cat([shortest, basis], dim=1))[0]
                chosen = separator_codes(values, longer[:, :code_dim])
    if strict:
        _check_margins(chosen, used, facts.d)
    return chosen


def failing(codes: Codes, used: Tensor) -> Tensor:
    """Those of the values ``used`` whose code has no clear margin."""
    return used[~(codes.margins[used] > LEAST_MARGIN)]


def shortest_projection(values: Tensor, used: Tensor, basis: Tensor) -> Tensor:
    """A short D (d, m) through which every value in ``used`` is a vertex of the hull of the projected values.

    The first columns are the basis's. Just below the length at which those alone suffice they hide a few values
    only, and a column towards these frees several at once, so the last columns are aimed. A value that is a vertex
    stays one when columns are added: only the hidden ones are solved for again.
    """
    d = len(basis)
    start = min(d, 3 * (len(values) - 1).bit_length() // 2)
    hidden = _hidden(values @ basis[:, :start], used)
    while len(hidden) == 0 and start > 1:
        start = 2 * start // 3
        hidden = _hidden(values @ basis[:, :start], used)
    best = basis
    for m in range(start, d):
        if m > start:
            hidden = _hidden(values @ basis[:, :m], hidden)
        if len(hidden) == 0:
            return basis[:, :m]
        if len(hidden) <= _aimable(used):
            best = _aim(values, hidden, basis[:, :m], best)
        if m + 1 >= best.shape[1]:
            break
    return best


def _aimable(used: Tensor) -> float:
    return max(2, AIMABLE * len(used))


def _hidden(projected: Tensor, rows: Tensor) -> Tensor:
    """Those of ``rows`` that have no direction with a clear margin among the projected values."""
    solved = decodability(projected, tol=10 * LEAST_MARGIN, which=rows, enough=2 * LEAST_MARGIN)
    return rows[~(solved.lower[rows] > 2 * LEAST_MARGIN)]


def _aim(values: Tensor, hidden: Tensor, projection: Tensor, best: Tensor) -> Tensor:
    """Add columns towards the hidden values until none is left; ``best`` if that takes as many columns or more."""
    centred = torch.nn.functional.normalize(values - values.mean(dim=0), dim=1)
    while len(hidden) and projection.shape[1] + 1 < best.shape[1]:
        towards = centred[hidden].sum(dim=0)
        towards = towards - projection @ (projection.T @ towards)
        projection = torch.cat([projection, torch.nn.functional.normalize(towards, dim=0)[:, None]], dim=1)
        hidden = _hidden(values @ projection, hidden)
    return best if len(hidden) else projection


def _projected(values: Tensor, used: Tensor, basis: Tensor, separators: Tensor, code_dim: int | None) -> Codes:
    """Projected codes of ``code_dim``, or of the smallest dimension without a failure (found by bisection)."""
    if code_dim is not None:
        return projected_codes(values, basis[:, :code_dim], separators)
    tried: dict[int, Codes] = {}

    def fails(m: int) -> bool:
        tried[m] = projected_codes(values, basis[:, :m], separators)
        return len(failing(tried[m], used)) > 0

    low, high, d = 0, min(len(basis), 2 * (len(values) - 1).bit_length()), len(basis)
    while fails(high) and high < d:
        low, high = high, min(d, high * 3 // 2 + 1)
    while high - low > 1:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fails(middle) else (low, middle)
    return tried[high]


def _check_margins(chosen: Codes, used: Tensor, d: int) -> None:
    lost, m = failing(chosen, used), chosen.codes.shape[1]
    if len(lost) == 0:
        return
    if m == d:
        why = "it lies in (or too near) the convex hull of the others, so no output can pick it"
    else:
        why = f"a code of dimension {m} is too short; leave code_dim and width free to find one that is not"
    raise ValueError(f"{len(lost)} of {len(used)} values cannot be decoded, the first is values[{int(lost[0])}]: {why}")


def projection_basis(d: int, generator: torch.Generator) -> Tensor:
    """A random orthonormal basis of R^d (d, d) in float64; its first m columns are the projection D.

    Orthonormal columns span what Gaussian ones span, and nested columns make a longer code never worse.
    """
    q, r = torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64))
    return q * r.diagonal().sign()


def separator_codes(values: Tensor, projection: Tensor) -> Codes:
    """c_i = the separator of w_i among the projected values: the code with the largest margin there is."""
    projected = values @ projection
    solved = decodability(projected, tol=CODE_TOLERANCE)
    codes, margins = solved.separators.clone(), solved.lower.clone()
    tight = (margins <= CODE_TOLERANCE).nonzero().flatten()
    if 0 < len(tight) <= HOPELESS * len(codes):
        solved = decodability(projected, tol=LEAST_MARGIN / 4, which=tight)
        codes[tight], margins[tight] = solved.separators[tight], solved.lower[tight]
    return Codes(projection, codes, margins)


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
