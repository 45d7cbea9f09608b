"""Transformers whose attention returns the key, as the pages on transformers compare them; no fact has entered them."""

import copy
from functools import lru_cache
from typing import Any

import torch

import factcore as fc
from factcore.transformer import FactTransformer, check_plain, solve_attention, train_recall

PUBLISHED = {"steps": 16_000, "batch": 1280, "lr": 2e-4}  # how both papers train it
TO_THE_END = {"target_recall": 2.0}  # which no training reaches


def attended(kind: str, n_facts: int, d: int, seed: int, device: str = "cpu", **training: Any) -> FactTransformer:
    """Attention that is 'trained' (with the options ``training``), the same 'sharpened', or 'solved' for.

    Over the keys of `spherical_facts`; the last models are kept, so that nothing is trained twice in a row.
    """
    return _kept(kind, n_facts, d, seed, device, tuple(sorted(training.items())))


@lru_cache(maxsize=3)
def _kept(
    kind: str, n_facts: int, d: int, seed: int, device: str, training: tuple[tuple[str, Any], ...]
) -> FactTransformer:
    if kind == "sharpened":
        return sharpen(copy.deepcopy(_kept("trained", n_facts, d, seed, device, training)))
    facts = fc.spherical_facts(n_facts, d, seed=seed).to(device)
    model = FactTransformer(facts, seed=seed)
    if kind == "solved":
        solve_attention(model)
    else:
        train_recall(model, facts.targets, seed=seed, **dict(training))
    return model


@torch.no_grad()
def sharpen(model: FactTransformer, *, factor: float = 16.0) -> FactTransformer:
    """Make trained attention a cleaner look-up: the same choice, less noise, no training. Returns ``model``.

    The learned norm is folded into the query and key projections, which leaves every score as it is, so that attention
    mixes plain rows; then scores are multiplied by ``factor``. ValueError for factor ≤ 0 and for a model with residuals
    or learned value and output projections, for which the norm cannot be folded.
    """
    if not factor > 0:
        raise ValueError(f"factor must be positive, got {factor}")
    check_plain(model)
    model.query.mul_(model.attention_norm[:, None])
    model.key.mul_(factor * model.attention_norm[:, None])
    model.attention_norm.fill_(1.0)
    return model
