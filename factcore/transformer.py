"""A one-layer transformer that looks facts up in an MLP, and the recall task it learns (paper section 5).

    junk … junk  K  junk … junk  Q   →  the value of K

One head of attention finds the key K among the junk and hands it to the MLP; the MLP, written down beforehand, turns it
into its value. Attention is all that learns.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, scaled_dot_product_attention

from factcore.checkpoint import keep, restore
from factcore.checks import check_choice
from factcore.facts import FactSet
from factcore.progress import progress_bar
from factcore.recall_task import JUNK, LENGTH, asked, recall_batch
from factcore.streams import stream

ROPE_BASE = 10_000.0
COPY_SCALE = 8.0  # of the logits while attention learns to return keys: sharp, and never satisfied by a rough copy
GAP = 5.0  # of logits: `insert` scales them so that, at half of the keys, the best value leads by this much


class FactTransformer(nn.Module):
    """Embedding → RMSNorm → attention → RMSNorm → MLP → scores of the values; no residual around either.

    The embeddings of the key tokens are the keys of ``facts`` and the head is its values, both frozen. Attention's
    value and output projections are the identity, so what reaches the MLP is a mixture of embeddings; the second norm
    gives it the norm of a key. Only the query and key projections and the first norm learn. The options undo this
    recipe piece by piece, to see which pieces it needs: ``residuals`` adds both residuals, ``train_mlp_norm`` and
    ``train_projections`` unfreeze the second norm and the value and output projections, ``tied=False`` makes
    embeddings and head random and lets them learn.

    ValueError unless all keys have one norm (RMSNorm leaves directions only), not a tiny one, and d is even (RoPE turns
    pairs).
    """

    turns: Tensor

    def __init__(
        self,
        facts: FactSet,
        *,
        seed: int = 0,
        residuals: bool = False,
        train_mlp_norm: bool = False,
        train_projections: bool = False,
        tied: bool = True,
    ) -> None:
        super().__init__()
        n, d, norms = len(facts), facts.d, facts.keys.norm(dim=1)
        self.key_norm = float(norms.mean())
        if self.key_norm**2 < 1e3 * d * torch.finfo(facts.keys.dtype).eps:
            raise ValueError(f"keys of norm {self.key_norm:.1e} drown in the rounding of RMSNorm; normalise them first")
        if d % 2:
            raise ValueError(f"RoPE turns pairs of coordinates, so d must be even, got {d}")
        uneven = ((norms - self.key_norm).abs() > 1e-3 * self.key_norm).nonzero().flatten()
        if len(uneven):
            raise ValueError(
                f"keys must have one norm, as RMSNorm keeps only their direction: row {int(uneven[0])} has "
                f"{float(norms[uneven[0]]):.4g}, the mean is {self.key_norm:.4g}; normalise the keys first"
            )
        generator = stream(seed, "transformer")
        draw = lambda *shape: torch.randn(shape, generator=generator, dtype=torch.float64).to(facts.keys)  # noqa: E731
        others = self.key_norm * normalize(draw(JUNK + 2, d), dim=1)  # junk, Q and the padding
        self.n_facts, self.residuals = n, residuals
        self.embedding = nn.Parameter(torch.cat([facts.keys, others]), requires_grad=not tied)  # (n + 18, d)
        self.head = nn.Parameter(facts.values.clone(), requires_grad=not tied)  # (v, d)
        if not tied:
            self.embedding.data = self.key_norm * normalize(draw(n + JUNK + 2, d), dim=1)
            self.head.data = normalize(draw(facts.n_values, d), dim=1)
        self.attention_norm = nn.Parameter(facts.keys.new_ones(d))
        # Small at first: attention that is sharp before it is right gets no gradient from the keys it misses.
        self.query, self.key = (nn.Parameter(0.1 * draw(d, d) / d**0.5) for _ in range(2))
        eye = torch.eye(d).to(facts.keys)
        self.value = nn.Parameter(eye, requires_grad=train_projections)
        self.output = nn.Parameter(eye.clone(), requires_grad=train_projections)
        self.mlp_norm = nn.Parameter(facts.keys.new_full((d,), self.key_norm / d**0.5), requires_grad=train_mlp_norm)
        self.mlp: nn.Module = nn.Identity()
        self.logit_scale = 1.0
        frequency = ROPE_BASE ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
        angle = torch.arange(LENGTH)[:, None] * frequency  # (T, d/2)
        turns = torch.polar(torch.ones_like(angle), angle)
        self.register_buffer("turns", turns.to(facts.keys.device, facts.keys.dtype.to_complex()), persistent=False)

    def mlp_input(self, tokens: Tensor) -> Tensor:
        """What the MLP gets at the last place of each sequence, (b, T) → (b, d): a key, if attention works."""
        # Every token is normed and projected once, however often it stands in the batch.
        table = rms_norm(self.embedding) * self.attention_norm  # (n + 18, d)
        keys = rotate((table @ self.key)[tokens], self.turns)  # (b, T, d)
        query = rotate((table @ self.query)[tokens[:, -1:]], self.turns[-1:])  # (b, 1, d)
        seen = (tokens != len(table) - 1)[:, None]  # (b, 1, T): not the padding
        values = (table @ self.value)[tokens]
        mixed = scaled_dot_product_attention(query, keys, values, attn_mask=seen)[:, 0] @ self.output  # (b, d)
        if self.residuals:
            mixed = mixed + self.embedding[tokens[:, -1]] * (mixed.shape[1] ** 0.5 / self.key_norm)
        return rms_norm(mixed) * self.mlp_norm

    def forward(self, tokens: Tensor) -> Tensor:
        """Scores of the values at the last place of each sequence, (b, T) → (b, v)."""
        x = self.mlp_input(tokens)
        out = self.mlp(x)
        return self.logit_scale * (out + x if self.residuals else out) @ self.head.T


def rms_norm(x: Tensor) -> Tensor:
    """x · √d / ‖x‖ along the last axis."""
    return nn.functional.rms_norm(x, x.shape[-1:])


def rotate(x: Tensor, turns: Tensor) -> Tensor:
    """RoPE: each pair of coordinates of x (b, T, d), read as a complex number, times its turn (T, d/2)."""
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * turns).flatten(-2)


def insert(model: FactTransformer, mlp: nn.Module, *, trainable: bool = False) -> FactTransformer:
    """Put a copy of ``mlp`` into ``model``, in the model's dtype and on its device, frozen unless ``trainable``.

    Logits are rescaled so that at half of the keys the best value leads the second by `GAP`; this changes no answer
    and gives every construction the same softmax to learn through. Returns ``model``. ValueError where the MLP does
    not map (…, d) to (…, d).
    """
    like, n = model.embedding, model.n_facts
    mlp = copy.deepcopy(mlp).to(device=like.device, dtype=like.dtype)
    d = like.shape[1]
    with torch.no_grad():
        out = mlp(like[: min(n, 4096)])
        if out.shape[1:] != (d,):
            raise ValueError(f"the MLP must map (b, {d}) to (b, {d}), its output has shape {tuple(out.shape)}")
        best = (out @ model.head.T).topk(min(2, len(model.head)), dim=1).values
    gap = float((best[:, 0] - best[:, -1]).median())
    model.logit_scale = GAP / gap if 0 < gap < float("inf") else 1.0
    model.mlp = mlp.requires_grad_(trainable)
    return model


@torch.no_grad()
def transformer_recall(model: FactTransformer, targets: Tensor, *, samples: int = 2048, seed: int = 0) -> float:
    """Share of fresh sequences whose value is decoded right, ``targets`` (n,) saying which value each key has."""
    generator, right = torch.Generator().manual_seed(seed), 0
    for size in [256] * (samples // 256) + [samples % 256] * (samples % 256 > 0):
        tokens = recall_batch(model.n_facts, size, generator, model.head.device)
        right += int((model(tokens).argmax(dim=1) == targets[asked(tokens, model.n_facts)]).sum())
    return right / samples


@torch.no_grad()
def adaptive_recall(
    model: FactTransformer, other: nn.Module, targets: Tensor, *, samples: int = 2048, seed: int = 0
) -> float:
    """Fact-adaptive recall: swap in ``other``, which stores the map ``targets`` over the same keys, and train nothing.

    It tells a look-up from attention that has learned the answers. ``model`` is left as it was.
    """
    before, scale = model.mlp, model.logit_scale
    try:
        return transformer_recall(insert(model, other), targets, samples=samples, seed=seed)
    finally:
        model.mlp, model.logit_scale = before, scale


class RecallTraining(NamedTuple):
    """Recall at the end, the steps taken, and a history of dicts: step, loss, recall."""

    recall: float
    steps: int
    history: list[dict[str, float]]


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
    check_every: int = 100,
    seed: int = 0,
    measure: Callable[[], dict[str, float]] | None = None,
    checkpoint: str | Path | None = None,
    progress: bool = True,
) -> RecallTraining:
    """Train what ``model`` lets learn on the recall task with AdamW, 5% warm-up and cosine decay.

    schedule: 'insert-first' trains through the MLP that is in the model, for the values ``targets`` (n,). With
    'attention-first' the MLP is the identity while attention learns to return the key itself, read by a head of the
    keys; then the MLP and the head of values come back, untouched. Every ``check_every`` steps recall is measured (with
    the MLP, in either schedule), and what ``measure`` returns joins the history; at ``target_recall`` training stops.
    With ``checkpoint`` the state is written to that file at every check, and a call that finds the file goes on from
    there. `attention.solve_attention` does without training.
    ValueError for options out of range, and for a checkpoint of another run.
    """
    check_choice("schedule", schedule, ("attention-first", "insert-first"))
    if targets.shape != (model.n_facts,):
        raise ValueError(f"targets must have shape ({model.n_facts},), one per key, got {tuple(targets.shape)}")
    if min(steps, batch, check_every) < 1 or not lr > 0:
        raise ValueError(f"steps, batch, check_every and lr must be positive, got {(steps, batch, check_every, lr)}")
    learning = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(learning, lr=lr, weight_decay=weight_decay, betas=(0.9, 0.999))
    generator, begin = torch.Generator().manual_seed(seed), 0
    history: list[dict[str, float]] = []
    run = {"schedule": schedule, "steps": steps, "batch": batch, "lr": lr, "weight_decay": weight_decay, "seed": seed}
    run |= {"check_every": check_every, "n_facts": model.n_facts, "d": model.head.shape[1]}
    if checkpoint is not None and Path(checkpoint).is_file():
        begin, history = restore(Path(checkpoint), run, model, optimiser, generator)
    for step in progress_bar(range(begin + 1, steps + 1), "training attention", show=progress):
        if history and history[-1]["recall"] >= target_recall:
            break
        optimiser.param_groups[0]["lr"] = lr * min(step / (0.05 * steps), 0.5 * (1 + math.cos(math.pi * step / steps)))
        tokens = recall_batch(model.n_facts, batch, generator, model.head.device)
        key = asked(tokens, model.n_facts)
        if schedule == "attention-first":
            keys = model.embedding[: model.n_facts] / model.key_norm
            logits, right = COPY_SCALE * model.mlp_input(tokens) @ keys.T / model.key_norm, key
        else:
            logits, right = model(tokens), targets[key]
        loss = nn.functional.cross_entropy(logits, right)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % check_every == 0 or step == steps:
            row = {"step": step, "loss": float(loss.detach()), "recall": transformer_recall(model, targets)}
            history.append(row | (measure() if measure else {}))
            if checkpoint is not None:
                keep(Path(checkpoint), run, step, history, model, optimiser, generator)
    return RecallTraining(history[-1]["recall"], int(history[-1]["step"]), history)
