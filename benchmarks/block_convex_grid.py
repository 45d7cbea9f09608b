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
- Bilinear gates: SiLU needs 15% to 18% more.
- The last solve for D alone, and its small ridge, buy a unit or two. Proximity (1 to 30) and tol change nothing.
- More solves keep on paying: from 30 units with 1 solve over 20, 16 and 13 (2, 3, 5) to 11 and 10 (8, 14).

Two changes are no option of `block_convex` and are put together here from its parts:
- "all linearised": the last solve moves G, A and D like the others, in place of D alone.
- "one block a solve": A, D, G, A, D in turn, each alone with the other two fixed (each a convex problem without any
  linearising), from random directions or from the Hebbian averages.
"""

import argparse
import functools
from unittest.mock import patch

import torch
from torch import Tensor

import factcore as fc
from factbook import store
from factcore import block_convex as parts
from factcore.construct import METHODS
from factcore.convex import minimise
from factcore.max_margin import Problem, Weights, network, random_weights, scaled_problem

BLOCKS = "ADGAD"
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
}
SOLVES = (1, 3, 8, 14)  # with the default options, besides the 5 and 2 of every change


def solve_block(problem: Problem, w: Weights, name: str, ridge: float, tol: float):
    """The block ``name`` (A, D or G) with the other two fixed, in the bilinear network exactly."""
    if name == "D":
        return parts._solve_down(problem, w, ridge, tol)
    field = {"A": "up", "G": "gates"}[name]
    keys, shape = problem.keys, w.up.shape
    other = keys @ (w.gates if name == "A" else w.up).T

    def outputs(theta: Tensor) -> Tensor:
        return (other * (keys @ theta.view(shape).T)) @ w.down.T

    def pullback(slope: Tensor) -> Tensor:
        return ((slope @ w.down * other).T @ keys).flatten()

    solve = minimise(
        outputs,
        pullback,
        problem.values,
        problem.targets,
        start=getattr(w, field).flatten(),
        curvature=ridge,
        tol=tol,
        enough=parts.ENOUGH,
    )
    return w._replace(**{field: solve.theta.view(shape)}), solve


def one_block_a_solve(facts, width, seed, *, solves=5, averages=4, ridge=1e-2, tol=1e-2):
    """A, D, G, A, D …: `block_convex` without linearised solves."""
    problem, scale = scaled_problem(facts, "identity")
    w, done = parts._hebbian_start(problem, random_weights(problem, width, seed), averages), []
    while len(done) < solves and not (done and problem.decodes(w)):
        w, solve = solve_block(problem, w, BLOCKS[len(done) % 3], ridge, tol)
        w = parts._balance(w, "identity")
        done.append(solve)
    return network(w, scale, facts, "identity", done, n_solved=sum(part.numel() for part in w))


@functools.wraps(parts.block_convex)  # and so with its options
def all_linearised(facts, width, seed, **options):
    """`block_convex` whose last solve, too, is for G, A and D together."""
    with patch.object(parts, "_solve_down", lambda p, w, ridge, tol: parts._solve_all(p, w, parts.PROXIMITY, tol)):
        return parts.block_convex(facts, width, seed, **options)


OURS = {
    "all linearised": all_linearised,
    "one block a solve": one_block_a_solve,
    "one block, random start": one_block_a_solve,
}


def cost(change: str, solves: int, n_facts: int, d: int, seed: int) -> dict:
    """The smallest width with ``change`` for one draw of n = v facts."""
    facts = fc.spherical_facts(n_facts, d, seed=seed)
    start = max(1, round({1: 9, 2: 6.5, 3: 5.5}.get(solves, 4.8) * n_facts / (3 * d)))
    with patch.dict(METHODS, {"block-convex": OURS.get(change, parts.block_convex)}):
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
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=None)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    plans = [(change, solves) for solves in (5, 2) for change in args.changes]
    plans += [("default", solves) for solves in SOLVES if "default" in args.changes]
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
