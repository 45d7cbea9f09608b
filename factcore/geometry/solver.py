"""Decodability of value embeddings: one certified min-norm problem per value, solved together.

For value i let z_ij = (v_i - v_j) / |v_i - v_j|. Its decodability and separator are

    rho_i = max_{|u| <= 1} min_{j != i} ⟨z_ij, u⟩ = distance from 0 to conv{z_ij : j != i},

and rho(V) = min_i rho_i. Any unit u gives a lower bound, any convex combination p of the z_ij an upper
bound |p|, so every answer carries a certificate: the gap between the two.

About d of the v - 1 differences matter at the optimum. Each value keeps a short list P of them; one step
  1. solves min |sum_P mu_j z_j|^2 + (sum_P mu_j - 1)^2: up to scale the point of aff{z_j : j in P} nearest to 0,
  2. checks the direction found against *all* values by one matrix product, which certifies it,
  3. drops the negative weights and adds the most violated differences (primal-dual active set).
Step 3 can cycle; values still open after `_FAST_STEPS` + d/4 steps go to Wolfe's algorithm (Wolfe 1976), which cannot.
"""

import math
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from factcore.geometry.differences import Differences, most_violated, unit
from factcore.support import block_size, check_embeddings, progress_bar

_FAST_STEPS = 12  # plus d // 4; few values that need more ever converge this way
_TINY = 1e-140  # of the largest entry: the squares of smaller ones underflow


@dataclass(frozen=True)
class Decodability:
    """Bounds lower[i] <= rho_i <= upper[i] for every value, with the directions that prove the lower ones."""

    lower: Tensor  # (v,) float64, smallest ⟨z_ij, separators[i]⟩ over all j, or 0 where that is negative
    upper: Tensor  # (v,) float64, norm of a convex combination of the z_ij
    separators: Tensor  # (v, d) float64 unit rows; where lower is 0, the best direction met
    inside: Tensor  # (k,) int64, rows with upper <= tol: not vertices of the hull (exact duplicates included)
    duplicates: list[list[int]]  # groups of two or more rows that coincide exactly

    @property
    def rho(self) -> float:
        """Certified lower bound of rho(V): the smallest lower bound, 0 if some value has no separator."""
        return float(self.lower.min())

    @property
    def rho_upper(self) -> float:
        """Certified upper bound of rho(V): the smallest upper bound."""
        return float(self.upper.min())

    @property
    def gap(self) -> float:
        """Largest upper[i] - lower[i]; with only_min, which or enough most values keep loose bounds."""
        return float((self.upper - self.lower).max())


def decodability(
    values: Tensor, *, tol: float = 1e-6, only_min: bool = False, which: Tensor | None = None, enough: float = math.inf
) -> Decodability:
    """Bounds on rho_i and a separator for every row of ``values`` (v, d), with upper - lower <= tol.

    Work is in float64, on the device of ``values``. Duplicated rows have rho_i = 0, and the separators of a single row.

    only_min: stop refining a value once its lower bound exceeds the smallest upper bound: rho and rho_upper
        are as accurate as ever, the other values keep looser (still certified) bounds.
    which: rows to solve for (int64), all of them if None; the others keep the trivial bounds 0 and 1.
    enough: stop refining a value once its lower bound exceeds this number: any positive one decodes.

    ValueError unless ``values`` is a floating (v >= 2, d >= 1) tensor of finite numbers, tol > 0 and ``which`` holds
    rows of it, and where rows differ by less than 1e-140 of the largest entry. Warns if a gap stays above tol.
    """
    _check_input(values, tol, which)
    x = values.detach().to(dtype=torch.float64)
    # A power of two changes no bit of any difference.
    x = torch.ldexp(x, -torch.frexp(x.abs().max()).exponent.clamp(-1000, 1000)) + 0.0
    x, group, size = torch.unique(x, dim=0, return_inverse=True, return_counts=True)
    _check_scale(x, group)
    asked = torch.arange(len(x), device=x.device) if which is None else group[which].unique()
    direction = torch.eye(1, x.shape[1], dtype=x.dtype, device=x.device).repeat(len(x), 1)
    ceiling = 0.0 if (size[asked] > 1).any() else 1.0
    best = _Best(x.new_full((len(x),), -1.0), x.new_ones(len(x)), direction, ceiling, tol, only_min, enough)
    if len(x) > 1:
        for best.tol in [t for t in (0.1, 0.01) if only_min and t > tol] + [tol]:
            _solve(x, asked[best.is_open(asked)], best)
        if best.is_open(asked).any():
            gap = (best.upper - best.lower.clamp(min=0.0))[asked[best.is_open(asked)]]
            warnings.warn(f"{len(gap)} values kept a gap above {tol:g}, up to {gap.max():.1e}", stacklevel=2)
    twins = (size[group] > 1).nonzero()[:, 0]
    twins = twins[group[twins].argsort(stable=True)]
    lower = torch.where(size > 1, 0.0, best.lower.clamp(min=0.0))[group]
    upper = torch.where(size > 1, 0.0, best.upper)[group].maximum(lower)  # they cross by rounding alone
    duplicates = [rows.tolist() for rows in twins.split(size[size > 1].tolist())] if len(twins) else []
    return Decodability(lower, upper, best.direction[group], (upper <= tol).nonzero()[:, 0], duplicates)


def _check_input(values: Tensor, tol: float, which: Tensor | None) -> None:
    check_embeddings("values", values)
    if len(values) < 2:
        raise ValueError(f"values needs at least 2 rows, got {len(values)}")
    if not tol > 0:
        raise ValueError(f"tol must be positive, got {tol}")
    if which is not None and len(wrong := which[(which < 0) | (which >= len(values))]):
        raise ValueError(f"which holds row {int(wrong[0])}, but values has rows 0 to {len(values) - 1}")


def _check_scale(distinct: Tensor, group: Tensor) -> None:
    """ValueError where rows (largest entry about 1) coincide but for entries whose squares underflow."""
    tiny = (distinct != 0) & (distinct.abs() < _TINY)
    if not tiny.any():
        return
    _, coarse, size = torch.unique(torch.where(tiny, 0.0, distinct), dim=0, return_inverse=True, return_counts=True)
    wrong = (size[coarse] > 1)[group].nonzero().flatten()
    if len(wrong):
        what = f"values[{int(wrong[0])}] and another row differ by less than {_TINY:g} of the largest entry"
        raise ValueError(f"{what}: values of such different scales cannot be compared; rescale them")


@dataclass
class _Best:
    """Best bounds met so far for the distinct rows, and when to leave a row alone."""

    lower: Tensor
    upper: Tensor
    direction: Tensor
    ceiling: float  # smallest upper bound
    tol: float
    prune: bool
    enough: float

    def improve(self, rows: Tensor, lower: Tensor, upper: Tensor, direction: Tensor) -> None:
        better = lower > self.lower[rows]
        self.direction[rows[better]] = direction[better]
        self.lower[rows] = torch.maximum(lower, self.lower[rows])
        self.upper[rows] = torch.minimum(upper, self.upper[rows])
        self.ceiling = min(self.ceiling, float(self.upper[rows].min()))

    def is_open(self, rows: Tensor) -> Tensor:
        lower, upper = self.lower[rows], self.upper[rows]
        goal = min(self.enough, self.ceiling) if self.prune else self.enough
        return (upper - lower.clamp(min=0.0) > self.tol) & (lower <= goal)


def _solve(x: Tensor, todo: Tensor, best: _Best) -> None:
    """Closes the bounds of the rows ``todo`` of x, block by block."""
    v, d = x.shape
    block = min(v, max(32, block_size(max(v, d * d), x.device, entries=2**21)))
    centred = x - x.mean(0)
    plane = torch.cat([-centred, torch.ones_like(x[:, :1])], 1).T.contiguous()
    # Values near the mean are the ones most likely to lie inside the hull or to set the minimum.
    todo = todo[centred[todo].norm(dim=1).argsort()]
    with progress_bar(None, "decodability", total=len(todo), unit="value") as bar:
        for rows in todo.split(block):
            if best.is_open(rows).any():
                diff = Differences(x, centred, plane, rows)
                _wolfe(diff, best, *_active_set(diff, best))
            bar.update(len(rows))


def _squeeze(mask: Tensor, *lists: Tensor) -> tuple[Tensor, ...]:
    """Moves the entries kept by mask (b, p) to the front of every row and cuts the columns left empty."""
    width = int(mask.sum(1).max()) if len(mask) else 0
    mask, order = mask.sort(dim=1, descending=True, stable=True)
    return mask[:, :width], *(t.gather(1, order[:, :width]) for t in lists)


def _mix(z: Tensor, weight: Tensor) -> Tensor:
    return torch.einsum("bpd,bp->bd", z, weight / weight.sum(1, keepdim=True))


def _active_set(diff: Differences, best: _Best) -> tuple[Tensor, Tensor, Tensor]:
    """Primal-dual active set on a block; returns the block rows still open, their lists and weights."""
    rows, d = diff.rows, diff.x.shape[1]
    at = torch.arange(len(rows), device=rows.device)
    u, upper = unit(diff.own), best.upper[rows]
    height = torch.full_like(upper, torch.inf)  # scores below this are violations
    index, weight = rows.new_zeros(len(rows), 0), upper.new_zeros(len(rows), 0)
    for step in range(_FAST_STEPS + d // 4):
        scores = diff.scores(at, u)
        best.improve(rows[at], scores.amin(1), upper, u)
        keep = best.is_open(rows[at])
        if not keep.any():
            return at[:0], index[:0], weight[:0]
        scores.scatter_(1, torch.where(weight > 0, index, rows[at, None]), torch.inf)
        value, new = most_violated(scores, max(2, d // 10) if step else max(1, d // 3))
        room = (d + 1 - (weight > 0).sum(1, keepdim=True)).clamp(min=1)
        first = torch.arange(value.shape[1], device=at.device) < room
        add = first & (value < height[:, None] - best.tol / 4)
        at, mask, index = at[keep], torch.cat([weight > 0, add], 1)[keep], torch.cat([index, new], 1)[keep]
        mask, index = _squeeze(mask, index)
        z, mu = diff.nearest_point(at, index, mask)
        weight = mu.clamp(min=0.0)
        convex, affine = _mix(z, weight), _mix(z, mu)
        upper, height = convex.norm(dim=1), affine.norm(dim=1)
        flat = height < 1e-3 * upper  # the affine hull passes through 0 and shows no direction
        u, height = unit(torch.where(flat[:, None], convex, affine)), torch.where(flat, upper, height)
    return at, index, weight


def _wolfe(diff: Differences, best: _Best, at: Tensor, index: Tensor, weight: Tensor) -> None:
    """Wolfe's minimum-norm point from feasible lists and weights: no step lengthens the point."""
    rows, d = diff.rows, diff.x.shape[1]
    mask = weight > 0
    weight = weight / weight.sum(1, keepdim=True)
    for _ in range(100 + 20 * d):
        if not len(at):
            return
        mask, index, weight = _squeeze(mask, index, weight)
        z, mu = diff.nearest_point(at, index, mask, refine=2)
        target = mu / mu.sum(1, keepdim=True)
        negative = mask & (target <= 0)
        reach = torch.where(negative, weight / (weight - target).clamp(min=1e-300), torch.inf)
        step = reach.amin(1, keepdim=True).clamp(max=1.0)
        mask = mask & ~(negative & (reach <= step))
        weight = torch.where(mask, (weight + step * (target - weight)).clamp(min=0.0), 0.0)
        point = _mix(z, weight)
        scores = diff.scores(at, unit(point))
        best.improve(rows[at], scores.amin(1), point.norm(dim=1), unit(point))
        # Only a list that has reached its own optimum grows, by entries of weight 0.
        scores.scatter_(1, torch.where(mask, index, rows[at, None]), torch.inf)
        value, new = most_violated(scores, 1 + d // 16)
        whole = ~negative.any(1)
        add = whole[:, None] & (value < point.norm(dim=1)[:, None] - best.tol / 4)
        keep = best.is_open(rows[at]) & (add.any(1) | ~whole)
        at, mask, index = at[keep], torch.cat([mask, add], 1)[keep], torch.cat([index, new], 1)[keep]
        weight = torch.cat([weight, torch.zeros_like(value)], 1)[keep]
