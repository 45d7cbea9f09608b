"""Processor seconds against parameters per fact: every method's networks, and the front that none beats in both."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from factbook import figures

LOOKS = {  # rung of benchmarks/speed.py -> name in `figures.COLOURS`, its words, filled marker or not
    "hebbian": ("hebbian", "Hebbian, whitened", True),
    "data-dependent": ("data-dependent", "Hebbian, data-dependent", True),
    "encoder-decoder": ("encoder-decoder", "encoder-decoder", True),
    "max-margin": ("max-margin", "max-margin", True),
    "block-convex, 1 solve": ("block-convex", "block-convex", True),
    "block-convex, 5 solves": ("block-convex", "block-convex", True),
    "block-convex, 12 solves": ("block-convex", "block-convex", True),
    "block-convex, 40 solves": ("block-convex", "block-convex", True),
    "trained, L-BFGS": ("trained", "trained, L-BFGS", False),
    "trained, Adam": ("trained", "trained, Adam", True),
}
LEAST_RUNGS = 3  # in a panel: fewer are no front


def medians(table: pd.DataFrame) -> pd.DataFrame:
    """One row a network that stores everything in every draw: n, rung, parameters per fact, processor seconds."""
    table = table.assign(per_fact=table.parameters / table.n)
    rows = table.groupby(["n", "rung", "share"], sort=False)
    found = rows.agg({"per_fact": "median", "cpu_s": ["median", "min", "max"], "lost": "max"})
    found.columns = ["per_fact", "cpu_s", "least", "most", "lost"]
    found = found[found.lost == 0].drop(columns="lost").reset_index()
    return found[found.groupby("n").rung.transform("nunique") >= LEAST_RUNGS]


def front(rows: pd.DataFrame) -> pd.DataFrame:
    """Of networks for one n those than which no other is both smaller and quicker, from the smallest on."""
    rows = rows.sort_values(["per_fact", "cpu_s"])
    return rows[~(rows.cpu_s >= rows.cpu_s.cummin().shift())]


def ratios(rows: pd.DataFrame) -> pd.DataFrame:
    """Per n and rung the quickest network's seconds, and the quickest training's at any size over them, by descent.

    A descent that is not among the rows of an n has no column there.
    """
    quickest = rows.groupby(["n", "rung"], sort=False).cpu_s.min()
    found = {}
    for n, seconds in quickest.groupby(level="n"):
        here = seconds.droplevel("n")
        found[f"n = {n:,}", "seconds"] = here
        for descent in ("L-BFGS", "Adam"):
            if (trained := f"trained, {descent}") in here:
                found[f"n = {n:,}", f"times as long, {descent}"] = here[trained] / here
    names = {rung: words.replace("block-convex", rung) for rung, (_, words, _) in LOOKS.items()}
    shown = pd.DataFrame(found).reindex([rung for rung in LOOKS if rung in set(rows.rung)]).rename(index=names)
    return shown.rename_axis(None).map(lambda x: "–" if x != x else f"{x:.2f}" if x < 10 else f"{x:.0f}")


def figure(rows: pd.DataFrame) -> Figure:
    """A panel for each n: networks, their spread in seconds over the draws, and the front."""
    sizes = sorted(rows.n.unique())
    drawn, axes = plt.subplots(1, len(sizes), figsize=(3.2 + 3.2 * len(sizes), 4.6), squeeze=False, sharey=True)
    for ax, n in zip(axes[0], sizes):
        part = rows[rows.n == n]
        for (name, words, filled), points in part.groupby(part.rung.map(LOOKS), sort=False):
            bars = [points.cpu_s - points.least, points.most - points.cpu_s]
            look = {"color": figures.COLOURS[name], "marker": figures.MARKERS[name], "label": words}
            look |= {"markerfacecolor": figures.COLOURS[name] if filled else "white"}
            ax.errorbar(points.per_fact, points.cpu_s, bars, linestyle="none", capsize=3, **look)
        best = front(part)
        ax.plot(best.per_fact, best.cpu_s, color="grey", linewidth=1, zorder=0, label="the front")
        ax.set(xscale="log", yscale="log", xlabel="parameters per fact (dense)", title=f"n = {n:,}, d = 64")
        ticks = [4, 5, 7, 10, 20, 40, 100]
        ax.set_xticks(ticks, [str(tick) for tick in ticks])
        ax.minorticks_off()
    axes[0][0].set_ylabel("processor seconds to build and verify")
    figures.legend_below(drawn, axes[0][0])
    return drawn
