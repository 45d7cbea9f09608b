"""Projections D (d, m): how few columns keep every value decodable (paper section 4, decoder).

The cost of the construction is 3 m n parameters, so every column counts. Three kinds of D, from longest to shortest:
the first columns of a random basis, the same with its last columns aimed at the values still lost, and a D that is
optimised together with codes for it. Whatever made D, `decodability` of the projected values certifies it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, embedding, normalize

from factcore.geometry.many import QUICK_FROM, undecodable
from factcore.support.checks import check_choice
from factcore.support.progress import progress_bar

PROJECTIONS = ("optimised", "aimed", "random")
LEAST_MARGIN = 1e-3  # normalised margin below which a code counts as failed: float32 would blur it
AIMABLE = 0.02  # share of undecodable values below which columns of D are aimed at them
OPTIMISE_UP_TO = 8192  # values; beyond, optimising takes longer than the rest of the construction by default
STEPS = 100  # of Adam for one D
RIVALS = 32  # values that a code is told apart from in one step: those with the highest scores
REFRESH = 5  # steps between two choices of the rivals


def short_projection(values: Tensor, used: Tensor, basis: Tensor, kind: str | None = None) -> Tensor:
    """A D (d, m) of one of `PROJECTIONS` through which every value in ``used`` has a clear margin.

    None takes the shortest that is affordable: 'optimised' up to `OPTIMISE_UP_TO` values in use, 'aimed' beyond.
    Where some value has no clear margin even in R^d, the whole basis is returned. ValueError for an unknown kind.
    """
    find = {"optimised": optimised_projection, "aimed": aimed_projection, "random": random_projection}
    return find[affordable(kind, used)](values, used, basis)


def affordable(kind: str | None, used: Tensor) -> str:
    """``kind``, or for None the shortest kind that does not dominate the time of the construction."""
    check_choice("projection", kind, (*PROJECTIONS, None))
    return kind or ("optimised" if len(used) <= OPTIMISE_UP_TO else "aimed")


def random_projection(values: Tensor, used: Tensor, basis: Tensor) -> Tensor:
    """The first columns of ``basis``, as few as leave no value in ``used`` undecodable."""
    m, lost = _first_columns(values, used, basis)
    while len(lost) and m < basis.shape[1]:
        m += 1
        lost = undecodable(values @ basis[:, :m], lost)
    return basis[:, :m]


def aimed_projection(values: Tensor, used: Tensor, basis: Tensor) -> Tensor:
    """A short D (d, m) through which every value in ``used`` is a vertex of the hull of the projected values.

    The first columns are the basis's. Just below the length at which those alone suffice they hide a few values
    only, and a column towards these frees several at once, so the last columns are aimed. A value that is a vertex
    stays one when columns are added: only the lost ones are solved for again.
    """
    start, lost = _first_columns(values, used, basis)
    best = basis
    for m in range(start, len(basis)):
        if m > start:
            lost = undecodable(values @ basis[:, :m], lost)
        if len(lost) == 0:
            return basis[:, :m]
        if len(lost) <= aimable(used):
            best = _aim(values, lost, basis[:, :m], best)
        if m + 1 >= best.shape[1] or (len(values) >= QUICK_FROM and best is not basis):
            break  # of very many values, a start with one column more seldom ends shorter and always costs time
    return best


def optimised_projection(values: Tensor, used: Tensor, basis: Tensor) -> Tensor:
    """The shortest D (d, m) that `fitted_projection` finds, at most as long as the aimed one; orthonormal columns.

    The search begins at half the aimed length. After a success the column along which the projected values vary
    least is taken away, after a failure one of the basis is added, and the fit goes on from there. A fit that hides
    a few values only gets its last columns aimed at them.
    """
    best = aimed_projection(values, used, basis)
    if best.shape[1] == len(basis) and len(undecodable(values @ best, used)):
        return best  # some value has no margin even in R^d
    m, too_short = math.ceil(best.shape[1] / 2), 0
    start = basis[:, :m]
    while too_short < m < best.shape[1]:
        fitted = fitted_projection(values, used, start)
        lost = undecodable(values @ fitted, used)
        if len(lost):
            best = _aim(values, lost, fitted, best) if len(lost) <= aimable(used) else best
            too_short, m = m, m + 1
            start = torch.linalg.qr(torch.cat([fitted, basis[:, too_short:m]], dim=1))[0]
        else:
            best, m = fitted, m - 1
            start = fitted @ torch.linalg.eigh(torch.atleast_2d((values @ fitted).T.cov())).eigenvectors[:, 1:]
    return best


def fitted_projection(values: Tensor, used: Tensor, projection: Tensor) -> Tensor:
    """D (d, m) moved from ``projection`` by gradient steps on D and codes c_i together; orthonormal columns.

    The loss is the cross-entropy of decoding: Σ_i log Σ_j exp⟨c_i, w_j − w_i⟩ over the values i in ``used``, with
    w_j = Dᵀ v_j and j among i's `RIVALS` highest scores. The codes only steer D and are dropped: the best codes for
    D are separators. Deterministic; nothing is drawn.
    """
    x = values - values.mean(dim=0)
    x = x / x.norm(dim=1).mean().clamp_min(1e-300)
    m = projection.shape[1]
    down = (projection * math.sqrt(len(projection) / m)).requires_grad_()
    codes = (4 * normalize(x[used] @ down.detach(), dim=1)).requires_grad_()
    adam = torch.optim.Adam([{"params": [codes], "lr": 1.0}, {"params": [down], "lr": 0.2}], betas=(0.8, 0.9))
    decay = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: 1 - step / STEPS)
    own = torch.zeros(len(used), dtype=torch.int64, device=x.device)
    with torch.enable_grad():
        for step in progress_bar(range(STEPS), f"projection, m = {m}"):
            if step % REFRESH == 0:
                rivals = _rivals(x @ down.detach(), codes.detach(), used)
            projected = x @ down
            scores = torch.einsum("bkm,bm->bk", embedding(rivals, projected), codes)
            loss = cross_entropy(scores, own, reduction="sum")
            if loss < 1e-2:  # every value decodes with ease
                break
            adam.zero_grad()
            loss.backward()
            adam.step()
            decay.step()
    return torch.linalg.qr(down.detach())[0]


def aimable(used: Tensor) -> float:
    """Number of lost values up to which aiming columns at them is worth a try."""
    return max(2, AIMABLE * len(used))


def _first_columns(values: Tensor, used: Tensor, basis: Tensor) -> tuple[int, Tensor]:
    """A number of the basis's columns at which values are lost, or 1, and these values."""
    start = min(len(basis), 3 * (len(values) - 1).bit_length() // 2)
    lost = undecodable(values @ basis[:, :start], used)
    while len(lost) == 0 and start > 1:
        start = 2 * start // 3
        lost = undecodable(values @ basis[:, :start], used)
    return start, lost


def _aim(values: Tensor, lost: Tensor, projection: Tensor, best: Tensor) -> Tensor:
    """Add columns towards the lost values until none is left; ``best`` if that takes as many columns or more."""
    centred = normalize(values - values.mean(dim=0), dim=1)
    while len(lost) and projection.shape[1] + 1 < best.shape[1]:
        towards = centred[lost].sum(dim=0)
        towards = towards - projection @ (projection.T @ towards)
        projection = torch.cat([projection, normalize(towards, dim=0)[:, None]], dim=1)
        lost = undecodable(values @ projection, lost)
    return best if len(lost) else projection


def _rivals(projected: Tensor, codes: Tensor, used: Tensor) -> Tensor:
    """The value itself, then the other values with the highest scores under its code: (u, 1 + RIVALS) int64."""
    count, found = min(RIVALS, len(projected) - 1), []
    for rows, own in zip(codes.split(1024), used[:, None].split(1024)):
        scores = (rows @ projected.T).scatter_(1, own, -torch.inf)
        found.append(torch.cat([own, scores.topk(count, dim=1).indices], dim=1))
    return torch.cat(found)
