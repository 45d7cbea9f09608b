"""Networks trained at once against one after another, and a batched capacity search against a serial one.

    python benchmarks/training.py --threads 1                          # d = 32, n = v = 128 and 256: a minute or two
    python benchmarks/training.py --sizes 1024x64 4096x128 --device cuda

Two comparisons, one row each in results/laptop/training_benchmark.csv (with a GPU results/paper/); rows that it holds
are not measured again: (a) 8 widths of each of 3 fact sets, `train_many` against `trained` called 24 times; (b) the
smallest widths of 3 fact sets, `smallest_width` with a grid of widths side by side against the same search with one
network after another. Both sides run the same training code, so the ratio is what batching alone brings. Answers must
agree: the recalls of (a), and the widths of (b), where the two sides may try different widths, so that a lucky seed
that one of them never meets can part them by a unit. Rows before commit 1cd6786 trained the networks of all fact sets
in one batch.

`ratio` is of seconds by the clock, `cpu_ratio` of processor seconds. Use --threads 1 where other processes compute: a
step is many small operations, at each of which two threads wait for the slower one. Without a free core for each, both
sides take many times as long, by the chances of the scheduler, and the ratio of the clock's seconds says little.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import torch

import factcore as fc
from factbook import store
from factcore.constructions.trained import train_many, trained
from factcore.methods import METHODS


def timed(work: Callable[[], Any], device: str) -> tuple[float, float, Any]:
    """Seconds by the clock and of the processor (all threads), and the result, once the device has finished."""
    start, cpu = time.perf_counter(), time.process_time()
    result = work()
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start, time.process_time() - cpu, result


def compared(batched: tuple[float, float], serial: tuple[float, float]) -> dict:
    """The columns of the two times and of their ratios."""
    times = {"batched_s": batched[0], "serial_s": serial[0], "ratio": serial[0] / batched[0]}
    times |= {"batched_cpu_s": batched[1], "serial_cpu_s": serial[1], "cpu_ratio": serial[1] / batched[1]}
    return {name: round(number, 3) for name, number in times.items()}


def networks(sets: list[fc.FactSet], options: dict, device: str) -> dict:
    """Part (a)."""
    guess = METHODS["trained"].guess(sets[0])
    widths = [max(1, guess + offset) for offset in range(-2, 6)]

    def together() -> list[list[fc.GatedMLP]]:
        return [train_many(facts, widths, [seed] * len(widths), **options) for seed, facts in enumerate(sets)]

    def alone() -> list[list[fc.GatedMLP]]:
        return [[trained(facts, width, seed, **options) for width in widths] for seed, facts in enumerate(sets)]

    *batch, found = timed(together, device)
    *single, expected = timed(alone, device)
    recalls = [[fc.recall(mlp, facts) for facts, mlps in zip(sets, side) for mlp in mlps] for side in (found, expected)]
    stored = [[recall == 1 for recall in side] for side in recalls]
    return compared(batch, single) | {
        "device": found[0][0].down.device,
        "same_answers": stored[0] == stored[1],
        "largest_difference": max(abs(a - b) for a, b in zip(*recalls)),
        "answers": f"{sum(stored[0])} of {len(stored[0])} store everything",
    }


def searches(sets: list[fc.FactSet], tries: int, options: dict, device: str) -> dict:
    """Part (b)."""

    def widths() -> list[int]:
        found = (fc.smallest_width(facts, "trained", seed=s, tries=tries, **options) for s, facts in enumerate(sets))
        return [each.width for each in found]

    *batch, together = timed(widths, device)
    with patch.dict(METHODS, trained=METHODS["trained"]._replace(build_many=None)):
        *single, alone = timed(widths, device)
    return compared(batch, single) | {
        "device": sets[0].keys.device,
        "same_answers": together == alone,
        "largest_difference": max(abs(a - b) for a, b in zip(together, alone)),
        "answers": f"widths {together}",
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
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    train_many(fc.spherical_facts(16, 4).to(args.device), [2], [0], steps=2)  # loads libraries

    def measure(part: str, n_facts: int, d: int, sets: int, tries: int, steps: int, threads: int) -> dict:
        drawn = [fc.spherical_facts(n_facts, d, seed=seed).to(args.device) for seed in range(sets)]
        options = {"steps": steps}
        if part == "networks":
            return networks(drawn, options, args.device)
        return searches(drawn, tries, options, args.device)

    jobs = [
        {
            "part": part,
            "n_facts": n,
            "d": d,
            "sets": args.sets,
            "tries": args.tries,
            "steps": args.steps,
            "threads": torch.get_num_threads(),
        }
        for n, d in args.sizes
        for part in args.parts
    ]
    path = store.results_file("training_benchmark", "laptop" if args.device == "cpu" else "paper")
    print(store.resume(path, jobs, measure, device=args.device).T.to_string())


if __name__ == "__main__":
    main()
