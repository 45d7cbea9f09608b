"""MLPs trained to store facts, the bar that constructions are measured against: one, or many at once.

Every width, seed and fact set of a search goes into one batched computation.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from factcore.checks import check_choice, check_integer
from factcore.facts import FactSet
from factcore.mlp import GATES, GatedMLP
from factcore.progress import progress_bar
from factcore.search import doubles_width
from factcore.streams import stream

CHECK_EVERY = 25  # steps between two looks at which networks store everything
LOSSES = ("cross-entropy", "squared-hinge")
LOGITS = {"cpu": 2**17, "cuda": 2**27}  # logits held at a time: what a core's cache, or a GPU, takes best
ACTIVATIONS = {"cpu": 2**28, "cuda": 2**31}  # numbers held for the networks of one batch: 1 and 8 GB in float32
# Widths are padded to a multiple of this, also that of a single network: matrix products then round alike whatever the
# batch. At high learning rates a difference in the last bit grows to another network within a few hundred steps.
PAD = 16
BETAS, EPS = (0.9, 0.999), 1e-8  # of Adam


def train_many(
    facts: FactSet | Sequence[FactSet],
    widths: Sequence[int],
    seeds: Sequence[int],
    *,
    steps: int = 4000,
    lr: float = 0.2,
    gate: str = "identity",
    loss: str = "cross-entropy",
    key_norm: float | None = None,
    value_norm: float = 8.0,
    spread: float = 1.0,
    warmup: int = 0,
    progress: bool = True,
) -> list[GatedMLP]:
    """Train network b on ``facts[b]`` with ``widths[b]`` hidden units from ``seeds[b]``, all of them side by side.

    The three lists have one entry per network; a single FactSet stands for all. Fact sets must agree in n, v, d,
    dtype and device. The options are those of `trained`, and so is each network: narrower ones are padded with units
    whose weights are zero, which have zero gradients and stay zero, and a network that stores everything is taken
    out of the batch. Only rounding can differ, and on the CPUs tried it does not either (see `PAD`). Logits are
    worked on in blocks, never all at once.
    ValueError for lists that do not fit together and for options out of range, before any training.
    """
    facts = [facts] * len(widths) if isinstance(facts, FactSet) else list(facts)
    _check_networks(facts, widths, seeds)
    _check_options(steps, lr, gate, loss, key_norm, value_norm, spread, warmup)
    key_norm = facts[0].d ** 0.5 if key_norm is None else key_norm
    room = _of_device(ACTIVATIONS, facts[0].keys)
    size = max(1, room // (len(facts[0]) * (6 * facts[0].d + 12 * max(widths))))
    networks: list[GatedMLP] = []
    for start in range(0, len(widths), size):
        part = slice(start, start + size)
        scales = [key_norm / f.keys.norm(dim=1).mean() for f in facts[part]]
        tensors = (
            torch.stack([f.keys * scale for f, scale in zip(facts[part], scales)]),
            torch.stack([f.values * (value_norm / f.values.norm(dim=1).mean()) for f in facts[part]]),
            torch.stack([f.targets for f in facts[part]]),
        )
        weights = _initial_weights(widths[part], seeds[part], facts[0], spread)
        _fit(weights, *tensors, steps, lr, gate, loss, warmup, progress)
        for (gates, up, down), width, scale in zip(weights, widths[part], scales):
            networks.append(GatedMLP(gates[:width] * scale, up[:width] * scale, down[:width].T, gate=gate))
    return networks


@doubles_width()
def trained(facts: FactSet, width: int, seed: int, **options) -> GatedMLP:
    """All three matrices by full-batch Adam, cosine decay to zero, stopped at 100% recall.

    Logits are ⟨g(k_i), v_j⟩. For the training keys are scaled to a mean norm of ``key_norm`` (√d by default) and the
    scale is folded into the weights; values are scaled to ``value_norm``, which is the scale of the logits and does
    not change what decodes. loss: 'cross-entropy', or 'squared-hinge', mean_i Σ_{j ≠ f(i)} max(0, 1 − gap_ij)² / 2.
    gate: one with a gradient; 'identity' makes a bilinear network. Weights begin Gaussian, of spread 1/√d and 1/√h
    times ``spread``. lr rises over ``warmup`` steps. At most ``steps`` steps; the network may then fall short of
    100%. ``width=None`` doubles h until it does not. The defaults are the best of benchmarks/training_grid.py.
    """
    return train_many(facts, [width], [seed], **options)[0]


# `construct`, help() and the API page read the names and defaults of the options from the signature.
_first, _many = (list(inspect.signature(f).parameters.values()) for f in (trained, train_many))
trained.__signature__ = inspect.Signature(_first[:3] + _many[3:], return_annotation="GatedMLP")  # type: ignore[attr-defined]


def _initial_weights(widths: Sequence[int], seeds: Sequence[int], like: FactSet, spread: float) -> Tensor:
    """Gates, up and down (transposed) of every network, shape (networks, 3, padded width, d), zero in the padding."""
    d = like.d
    weights = torch.zeros(len(widths), 3, -(-max(widths) // PAD) * PAD, d, dtype=torch.float64)
    for network, width, seed in zip(weights, widths, seeds):
        generator = stream(seed, "weights")
        shapes = [(width, d), (width, d), (d, width)]
        gates, up, down = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)
        network[:, :width] = torch.stack([gates * d**-0.5, up * d**-0.5, down.T * width**-0.5]) * spread
    return weights.to(like.keys)


def _fit(
    weights: Tensor,
    keys: Tensor,
    values: Tensor,
    targets: Tensor,
    steps: int,
    lr: float,
    gate: str,
    loss: str,
    warmup: int,
    progress: bool,
) -> None:
    """Full-batch Adam on ``weights`` (b, 3, h, d) in place; a network is left alone once all its keys decode."""
    alive = torch.arange(len(weights), device=keys.device)
    aims = values.gather(1, targets[:, :, None].expand(-1, -1, values.shape[2]))  # v_f(i)
    now, mean, square = weights.clone(), torch.zeros_like(weights), torch.zeros_like(weights)
    for step in progress_bar(range(steps), "training", show=progress):
        now.requires_grad_()
        gates, up, down = now.unbind(1)
        outputs = (GATES[gate](keys @ gates.mT) * (keys @ up.mT)) @ down  # (b, n, d)
        stored = _stored(outputs.detach(), values, targets) if step % CHECK_EVERY == 0 else None
        slope = _slope(outputs.detach(), values, aims, targets, loss)
        (gradient,) = torch.autograd.grad(outputs, now, slope)
        now.requires_grad_(False)
        if stored is not None and stored.any():
            weights[alive[stored]] = now[stored]
            left = ~stored
            if not left.any():
                return
            alive, keys, values, aims, targets = (t[left] for t in (alive, keys, values, aims, targets))
            now, mean, square, gradient = (t[left] for t in (now, mean, square, gradient))
        mean.lerp_(gradient, 1 - BETAS[0])
        square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        pace = min(1.0, (step + 1) / (warmup + 1)) * 0.5 * (1 + math.cos(math.pi * step / steps))
        size = (square / (1 - BETAS[1] ** (step + 1))).sqrt_().add_(EPS)
        now.addcdiv_(mean, size, value=-lr * pace / (1 - BETAS[0] ** (step + 1)))
    weights[alive] = now


def _slope(outputs: Tensor, values: Tensor, aims: Tensor, targets: Tensor, loss: str) -> Tensor:
    """Derivative of every network's mean loss by its outputs, (b, n, d); ``aims`` (b, n, d) are the right values."""
    slope = torch.empty_like(outputs)
    for nets, rows, logits in _logits(outputs, values):
        if loss == "cross-entropy":  # Σ_j p_j v_j − v_f(i), p the softmax of the logits
            slope[nets, rows] = torch.softmax(logits, dim=2) @ values[nets] - aims[nets, rows]
        else:  # Σ_j max(0, 1 − l_f(i) + l_j)² / 2
            right = targets[nets, rows, None]
            pull = logits.sub_(logits.gather(2, right)).add_(1).clamp_(min=0).scatter_(2, right, 0)
            slope[nets, rows] = pull @ values[nets] - pull.sum(dim=2, keepdim=True) * aims[nets, rows]
    return slope.div_(outputs.shape[1])


def _stored(outputs: Tensor, values: Tensor, targets: Tensor) -> Tensor:
    """Which networks decode every key right, (b,) bool."""
    lost = torch.zeros(len(outputs), dtype=torch.bool, device=outputs.device)
    for nets, rows, logits in _logits(outputs, values):
        right = targets[nets, rows, None]
        own = logits.gather(2, right)[:, :, 0]
        safe = own > logits.scatter_(2, right, -torch.inf).amax(dim=2)  # NaN is not
        lost[nets] |= ~safe.all(dim=1)
    return ~lost


def _logits(outputs: Tensor, values: Tensor) -> Iterator[tuple[slice, slice, Tensor]]:
    """Slices of the networks and of the keys with their logits (networks, keys, v), which the next block overwrites."""
    networks, n, _ = outputs.shape
    room = _of_device(LOGITS, outputs) // values.shape[1]
    n_rows, n_nets = min(n, max(1, room)), min(networks, max(1, room // n))
    buffer = outputs.new_empty(n_nets * n_rows * values.shape[1])
    for first in range(0, networks, n_nets):
        nets = slice(first, first + n_nets)
        for start in range(0, n, n_rows):
            rows = slice(start, start + n_rows)
            block = outputs[nets, rows]
            logits = buffer[: block.shape[0] * block.shape[1] * values.shape[1]].view(*block.shape[:2], -1)
            yield nets, rows, torch.bmm(block, values[nets].mT, out=logits)


def _of_device(sizes: dict[str, int], tensor: Tensor) -> int:
    return sizes.get(tensor.device.type, sizes["cuda"])


def _check_networks(facts: Sequence[FactSet], widths: Sequence[int], seeds: Sequence[int]) -> None:
    if not len(facts) == len(widths) == len(seeds) > 0:
        raise ValueError(
            f"one fact set, width and seed per network, got {len(facts)}, {len(widths)} and {len(seeds)} of them"
        )
    for position, width in enumerate(widths):
        check_integer(f"widths[{position}]", width)
    layouts = [(len(f), f.n_values, f.d, f.keys.dtype, f.keys.device) for f in facts]
    for position, layout in enumerate(layouts):
        if layout != layouts[0]:
            raise ValueError(
                f"facts[{position}] has (n, v, d, dtype, device) = {layout}, facts[0] has {layouts[0]}: "
                f"only fact sets that agree in these train together"
            )


def _check_options(
    steps: int, lr: float, gate: str, loss: str, key_norm: float | None, value_norm: float, spread: float, warmup: int
) -> None:
    if gate not in GATES or gate == "step":
        raise ValueError(f"gate must have a gradient, one of {sorted(set(GATES) - {'step'})}, got {gate!r}")
    check_choice("loss", loss, LOSSES)
    if steps < 1 or lr <= 0:
        raise ValueError(f"steps and lr must be positive, got {steps!r} and {lr!r}")
    for name, number in (("key_norm", key_norm), ("value_norm", value_norm), ("spread", spread)):
        if number is not None and not 0 < number < math.inf:
            raise ValueError(f"{name} must be positive, got {number!r}")
    if not 0 <= warmup < steps:
        raise ValueError(f"warmup must lie in [0, steps), got {warmup!r} of {steps!r} steps")
