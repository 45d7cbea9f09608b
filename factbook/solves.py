"""The page on solves: parameters against the number of convex solves, and what each part of `block-convex` buys.

python -m factbook.solves      # results/laptop/solves_large.csv and block_convex_steps.csv: an hour, resumable
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

import pandas as pd
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

import factcore as fc
from factbook import figures, store
from factcore.constructions import block_convex, start

SIZES = {"smoke": (48, 16), "laptop": (256, 32), "paper": (4096, 128)}
COUNTS = {"smoke": (1, 5), "laptop": (1, 2, 3, 5, 8, 12), "paper": (1, 2, 3, 5, 8, 12, 20)}
LARGE, FORMS = ((1024, 64), (2048, 64)), ("gated", "plain")
AT = {1024: 24, 2048: 48}  # units at which the changes are compared: training needs 20 and 46
CHANGES: dict[str, dict[str, Any]] = {
    "as it is": {},
    "least squares, 1 round": {"rounds": 1},
    "least squares, 10 rounds": {"rounds": 10},
    "least squares, 40 rounds": {"rounds": 40},
    "least squares, 300 rounds": {"rounds": 300},
    "outputs left at their scale": {"scales": [1.0]},
    "κ = 0.3 at first": {"kappa": 0.3},
    "κ = 30 at first": {"kappa": 30.0},
    "gaps of 1%": {"tol": 0.01},
    "gaps of 50%": {"tol": 0.5},
    "whole steps at most": {"shares": (1.0, 0.7, 0.5, 0.3, 0.15, 0.05)},
}


def cost(
    solves: int, n_facts: int, d: int, seed: int, form: str = "gated", *, steps: int = 2000, device: str = "cpu"
) -> dict:
    """Fewest parameters with at most this many solves; 0 solves stands for a trained network."""
    facts = fc.spherical_facts(n_facts, d, seed=seed).to(device)
    method, options = ("block-convex", {"solves": solves}) if solves else ("trained", {"steps": steps})
    begun = time.process_time()
    found = fc.smallest_width(facts, method, seed=seed, tries=1, form=form, **options)
    spent = time.process_time() - begun
    row = {"width": found.width, "n_params": found.n_params, "recall": found.recall, "cpu_s": round(spent, 1)}
    return row | {"device": found.trials[-1]["device"]}


def table(profile: str, seed: int, device: str) -> pd.DataFrame:
    """The page's own run: every number of solves, three draws."""
    n, d = SIZES[profile]
    jobs = [
        {"solves": k, "n_facts": n, "d": d, "seed": s}
        for k in (0, *COUNTS[profile])
        for s in store.draws(profile, seed)
    ]
    run = partial(cost, steps=100 if profile == "smoke" else 2000, device=device)
    return store.resume(store.results_file("solves", profile), jobs, run, device=device)


def findings(rows: pd.DataFrame, large: pd.DataFrame) -> list[str]:
    """The page's sentences, from the tables of `cost`: medians over the draws at one solve, five and the most."""
    n, d, most = rows.n_facts.iloc[0], rows.d.iloc[0], rows.solves.max()
    per_fact = rows.groupby("solves").n_params.median() / n
    one, five = (f"{per_fact[k]:.1f} ({per_fact[k] / per_fact[0]:.1f} times)" for k in (1, 5))
    last = rows[rows.solves == most].n_params / (per_fact[0] * n)
    larger, fewer = [], []
    for form, part in large.groupby("form"):
        sizes = " and ".join(f"{size:,}" for size in sorted(part.n_facts.unique()))
        larger.append(f"{_times(part, large.solves.max())} in the {form} form ({sizes} facts)")
        fewer.append(_times(part, 5))
    return [
        f"**A few convex solves come near training**, which stores {n} random facts, d = {d}, in {per_fact[0]:.1f} "
        f"parameters each: least squares and one convex solve in {one}, five solves in {five}.",
        f"**{most} solves take {last.median():.1f} times as many parameters as training** at {n} facts, "
        f"{last.max():.2f} in the dearest draw. In larger runs they take {' and '.join(larger)}; five take "
        f"{' and '.join(fewer)}.",
    ]


def _times(rows: pd.DataFrame, solves: int) -> str:
    """Parameters with that many solves over those of training, medians, the range over the sizes: "1.04 to 1.10"."""
    params = rows.groupby(["n_facts", "solves"]).n_params.median().unstack()
    least, *_, most = sorted([f"{times:.2f}" for times in params[solves] / params[0]] * 2)
    return least if least == most else f"{least} to {most}"


def gaps(steps: pd.DataFrame) -> list[str]:
    """How tight the bounds are with the constants as they are, from the table of `step`."""
    worst = steps[steps.change == "as it is"].groupby("n_facts").largest_gap.max()
    each = " and ".join(f"{gap:.0%} for {n:,} facts" for n, gap in worst.items())
    return [
        f"Each solve states a bound on its gap. As it is, the largest is {each}, in shares of the loss: near the "
        "smallest width a solve ends before its bound is tight."
    ]


def changes(steps: pd.DataFrame) -> pd.DataFrame:
    """The table of `step` as it is read: solves, draws that lose facts and processor seconds, for each size."""
    rows = steps.assign(failed=(steps.lost > 0).astype(int)).groupby(["change", "n_facts"], sort=False)
    found = rows.agg({"solves": "median", "failed": "sum", "cpu_s": "median"})
    names = {"solves": "solves", "failed": "draws that lose facts", "cpu_s": "processor [s]"}
    shown = pd.DataFrame({names[of]: found[of].map(f"{{:.{int(of == 'cpu_s')}f}}".format) for of in names})
    shown = shown.unstack("n_facts").swaplevel(axis=1).sort_index(axis=1, level=0, sort_remaining=False)
    return shown.rename(columns=lambda name: name if isinstance(name, str) else f"{name:,} facts").rename_axis(
        index=None, columns=[None, None]
    )


@contextmanager
def changed(
    rounds: int = start.ROUNDS, scales: list | None = None, kappa: float = 3.0, shares: tuple | None = None
) -> Iterator[None]:
    """`block-convex` with other constants, for as long as the block lasts."""
    with (
        patch.object(start, "ROUNDS", rounds),
        patch.object(start, "SCALES", scales or start.SCALES),
        patch.object(block_convex, "PROXIMITY", kappa),
        patch.object(block_convex, "SHARES", shares or block_convex.SHARES),
    ):
        yield


def step(change: str, n_facts: int, seed: int) -> dict:
    """Solves and processor seconds that one change needs at the width `AT`; at most 20 solves."""
    facts, constants = fc.spherical_facts(n_facts, 64, seed=seed), dict(CHANGES[change])
    options = {"tol": constants.pop("tol")} if "tol" in constants else {}
    begun = time.process_time()
    with changed(**constants):
        mlp = fc.construct(facts, "block-convex", width=AT[n_facts], seed=seed, solves=20, strict=False, **options)
    return {
        "width": mlp.width,
        "solves": len(mlp.solves),
        "lost": len(mlp.lost),
        "cpu_s": round(time.process_time() - begun, 2),
        "largest_gap": round(max((s["gap"] / s["objective"] for s in mlp.solves), default=0.0), 3),
    }


def figure(rows: pd.DataFrame) -> Figure:
    """Parameters per fact against solves, a panel for each size and form, training as a band."""
    rows = rows.assign(per_fact=rows.n_params / rows.n_facts)
    panels = list(rows.groupby(["form", "n_facts"]))
    drawn, axes = plt.subplots(
        1, len(panels), figsize=(3.3 * len(panels) ** 0.85 + 1.5, 3.8), squeeze=False, sharey=True
    )
    for ax, ((form, n), part) in zip(axes[0], panels):
        trained = part[part.solves == 0].per_fact
        figures.plot_spread(ax, part[part.solves > 0], "solves", "per_fact", "block-convex", label="block-convex")
        ax.axhspan(trained.min(), trained.max(), color=figures.COLOURS["trained"], alpha=0.25)
        ax.axhline(trained.median(), color=figures.COLOURS["trained"], linestyle="--", label="trained")
        counts = sorted(part[part.solves > 0].solves.unique())
        ax.set(xscale="log", xlabel="convex solves, at most", title=f"{form}, n = {n:,}, d = {part.d.iloc[0]}")
        ax.set_xticks(counts, labels=[str(count) for count in counts])
        ax.minorticks_off()
    axes[0][0].set(ylabel="parameters per fact, recall 100%", ylim=(0, None))
    axes[0][0].legend()
    return drawn


def main() -> None:
    """The stored tables of larger sizes, cheapest rows first."""
    torch.set_num_threads(1)
    changes = [{"change": c, "n_facts": n, "seed": s} for n in AT for c in CHANGES for s in range(3)]
    store.resume(store.results_file("block_convex_steps", "laptop"), changes, step)
    counts = (0, *COUNTS["laptop"])
    jobs = [
        {"solves": k, "n_facts": n, "d": d, "seed": s, "form": form}
        for n, d in LARGE
        for form in FORMS
        for k in counts
        for s in range(3)
    ]
    store.resume(store.results_file("solves_large", "laptop"), jobs, cost)


if __name__ == "__main__":
    main()
