"""Does an MLP store the facts, by how much, and how steep is it there."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from factcore.facts import FactSet
from factcore.progress import progress_bar

BLOCK_ENTRIES = 2**25  # entries of the largest temporary: 128 MB in float32


def recall(mlp: Callable[[Tensor], Tensor], facts: FactSet) -> float:
    """Share of keys decoded right: ⟨g(k_i), v_f(i)⟩ beats ⟨g(k_i), v_j⟩ for every j ≠ f(i). A tie is wrong."""
    return float((margins(mlp, facts) > 0).double().mean())


@torch.no_grad()
def margins(mlp: Callable[[Tensor], Tensor], facts: FactSet, *, normalised: bool = False) -> Tensor:
    """Per key min_j ⟨g(k_i), v_f(i) − v_j⟩, shape (n,); inf when there is one value only.

    ``normalised`` divides by ‖g(k_i)‖·‖v_f(i) − v_j‖ first, so that margins lie in [−1, 1].
    """
    outputs_margins = _normalised_margins if normalised else output_margins
    bar = progress_bar(list(blocks_of_rows(mlp, facts)), "margins", unit="block")
    blocks = [outputs_margins(mlp(facts.keys[rows]), facts.targets[rows], facts.values) for rows in bar]
    return torch.cat(blocks).to(facts.keys.dtype)


def output_margins(outputs: Tensor, targets: Tensor, values: Tensor) -> Tensor:
    """Per output g_i (b, d) min_j ⟨g_i, v_t(i) − v_j⟩ with t the ``targets`` (b,), shape (b,)."""
    right = targets[:, None]
    scores = outputs @ values.T  # (b, v)
    own = scores.gather(1, right)
    return own[:, 0] - scores.scatter_(1, right, -torch.inf).amax(dim=1)


def _normalised_margins(outputs: Tensor, targets: Tensor, values: Tensor) -> Tensor:
    right, square, scores = targets[:, None], values.square().sum(dim=1), outputs @ values.T
    distance = (square[right] + square - 2 * values[targets] @ values.T).clamp_min(0).sqrt()
    size = (outputs.norm(dim=1, keepdim=True) * distance).clamp_min(torch.finfo(scores.dtype).tiny)
    return ((scores.gather(1, right) - scores) / size).scatter_(1, right, torch.inf).amin(dim=1)


@torch.no_grad()
def decode(mlp: Callable[[Tensor], Tensor], keys: Tensor, values: Tensor) -> Tensor:
    """Index of the value that each row of ``keys`` (n, d) decodes to, shape (n,)."""
    return (mlp(keys) @ values.T).argmax(dim=1)


def lipschitz(mlp: Callable[[Tensor], Tensor], facts: FactSet, *, block: int = 64) -> float:
    """Largest singular value of the Jacobian of g over the keys: how much g stretches a small error in a key."""
    jacobian = torch.func.vmap(torch.func.jacrev(mlp))
    norms = [torch.linalg.matrix_norm(jacobian(keys), ord=2).amax() for keys in facts.keys.split(block)]
    return float(torch.stack(norms).amax())


def blocks_of_rows(mlp: Callable[[Tensor], Tensor], facts: FactSet) -> Iterator[slice]:
    """Slices of keys whose hidden units and scores fit into `BLOCK_ENTRIES`."""
    size = max(1, BLOCK_ENTRIES // max(facts.n_values, getattr(mlp, "width", 1)))
    return (slice(start, start + size) for start in range(0, len(facts), size))
