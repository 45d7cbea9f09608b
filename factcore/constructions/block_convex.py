"""`block-convex`: fact-storing MLPs from a stated number of convex solves (ours, not in the papers).

Prox-linear (Gauss–Newton-like) steps on the squared hinge: from Hebbian averages over the facts, all three matrices of
g(x) = D (σ(Gx) ⊙ (Ax)) move at once, with the outputs linearised where the weights stand and the step kept short, which
makes each step a strongly convex problem. The last solve is for D alone, in which the outputs are linear as they are.
"""

import torch
from torch import Tensor

from factcore.constructions.convex import Solve, hinge, hinge_problem, minimise
from factcore.constructions.max_margin import (
    Problem,
    Weights,
    check_convex_options,
    network,
    random_weights,
    scaled_problem,
)
from factcore.facts import FactSet
from factcore.mlp import GATES, GatedMLP, gate_and_slope
from factcore.support import check_integer

RIDGE = 1e-3  # κ of the last solve: margins come first, small weights second
PROXIMITY = 10.0  # κ of the linearised solves: how dear a step away from the point of linearisation is
ENOUGH = 0.5  # of the margin 1 that the hinge asks for: the last solve stops where every fact has it
AVERAGES = 4  # Hebbian averages before the first solve
STEPS = (1.0, 0.8, 0.6, 0.45, 0.3, 0.2, 0.1, 0.05)  # shares of a linearised step that are tried


def block_convex(
    facts: FactSet,
    width: int,
    seed: int,
    *,
    solves: int = 5,
    gate: str = "identity",
    ridge: float = RIDGE,
    tol: float = 1e-2,
) -> GatedMLP:
    """At most ``solves`` convex problems, fewer if every fact decodes before.

    `AVERAGES` Hebbian averages over the facts, of A, G, D, A in turn, give the first directions (no solve). Each solve
    but the last is for G, A and D together: with F linearised at the current weights, the step minimises the squared
    hinge plus (`PROXIMITY`/2)‖step‖², and the share of it that lowers the true objective most is taken. The last solve
    is for D alone, exactly. Every solve stops when its duality gap is at most ``tol`` times the objective; `mlp.solves`
    holds the certificates. gate: 'identity' (bilinear), 'silu' or 'relu'.

    A network too narrow loses facts. ValueError for an option out of range.
    """
    check_convex_options(gate, ridge, tol)
    if gate == "step":
        raise ValueError("block-convex moves the gates, so they need a slope: gate 'step' has none")
    check_integer("solves", solves)
    problem, scale = scaled_problem(facts, gate)
    w = _hebbian_start(problem, random_weights(problem, width, seed))
    done: list[Solve] = []
    while len(done) < solves and not (done and problem.decodes(w)):
        last = len(done) == solves - 1
        step = _solve_down(problem, w, ridge, tol) if last else _solve_all(problem, w, tol)
        w = _balance(step[0], gate)
        done.append(step[1])
    return network(w, scale, facts, gate, done, n_solved=sum(part.numel() for part in w))


def _solve_down(problem: Problem, w: Weights, ridge: float, tol: float) -> tuple[Weights, Solve]:
    """D with G and A fixed: F = D φ = E φ̃ with φ̃ the features made orthonormal; the ridge is on E, so on outputs."""
    phi = GATES[problem.gate](problem.keys @ w.gates.T) * (problem.keys @ w.up.T)
    gram = phi.T @ phi / len(phi)
    nudge = 1e-9 * gram.diagonal().mean().clamp_min(1e-9)  # to full rank: features of one lone value are all 0
    root = torch.linalg.cholesky(gram + nudge * torch.eye(len(gram)).to(gram))  # φ = φ̃ Rᵀ
    even = torch.linalg.solve_triangular(root, phi.T, upper=False).T
    shape = w.down.shape
    objective = hinge_problem(
        lambda theta: even @ theta.view(shape).T,
        lambda slope: (slope.T @ even).flatten(),
        problem.values,
        problem.targets,
        curvature=ridge,
    )
    solve = minimise(objective, start=(w.down @ root).flatten(), curvature=ridge, tol=tol, enough=ENOUGH)
    down = torch.linalg.solve_triangular(root, solve.theta.view(shape), upper=False, left=False)
    return w._replace(down=down), solve


def _solve_all(problem: Problem, w: Weights, tol: float) -> tuple[Weights, Solve]:
    """A step for G, A and D together, F linearised at ``w``, cut back until the true objective falls most."""
    keys, down = problem.keys, w.down
    opened, slope_of_gate = gate_and_slope(problem.gate, keys @ w.gates.T)
    raised = keys @ w.up.T
    phi, bend = opened * raised, slope_of_gate * raised
    here, sizes = phi @ down.T, [part.numel() for part in w]

    def parts(theta: Tensor) -> Weights:
        return Weights(*(flat.view(like.shape) for flat, like in zip(theta.split(sizes), w)))

    def outputs(theta: Tensor) -> Tensor:
        step = parts(theta)
        hidden = bend * (keys @ step.gates.T) + opened * (keys @ step.up.T)
        return here + hidden @ down.T + phi @ step.down.T

    def pullback(slope: Tensor) -> Tensor:
        back = slope @ down
        by_gates, by_up = (back * bend).T @ keys, (back * opened).T @ keys
        return torch.cat([by_gates.flatten(), by_up.flatten(), (slope.T @ phi).flatten()])

    zero = torch.zeros(sum(sizes), dtype=down.dtype, device=down.device)
    objective = hinge_problem(outputs, pullback, problem.values, problem.targets, curvature=PROXIMITY)
    solve = minimise(objective, start=zero, curvature=PROXIMITY, tol=tol)
    step = parts(solve.theta)
    tried = [Weights(*(at + share * by for at, by in zip(w, step))) for share in STEPS]
    losses = [float(hinge(problem.outputs(new), problem.values, problem.targets)[0]) for new in tried]
    return tried[losses.index(min(losses))], solve


def _hebbian_start(problem: Problem, w: Weights) -> Weights:
    """A_h ∝ Σ_i ⟨D_h, v_f(i)⟩ σ(G_h k_i) k_i, then G and D alike, in turn: power steps on the tensor of the facts."""
    wanted = problem.values[problem.targets]
    unit = torch.nn.functional.normalize
    for count in range(AVERAGES):
        opened, slope = gate_and_slope(problem.gate, problem.keys @ w.gates.T)
        raised, aimed = problem.keys @ w.up.T, wanted @ w.down
        if count % 3 == 0:
            w = w._replace(up=unit((opened * aimed).T @ problem.keys, dim=1))
        elif count % 3 == 1:
            w = w._replace(gates=unit((slope * raised * aimed).T @ problem.keys, dim=1))
        else:
            w = w._replace(down=unit(wanted.T @ (opened * raised), dim=0))
    return w


def _balance(w: Weights, gate: str) -> Weights:
    """Rescale every unit so that its vectors have one norm, the function unchanged: steps then cost the same in each.

    Only a bilinear gate lets G take part.
    """
    norms = torch.stack([w.gates.norm(dim=1), w.up.norm(dim=1), w.down.norm(dim=0)])  # (3, h)
    free = norms if gate == "identity" else norms[1:]
    factors = free.clamp_min(1e-12).log().mean(dim=0).exp() / norms.clamp_min(1e-12)
    if gate != "identity":
        factors[0] = 1.0
    return Weights(w.gates * factors[0, :, None], w.up * factors[1, :, None], w.down * factors[2])
