"""Does `block-convex` build for thousands of facts, in how many parameters, seconds and bytes? For notebooks/solves.py.

    OMP_NUM_THREADS=1 python benchmarks/block_convex_large.py [--seeds 0 1 2] [--d 64] [--per-fact 8 7] [--device cuda]

Each run is one build of 4,096 random facts (--n) with h = ⌈p n / 3d⌉ units for p parameters per fact, in a process of
its own, checked over all values; whether it stores everything is the column recall. Rows go to
results/laptop/block_convex_large.csv (with a GPU results/paper/), runs that it holds are not repeated. Minutes each.
"""

from __future__ import annotations

import argparse
import math

from factbook.cost import build_cost
from factbook.store import results_file, resume


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=4096, help="numbers of facts and of values")
    parser.add_argument("--d", type=int, default=64)
    parser.add_argument("--solves", type=int, nargs="+", default=[5])
    parser.add_argument("--per-fact", type=float, nargs="+", default=[8.0], help="parameters per fact")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()

    def build(solves: int, per_fact: float, n: int, d: int, seed: int) -> dict:
        width = math.ceil(per_fact * n / (3 * d))
        return build_cost("block-convex", n, d, seed, options.device, width=width, solves=solves)

    jobs = [
        {"solves": solves, "per_fact": per_fact, "n": options.n, "d": options.d, "seed": seed}
        for solves in options.solves
        for per_fact in options.per_fact
        for seed in options.seeds
    ]
    path = results_file("block_convex_large", "laptop" if options.device == "cpu" else "paper")
    print(resume(path, jobs, build, device=options.device).to_string())


if __name__ == "__main__":
    main()
