"""Seconds to solve for attention against seconds to train it, and what each lets through, in one run.

    python benchmarks/attention.py --threads 1          # n = 256, d = 64, three seeds: two minutes

Both set up the same model for the same keys and junk: `solve_attention` by one convex problem, `train_recall` with its
own defaults. `through` is the share of 8,192 fresh sequences whose key is, of all keys, nearest to what attention hands
on. The two take turns, so that what else the machine does meets both. One row per setting in
results/laptop/attention_benchmark.csv (with a GPU results/paper/); rows that it holds are not measured again.
"""

import argparse
import time

import torch

import factcore as fc
from factbook import noise as us
from factbook import store
from factcore import transformer as tf


def both(n_facts: int, d: int, seed: int, device: str) -> dict:
    """Seconds and what gets through, solved and trained."""
    facts = fc.spherical_facts(n_facts, d, seed=seed).to(device)
    row = {}
    find = {
        "solved": lambda model: tf.solve_attention(model),
        "trained": lambda model: tf.train_recall(model, facts.targets, seed=seed),
    }
    for name, run in find.items():
        model = tf.FactTransformer(facts, seed=seed)
        begun = time.perf_counter()
        run(model)
        row[f"{name}_seconds"] = round(time.perf_counter() - begun, 3)
        row["device"] = model.query.device
        row[f"{name}_through"] = float(us.arrivals(model, samples=8192, seed=seed + 1).through.double().mean())
    return row | {"ratio": round(row["trained_seconds"] / row["solved_seconds"], 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=256, help="facts")
    parser.add_argument("--d", type=int, default=64, help="dimension")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=None, help="processor threads; 1 where others compute")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    jobs = [{"n_facts": args.n, "d": args.d, "seed": seed} for seed in range(args.seeds)]
    path = store.results_file("attention_benchmark", "laptop" if args.device == "cpu" else "paper")
    print(store.resume(path, jobs, lambda **job: both(**job, device=args.device), device=args.device).T.to_string())


if __name__ == "__main__":
    main()
