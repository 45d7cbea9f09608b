"""Figures of the editing pages: medians over models and draws of edits as lines, smallest to largest as bars."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from factbook import figures
from factbook.editing.crowded import published
from factbook.editing.study import BATCH, STYLE

MEASURES = ("score", "efficacy", "specificity")


def lines(ax: Axes, table: pd.DataFrame, x: str, y: str, *, apart: float = 0.0) -> None:
    """``y`` against ``x``, one line a method that ``table`` holds, moved ``apart`` in x where they would coincide."""
    for number, method in enumerate(STYLE):
        grouped = table[table.method == method].groupby(x)[y]
        if len(middle := grouped.median()):
            bars = [middle - grouped.min(), grouped.max() - middle]
            look = STYLE[method] | {"zorder": 4 if method == "swap" else 3}  # the swap is never hidden
            ax.errorbar(middle.index + apart * (number - 2), middle, yerr=bars, capsize=3, **look)


def crowds(table: pd.DataFrame) -> Figure:
    """Score, efficacy and specificity against facts per hidden unit, published protocol, block-convex networks."""
    table = published(table)
    figure, axes = plt.subplots(2, 2, figsize=(8.2, 6.2), sharex=True, sharey=True)
    for ax, measure in zip(axes.flat, MEASURES):
        lines(ax, table, "per_unit", measure, apart=0.35)
        ax.set(ylabel=measure, ylim=(0, 1.03), xticks=sorted(table.per_unit.unique()), xlabel="facts per hidden unit")
        ax.tick_params(labelbottom=True)
    axes[1, 1].set_axis_off()  # the names stand where a fourth measure would
    axes[1, 1].legend(*axes[0, 0].get_legend_handles_labels(), loc="center", fontsize=11)
    return figure


def times(table: pd.DataFrame) -> Figure:
    """Processor seconds an edit against the number of facts."""
    figure, ax = plt.subplots()
    lines(ax, table, "n_facts", "cpu_s")
    ax.set(xscale="log", yscale="log", xlabel="facts n, a tenth of them edited", ylabel="processor seconds per edit")
    sizes = sorted(table.n_facts.unique())
    ax.set_xticks(sizes, [str(n) for n in sizes])
    ax.set_yticks(ticks := [0.02, 0.05, 0.1, 0.2, 0.5, 1], [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
    figures.legend_below(figure, ax)
    return figure


def sequences(table: pd.DataFrame) -> Figure:
    """Share of all facts that paraphrases get right against the edits made, five at a time."""
    looks = [name for name in table.columns if name.startswith("after_")]
    long = table.melt(id_vars=["method", "seed"], value_vars=looks, var_name="batches", value_name="right")
    long["edits"] = BATCH * long.batches.str.removeprefix("after_").astype(int)
    figure, ax = plt.subplots()
    lines(ax, long, "edits", "right", apart=0.7)
    ax.set(xlabel="edits, five at a time", ylabel="facts right in paraphrases", ylim=(0, 1.03))
    ax.set_xticks(sorted(long.edits.unique()))
    figures.legend_below(figure, ax)
    return figure
