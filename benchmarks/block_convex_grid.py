"""What was tried for `block-convex` and what each bought: the smallest width, one change at a time.

    python benchmarks/block_convex_grid.py                    # n = v = 256, d = 32: minutes
    python benchmarks/block_convex_grid.py --sizes 1024x64    # an hour

A run finds the smallest width of one change for one draw of the facts (`smallest_width`, one try a width), with 5 and
with 2 solves. Finished runs are kept in results/laptop/block_convex_grid.csv and not repeated. The table printed shows
the mean width over the draws and the change against the default with as many solves: less is better. A width is
resolved to one unit, about 8% with 5 solves.

What was chosen (n = v = 256, d = 32, three draws):
- Hebbian averages buy most: without them the network needs 18% more units with 5 solves, 64% more with 2. Four do as
  well as six or nine.
- All three matrices at once, linearised: one block a solve needs 28% more units with 5 solves, 16% more with 2, even
  from the averages.
- Orthonormal first directions (an option) change nothing with 5 solves here; with 2 they buy 3%. At n = 1,024 they buy
  5% with 2 solves, and with 5 the one unit that the unluckiest of three draws lacks.
- Averages with the units' correlations taken out buy 3% with 5 solves, 7% with 2, but the one for D is then a ridge
  regression, nearly a solve itself. Eight random starts, of which the averages tell the best: 3%. The scale of the
  start changes nothing.
- The squared hinge in the linearised solves: as good as the cubic one, and cross-entropy needs 15% more. It stores more
  facts on the way, but leaves the last solve, for D, a harder problem.
- A share of the step for each matrix, or D refitted to the linearised outputs: no unit, so one share for all.
- Bilinear gates: SiLU needs 15% to 18% more.
- The last solve for D alone, and its small ridge, buy a unit or two; a smaller ridge buys none. Proximity (1 to 30, or
  falling) and tol change nothing.
- More solves keep on paying: from 30 units with 1 solve over 20, 16 and 13 (2, 3, 5) to 11 and 10 (8, 14).

Changes that are no option of `block_convex` are in block_convex_changes.py, put together from its parts.
"""

import argparse
from unittest.mock import patch

import torch
from block_convex_changes import OURS

import factcore as fc
from factbook import store
from factcore.constructions.block_convex import block_convex
from factcore.methods import METHODS

CHANGES = {
    "default": {},
    "no averages": {"averages": 0},
    "1 average": {"averages": 1},
    "2 averages": {"averages": 2},
    "6 averages": {"averages": 6},
    "9 averages": {"averages": 9},
    "proximity 1": {"proximity": 1.0},
    "proximity 30": {"proximity": 30.0},
    "proximity 100": {"proximity": 100.0},
    "ridge 1e-2": {"ridge": 1e-2},
    "ridge 1e-1": {"ridge": 1e-1},
    "tol 0.1": {"tol": 0.1},
    "tol 1e-3": {"tol": 1e-3},
    "silu": {"gate": "silu"},
    "all linearised": {},
    "one block a solve": {},
    "one block, random start": {"averages": 0},
    "ridge 1e-4": {"ridge": 1e-4},
    "orthogonal": {"directions": "orthogonal"},
    "best of 8 starts": {},
    "start x 0.5": {},
    "start x 2": {},
    "whitened averages": {"averages": 6},
    "orthogonal, whitened averages": {"averages": 6, "directions": "orthogonal"},
    "proximity falls": {},
    "cubic hinge": {},
    "cross-entropy": {},
    "three shares": {},
    "D refitted": {},
}
SOLVES = (1, 3, 8, 14)  # with the default options, besides the 5 and 2 of every change


def cost(change: str, solves: int, n_facts: int, d: int, seed: int) -> dict:
    """The smallest width with ``change`` for one draw of n = v facts."""
    facts = fc.spherical_facts(n_facts, d, seed=seed)
    start = max(1, round({1: 9, 2: 6.5, 3: 5.5}.get(solves, 4.8) * n_facts / (3 * d)))
    with patch.dict(METHODS, {"block-convex": OURS.get(change, block_convex)}):
        found = fc.smallest_width(
            facts, "block-convex", seed=seed, tries=1, start=start, solves=solves, **CHANGES[change]
        )
    return {"width": found.width, "n_params": found.n_params, "recall": found.recall}


def size(text: str) -> tuple[int, int]:
    n, d = text.split("x")
    return int(n), int(d)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=size, default=[(256, 32)], metavar="NxD")
    parser.add_argument("--changes", nargs="+", default=list(CHANGES), choices=list(CHANGES))
    parser.add_argument("--solves", nargs="+", type=int, default=[5, 2, *SOLVES], metavar="K")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=None)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    plans = [(change, k) for k in args.solves for change in args.changes if k in (5, 2) or change == "default"]
    jobs = [
        {"change": change, "solves": solves, "n_facts": n, "d": d, "seed": seed}
        for n, d in args.sizes
        for change, solves in plans
        for seed in range(args.seeds)
    ]
    table = store.resume(store.results_file("block_convex_grid", "laptop"), jobs, cost)
    table["per_fact"] = table.n_params / table.n_facts
    shown = table.groupby(["n_facts", "d", "solves", "change"], sort=False)
    shown = shown.agg({"width": ["mean", "min", "max"], "per_fact": "mean", "seconds": "mean"})
    shown.columns = ["width", "least", "most", "per_fact", "seconds"]
    shown = shown.reset_index()
    default = shown[shown.change == "default"].set_index(["n_facts", "d", "solves"]).width
    against = default.reindex(list(zip(shown.n_facts, shown.d, shown.solves))).to_numpy()
    shown["percent"] = 100 * (shown.width / against - 1)
    print(shown.round(1).to_string(index=False))


if __name__ == "__main__":
    main()
