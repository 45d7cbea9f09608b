"""The network of a `Problem` by its formula, which autograd can follow."""

from factcore.mlp import GATES


def outputs(problem, gates, up, down):
    """g at the keys, (n, e): D (σ(Gx) ⊙ Ax), or D σ(Gx + b) where there is no A."""
    opened = GATES[problem.gate](problem.keys @ gates.T)
    return (opened * (problem.keys @ up.T) if len(up) else opened) @ down.T
