"""`max-margin`: random gates and directions, and the one A of largest margin (not in the papers).

With G and D fixed, the outputs of g(x) = D (σ(Gx) ⊙ (Ax)) are linear in A, so storing facts is a convex problem.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from factcore.constructions.convex import Solve, hinge_problem, minimise
from factcore.facts import FactSet, distinct_keys
from factcore.mlp import GATES, GatedMLP
from factcore.scoring import output_margins
from factcore.support import check_choice, stream

RIDGE = 1e-2  # κ: smaller stores in slightly fewer units and takes far longer to certify


class Weights(NamedTuple):
    gates: Tensor  # G (h, d)
    up: Tensor  # A (h, d)
    down: Tensor  # D (e, h)


class Problem(NamedTuple):
    """Keys (n, d) of mean norm √d, values (v, e) of mean norm 1 about their mean, targets (n,), and the gate's name."""

    keys: Tensor
    values: Tensor
    targets: Tensor
    gate: str

    def outputs(self, w: Weights) -> Tensor:
        return (GATES[self.gate](self.keys @ w.gates.T) * (self.keys @ w.up.T)) @ w.down.T

    def decodes(self, w: Weights) -> bool:
        """Whether every key decodes (in blocks, as the logits are n × v)."""
        blocks = zip(self.outputs(w).split(1024), self.targets.split(1024))
        return all((output_margins(out, targets, self.values) > 0).all() for out, targets in blocks)


def max_margin(
    facts: FactSet, width: int, seed: int, *, gate: str = "silu", ridge: float = RIDGE, tol: float = 1e-2
) -> GatedMLP:
    """G and D drawn, A certified convex: it minimises the squared hinge plus (ridge/2)‖A‖², its minimiser unique.

    The solve stops when the duality gap is at most ``tol`` times the objective; `mlp.solves` holds that certificate.
    A network too narrow loses facts. ValueError for an option out of range.
    """
    check_convex_options(gate, ridge, tol)
    problem, scale = scaled_problem(facts, gate)
    w = random_weights(problem, width, seed)
    keys, opened, shape = problem.keys, GATES[gate](problem.keys @ w.gates.T), w.up.shape
    objective = hinge_problem(
        lambda theta: (opened * (keys @ theta.view(shape).T)) @ w.down.T,
        lambda slope: ((slope @ w.down * opened).T @ keys).flatten(),
        problem.values,
        problem.targets,
        curvature=ridge,
    )
    solve = minimise(objective, start=torch.zeros_like(w.up).flatten(), curvature=ridge, tol=tol)
    return network(w._replace(up=solve.theta.view(shape)), scale, facts, gate, [solve], n_solved=w.up.numel())


def random_weights(problem: Problem, width: int, seed: int) -> Weights:
    """Rows of G and A with ⟨g, k⟩ about standard normal, D of unit columns."""
    d, e, like = problem.keys.shape[1], problem.values.shape[1], problem.keys
    drawn = torch.randn(3, width, max(d, e), generator=stream(seed, "weights"), dtype=torch.float64)
    gates, up, down = drawn[0, :, :d], drawn[1, :, :d], drawn[2, :, :e]
    return Weights(
        (gates / d**0.5).to(like), (up / d**0.5).to(like), (down / down.norm(dim=1, keepdim=True)).T.to(like)
    )


def scaled_problem(facts: FactSet, gate: str) -> tuple[Problem, float]:
    """The facts in the scales that the constants of this file are for, and the scale of the keys."""
    keys, rows = distinct_keys(facts)
    values = facts.values.double()
    values = values - values.mean(dim=0)  # moves all logits of a key alike
    of_keys = facts.d**0.5 / (float(keys.norm(dim=1).mean()) or 1.0)
    of_values = 1 / (float(values.norm(dim=1).mean()) or 1.0)
    return Problem(keys * of_keys, values * of_values, facts.targets[rows], gate), of_keys


def network(w: Weights, scale: float, facts: FactSet, gate: str, solves: list[Solve], n_solved: int) -> GatedMLP:
    """The weights ``w`` back in the scale of ``facts``, with the certificates of the solves."""
    mlp = GatedMLP(w.gates * scale, w.up * scale, w.down, gate=gate, n_solved=n_solved).to(facts.keys.dtype)
    mlp.solves = [{name: getattr(s, name) for name in ("objective", "gap", "margin", "iterations")} for s in solves]
    return mlp


def check_convex_options(gate: str, ridge: float, tol: float) -> None:
    check_choice("gate", gate, GATES)
    if not (ridge > 0 and tol > 0):
        raise ValueError(f"ridge and tol must be positive, got {ridge} and {tol}")
