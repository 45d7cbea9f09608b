"""Attention solved for, not trained: one convex problem finds the key projection, and a bound holds for every sequence.

With the query projection fixed, the score of a token at a place is linear in the key projection W:

    s(e, t) = ⟨e W, q_t⟩ / √d,      q_t the query turned to place t

so raising the weight on the key is a convex problem. No sequence is drawn: junk is finite, so at each place the worst
is known, and with it a bound for all the sequences of the recall task.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize, softplus

from factcore.constructions.convex import minimise
from factcore.transformer.model import FactTransformer, rms_norm, turned_back


class AttentionSolve(NamedTuple):
    """How `solve_attention` ended."""

    objective: float
    gap: float  # certified, above the minimum
    smallest_weight: float  # that a key has in any sequence of the task
    iterations: int
    converged: bool  # the gap is at most tol · objective


def solve_attention(
    model: FactTransformer, *, ridge: float = 1e-8, tol: float = 1e-2, most_iterations: int = 2000
) -> AttentionSolve:
    """Set the key projection of ``model`` so that attention finds the key among the junk; nothing is trained.

    Minimises over W, in float64 and by L-BFGS,

        Φ(W) = mean_{i,p} log(1 + Σ_{t,j} exp(s(j, t) − s(i, p))) + (ridge / 2) ‖W‖²,

    i the keys, p the places where a key may stand, and j all junk at each place t of the longest sequence around it,
    and Q: each term bounds −log of the weight of key i at place p whatever the junk. Φ is strongly convex, so the
    answer is unique and within ‖∇Φ‖² / (2 ridge) of the minimum; it stops when that gap is at most ``tol`` · Φ, or
    unconverged after ``most_iterations``. The query projection stays as drawn, scaled so that ‖q_t‖ = √d; the norm
    before attention becomes the plain one. No fact enters, only embeddings. ValueError for options out of range and for
    a query projection that is zero or not finite.
    """
    if not ridge > 0 or not tol > 0 or most_iterations < 1:
        raise ValueError(f"ridge, tol and most_iterations must be positive, got {(ridge, tol, most_iterations)}")
    with torch.no_grad():
        model.attention_norm.fill_(1.0)
        size = _turned_queries(model).norm(dim=1).mean()
        if not 0 < size < torch.inf:
            raise ValueError(f"the query of Q has norm {float(size):g} after its projection: draw another")
        model.query.div_(size.to(model.query))
        table, queries = _table(model), normalize(_turned_queries(model), dim=1)

    @torch.enable_grad()
    def evaluate(at: Tensor) -> tuple[Tensor, Tensor, float]:
        weights = at.detach().requires_grad_()
        key, rest = _scores(model, table @ weights @ queries.T, worst=False)
        loss = softplus(rest - key).mean() + ridge / 2 * weights.square().sum()
        return loss.detach(), torch.autograd.grad(loss, weights)[0], -math.inf

    with torch.inference_mode(False):  # where no gradient would be
        table, queries = table.clone(), queries.clone()
        start = torch.zeros_like(model.key, dtype=torch.float64)
        solve = minimise(evaluate, start=start, curvature=ridge, tol=tol, most=most_iterations)
    with torch.no_grad():
        model.key.copy_(solve.theta)
    smallest, converged = float(worst_weights(model).min()), solve.gap <= tol * solve.objective
    return AttentionSolve(solve.objective, solve.gap, smallest, solve.iterations, converged)


def check_plain(model: FactTransformer) -> None:
    """ValueError unless attention mixes plain rows: no residuals, value and output projections the identity."""
    eye = torch.eye(len(model.value), dtype=model.value.dtype, device=model.value.device)
    if model.residuals or not (torch.equal(model.value, eye) and torch.equal(model.output, eye)):
        raise ValueError("this needs a model without residuals, with the identity as value and output projection")


@torch.no_grad()
def worst_weights(model: FactTransformer) -> Tensor:
    """Per key (n,) the smallest weight a on it in any sequence: the longest one, with the worst junk everywhere."""
    return torch.sigmoid(_worst_logits(model))


def _worst_logits(model: FactTransformer) -> Tensor:
    """log a / (1 − a), (n,)."""
    key, rest = _scores(model, _table(model) @ model.key.double() @ _turned_queries(model).T, worst=True)
    return (key - rest).amin(dim=1)


@torch.no_grad()
def certified_noise(model: FactTransformer) -> Tensor:
    """Per key (n,) an angle in degrees that the MLP's input never exceeds, in any sequence that asks for the key.

    With weight a on the key, the input is along a k + (1 − a) r, r a mean of other rows, all of one norm but for
    rounding: sin θ ≤ (1 − a) / a · max ‖row‖ / ‖k‖. An MLP whose `certified_tolerance` is larger at every key
    answers every sequence right (`certified_recall`). 180 where the bound says nothing.
    In exact arithmetic. ValueError for a model with residuals, or with norms or projections other than the plain ones.
    """
    check_plain(model)
    level = model.mlp_norm.new_tensor(model.key_norm / len(model.mlp_norm) ** 0.5)
    if not (model.attention_norm == 1).all() or not (model.mlp_norm == level).all():
        raise ValueError("the bound needs plain norms, as solve_attention leaves the one before attention")
    length = _table(model).norm(dim=1)
    sine = (-_worst_logits(model)).exp() * length.max() / length[: model.n_facts]
    return torch.where(sine < 1, torch.rad2deg(sine.clamp(max=1).asin()), 180.0)


def _table(model: FactTransformer) -> Tensor:
    """What attention sees of each token, normed in the model's dtype: (n + junk + 2, d) in float64."""
    return (rms_norm(model.embedding.detach()) * model.attention_norm.detach()).double()


def _turned_queries(model: FactTransformer) -> Tensor:
    """q_t / √d (T, d): the query of Q at the last place, turned back by RoPE so that s(e, t) = ⟨e W, q_t⟩ / √d."""
    query = _table(model)[-2:-1] @ model.query.detach().double()
    return turned_back(query, model.turns.to(torch.complex128))[0]


def places(run: tuple[int, int]) -> range:
    """Where in the longest sequence the key may stand, from the left."""
    return range(run[1], 2 * run[1] - run[0] + 1)


def _scores(model: FactTransformer, scores: Tensor, *, worst: bool) -> tuple[Tensor, Tensor]:
    """Of all scores (n + junk + 2, T): those of key i at place p (n, P), and log Σ exp of what stands around it (P,).

    Around it: one junk token at each place, the one with the largest score (``worst``) or all of them (smooth, larger).
    """
    longest, where = model.task["run"][1], places(model.task["run"])
    around = (torch.amax if worst else torch.logsumexp)(scores[model.n_facts : -2], dim=0)  # (T,)
    windows = [[around[at - longest : at], around[at + 1 : -1], scores[-2, -1:]] for at in where]
    return scores[: model.n_facts, list(where)], torch.stack([torch.cat(w).logsumexp(dim=0) for w in windows])
