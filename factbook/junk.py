"""Is the trade-off gone behind attention that is solved for? Larger junk vocabularies, and embeddings nobody chose.

``python -m factbook.junk`` fills results/laptop/solved_junk.csv: a tight and a roomy memory behind attention that is
solved for, with 16 (the task's), 64 and 256 junk tokens, keys on the sphere and of airports, three draws.
"""

from functools import lru_cache, partial
from typing import Any

import factcore as fc
from factbook import geometries, noise, store
from factbook.real_facts import airports
from factcore import transformer as tf

SIZE = {"n": 256, "d": 64}
JUNK = (16, 64, 256)
KEYS = ("sphere", "airports")
MEMORIES: dict[str, dict[str, Any]] = {
    "tight": {},  # full buckets, the shortest codes
    "roomy": {"encoder": "random-gates", "gate": "identity", "fill": 0.5},
}


def facts_with(keys: str, n: int, d: int, seed: int) -> fc.FactSet:
    """Spherical facts, or the same with keys of airports, cut to d dimensions and scaled to norm 1."""
    facts = fc.spherical_facts(n, d, seed=seed)
    if keys == "sphere":
        return facts
    cut = geometries.cut_to_leading(airports(n, seed), d).keys
    return fc.FactSet(cut / cut.norm(dim=1, keepdim=True), facts.values, facts.targets)


@lru_cache(maxsize=1)
def solved(keys: str, junk: int, n: int, d: int, seed: int, device: str) -> tf.FactTransformer:
    """Attention solved for these keys and so many junk tokens, at random as the model draws them."""
    model = tf.FactTransformer(facts_with(keys, n, d, seed).to(device), junk=junk, seed=seed)
    tf.solve_attention(model)
    return model


def keeps(keys: str, junk: int, memory: str, n: int, d: int, seed: int, *, device: str) -> dict[str, Any]:
    """What attention leaves of the keys, and what the memory recalls behind it, sampled and proved."""
    model, facts = solved(keys, junk, n, d, seed, device), facts_with(keys, n, d, seed).to(device)
    mlp = fc.construct(facts, seed=seed, strict=False, **MEMORIES[memory])
    arrived = noise.arrivals(model)
    tf.insert(model, mlp)
    return {
        "device": mlp.down.device,
        "n_params": mlp.n_params,
        "recall_alone": fc.recall(mlp, facts),
        "through": float(arrived.through.double().mean()),
        "noise": float(tf.certified_noise(model).max()),
        "kept": noise.kept(mlp, facts, arrived),
        "recall": tf.transformer_recall(model, facts.targets, samples=8192),
        "certified": tf.certified_recall(model, facts.targets),
    }


def jobs(seeds: int = 3) -> list[dict[str, Any]]:
    return [
        {"keys": keys, "junk": junk, "memory": memory, **SIZE, "seed": seed}
        for seed in range(seeds)
        for keys in KEYS
        for junk in JUNK
        for memory in MEMORIES
    ]


if __name__ == "__main__":
    print(len(store.resume(store.results_file("solved_junk", "laptop"), jobs(), partial(keeps, device="cpu"))), "runs")
