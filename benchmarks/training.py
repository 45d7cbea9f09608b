"""Networks trained at once against one after another, and a batched capacity search against a serial one.

    python benchmarks/training.py --threads 1                          # d = 32, n = v = 128 and 256: a minute or two
    python benchmarks/training.py --sizes 1024x64 4096x128 --device cuda

Two comparisons, one row each in results/laptop/training_benchmark.csv (with a GPU results/paper/); rows that it holds
are not measured again: (a) 8 widths x 3 seeds, `train_many` against `trained` called 24 times;
(b) the smallest widths of 3 fact sets, `smallest_trained_widths` against doubling and bisection with one network
after another. Both sides run the same training code, so the ratio is what batching alone brings. Answers must agree:
the recalls of (a), and the widths of (b), where the two sides may try different widths, so that a lucky seed that one
of them never meets can part them by a unit.

`ratio` is of seconds by the clock, `cpu_ratio` of processor seconds. Use --threads 1 where other processes compute: a
step is many small operations, at each of which two threads wait for the slower one. Without a free core for each, both
sides take many times as long, by the chances of the scheduler, and the ratio of the clock's seconds says little.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
from factcore.batched_search import first_guess, smallest_trained_widths

import factcore as fc
from factbook import store
from factcore.constructions.trained import train_many, trained
from factcore.search import _bisect


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
    guess = first_guess(sets[0])
    widths = [max(1, guess + offset) for offset in range(-2, 6)]
    runs = [(facts, width, seed) for seed, facts in enumerate(sets) for width in widths]
    *batch, together = timed(lambda: train_many(*(list(column) for column in zip(*runs)), **options), device)
    *single, alone = timed(lambda: [trained(*run, **options) for run in runs], device)
    recalls = [[fc.recall(mlp, run[0]) for mlp, run in zip(mlps, runs)] for mlps in (together, alone)]
    stored = [[recall == 1 for recall in side] for side in recalls]
    return compared(batch, single) | {
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
    *batch, found = timed(lambda: smallest_trained_widths(sets, seed=seeds, tries=tries, **options), device)
    *single, widths = timed(lambda: [serial(facts, seed) for facts, seed in zip(sets, seeds)], device)
    return compared(batch, single) | {
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
