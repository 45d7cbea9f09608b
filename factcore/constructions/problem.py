"""What `max-margin`, `block-convex` and `trained` solve: facts in even scales, weights, outputs and their slopes.

Two forms of the network: gated, g(x) = D (σ(Gx) ⊙ (Ax)), and plain, g(x) = D σ(Gx + b), with A empty and b the last
column of G, read by a constant 1 behind every key.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from factcore.constructions.convex import LOGITS, Linear
from factcore.facts import FactSet, distinct_keys
from factcore.mlp import GATES, GatedMLP, gate_and_slope
from factcore.support import check_choice, row_blocks, stream

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

    def outputs(self, w: Weights) -> Tensor:
        opened = GATES[self.gate](self.keys @ w.gates.T)
        return (opened * (self.keys @ w.up.T) if len(w.up) else opened) @ w.down.T

    def linearised(self, w: Weights) -> tuple[Tensor, Linear, Linear]:
        """Outputs F (n, e) at ``w``, their derivative J: a step (p,) to (n, e), and its transpose: (n, e) to (p,)."""
        keys, (opened, slope) = self.keys, gate_and_slope(self.gate, self.keys @ w.gates.T)
        raised = keys @ w.up.T if len(w.up) else keys.new_ones(())
        phi, bend = opened * raised, slope * raised

        def forward(theta: Tensor) -> Tensor:
            step = w.like(theta)
            hidden = bend * (keys @ step.gates.T)
            if len(w.up):
                hidden += opened * (keys @ step.up.T)
            return hidden @ w.down.T + phi @ step.down.T

        def transpose(by_outputs: Tensor) -> Tensor:
            back = by_outputs @ w.down
            by_up = (back * opened).T @ keys if len(w.up) else w.up
            return Weights((back * bend).T @ keys, by_up, by_outputs.T @ phi).flat()

        return phi @ w.down.T, forward, transpose

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
        mlp = GatedMLP(gates, up, w.down, gate=self.gate, gate_bias=bias, n_solved=n_solved)
        return mlp.to(facts.keys.dtype)


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
    values = (values * of_values).to(dtype)
    return Problem(keys.to(dtype), values, facts.targets[rows], gate, form, of_keys)


def log_loss(outputs: Tensor, values: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, float]:
    """Σ_i log Σ_j exp⟨F_i, v_j − v_f(i)⟩, its gradient by F (n, e), and the smallest margin; in blocks of facts."""
    total, slope, margin = outputs.new_zeros(()), torch.empty_like(outputs), outputs.new_tensor(torch.inf)
    for rows in row_blocks(len(outputs), len(values), outputs.device, entries=LOGITS):
        right = targets[rows, None]
        logits = outputs[rows] @ values.T  # (block, v)
        logits -= logits.gather(1, right)
        best = logits.scatter_(1, right, -torch.inf).amax(dim=1, keepdim=True)
        margin = torch.minimum(margin, -best.amax())
        best.clamp_(min=0)
        share = logits.scatter_(1, right, 0.0).sub_(best).clamp_(min=DROWNED).exp_()
        whole = share.sum(dim=1, keepdim=True)
        total += (best + whole.log()).sum()
        share /= whole
        share.scatter_add_(1, right, -torch.ones_like(best))
        slope[rows] = share @ values
    return total, slope, float(margin)
