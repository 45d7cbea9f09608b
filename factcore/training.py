"""MLPs trained to store facts: the bar that constructions are measured against (spec section 4)."""

from __future__ import annotations

import os
from functools import partial

import torch
from torch import Tensor
from tqdm import tqdm

from factcore.facts import FactSet
from factcore.mlp import GATES, GatedMLP
from factcore.search import first_width_that_stores

CHECK_EVERY = 25  # steps between two looks at the recall


def trained(
    facts: FactSet,
    width: int | None,
    seed: int,
    *,
    steps: int = 4000,
    lr: float = 0.02,
    gate: str = "silu",
    progress: bool = True,
) -> GatedMLP:
    """All three matrices by full-batch Adam on cross-entropy, cosine decay to zero, stopped at 100% recall.

    Logits are ⟨g(k_i), v_j⟩. Keys are scaled to norm √d for the training and the scale is folded into the weights.
    At most ``steps`` steps; the network may then fall short of 100%. ``width=None`` doubles h until it does not.
    """
    if gate not in GATES or gate == "step":
        raise ValueError(f"gate must have a gradient, one of {sorted(set(GATES) - {'step'})}, got {gate!r}")
    if steps < 1 or lr <= 0:
        raise ValueError(f"steps and lr must be positive, got {steps!r} and {lr!r}")
    if width is None:
        again = partial(trained, facts, seed=seed, steps=steps, lr=lr, gate=gate, progress=progress)
        return first_width_that_stores(again, facts)
    scale = facts.d**0.5 / facts.keys.norm(dim=1).mean()
    weights = _initial_weights(facts, width, seed)
    _fit(weights, facts.keys * scale, facts.values, facts.targets, steps, lr, gate, progress)
    gates, up, down = (weight.detach() for weight in weights)
    return GatedMLP(gates * scale, up * scale, down, gate=gate)


def _initial_weights(facts: FactSet, width: int, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(width, facts.d), (width, facts.d), (facts.d, width)]
    spreads = [facts.d**-0.5, facts.d**-0.5, width**-0.5]
    return [
        (spread * torch.randn(shape, generator=generator, dtype=torch.float64)).to(facts.keys).requires_grad_()
        for shape, spread in zip(shapes, spreads)
    ]


def _fit(
    weights: list[Tensor],
    keys: Tensor,
    values: Tensor,
    targets: Tensor,
    steps: int,
    lr: float,
    gate: str,
    progress: bool,
) -> None:
    """Train in place until every key decodes or the steps are used up."""
    gates, up, down = weights
    optimizer = torch.optim.Adam(weights, lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    hide = not progress or os.environ.get("FACTCORE_PROGRESS") == "0"
    for step in tqdm(range(steps), desc="training", delay=5, disable=hide, leave=False):
        outputs = (GATES[gate](keys @ gates.T) * (keys @ up.T)) @ down.T  # (n, d)
        logits = outputs @ values.T  # (n, v)
        if step % CHECK_EVERY == 0 and _all_decode(logits.detach(), targets):
            return
        loss = torch.nn.functional.cross_entropy(logits, targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()


def _all_decode(logits: Tensor, targets: Tensor) -> bool:
    right = logits.gather(1, targets[:, None])
    return bool(((logits >= right).sum(dim=1) == 1).all())
