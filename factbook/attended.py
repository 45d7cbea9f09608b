"""Transformers whose attention returns the key, as the pages on transformers compare them; no fact has entered them."""

import copy
from functools import lru_cache
from typing import Any

import factcore as fc
from factcore.transformer import FactTransformer, sharpen, solve_attention, train_recall


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
