"""Training attention on the recall task, and measuring recall: plain and after a swap of the MLP (paper section 5)."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from factcore.support import check_choice, progress_bar, stream
from factcore.transformer.model import FactTransformer, insert
from factcore.transformer.task import asked, recall_batch

SCHEDULES = ("attention-first", "insert-first")
COPY_SCALE = 8.0  # of the logits while attention learns to return keys: sharp, and never satisfied by a rough copy
LOOKS = 5  # at recall in a training


@torch.no_grad()
def transformer_recall(model: FactTransformer, targets: Tensor, *, samples: int = 2048, seed: int = 0) -> float:
    """Share of fresh sequences whose value is decoded right, ``targets`` (n,) saying which value each key has."""
    generator, right = stream(seed, "evaluation"), 0
    for size in [256] * (samples // 256) + [samples % 256] * (samples % 256 > 0):
        tokens = recall_batch(model.n_facts, size, generator, model.head.device, **model.task)
        right += int((model(tokens).argmax(dim=1) == targets[asked(tokens, model.n_facts)]).sum())
    return right / samples


@torch.no_grad()
def adaptive_recall(model: FactTransformer, other: nn.Module, targets: Tensor, **options: int) -> float:
    """Fact-adaptive recall: swap in ``other``, which stores the map ``targets`` over the same keys, and train nothing.

    It tells a look-up from attention that has learned the answers. ``options``: of `transformer_recall`.
    """
    before, scale = model.mlp, model.logit_scale
    try:
        return transformer_recall(insert(model, other), targets, **options)
    finally:
        model.mlp, model.logit_scale = before, scale


class RecallTraining(NamedTuple):
    """How a training went."""

    recall: float  # at the end
    steps: int
    history: list[dict[str, float]]  # of step, loss, recall and what was measured


@torch.inference_mode(False)  # learning needs what these modes leave out
@torch.enable_grad()
def train_recall(
    model: FactTransformer,
    targets: Tensor,
    *,
    schedule: str = "attention-first",
    steps: int = 1500,
    batch: int = 512,
    lr: float = 1e-2,
    weight_decay: float = 0.1,
    target_recall: float = 1.0,
    seed: int = 0,
    measure: Callable[[], dict[str, float]] | None = None,
) -> RecallTraining:
    """Train what ``model`` lets learn on the recall task with AdamW, 5% warm-up and cosine decay.

    schedule: 'insert-first' trains through the MLP that is in the model, for the values ``targets`` (n,). With
    'attention-first' the MLP is the identity while attention learns to return the key itself, read by a head of the
    keys; then the MLP and the head of values come back, untouched. `LOOKS` times recall is measured (with the MLP, in
    either schedule), and what ``measure`` returns joins the history; at ``target_recall`` training stops.
    `solve_attention` does without training. ValueError for options out of range.
    """
    check_choice("schedule", schedule, SCHEDULES)
    if targets.shape != (model.n_facts,):
        raise ValueError(f"targets must have shape ({model.n_facts},), one per key, got {tuple(targets.shape)}")
    if min(steps, batch) < 1 or not lr > 0:
        raise ValueError(f"steps, batch and lr must be positive, got {(steps, batch, lr)}")
    if model.query.is_inference():
        raise ValueError("the model was built inside torch.inference_mode, so it cannot learn; build it outside")
    targets = targets.clone()
    learning = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(learning, lr=lr, weight_decay=weight_decay)
    generator, every = stream(seed, "training"), -(-steps // LOOKS)
    history: list[dict[str, float]] = []
    for step in progress_bar(range(1, steps + 1), "training attention"):
        optimiser.param_groups[0]["lr"] = lr * min(step / (0.05 * steps), 0.5 * (1 + math.cos(math.pi * step / steps)))
        tokens = recall_batch(model.n_facts, batch, generator, model.head.device, **model.task)
        loss = _loss(model, tokens, targets, schedule)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % every == 0 or step == steps:
            row = {"step": step, "loss": float(loss.detach()), "recall": transformer_recall(model, targets)}
            history.append(row | (measure() if measure else {}))
            if row["recall"] >= target_recall:
                break
    return RecallTraining(history[-1]["recall"], int(history[-1]["step"]), history)


def _loss(model: FactTransformer, tokens: Tensor, targets: Tensor, schedule: str) -> Tensor:
    """Cross-entropy of the value that is asked for, or of the key while attention is trained first."""
    key = asked(tokens, model.n_facts)
    if schedule == "insert-first":
        return cross_entropy(model(tokens), targets[key])
    keys = (COPY_SCALE / model.key_norm**2) * model.embedding[: model.n_facts]
    return cross_entropy(model.mlp_input(tokens) @ keys.T, key)
