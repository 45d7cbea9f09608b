"""How steep a memory is around its keys, for memories too large to form their Jacobians."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from factcore.facts import FactSet


def lipschitz_at_keys(mlp: nn.Module, keys: Tensor, *, iterations: int = 60, seed: int = 0) -> Tensor:
    """Largest singular value of the Jacobian at each key (n,), by power iteration on JᵀJ: no Jacobian is formed."""
    outputs, pull, *_ = torch.func.vjp(mlp, keys)  # u → Jᵀu; rows of the batch do not mix, each has its own J
    _, push, *_ = torch.func.vjp(lambda u: pull(u)[0], torch.zeros_like(outputs))  # its transpose, x → Jx
    draw = torch.randn(keys.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x = normalize(draw.to(keys), dim=1)
    for _ in range(iterations):
        x = normalize(pull(push(x)[0])[0], dim=1)
    return push(x)[0].norm(dim=1).detach()


def relative_lipschitz(mlp: nn.Module, facts: FactSet) -> float:
    """Median over the keys of ‖J‖ ‖k‖ / ‖g(k)‖: by how much a relative error in a key grows. Free of g's scale."""
    size = (facts.keys.norm(dim=1) / mlp(facts.keys).norm(dim=1)).detach()
    return float((lipschitz_at_keys(mlp, facts.keys) * size).median())
