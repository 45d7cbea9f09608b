"""Projections D (e, m): how few columns keep every value decodable (paper section 4, decoder).

The cost of the construction is about 3 m n parameters, so every column counts. Points on a sphere are vertices of their
hull, however many there are: projected values w_j = Dᵀv_j of one norm decode. Where the values are affinely
independent, D puts them on evenly spread points of a circle or a sphere exactly; beyond that it is fitted to points of
norm 1 by least squares, in turn with the points. Whatever made D, `undecodable` certifies it.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import TypeVar

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import normalize

from factcore.constructions.optimised import fitted_projection
from factcore.geometry import undecodable
from factcore.support import check_choice

T = TypeVar("T")
PROJECTIONS = ("equal-norms", "optimised", "random")
LEAST_MARGIN = 1e-3  # normalised margin below which a code counts as failed: float32 would blur it
RANK_TOLERANCE = 1e-6  # singular values below this share of the largest are rounding
SAFE = 50  # rounding errors of an output that the margin of a placed value must exceed
SWEEPS = 200  # of least squares for one D


def short_projection(values: Tensor, used: Tensor, basis: Tensor, kind: str | None = None) -> Tensor:
    """A D (e, m) of one of `PROJECTIONS` through which every value in ``used`` has a clear margin.

    'equal-norms' (None) by linear solves; 'random', the first columns of ``basis``, quicker and longer; 'optimised', by
    Adam from the equal norms on, slower and at times shorter. The whole basis is returned where nothing shorter is
    found. ValueError for an unknown kind.
    """
    check_choice("projection", kind, (*PROJECTIONS, None))

    (v, d), lost = values.shape, {}

    @cache
    def attempt(m: int) -> Tensor | None:
        down = basis[:, :m] if kind == "random" or m == d else equal_norms(values, used, basis[:, :m])
        lost[m] = undecodable(values @ down, used)
        return None if len(lost[m]) else down

    of_random_values = math.log2(v) * (2 if kind == "random" else 0.6 + 0.1 * max(-1.0, math.log2(v / d)))
    guess = max(1, min(d, int(of_random_values)))
    if attempt(guess) is None and len(undecodable(values, lost[guess])):
        return basis  # no column helps a value that lies in the hull of the others
    if (best := shortest(attempt, guess, d)) is None:
        return basis
    while kind == "optimised" and best.shape[1] > 1:  # drop where projected values vary least, fit, while all decode
        start = best @ torch.linalg.eigh((values @ best).T.cov()).eigenvectors[:, 1:]
        fitted = fitted_projection(values, used, torch.linalg.qr(start)[0])
        if len(undecodable(values @ fitted, used)):
            break
        best = fitted
    return best


def shortest(attempt: Callable[[int], T | None], guess: int, most: int) -> T | None:
    """What ``attempt`` gives at about the smallest m up to ``most`` at which it succeeds; None where it never does."""
    too_short, m = 0, min(most, guess)
    found = attempt(m)
    while found is None and m < most:
        too_short, m = m, min(most, m + max(1, m // 8))
        found = attempt(m)
    while found is not None and m - 1 > too_short and (shorter := attempt(m - 1)) is not None:
        found, m = shorter, m - 1
    return found


def equal_norms(values: Tensor, used: Tensor, start: Tensor) -> Tensor:
    """D (e, m) for which the projected values in ``used`` have about one norm, from ``start`` on.

    Alternating projections: the points of norm 1 nearest to the projected values, then the least-squares fit of D to
    them. Values out of use may lie inside.
    """
    u, s, right = _span(values)
    single, w = u.float(), (values - values.mean(dim=0)) @ start
    w = (w / w.norm(dim=1).mean().clamp_min(1e-300)).float()
    idle = torch.ones(len(w), 1, dtype=torch.bool, device=w.device).index_fill_(0, used, False)
    for _ in range(SWEEPS):
        norms = w.norm(dim=1, keepdim=True).clamp_min(1e-12)
        points = w / torch.where(idle, norms.clamp_min(1), norms)
        w = single @ (single.T @ points)
    return right.T @ ((u.T @ points.double()) / s[:, None])  # type: ignore[no-any-return]


def placed_projection(values: Tensor, used: Tensor, dtype: torch.dtype) -> Tensor | None:
    """Affinely independent values: D = V⁺W puts them on evenly spread points W of a circle, or of a sphere.

    The sphere where ``dtype`` cannot tell the neighbours on the circle apart; two values get a line. Each value gets a
    point near its leading principal coordinates, which keeps V⁺W small. None where the values depend on each other.
    """
    u, s, right = _span(values)
    if u.shape[1] < len(values) - 1:
        return None
    for m in (1,) if len(used) == 2 else (2, 3):
        points = _evenly_spread(len(used), m).to(u)
        near = torch.nn.functional.pad(u[used, :m], (0, max(0, m - u.shape[1]))) @ points.T
        placed = u.new_zeros(len(u), m)
        placed[used] = points[linear_sum_assignment(near.cpu().numpy(), maximize=True)[1]]
        down = right.T @ ((u.T @ placed) / s[:, None])
        codes, w = normalize(placed[used], dim=1), placed - placed.mean(dim=0)
        scores = (codes @ w.T).scatter_(1, used[:, None], -torch.inf)
        gap = (codes * w[used]).sum(dim=1) - scores.amax(dim=1)
        rounding = torch.finfo(dtype).eps * (codes @ down.T).norm(dim=1) * values.norm(dim=1).amax()
        if (gap > SAFE * rounding).all():
            return down
    return None


def _evenly_spread(count: int, m: int) -> Tensor:
    """Points (count, m) about their mean: two on a line, a circle's, or a spiral on the sphere by the golden angle."""
    if m == 1:
        return torch.tensor([[1.0], [-1.0]])
    k = torch.arange(count, dtype=torch.float64) + 0.5
    angle, height = 2 * math.pi * k / count, torch.zeros(count, 0, dtype=torch.float64)
    if m == 3:
        angle, height = math.pi * (3 - 5**0.5) * k, (1 - 2 * k / count)[:, None]
    round_ = torch.stack([angle.cos(), angle.sin()], dim=1) * (1 - height.square().sum(dim=1, keepdim=True)).sqrt()
    points = torch.cat([round_, height], dim=1)
    return points - points.mean(dim=0)


def _span(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """U (v, r), the singular values and the right vectors (r, e) of the centred values; r leaves out rounding."""
    u, s, right = torch.linalg.svd(values - values.mean(dim=0), full_matrices=False)
    keep = s > RANK_TOLERANCE * s[0]
    return u[:, keep], s[keep], right[keep]
