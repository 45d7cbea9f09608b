"""Does an MLP store the facts, by how much, and how steep is it there (spec section 1 and 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from factcore.facts import FactSet

BLOCK_ENTRIES = 2**25  # entries of the largest temporary: 128 MB in float32


def recall(mlp: Callable[[Tensor], Tensor], facts: FactSet) -> float:
    """Share of keys decoded right: ⟨g(k_i), v_f(i)⟩ beats ⟨g(k_i), v_j⟩ for every j ≠ f(i). A tie is wrong."""
    return float((margins(mlp, facts) > 0).double().mean())


@torch.no_grad()
def margins(mlp: Callable[[Tensor], Tensor], facts: FactSet, *, normalised: bool = False) -> Tensor:
    """Per key min_j ⟨g(k_i), v_f(i) − v_j⟩, shape (n,); inf when there is one value only.

    ``normalised`` divides by ‖g(k_i)‖·‖v_f(i) − v_j‖ first, so that margins lie in [−1, 1].
    """
    out = torch.empty(len(facts), dtype=facts.keys.dtype, device=facts.keys.device)
    square = facts.values.square().sum(dim=1)
    for rows in _blocks(mlp, facts):
        right = facts.targets[rows, None]
        outputs = mlp(facts.keys[rows])
        scores = outputs @ facts.values.T
        gaps = scores.gather(1, right) - scores  # (block, v)
        if normalised:
            inner = facts.values[right[:, 0]] @ facts.values.T
            distance = (square[right] + square - 2 * inner).clamp_min(0).sqrt()
            gaps = gaps / (outputs.norm(dim=1, keepdim=True) * distance).clamp_min(torch.finfo(gaps.dtype).tiny)
        out[rows] = gaps.scatter_(1, right, torch.inf).amin(dim=1)
    return out


@torch.no_grad()
def decode(mlp: Callable[[Tensor], Tensor], keys: Tensor, values: Tensor) -> Tensor:
    """Index of the value that each row of ``keys`` (n, d) decodes to, shape (n,)."""
    return (mlp(keys) @ values.T).argmax(dim=1)


def lipschitz(mlp: Callable[[Tensor], Tensor], facts: FactSet, *, block: int = 64) -> float:
    """Largest singular value of the Jacobian of g over the keys: how much g stretches a small error in a key."""
    jacobian = torch.func.vmap(torch.func.jacrev(mlp))
    norms = [torch.linalg.matrix_norm(jacobian(keys), ord=2).amax() for keys in facts.keys.split(block)]
    return float(torch.stack(norms).amax())


def _blocks(mlp: Callable[[Tensor], Tensor], facts: FactSet) -> Iterator[slice]:
    size = max(1, BLOCK_ENTRIES // max(facts.n_values, getattr(mlp, "width", 1)))
    return (slice(start, start + size) for start in range(0, len(facts), size))
