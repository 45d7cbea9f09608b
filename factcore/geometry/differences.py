"""Unit differences z_ij = (v_i - v_j) / |v_i - v_j| of many values, used without ever being stored.

All v^2 inner products ⟨z_ij, u_i⟩ come from one matrix product; only short lists of differences are formed.
"""

import torch
from torch import Tensor

_NEAR = 1e-6  # pairs with |v_i - v_j|^2 below this share of |v_i|^2 + |v_j|^2 are differenced exactly


class Differences:
    """The unit differences of a block of ``rows`` of x (v, d) to all rows of x, which must be distinct.

    centred: x minus its mean; plane: [-centred, 1] transposed (d + 1, v): one product gives ⟨v_i - v_j, u⟩ for all j.
    """

    def __init__(self, x: Tensor, centred: Tensor, plane: Tensor, rows: Tensor) -> None:
        self.x, self.plane, self.rows, self.own = x, plane, rows, centred[rows]
        square = centred.square().sum(1)
        distance = torch.addmm(square, self.own, plane[:-1], alpha=2.0).add_(square[rows, None])
        distance[torch.arange(len(rows), device=rows.device), rows] = torch.inf
        # Close pairs lose digits in products of whole vectors; they are few and are differenced instead.
        bound = _NEAR * (square[rows] + square.max())
        suspect = (distance.amin(1) < bound).nonzero()[:, 0]  # few rows: spares the pass over all pairs
        near = (distance[suspect] < _NEAR * (square[rows[suspect], None] + square)).nonzero()
        self.near = torch.stack([suspect[near[:, 0]], near[:, 1]], 1)
        self.inverse = distance.rsqrt_()

    def scores(self, at: Tensor, u: Tensor) -> Tensor:
        """⟨z_ij, u_i⟩ for block rows ``at`` (b,) and directions u (b, d): (b, v), infinite at j = i."""
        out = torch.cat([u, (u * self.own[at]).sum(1, keepdim=True)], 1) @ self.plane
        out *= self.inverse if len(at) == len(self.rows) else self.inverse[at]
        place = torch.full((len(self.rows),), -1, dtype=torch.int64, device=at.device)
        place[at] = torch.arange(len(at), device=at.device)
        for r, j in (c.T for c in self.near.split(2**16)):
            r, j = r[place[r] >= 0], j[place[r] >= 0]
            z = unit(self.x[self.rows[r]] - self.x[j])
            out[place[r], j] = (z * u[place[r]]).sum(1)
        out[torch.arange(len(at), device=at.device), self.rows[at]] = torch.inf
        return out

    def nearest_point(self, at: Tensor, index: Tensor, mask: Tensor, refine: int = 0) -> tuple[Tensor, Tensor]:
        """z_ij for the lists index (b, p), and the weights mu (b, p) that minimise
        |sum_j mu_j z_ij|^2 + (sum_j mu_j - 1)^2; both are 0 where mask is False.

        Up to scale, sum_j mu_j z_ij is the point of the affine hull of the listed z_ij nearest to 0. The
        second term keeps the problem bounded when 0 lies in that hull.
        """
        m = mask.to(self.x.dtype)
        z = unit(self.x[self.rows[at], None] - self.x[index]) * m[..., None]
        gram = torch.baddbmm(m[:, :, None] * m[:, None, :], z, z.mT)
        gram.diagonal(dim1=1, dim2=2).add_(1 - m + 1e-13)
        factor, failed = torch.linalg.cholesky_ex(gram)
        if failed.any():
            gram.diagonal(dim1=1, dim2=2).add_(1e-9 * (failed > 0)[:, None])
            factor = torch.linalg.cholesky_ex(gram)[0]
        mu = torch.cholesky_solve(m[..., None], factor)
        for _ in range(refine):  # residuals from z itself: the Gram matrix squares its condition number
            residual = m[..., None] * (1 - mu.sum(1, keepdim=True)) - z @ (z.mT @ mu)
            mu += torch.cholesky_solve(residual, factor)
        return z, mu[..., 0]


def unit(a: Tensor) -> Tensor:
    """Rows scaled to norm 1; a zero row becomes the first axis."""
    norm = a.norm(dim=-1, keepdim=True)
    out = a / norm.clamp(min=1e-300)
    out[..., :1] += (norm == 0).to(a.dtype)
    return out  # type: ignore[no-any-return]


def most_violated(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """k small entries of each row, the smallest among them, from different residue classes of columns."""
    b, v = scores.shape
    k = min(k, v)
    height = min(32, v // (8 * k))  # an exact top-k over whole rows costs more than the matrix product
    if height < 2:
        return scores.topk(k, dim=1, largest=False)
    width = v // height
    grid = scores[:, : width * height].view(b, height, width)
    low = torch.cat([grid.amin(1), scores[:, width * height :]], 1)  # left-over columns stand alone
    value, column = low.topk(k, dim=1, largest=False)
    inner = column.clamp(max=width - 1)
    level = grid.gather(2, inner[:, None, :].expand(-1, height, -1)).argmin(1)
    return value, torch.where(column < width, level * width + inner, width * height + column - width)
