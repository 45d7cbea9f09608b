"""Processor seconds against parameters per fact: every method's networks, and the front that none beats in both."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from factbook import figures

LOOKS = {  # rung of benchmarks/speed.py -> name in `figures.COLOURS`, filled marker or not
    "hebbian": ("hebbian", True),
    "data-dependent": ("data-dependent", True),
    "encoder-decoder": ("encoder-decoder", True),
    "max-margin": ("max-margin", True),
    "block-convex, 1 solve": ("block-convex", False),
    "block-convex, 5 solves": ("block-convex", True),
    "block-convex, 12 solves": ("block-convex-2", True),
    "trained, L-BFGS": ("trained", False),
    "trained, Adam": ("trained", True),
}


def medians(table: pd.DataFrame) -> pd.DataFrame:
    """One row a network that stores everything in every draw: n, rung, parameters per fact, processor seconds."""
    table = table.assign(per_fact=table.parameters / table.n)
    rows = table.groupby(["n", "rung", "share"], sort=False)
    found = rows.agg({"per_fact": "median", "cpu_s": ["median", "min", "max"], "lost": "max"})
    found.columns = ["per_fact", "cpu_s", "least", "most", "lost"]
    return found[found.lost == 0].drop(columns="lost").reset_index()


def front(rows: pd.DataFrame) -> pd.DataFrame:
    """Of networks for one n those than which no other is both smaller and quicker, from the smallest on."""
    rows = rows.sort_values(["per_fact", "cpu_s"])
    return rows[~(rows.cpu_s >= rows.cpu_s.cummin().shift())]


def ratios(rows: pd.DataFrame) -> pd.DataFrame:
    """Per n and rung the quickest network's seconds, against the quickest training at any size, by each descent."""
    quickest = rows.groupby(["rung", "n"], sort=False).cpu_s.min().unstack()
    return pd.concat(
        {
            "seconds": quickest,
            "L-BFGS / this": quickest.loc["trained, L-BFGS"] / quickest,
            "Adam / this": quickest.loc["trained, Adam"] / quickest,
        },
        axis=1,
    )


def figure(rows: pd.DataFrame) -> Figure:
    """A panel for each n: networks, their spread in seconds over the draws, and the front."""
    sizes = sorted(rows.n.unique())
    drawn, axes = plt.subplots(1, len(sizes), figsize=(5 * len(sizes), 4.6), squeeze=False, sharey=True)
    for ax, n in zip(axes[0], sizes):
        part = rows[rows.n == n]
        for rung, points in part.groupby("rung", sort=False):
            name, filled = LOOKS[rung]
            bars = [points.cpu_s - points.least, points.most - points.cpu_s]
            look = {"color": figures.COLOURS[name], "marker": figures.MARKERS[name], "label": rung}
            ax.errorbar(
                points.per_fact, points.cpu_s, bars, ls="none", capsize=3, mfc=None if filled else "none", **look
            )
        best = front(part)
        ax.plot(best.per_fact, best.cpu_s, color="grey", linewidth=1, zorder=0, label="the front")
        ax.set(xscale="log", yscale="log", xlabel="parameters per fact (dense)", title=f"n = {n:,}, d = 64")
        ticks = [4, 5, 7, 10, 20, 40, 100]
        ax.set_xticks(ticks, [str(tick) for tick in ticks])
        ax.minorticks_off()
    axes[0][0].set_ylabel("processor seconds to build and verify")
    figures.legend_below(drawn, axes[0][0])
    return drawn
