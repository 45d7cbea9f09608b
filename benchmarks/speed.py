"""Processor seconds to build and verify against parameters per fact: every method, from narrow to wide networks.

    python benchmarks/speed.py [--sizes 1024 4096] [--seeds 3]

Values as many as facts, d = 64. One row a network in results/laptop/speed.csv: its method, options, width, the facts it
loses, the processor seconds of `construct` (verification included) on one thread. Rows that are there are not run
again. The ratios printed are against training by L-BFGS and by Adam, from the same table.
"""

import argparse
import time

import torch

import factcore as fc
from factbook import store

D = 64
# Per rung: method, options and the shares of n/64 units at which it is built; None is the width that it finds itself.
RUNGS = {
    "hebbian": ("hebbian", {}, (30, 45)),
    "data-dependent": ("hebbian", {"variant": "data-dependent"}, (12, 16)),
    "encoder-decoder": ("encoder-decoder", {}, (None,)),
    "max-margin": ("max-margin", {}, (10, 14)),
    "block-convex, 1 solve": ("block-convex", {"solves": 1}, (2.25, 2.5, 3.0)),
    "block-convex, 5 solves": ("block-convex", {"solves": 5}, (1.5, 1.625, 2.25)),
    "block-convex, 12 solves": ("block-convex", {"solves": 12}, (1.375, 1.4375)),
    "block-convex, 40 solves": ("block-convex", {"solves": 40}, (1.3125,)),
    "trained, L-BFGS": ("trained", {"descent": "l-bfgs"}, (1.3125, 1.5, 1.625, 2.25, 6.25)),
    "trained, Adam": ("trained", {"descent": "adam"}, (1.25, 1.3125, 1.5, 1.625, 2.25, 6.25)),
}


def built(rung: str, n: int, share: float, seed: int) -> dict:
    """One network: what it costs to build and verify, and what it loses."""
    method, options, _ = RUNGS[rung]
    facts, width = fc.spherical_facts(n, D, seed=seed), round(share * n / D) if share else None
    begun = time.process_time()
    mlp = fc.construct(facts, method, width=width, seed=seed, strict=False, **options)
    spent = time.process_time() - begun
    return {"width": mlp.width, "parameters": mlp.n_params, "lost": len(mlp.lost), "cpu_s": round(spent, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=int, default=[1024, 4096])
    parser.add_argument("--rungs", nargs="+", default=list(RUNGS), choices=list(RUNGS))
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for method in ("encoder-decoder", "hebbian", "max-margin", "block-convex", "trained"):
        fc.construct(fc.spherical_facts(32, 8), method)  # loads libraries
    jobs = [
        {"rung": rung, "n": n, "share": share or 0.0, "seed": seed}
        for n in args.sizes
        for rung in args.rungs
        for share in RUNGS[rung][2]
        for seed in range(args.seeds)
    ]
    table = store.resume(store.results_file("speed", "laptop"), jobs, built)
    table = table.assign(per_fact=(table.parameters / table.n).round(2))
    shown = table.groupby(["n", "rung", "per_fact"], sort=False).agg({"cpu_s": "median", "lost": "max"})
    print(shown.to_string())


if __name__ == "__main__":
    main()
