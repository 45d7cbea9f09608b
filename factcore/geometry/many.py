"""Separators of very many values: a few float32 products a value, certified; the solver only for the last ones.

Checking one code takes v products. The code c_i = w_i - mean(w) needs no other work and decodes most random values; the
others are told apart from their closest rivals, a small problem each, until a check finds no further rival.
"""

import math
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import normalize

from factcore.geometry.differences import most_violated, unit
from factcore.geometry.solver import decodability
from factcore.support import block_size, progress_bar

QUICK_FROM = 8193  # values; with fewer, the solver finds the best code of every value in seconds
SCORES = 2**22  # held at once, in float32
SOLVE_UP_TO = 200  # of very many values: with more that seem undecodable, to prove it costs more than another column
ROUNDS, RIVALS = 4, 64  # checks that a code may take, and rivals that each of them brings to light
NEWTON_STEPS, RIDGE = 12, 0.03  # of the small problems; the ridge keeps codes away from values not met yet


def quick_separators(
    projected: Tensor, rows: Tensor, *, tol: float, enough: float, solve_up_to: float = math.inf
) -> tuple[Tensor, Tensor]:
    """A unit code for each of ``rows`` (r, m) and a certified lower bound of its normalised margin (r,), float64.

    A margin above ``enough`` satisfies. Values left with less go to `decodability`, whose ``tol`` and ``enough``
    these are, unless there are more than ``solve_up_to`` of them. A lower bound of 0 or less says that no code was
    found. ``projected`` (v, m) may have any scale: it is brought to about 1 by a power of two.
    """
    projected = torch.ldexp(projected, -torch.frexp(projected.abs().max()).exponent.clamp(-1000, 1000))
    centred = projected - projected.mean(dim=0)
    checks = _Checks(centred)
    codes = normalize(centred[rows], dim=1)
    bar = partial(progress_bar, desc="codes", unit="block")
    lower = codes.new_empty(len(rows))  # filled in place: small results kept between the blocks' scores, which come
    for at in bar(torch.arange(len(rows), device=rows.device).split(checks.size)):  # and go, would fragment memory
        lower[at] = checks(codes[at], rows[at])[0]
    rest = (~(lower > enough)).nonzero().flatten()
    for at in bar(rest.split(checks.size)) if len(rest) else ():
        codes[at], lower[at] = _told_apart(checks, codes[at], rows[at], enough)
    rest = rest[~(lower[rest] > enough)]
    if 0 < len(rest) <= solve_up_to:
        solved = decodability(projected, tol=tol, which=rows[rest], enough=enough)
        better = rest[solved.lower[rows[rest]] > lower[rest]]
        codes[better], lower[better] = solved.separators[rows[better]], solved.lower[rows[better]]
    return codes, lower


def undecodable(values: Tensor, rows: Tensor, *, least: float = 2e-3) -> Tensor:
    """Those of ``rows`` that no direction separates from the other ``values`` (v, m) by a margin of ``least``.

    From `QUICK_FROM` values on, a few more may be named: those whose direction `quick_separators` does not meet.
    """
    if len(rows) == 0 or len(values) == 1:
        return rows[:0]
    if len(values) < QUICK_FROM:
        lower = decodability(values, tol=5 * least, which=rows, enough=least).lower[rows]
    else:
        lower = quick_separators(values, rows, tol=5 * least, enough=least, solve_up_to=SOLVE_UP_TO)[1]
    return rows[~(lower > least)]


class _Checks:
    """Checks codes against all values ``centred`` (v, m), in float32 but for the rounding it allows for."""

    def __init__(self, centred: Tensor) -> None:
        self.centred, self.norms = centred, centred.norm(dim=1)
        self.single = centred.float().T.contiguous()
        self.size = max(32, block_size(len(centred), centred.device, entries=SCORES))  # rows checked at once
        # A float32 inner product is off by at most (m + 4)·2⁻²³‖c‖‖w_j‖, the rounding of c and w_j included.
        self.slack = (centred.shape[1] + 4) * 2.0**-23 * self.norms.max()

    def __call__(self, codes: Tensor, rows: Tensor, rivals: int = 0) -> tuple[Tensor, Tensor]:
        """Lower bounds (b,) of min over j ≠ i of ⟨c_i, w_i − w_j⟩ / ‖w_i − w_j‖ for unit ``codes`` (b, m) of ``rows``,
        and the values j with about the smallest ⟨c_i, w_i − w_j⟩ (b, rivals).

        A bound of all distances ‖w_i − w_j‖ stands for each of them: positive is proof, negative is not.
        """
        minus = (-codes.float() @ self.single).scatter_(1, rows[:, None], torch.inf)
        gap = (codes * self.centred[rows]).sum(dim=1) + minus.amin(dim=1) - self.slack
        which = most_violated(minus, rivals)[1] if rivals else rows[:, None]
        return gap / (self.norms[rows] + self.norms.max()).clamp_min(1e-300), which


def _told_apart(checks: _Checks, codes: Tensor, rows: Tensor, enough: float) -> tuple[Tensor, Tensor]:
    """The best codes of ``rows`` in `ROUNDS` rounds from ``codes``: find rivals, then tell i apart from those met."""
    best, lower = codes.clone(), codes.new_full((len(rows),), -torch.inf)
    open_, met = torch.arange(len(rows), device=rows.device), rows.new_zeros(len(rows), 0)
    for _ in range(ROUNDS):
        bound, rivals = checks(codes, rows[open_], RIVALS)
        better = bound > lower[open_]
        best[open_[better]], lower[open_[better]] = codes[better], bound[better]
        going = ~(lower[open_] > enough)
        open_, met = open_[going], torch.cat([met, rivals], dim=1)[going]
        if len(open_) == 0:
            break
        codes = _largest_margin(unit(checks.centred[rows[open_], None] - checks.centred[met]))
    return best, lower


def _largest_margin(z: Tensor) -> Tensor:
    """Unit codes (b, m) that minimise Σ_k max(0, 1 − ⟨c, z_k⟩)² + ridge ‖c‖² over z (b, k, m), by Newton steps."""
    eye = RIDGE * torch.eye(z.shape[2], dtype=z.dtype, device=z.device)
    active = z.new_ones(z.shape[:2])
    for _ in range(NEWTON_STEPS):
        pulled = z * active[..., None]
        codes = torch.linalg.solve(pulled.mT @ z + eye, pulled.sum(dim=1))
        active = ((z @ codes[..., None])[..., 0] < 1).to(z.dtype)
    return normalize(codes, dim=1)
