"""Where `block-convex` and `trained` begin: linear least squares, one matrix after the other."""

import torch
from torch import Tensor

from factcore.constructions.hebbian import conjugate_gradients
from factcore.constructions.problem import Problem, Weights
from factcore.mlp import GATES

ROUNDS, STEPS = 100, 20  # of least squares, and of conjugate gradients in one of them
SCALES = [2.0**power for power in range(-2, 8)]  # of the outputs: the log loss chooses
RIDGE, MOST_KEYS = 1e-3, 4096  # a key, so many at most: smaller ones let weights grow, larger ones collapse units


def least_squares_start(problem: Problem, w: Weights) -> Weights:
    """Weights with F_i near v_f(i): the minimiser of Σ_i ‖F_i − v_f(i)‖² + λ ‖·‖² over A, G and D in turn.

    λ = `RIDGE` min(n, `MOST_KEYS`): what a unit fits does not grow with n. F is linear in all three where the gate is
    the identity, in A and D where it is another, in D alone in the plain form. At the end F gets the best scale.
    """
    gated, bilinear, ridge = len(w.up) > 0, problem.gate == "identity", RIDGE * min(len(problem.keys), MOST_KEYS)
    wanted, gate = problem.values[problem.targets], GATES[problem.gate]
    for _ in range(ROUNDS if gated else 1):
        opened = gate(problem.keys @ w.gates.T)
        if gated:
            w = w._replace(up=_refit(problem.keys, wanted, opened, w.down, w.up, ridge))
        if gated and bilinear:
            w = w._replace(gates=_refit(problem.keys, wanted, problem.keys @ w.up.T, w.down, w.gates, ridge))
            opened = problem.keys @ w.gates.T
        phi = opened * (problem.keys @ w.up.T) if gated else opened
        gram = phi.T @ phi
        gram.diagonal().add_(ridge)
        w = w._replace(down=torch.linalg.solve(gram, phi.T @ wanted).T)
        w = balanced(w, problem.gate)
    losses = {scale: float(problem.loss(w._replace(down=w.down * scale))[0]) for scale in SCALES}
    return balanced(w._replace(down=w.down * min(losses, key=losses.__getitem__)), problem.gate)


def _refit(keys: Tensor, wanted: Tensor, other: Tensor, down: Tensor, at: Tensor, ridge: float) -> Tensor:
    """`STEPS` of conjugate gradients from ``at`` for the factor whose products with ``other`` (n, h) D reads."""
    spread = down.T @ down

    def apply(factor: Tensor) -> Tensor:
        return (other * ((other * (keys @ factor.T)) @ spread)).T @ keys + ridge * factor

    right = (other * (wanted @ down)).T @ keys
    return conjugate_gradients(apply, right, steps=STEPS, start=at)


def balanced(w: Weights, gate: str) -> Weights:
    """Rescale every unit so that its vectors have one norm, the function unchanged: steps then cost the same in each.

    Only a bilinear gate lets G take part; in the plain form nothing is rescaled.
    """
    if not len(w.up):
        return w
    norms = torch.stack([w.gates.norm(dim=1), w.up.norm(dim=1), w.down.norm(dim=0)])  # (3, h)
    free = norms if gate == "identity" else norms[1:]
    factors = free.clamp_min(1e-12).log().mean(dim=0).exp() / norms.clamp_min(1e-12)
    if gate != "identity":
        factors[0] = 1.0
    return Weights(w.gates * factors[0, :, None], w.up * factors[1, :, None], w.down * factors[2])
