"""Seconds and memory to build and verify encoder-decoder networks for up to 10^6 facts, for notebooks/build_cost.py.

    python benchmarks/build_large.py [--device cuda] [n ...]

writes results/laptop/build_cost_large.csv (with a GPU results/paper/), one row per finished run; d = 128, as many
values as facts, but 10^4 values for 10^6 facts. Runs that the table holds are not repeated. 10^5 facts take some
minutes on two cores, 10^6 half an hour.
"""

from __future__ import annotations

import argparse
from functools import partial

from factbook.cost import build_cost
from factbook.store import results_file, resume

SIZES = {"laptop": (12_500, 25_000, 50_000, 100_000, 1_000_000), "paper": (10_000, 100_000, 1_000_000)}

VALUES = {1_000_000: 10_000}  # for other sizes as many as facts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("n", type=int, nargs="*", help="numbers of facts; the default is every size of the table")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    profile = "laptop" if options.device == "cpu" else "paper"
    sizes = options.n or SIZES[profile]
    jobs = [{"method": "encoder-decoder", "n": n, "n_values": VALUES.get(n, n), "d": 128, "seed": 0} for n in sizes]
    path, run = results_file("build_cost_large", profile), partial(build_cost, device=options.device)
    table = resume(path, jobs, run, device=options.device)
    print(table.to_string())


if __name__ == "__main__":
    main()
