"""MLPs trained to store facts, the bar that constructions are measured against: one, or many at once."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from factcore.facts import FactSet
from factcore.mlp import GATES, GatedMLP
from factcore.support import block_size, check_integer, progress_bar, row_blocks, stream

CHECK_EVERY = 25  # steps between two looks at which networks store everything
LOGITS = 2**17  # held at a time: what a core's cache takes best
ACTIVATIONS = 2**28  # numbers held for the networks of one batch: 1 GB in float32
# Widths are padded to a multiple of this, also that of a single network: matrix products then round alike whatever the
# batch. At high learning rates a difference in the last bit grows to another network within a few hundred steps.
PAD = 16
BETAS, EPS = (0.9, 0.999), 1e-8  # of Adam


def trained(
    facts: FactSet,
    width: int,
    seed: int,
    *,
    steps: int = 4000,
    lr: float = 0.2,
    gate: str = "identity",
    value_norm: float = 8.0,
) -> GatedMLP:
    """All three matrices by full-batch Adam on cross-entropy, cosine decay to zero, stopped at 100% recall.

    Logits are ⟨g(k_i), v_j⟩. For the training keys are scaled to a mean norm of √d and the scale is folded into the
    weights; values are scaled to ``value_norm``, which is the scale of the logits and does not change what decodes.
    gate: one with a gradient; 'identity' makes a bilinear network. Weights begin Gaussian, of spread 1/√d and 1/√h. At
    most ``steps`` steps; the network may then fall short of 100%. The defaults are the best of
    benchmarks/training_grid.py. ValueError for options out of range.
    """
    return train_many(facts, [width], [seed], steps=steps, lr=lr, gate=gate, value_norm=value_norm)[0]


def train_many(
    facts: FactSet,
    widths: Sequence[int],
    seeds: Sequence[int],
    *,
    steps: int = 4000,
    lr: float = 0.2,
    gate: str = "identity",
    value_norm: float = 8.0,
) -> list[GatedMLP]:
    """The networks `trained` gives for each of ``widths`` and ``seeds``, one by one, trained side by side.

    Narrower ones are padded with units of zero weights, which have zero gradients and stay zero; a network that stores
    everything leaves the batch. Only rounding can differ (see `PAD`). ValueError for lists that do not fit together and
    for options out of range, before any training.
    """
    _check_training(widths, seeds, steps, lr, gate, value_norm)
    (n, d), e = facts.keys.shape, facts.e
    scale = d**0.5 / facts.keys.norm(dim=1).mean()
    keys = pad(facts.keys * scale, (0, max(0, e - d)))  # (n, max(d, e)): columns of zeros learn nothing
    values = pad(facts.values * (value_norm / facts.values.norm(dim=1).mean()), (0, max(0, d - e)))
    size = block_size(n * (6 * d + 12 * max(widths)), facts.keys.device, entries=ACTIVATIONS)
    networks: list[GatedMLP] = []
    for start in range(0, len(widths), size):
        part = slice(start, start + size)
        weights = _initial_weights(widths[part], seeds[part], facts)
        _fit(weights, keys, values, facts.targets, steps=steps, lr=lr, gate=gate)
        for (gates, up, down), width in zip(weights, widths[part]):
            networks.append(GatedMLP(gates[:width, :d] * scale, up[:width, :d] * scale, down[:width, :e].T, gate=gate))
    return networks


def _initial_weights(widths: Sequence[int], seeds: Sequence[int], like: FactSet) -> Tensor:
    """Gates, up and down (transposed) of every network, (networks, 3, padded width, max(d, e)), zero in the padding."""
    d, e = like.d, like.e
    weights = torch.zeros(len(widths), 3, -(-max(widths) // PAD) * PAD, max(d, e), dtype=torch.float64)
    for network, width, seed in zip(weights, widths, seeds):
        generator = stream(seed, "weights")
        shapes = [(width, d), (width, d), (e, width)]
        gates, up, down = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)
        network[0, :width, :d], network[1, :width, :d] = gates * d**-0.5, up * d**-0.5
        network[2, :width, :e] = down.T * width**-0.5
    return weights.to(like.keys)


@torch.enable_grad()
def _fit(weights: Tensor, keys: Tensor, values: Tensor, targets: Tensor, *, steps: int, lr: float, gate: str) -> None:
    """Full-batch Adam on ``weights`` (b, 3, h, d) in place; a network is left alone once all its keys decode."""
    alive = torch.arange(len(weights), device=keys.device)
    aims = values[targets]  # v_f(i) (n, e)
    now, mean, square = weights.clone(), torch.zeros_like(weights), torch.zeros_like(weights)
    for step in progress_bar(range(steps), "training"):
        now.requires_grad_()
        gates, up, down = now.unbind(1)
        inputs = keys.expand(len(now), -1, -1)  # products of one network round alike, whatever stands beside it
        outputs = (GATES[gate](inputs @ gates.mT) * (inputs @ up.mT)) @ down  # (b, n, e)
        stored = _stored(outputs.detach(), values, targets) if step % CHECK_EVERY == 0 else None
        slope = _slope(outputs.detach(), values, aims)
        (gradient,) = torch.autograd.grad(outputs, now, slope)
        now.requires_grad_(False)
        if stored is not None and stored.any():
            weights[alive[stored]] = now[stored]
            left = ~stored
            if not left.any():
                return
            alive, now, mean, square, gradient = (t[left] for t in (alive, now, mean, square, gradient))
        mean.lerp_(gradient, 1 - BETAS[0])
        square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        pace = min(1.0, step + 1) * 0.5 * (1 + math.cos(math.pi * step / steps))
        size = (square / (1 - BETAS[1] ** (step + 1))).sqrt_().add_(EPS)
        now.addcdiv_(mean, size, value=-lr * pace / (1 - BETAS[0] ** (step + 1)))
    weights[alive] = now


def _slope(outputs: Tensor, values: Tensor, aims: Tensor) -> Tensor:
    """Derivative of the mean cross-entropies by the outputs, (b, n, e): Σ_j p_j v_j − v_f(i), p the softmax."""
    slope = -aims.repeat(len(outputs), 1)  # (b · n, e)
    for rows, logits in _logits(outputs, values):
        slope[rows] += torch.softmax(logits, dim=1) @ values
    return slope.view_as(outputs).div_(outputs.shape[1])


def _stored(outputs: Tensor, values: Tensor, targets: Tensor) -> Tensor:
    """Which networks decode every key right, (b,) bool."""
    right = targets.repeat(len(outputs))[:, None]
    safe = []
    for rows, logits in _logits(outputs, values):
        own = logits.gather(1, right[rows])[:, 0]
        safe.append(own > logits.scatter_(1, right[rows], -torch.inf).amax(dim=1))  # NaN is not
    return torch.cat(safe).view(len(outputs), -1).all(dim=1)


def _logits(outputs: Tensor, values: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Rows of all networks' outputs (b, n, e), one network after the other, with their logits (rows, v)."""
    flat = outputs.flatten(0, 1)
    for rows in row_blocks(len(flat), len(values), flat.device, entries=LOGITS):
        yield rows, flat[rows] @ values.T


def _check_training(
    widths: Sequence[int], seeds: Sequence[int], steps: int, lr: float, gate: str, value_norm: float
) -> None:
    if not len(widths) == len(seeds) > 0:
        raise ValueError(f"one width and seed per network, got {len(widths)} and {len(seeds)} of them")
    for position, width in enumerate(widths):
        check_integer(f"widths[{position}]", width)
    if gate not in GATES or gate == "step":
        raise ValueError(f"gate must have a gradient, one of {sorted(set(GATES) - {'step'})}, got {gate!r}")
    if steps < 1 or not lr > 0 or not 0 < value_norm < math.inf:
        raise ValueError(f"steps, lr and value_norm must be positive, got {steps!r}, {lr!r} and {value_norm!r}")
