"""Does it matter whether weights are drawn apart from the facts? Parameters needed, one stream for both against two.

    python benchmarks/streams.py [--n-facts 256] [--d 64] [--seeds 0 1 2]

Writes results/laptop/streams.csv. With the facts' own stream the random gates of a network are the first keys of
`spherical_facts` of the same seed: the rows before commit 9e6526a in the other tables are of that kind.
"""

from __future__ import annotations

import argparse

import torch

import factcore as fc
from factbook import store
from factcore.support.streams import PURPOSES, SPACING

METHODS = {
    "ntk": ("ntk", {}),
    "hebbian": ("hebbian", {}),
    "data-dependent": ("hebbian", {"variant": "data-dependent"}),
    "paper-codes": ("encoder-decoder", {"codes": "projected"}),
    "encoder-decoder": ("encoder-decoder", {}),
    "max-margin": ("max-margin", {}),
    "block-convex-2": ("block-convex", {"solves": 2}),
    "block-convex": ("block-convex", {"solves": 5}),
    "trained": ("trained", {"steps": 2000}),
}


def cost(rung: str, weights: str, n_facts: int, d: int, seed: int) -> dict:
    """Fewest parameters that store the facts, with the weights drawn from their own or from the facts' stream."""
    method, options = METHODS[rung]
    facts = fc.spherical_facts(n_facts, d, seed=seed)
    if weights == "the facts' stream":
        seed -= PURPOSES.index("weights") * SPACING  # `stream` adds it again
    found = fc.smallest_width(facts, method, seed=seed, resolution=0.04, **options)
    return {"width": found.width, "n_params": found.n_params, "recall": found.recall}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-facts", type=int, default=256)
    parser.add_argument("--d", type=int, default=64)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    jobs = [
        {"rung": rung, "weights": weights, "n_facts": args.n_facts, "d": args.d, "seed": seed}
        for rung in METHODS
        for seed in args.seeds
        for weights in ("their own stream", "the facts' stream")
    ]
    table = store.resume(store.results_file("streams", "laptop"), jobs, cost)
    print(table.pivot_table(index="rung", columns="weights", values="n_params", aggfunc=list, sort=False).to_string())


if __name__ == "__main__":
    main()
