"""The NTK-style associative memory of Nichani et al. 2024 (arXiv 2412.06538): one averaged update, no solve."""

import torch

from factcore.facts import FactSet
from factcore.mlp import GatedMLP
from factcore.support import check_choice, row_blocks, stream


def ntk(facts: FactSet, width: int, seed: int, *, gate: str = "identity") -> GatedMLP:
    """g(x) = D (σ(Gx) ⊙ (Ax)), G and D drawn, A averaged: A = (1/h) Σ_i ((G k_i) ⊙ Dᵀ v_f(i)) k_iᵀ.

    The Hermite polynomial of the paper, in A, is that of degree 1. gate: σ, 'identity', or 'relu' as in the code of
    arXiv 2607.10034. G (h, d) is Gaussian, D (e, h) has unit columns. It stores everything only when h is large: a
    network too narrow loses facts. ValueError for another gate.
    """
    check_choice("gate", gate, ("identity", "relu"))
    generator, n = stream(seed, "weights"), len(facts)
    gates = torch.randn(width, facts.d, generator=generator, dtype=torch.float64)
    directions = torch.randn(facts.e, width, generator=generator, dtype=torch.float64)
    directions = torch.nn.functional.normalize(directions, dim=0).to(facts.keys)
    # A key of norm r has gate arguments of spread r: rescale so that φ meets a standard normal.
    gates = (gates.to(facts.keys.device) / facts.keys.double().norm(dim=1).mean()).to(facts.keys)
    up = torch.zeros_like(gates)
    for rows in row_blocks(n, width, facts.keys.device):
        keys, values = facts.keys[rows], facts.values[facts.targets[rows]]
        up += ((keys @ gates.T) * (values @ directions)).T @ keys  # (h, d)
    return GatedMLP(gates, up / width, directions, gate=gate, n_solved=up.numel())
