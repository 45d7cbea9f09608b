"""The NTK-style associative memory of Nichani et al. 2024 (arXiv 2412.06538): one averaged update, no solve."""

from __future__ import annotations

import torch

from factcore.checks import check_choice
from factcore.facts import FactSet
from factcore.mlp import GATES, GatedMLP
from factcore.search import doubles_width
from factcore.streams import stream

DEGREE_GATES = {1: "identity", 2: "hermite2", 3: "hermite3"}


@doubles_width()
def ntk(facts: FactSet, width: int, seed: int, *, degree: int = 1) -> GatedMLP:
    """g(x) = D (φ(Gx) ⊙ (Ax)) with G and D random and A = (1/h) Σ_i (φ(G k_i) ⊙ Dᵀ v_f(i)) k_iᵀ.

    φ is the normalised Hermite polynomial of ``degree`` 1, 2 or 3 (1 in the published code), G is Gaussian, D has
    unit columns. It stores everything only when h is large; ``width=None`` doubles h until it does.
    """
    check_choice("degree", degree, DEGREE_GATES)
    gate = DEGREE_GATES[degree]
    generator = stream(seed, "weights")
    gates = torch.randn(width, facts.d, generator=generator, dtype=torch.float64)
    directions = torch.nn.functional.normalize(
        torch.randn(facts.d, width, generator=generator, dtype=torch.float64), dim=0
    )
    # A key of norm r has gate arguments of spread r: rescale so that φ meets a standard normal.
    gates = (gates / facts.keys.double().norm(dim=1).mean().cpu()).to(facts.keys)
    directions = directions.to(facts.keys)
    up = torch.zeros_like(gates)
    for rows in torch.arange(len(facts), device=facts.keys.device).split(max(1, 2**25 // width)):
        keys, values = facts.keys[rows], facts.values[facts.targets[rows]]
        opened = GATES[gate](keys @ gates.T)  # (block, h)
        up += (opened * (values @ directions)).T @ keys
    return GatedMLP(gates, up / width, directions, gate=gate, n_solved=up.numel())
