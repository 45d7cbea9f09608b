"""The papers' axis: the fewest parameters for n = α d² facts, d growing, and how exponents change with α and d.

One run is one method, α, d and draw. `jobs` lists them cheapest first, to n = 16,384 for what is averaged or solved for
once and to 4,096 for what takes hundreds of iterations over all facts, as training does; the table holds those that
have been run, and the page says how far each method went. Keys and values are one table of embeddings (tied), as
published, and at one α also two (untied); the map is a random permutation. Run the missing ones with
``python -m factbook.scaling [--methods ntk hebbian] [--largest 4096]``.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

import factcore as fc
from factbook import fit, store
from factcore.methods import METHODS
from factcore.support import check_options

DIMENSIONS = (32, 45, 64, 90, 128, 181, 256)
ALPHAS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
UNTIED = 1 / 4  # the α at which keys and values of their own are measured as well
SEARCH: dict[str, Any] = {"tries": 1, "resolution": 0.04}
ITERATED = 4096  # facts for which hours are enough for hundreds of iterations; `paper` goes on with given widths
# name: construct's method, its options, and the largest n that is asked for
METHODS_HERE: dict[str, tuple[str, dict[str, Any], int]] = {
    "paper-codes": ("encoder-decoder", {"codes": "projected"}, 16384),
    "paper-random-gates": ("encoder-decoder", {"codes": "projected", "encoder": "random-gates"}, 16384),
    "encoder-decoder": ("encoder-decoder", {}, 16384),
    "ntk": ("ntk", {}, 16384),
    "ntk-relu": ("ntk", {"gate": "relu"}, 16384),
    "hebbian": ("hebbian", {}, 16384),
    "data-dependent": ("hebbian", {"variant": "data-dependent"}, 16384),
    "max-margin": ("max-margin", {}, ITERATED),
    "block-convex": ("block-convex", {}, ITERATED),
    "trained": ("trained", {}, ITERATED),
}
WIDEST, DEAREST = 65536, 6000  # units (as far as the published search goes) and parameters per fact
DRAWN_AS = {"paper-random-gates": "paper-codes", "ntk-relu": "ntk"}  # these take the other's colour, hollow
FULL_RANK = 1 / 2  # Hebbian features span d (d + 1) / 2: from this α on they take many units, and memory


def facts_at(alpha: float, d: int, seed: int, tied: bool = True) -> fc.FactSet:
    """⌊α d²⌋ facts on the sphere, a random permutation; tied: the values are the keys, row by row."""
    facts = fc.spherical_facts(int(alpha * d * d), d, seed=seed)
    return fc.FactSet(facts.keys, facts.keys, facts.targets) if tied else facts


def jobs(
    methods: Sequence[str] | None = None,
    *,
    seeds: int = 2,
    largest: int = 16384,
    dimensions: Sequence[int] = DIMENSIONS,
    alphas: Sequence[float] = ALPHAS,
) -> list[dict[str, Any]]:
    """All runs, cheapest first; ValueError for a method that is none of `METHODS_HERE`."""
    if unknown := set(methods or ()) - set(METHODS_HERE):
        raise ValueError(f"methods must be among {list(METHODS_HERE)}, got {sorted(unknown)}")
    found = []
    for method, (name, options, most) in METHODS_HERE.items():
        if methods is not None and method not in methods or not _known(name, options):
            continue
        for d in dimensions:
            for alpha in alphas:
                n = int(alpha * d * d)
                crowded = name == "hebbian" and alpha >= FULL_RANK and n > (4096 if method == "hebbian" else 2048)
                if n > min(most, largest) or crowded:
                    continue
                kinds = (True, False) if alpha == UNTIED else (True,)
                cells = {"method": method, "alpha": alpha, "d": d}
                found += [cells | {"tied": tied, "seed": seed} for tied in kinds for seed in range(seeds)]
    dear = {"paper-random-gates": 4, "data-dependent": 8, "max-margin": 64, "block-convex": 16, "trained": 16}
    return sorted(found, key=lambda job: dear.get(job["method"], 1) * job["alpha"] * job["d"] ** 3)


def _known(name: str, options: dict[str, Any]) -> bool:
    try:
        check_options(name, METHODS[name].build, options)
    except ValueError:
        return False
    return True


def cost(method: str, alpha: float, d: int, tied: bool, seed: int, *, device: str = "cpu") -> dict[str, Any]:
    """Fewest units and parameters at 100% recall; infinite where the widest that is tried loses facts.

    NTK and Hebbian memories are averages: whether they store the facts at all is settled at the widest first.
    """
    facts = facts_at(alpha, d, seed, tied).to(device)
    name, options, _ = METHODS_HERE[method]
    row: dict[str, Any] = {"n_facts": len(facts), "device": facts.keys.device}
    try:
        if METHODS[name].finds_width:
            found: Any = fc.construct(facts, name, seed=seed, **options)
            share, worked = fc.recall(found, facts), found.down.device
        else:
            widest = _widest(name, alpha, facts)
            if widest and len(fc.construct(facts, name, width=widest, seed=seed, strict=False, **options).lost):
                return row | {"width": widest, "n_params": math.inf, "recall": math.nan}
            found = fc.smallest_width(facts, name, seed=seed, **SEARCH, **options)
            share, worked = found.recall, found.trials[-1]["device"]
    except ValueError:
        return row | {"width": 0, "n_params": math.inf, "recall": math.nan}
    return row | {"width": found.width, "n_params": float(found.n_params), "recall": share, "device": worked}


def _widest(name: str, alpha: float, facts: fc.FactSet) -> int | None:
    """A width beyond which an average gains nothing worth paying for; None where it is known to store the facts."""
    if name == "ntk":
        return min(WIDEST, -(-DEAREST * len(facts) // (3 * facts.d)))
    return facts.d * (facts.d + 1) if name == "hebbian" and alpha >= FULL_RANK else None


def paired(table: pd.DataFrame, method: str, over: str | None, *, tied: bool = True) -> pd.DataFrame:
    """Runs of ``method`` with the column ratio: n_params over those of ``over`` on the same facts, or over n log₂ n."""
    table = table[table.tied.astype(bool) == tied]
    key = ["alpha", "d", "seed", "n_facts"]
    own = table[table.method == method][[*key, "n_params"]]
    if over is None:
        return own.assign(ratio=own.n_params / (own.n_facts * np.log2(own.n_facts)))
    pairs = own.merge(table[table.method == over][[*key, "n_params"]], on=key, suffixes=("", "_over"))
    return pairs.assign(ratio=pairs.n_params / pairs.n_params_over)


def stored(pairs: pd.DataFrame) -> pd.Series:
    """Of the rows of `paired` those in which both methods store the facts."""
    return np.isfinite(pairs.ratio) & (pairs.ratio > 0)


def exponents(
    table: pd.DataFrame, method: str, over: str | None = "trained", *, tied: bool = True, least_sizes: int = 3
) -> pd.DataFrame:
    """Per α, the exponent in n of the ratio of `paired`: columns alpha, exponent, low, high, runs, d_least, d_most and
    left_out (runs in which one of the two stored nothing). An α with fewer than ``least_sizes`` d is left out.

    One point per d, the geometric mean of its draws: widths are whole numbers, so that draws often agree to the unit
    and are no independent evidence of how good a line is.
    """
    rows = []
    for alpha, group in paired(table, method, over, tied=tied).groupby("alpha"):
        kept = group[stored(group)]
        if kept.d.nunique() < least_sizes:
            continue
        slope = fit.line(np.exp(np.log(kept[["d", "n_facts", "ratio"]]).groupby("d").mean()), "n_facts", "ratio")
        ends = {"runs": len(kept), "d_least": kept.d.min(), "d_most": kept.d.max(), "left_out": len(group) - len(kept)}
        rows.append({"alpha": alpha, "exponent": slope.value, "low": slope.low, "high": slope.high} | ends)
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", nargs="+")
    parser.add_argument("--largest", type=int, default=16384)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--profile", default="laptop", choices=("laptop", "paper"))
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.manual_seed(0)
    todo = jobs(given.methods, seeds=given.seeds, largest=given.largest)

    def run(**job: Any) -> dict[str, Any]:
        return cost(**job, device=given.device)

    table = store.resume(store.results_file("scaling", given.profile), todo, run, device=given.device)
    print(f"{len(table)} runs, {np.isfinite(table.n_params).sum()} store all facts")


if __name__ == "__main__":
    main()
