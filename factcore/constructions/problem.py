"""What `max-margin`, `block-convex` and `trained` solve: facts in even scales, weights, outputs and their slopes.

Two forms of the network: gated, g(x) = D (σ(Gx) ⊙ (Ax)), and plain, g(x) = D σ(Gx + b), with A empty and b the last
column of G, read by a constant 1 behind every key.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from factcore.constructions.convex import LOGITS
from factcore.facts import FactSet, distinct_keys
from factcore.mlp import GATES, GatedMLP, gate_and_slope
from factcore.support import check_choice, row_blocks, stream

Transpose = Callable[[Tensor, Tensor], Tensor]  # ∂loss/∂Φ (n, h) and ∂loss/∂D (e, h) -> ∂loss/∂θ (p,)
CLEAR = 1e-2  # margin, at values of norm 1, with which every fact counts as stored
DROWNED = -40.0  # logits so far below the best add nothing, and exponentials near 0 are slow


class Weights(NamedTuple):
    gates: Tensor  # G (h, d), plain (h, d + 1)
    up: Tensor  # A (h, d), plain (0, d)
    down: Tensor  # D (e, h)

    def flat(self) -> Tensor:
        return torch.cat([part.flatten() for part in self])

    def like(self, theta: Tensor) -> "Weights":
        """The numbers ``theta`` (p,) in the shapes of these."""
        parts = theta.split([part.numel() for part in self])
        return Weights(*(part.view(shaped.shape) for part, shaped in zip(parts, self)))


class Problem(NamedTuple):
    """Keys (n, d) of mean norm √d, values (v, e) of mean norm 1 about their mean, and targets (n,)."""

    keys: Tensor
    values: Tensor
    targets: Tensor
    gate: str
    form: str
    scale: float  # keys over those of the facts

    def loss(self, w: Weights) -> tuple[Tensor, Tensor, float]:
        """The log loss at ``w``, its gradient (p,), and the smallest margin."""
        phi, _, transpose = self.linearised(w)
        loss, by_phi, by_down, margin = log_loss(phi, w.down, self.values, self.targets)
        return loss, transpose(by_phi, by_down), margin

    def linearised(self, w: Weights) -> tuple[Tensor, Callable[[Tensor], tuple[Tensor, Tensor]], Transpose]:
        """Φ (n, h) of the outputs F = Φ Dᵀ at ``w``; two factors, (n, 2h) and (e, 2h), of F + J · a step (p,); Jᵀ."""
        keys, (opened, slope) = self.keys, gate_and_slope(self.gate, self.keys @ w.gates.T)
        raised = keys @ w.up.T if len(w.up) else keys.new_ones(())
        phi, bend = opened * raised, slope * raised

        def forward(theta: Tensor) -> tuple[Tensor, Tensor]:
            step = w.like(theta)
            hidden = bend * (keys @ step.gates.T)
            if len(w.up):
                hidden += opened * (keys @ step.up.T)
            return torch.cat([phi + hidden, phi], dim=1), torch.cat([w.down, step.down], dim=1)

        def transpose(by_phi: Tensor, by_down: Tensor) -> Tensor:
            by_up = (by_phi * opened).T @ keys if len(w.up) else w.up
            return Weights((by_phi * bend).T @ keys, by_up, by_down).flat()

        return phi, forward, transpose

    def random_weights(self, width: int, seed: int) -> Weights:
        """Rows of G and A with ⟨g, k⟩ about standard normal, D of unit columns; biases are 0."""
        e, plain = self.values.shape[1], self.form == "plain"
        d = self.keys.shape[1] - plain
        drawn = torch.randn(3, width, max(d, e), generator=stream(seed, "weights"), dtype=torch.float64).to(self.keys)
        gates, up, down = drawn[0, :, :d] / d**0.5, drawn[1, :, :d] / d**0.5, drawn[2, :, :e]
        down = (down / down.norm(dim=1, keepdim=True)).T
        return Weights(pad(gates, (0, 1)), up[:0], down) if plain else Weights(gates, up, down)

    def network(self, w: Weights, facts: FactSet, n_solved: int | None = None) -> GatedMLP:
        """The weights ``w`` back in the scale of ``facts``."""
        gates = self.scale * w.gates[:, : facts.d]
        up, bias = (None, w.gates[:, facts.d]) if self.form == "plain" else (self.scale * w.up, None)
        return GatedMLP(gates, up, w.down, gate=self.gate, gate_bias=bias, n_solved=n_solved).to(facts.keys.dtype)


def checked_gate(gate: str | None, form: str) -> str:
    """The gate asked for, or that of the form; ValueError for one without a slope and for a form that there is not."""
    check_choice("form", form, ("gated", "plain"))
    gate = gate or ("identity" if form == "gated" else "gelu")
    known = sorted(set(GATES) - {"step"} - ({"identity"} if form == "plain" else set()))
    if gate not in known:
        raise ValueError(f"with form={form!r}, gate must have a slope, one of {known}, got {gate!r}")
    return gate


def scaled_problem(facts: FactSet, gate: str, form: str = "gated", dtype: torch.dtype = torch.float64) -> Problem:
    """The facts in the scales that the constants of these constructions are for."""
    keys, rows = distinct_keys(facts)
    values = facts.values.double()
    values = values - values.mean(dim=0)  # moves all logits of a key alike
    of_keys = facts.d**0.5 / (float(keys.norm(dim=1).mean()) or 1.0)
    of_values = 1 / (float(values.norm(dim=1).mean()) or 1.0)
    keys = keys * of_keys if form == "gated" else pad(keys * of_keys, (0, 1), value=1.0)
    return Problem(keys.to(dtype), (values * of_values).to(dtype), facts.targets[rows], gate, form, of_keys)


def log_loss(phi: Tensor, down: Tensor, values: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor, float]:
    """Σ_i log Σ_j exp⟨F_i, v_j − v_f(i)⟩ of F = Φ Dᵀ, its gradients by Φ (n, r) and D (e, r), and the smallest margin.

    In blocks of facts. Where r is small beside e, F is never formed: the scores are Φ (V D)ᵀ.
    """
    thin = 2 * phi.shape[1] < len(down)
    left, right = (phi, values @ down) if thin else (phi @ down.T, values)
    total, margin = phi.new_zeros(()), phi.new_tensor(torch.inf)
    by_left, by_right = torch.empty_like(left), torch.zeros_like(right)
    for rows in row_blocks(len(left), len(right), left.device, entries=LOGITS):
        own = targets[rows, None]
        logits = left[rows] @ right.T  # (block, v)
        logits -= logits.gather(1, own)
        best = logits.scatter_(1, own, -torch.inf).amax(dim=1, keepdim=True)
        margin = torch.minimum(margin, -best.amax())
        share = logits.scatter_(1, own, 0.0).sub_(best.clamp_(min=0)).clamp_(min=DROWNED).exp_()
        whole = share.sum(dim=1, keepdim=True)
        total += (best + whole.log()).sum()
        share = share.div_(whole).scatter_add_(1, own, -torch.ones_like(best))
        by_left[rows] = share @ right
        if thin:
            by_right.addmm_(share.T, left[rows])
    if thin:
        return total, by_left, values.T @ by_right, float(margin)
    return total, by_left @ down, by_left.T @ phi, float(margin)
