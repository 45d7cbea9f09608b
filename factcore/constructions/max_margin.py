"""`max-margin`: random gates and directions, and the one A of largest margin (not in the papers).

With G and D fixed, the outputs of g(x) = D (σ(Gx) ⊙ (Ax)) are linear in A, so storing facts is a convex problem.
"""

import torch

from factcore.constructions.convex import hinge_problem, minimise
from factcore.constructions.problem import scaled_problem
from factcore.facts import FactSet
from factcore.mlp import GATES, GatedMLP
from factcore.support import check_choice

RIDGE = 1e-2  # κ: smaller stores in slightly fewer units and takes far longer to certify


def max_margin(
    facts: FactSet, width: int, seed: int, *, gate: str = "silu", ridge: float = RIDGE, tol: float = 1e-2
) -> GatedMLP:
    """G and D drawn, A certified convex: it minimises the squared hinge plus (`ridge`/2)‖A‖², its minimiser unique.

    The solve stops when the duality gap is at most ``tol`` times the objective; `mlp.solves` holds that certificate.
    `gate` is σ. A network too narrow loses facts. ValueError for an option out of range.
    """
    check_choice("gate", gate, GATES)
    if not (ridge > 0 and tol > 0):
        raise ValueError(f"ridge and tol must be positive, got {ridge} and {tol}")
    problem = scaled_problem(facts, gate)
    w = problem.random_weights(width, seed)
    keys, opened, shape = problem.keys, GATES[gate](problem.keys @ w.gates.T), w.up.shape
    objective = hinge_problem(
        lambda theta: (opened * (keys @ theta.view(shape).T)) @ w.down.T,
        lambda slope: ((slope @ w.down * opened).T @ keys).flatten(),
        problem.values,
        problem.targets,
        curvature=ridge,
    )
    solve = minimise(objective, start=torch.zeros_like(w.up).flatten(), curvature=ridge, tol=tol)
    mlp = problem.network(w._replace(up=solve.theta.view(shape)), facts, n_solved=w.up.numel())
    mlp.solves = [solve.certificate()]
    return mlp
