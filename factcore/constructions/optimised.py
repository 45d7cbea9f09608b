"""A projection D by gradient steps, the option projection="optimised": slower than linear solves, at times shorter."""

import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, embedding, normalize

from factcore.support import progress_bar

STEPS = 100  # of Adam for one D
RIVALS = 32  # values that a code is told apart from in one step: those with the highest scores
REFRESH = 5  # steps between two choices of the rivals


def fitted_projection(values: Tensor, used: Tensor, projection: Tensor) -> Tensor:
    """D (e, m) moved from ``projection`` by gradient steps on D and codes c_i together; orthonormal columns.

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
            scores = torch.einsum("bkm,bm->bk", embedding(rivals, x @ down), codes)
            loss = cross_entropy(scores, own, reduction="sum")
            if loss < 1e-2:  # every value decodes with ease
                break
            adam.zero_grad()
            loss.backward()
            adam.step()
            decay.step()
    return torch.linalg.qr(down.detach())[0]  # type: ignore[no-any-return]


def _rivals(projected: Tensor, codes: Tensor, used: Tensor) -> Tensor:
    """The value itself, then the other values with the highest scores under its code: (u, 1 + RIVALS) int64."""
    count, found = min(RIVALS, len(projected) - 1), []
    for rows, own in zip(codes.split(1024), used[:, None].split(1024)):
        scores = (rows @ projected.T).scatter_(1, own, -torch.inf)
        found.append(torch.cat([own, scores.topk(count, dim=1).indices], dim=1))
    return torch.cat(found)
