"""What a fact costs behind attention that is trained at the published settings: 16,000 steps of 1,280 at rate 2e-4.

``python -m factbook.block_published`` fills results/laptop/block_published.csv, the largest number of facts first:
three to five minutes for the attention of each draw, which serves every method, and the searches of `block_facts`.
The stored rows of 256 facts took their attention from the runs of `usable_published`, where its seconds are counted.
"""

import argparse
from typing import Any

import pandas as pd
import torch
from IPython.display import Markdown

from factbook import block_facts, block_facts_shown, store
from factbook.attended import PUBLISHED, TO_THE_END

METHODS = ["paper-codes", "encoder-decoder", "data-dependent", "trained", "block-convex"]
SIZES = (1024, 512, 256, 128, 64)  # facts, at d = 64
COLUMNS = {"n_params_alone": "alone", "n_params_solved": "solved", "n_params": "trained"}


def jobs(seeds: int = 3, sizes: tuple[int, ...] = SIZES) -> list[dict[str, Any]]:
    """All methods behind one attention, draw by draw."""
    return [
        {"method": method, "n_facts": n, "d": 64, **PUBLISHED, "seed": seed}
        for n in sizes
        for seed in range(seeds)
        for method in METHODS
    ]


def measure(method: str, n_facts: int, d: int, seed: int, *, device: str = "cpu", **training: Any) -> dict[str, Any]:
    """`block_facts.cost` behind attention that trains to its last step."""
    return block_facts.cost(method, n_facts, d, seed, profile="laptop", device=device, training=training | TO_THE_END)


def shown() -> pd.DataFrame | Markdown:
    """Parameters per fact by number of facts and method, medians of the draws; not usable counts as infinitely many."""
    rows = store.stored("block_published", "laptop")
    if rows is None:
        return Markdown("As published, 16,000 steps of 1,280 sequences at rate 0.0002: not run yet.")
    rows = rows.sort_values("n_facts", kind="stable")
    each = {name: rows[column].fillna(float("inf")) / rows.n_facts for column, name in COLUMNS.items()}
    by = rows.assign(**each).groupby(["n_facts", "method"], sort=False)
    found = by[list(each)].median().map(lambda x: f"{x:.1f}" if x < float("inf") else "–")
    found = found.assign(draws=by.seed.nunique()).rename(index=block_facts_shown.SHOWN_AS, level="method")
    found = found.rename(index="{:,}".format, level="n_facts")
    return found.rename_axis(["facts", "parameters per fact"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES), help="numbers of facts")
    given = parser.parse_args()
    torch.set_num_threads(1)
    table = store.resume(
        store.results_file("block_published", "laptop"), jobs(given.seeds, tuple(given.sizes)), measure
    )
    print(f"{len(table)} runs")


if __name__ == "__main__":
    main()
