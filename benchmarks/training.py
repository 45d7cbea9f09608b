"""Networks trained at once against one after another, and a batched capacity search against a serial one.

    python benchmarks/training.py                                      # d = 32, n = v = 128 and 256: a minute or two
    python benchmarks/training.py --sizes 1024x64 4096x128 --device cuda

Two comparisons in one run, ratios printed: (a) 8 widths x 3 seeds, `train_many` against `trained` called 24 times;
(b) the smallest widths of 3 fact sets, `smallest_trained_widths` against doubling and bisection with one network
after another. Both sides run the same training code, so the ratio is what batching alone brings. Answers must agree:
the recalls of (a), and the widths of (b), where the two sides may try different widths, so that a lucky seed that one
of them never meets can part them by a unit.
"""

import argparse
import csv
import time
from collections.abc import Callable
from typing import Any

import torch

import factcore as fc
from factcore.batched import train_many
from factcore.batched_search import first_guess, smallest_trained_widths
from factcore.search import _bisect
from factcore.training import trained


def timed(work: Callable[[], Any], device: str) -> tuple[float, Any]:
    """Wall time and result, once the device has finished."""
    start = time.perf_counter()
    result = work()
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start, result


def networks(sets: list[fc.FactSet], options: dict, device: str) -> dict:
    """Part (a)."""
    guess = first_guess(sets[0])
    widths = [max(1, guess + offset) for offset in range(-2, 6)]
    runs = [(facts, width, seed) for seed, facts in enumerate(sets) for width in widths]
    batch, together = timed(lambda: train_many(*(list(column) for column in zip(*runs)), **options), device)
    single, alone = timed(lambda: [trained(*run, **options) for run in runs], device)
    recalls = [[fc.recall(mlp, run[0]) for mlp, run in zip(mlps, runs)] for mlps in (together, alone)]
    stored = [[recall == 1 for recall in side] for side in recalls]
    return {
        "part": f"{len(runs)} networks",
        "batched_seconds": batch,
        "serial_seconds": single,
        "same_answers": stored[0] == stored[1],
        "largest_difference": max(abs(a - b) for a, b in zip(*recalls)),
        "answers": f"{sum(stored[0])} of {len(runs)} store everything",
    }


def searches(sets: list[fc.FactSet], tries: int, options: dict, device: str) -> dict:
    """Part (b)."""

    def serial(facts: fc.FactSet, seed: int) -> int:
        def reaches(width: int) -> bool:
            return any(fc.recall(trained(facts, width, seed + k, **options), facts) == 1 for k in range(tries))

        return _bisect(reaches, first_guess(facts), 2**18, 0.02)

    seeds = list(range(len(sets)))
    batch, found = timed(lambda: smallest_trained_widths(sets, seed=seeds, tries=tries, **options), device)
    single, widths = timed(lambda: [serial(facts, seed) for facts, seed in zip(sets, seeds)], device)
    return {
        "part": f"{len(sets)} searches",
        "batched_seconds": batch,
        "serial_seconds": single,
        "same_answers": [f.width for f in found] == widths,
        "largest_difference": max(abs(f.width - w) for f, w in zip(found, widths)),
        "answers": f"widths {[f.width for f in found]}",
    }


def size(text: str) -> tuple[int, int]:
    n, d = text.split("x")
    return int(n), int(d)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=["networks", "searches"], choices=["networks", "searches"])
    parser.add_argument("--sizes", nargs="+", type=size, default=[(128, 32), (256, 32)], metavar="NxD")
    parser.add_argument("--sets", type=int, default=3, help="fact sets, each with its seed")
    parser.add_argument("--tries", type=int, default=3, help="seeds after which a width is too small")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--csv", default=None, help="file the table is written to")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    options = {"steps": args.steps, "progress": False}
    warm = fc.spherical_facts(16, 4).to(args.device)
    train_many(warm, [2], [0], steps=2, progress=False)  # the first call loads libraries
    table = []
    for n, d in args.sizes:
        sets = [fc.spherical_facts(n, d, seed=seed).to(args.device) for seed in range(args.sets)]
        for part in args.parts:
            row = {"n_facts": n, "d": d, "steps": args.steps, "device": args.device, "threads": torch.get_num_threads()}
            if part == "networks":
                row |= networks(sets, options, args.device)
            else:
                row |= searches(sets, args.tries, options, args.device)
            row["ratio"] = row["serial_seconds"] / row["batched_seconds"]
            row |= {name: round(row[name], 4) for name in ("batched_seconds", "serial_seconds", "ratio")}
            table.append(row)
            print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    if args.csv:
        with open(args.csv, "w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(table[0]))
            writer.writeheader()
            writer.writerows(table)


if __name__ == "__main__":
    main()
