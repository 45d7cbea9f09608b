"""Does an MLP store the facts, by how much, and how steep is it there (paper section 2)."""

from collections.abc import Callable

import torch
from torch import Tensor

from factcore.facts import FactSet
from factcore.mlp import GatedMLP
from factcore.support import block_size, progress_bar, row_blocks

NEAR = 1e-6  # values whose squared distance is below this share of their squared norms are subtracted, not multiplied
LOOKED_AT = 4096  # facts of smallest margin whose rounding error is measured at a time

Network = Callable[[Tensor], Tensor]  # (…, d) → (…, e)


def recall(mlp: Network, facts: FactSet) -> float:
    """Share of keys decoded right: ⟨g(k_i), v_f(i)⟩ beats ⟨g(k_i), v_j⟩ for every j ≠ f(i). A tie is wrong."""
    return float((margins(mlp, facts) > 0).double().mean())


@torch.no_grad()
def margins(mlp: Network, facts: FactSet, *, normalised: bool = False) -> Tensor:
    """Per key min_j ⟨g(k_i), v_f(i) − v_j⟩, shape (n,); inf when there is one value only.

    ``normalised`` divides by ‖g(k_i)‖·‖v_f(i) − v_j‖ first, so that margins lie in [−1, 1].
    """
    of = normalised_margins if normalised else output_margins
    size = max(facts.n_values, getattr(mlp, "width", 1))  # numbers a key: its scores, its hidden units
    bar = progress_bar(list(row_blocks(len(facts), size, facts.keys.device)), "margins", unit="block")
    found = [of(mlp(facts.keys[rows]), facts.targets[rows], facts.values) for rows in bar]
    return torch.cat(found).to(facts.keys.dtype)


def output_margins(outputs: Tensor, targets: Tensor, values: Tensor) -> Tensor:
    """Per output g_i (b, e) min_j ⟨g_i, v_t(i) − v_j⟩ with t the ``targets`` (b,), shape (b,)."""
    right = targets[:, None]
    scores = outputs @ values.T  # (b, v)
    own = scores.gather(1, right)
    return own[:, 0] - scores.scatter_(1, right, -torch.inf).amax(dim=1)


def normalised_margins(outputs: Tensor, targets: Tensor, values: Tensor) -> Tensor:
    """Per output g_i (b, e) min_j ⟨g_i, v_t(i) − v_j⟩ / (‖g_i‖ ‖v_t(i) − v_j‖), shape (b,) float64, in [−1, 1].

    Right at any scale and offset of outputs and values: close values are subtracted before they are multiplied. 0 for
    an output of zeros and for two equal values, inf when there is one value only.
    """
    unit, x = _unit_rows(outputs), values.double()
    x = torch.ldexp(x, -torch.frexp(x.abs().amax()).exponent.clamp(-1000, 1000))  # by a power of two: no bit is lost
    x = x - x.mean(dim=0)
    square, found = x.square().sum(dim=1), []
    for rows in row_blocks(len(unit), len(x), x.device):
        own, at = unit[rows], targets[rows, None]
        distance = square[at] + square - 2 * x[at[:, 0]] @ x.T  # (b, v), squared
        scores = own @ x.T
        margin = (scores.gather(1, at) - scores) / distance.clamp_min(1e-300).sqrt()
        near = (distance < NEAR * (square[at] + square)).scatter_(1, at, False).nonzero()
        for i, j in (pairs.T for pairs in near.split(2**16)):
            margin[i, j] = (own[i] * _unit_rows(x[at[i, 0]] - x[j])).sum(dim=1)
        found.append(margin.scatter_(1, at, torch.inf).amin(dim=1))
    margins = torch.cat(found)
    return margins if len(values) == 1 else margins.clamp(-1, 1)


@torch.no_grad()
def lost_rows(mlp: GatedMLP, facts: FactSet) -> Tensor:
    """Rows of ``facts`` that ``mlp`` loses (k,) int64: the one verification of every construction.

    A fact is kept when its margin, in the dtype of the facts, exceeds twice the largest rounding error of its scores:
    their distance to those of the same network in float64, summed in reverse order. It is measured from the smallest
    margins on, up to where the margins are larger than any error met.
    """
    margin = margins(mlp, facts)
    lost = ~(margin > 0)  # NaN is lost, too
    exact, values, largest = _reversed(mlp), facts.values.double(), 0.0
    for rows in margin.argsort().split(min(LOOKED_AT, block_size(max(len(values), mlp.width), values.device))):
        keys = facts.keys[rows]
        scores = exact(keys.double().flip(1)) @ values.T
        undone = 2 * (mlp(keys) @ facts.values.T - scores).abs().amax(dim=1)
        lost[rows] |= ~(margin[rows] > undone)
        largest = max(largest, float(undone.amax()))
        if float(margin[rows].amax()) > largest:
            break
    return lost.nonzero().flatten()


@torch.no_grad()
def decode(mlp: Network, keys: Tensor, values: Tensor) -> Tensor:
    """Index of the value that each row of ``keys`` (n, d) decodes to, shape (n,)."""
    return (mlp(keys) @ values.T).argmax(dim=1)


def lipschitz(mlp: Network, facts: FactSet) -> float:
    """Largest singular value of the Jacobian of g over the keys: how much g stretches a small error in a key."""
    jacobian = torch.func.vmap(torch.func.jacrev(mlp))
    norms = [torch.linalg.matrix_norm(jacobian(keys), ord=2).amax() for keys in facts.keys.split(64)]
    return float(torch.stack(norms).amax())


def _reversed(mlp: GatedMLP) -> GatedMLP:
    """The network in float64 with the order of inputs and hidden units reversed: another order of every sum."""
    return GatedMLP(
        mlp.gate_weight.double().flip((0, 1)),
        None if mlp.up is None else mlp.up.double().flip((0, 1)),
        mlp.down.double().flip(1),
        gate=mlp.gate,
        gate_bias=None if mlp.gate_bias is None else mlp.gate_bias.double().flip(0),
    )


def _unit_rows(rows: Tensor) -> Tensor:
    """Rows in float64 at norm 1, whatever their scale; rows of zeros stay."""
    x = rows.double()
    x = x / x.abs().amax(dim=1, keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)
    return x / x.norm(dim=1, keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)  # type: ignore[no-any-return]
