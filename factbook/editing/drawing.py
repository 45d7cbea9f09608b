"""Figures of the editing pages: medians over models and draws of edits as lines, smallest to largest as bars."""

from collections.abc import Iterable

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from factbook import figures
from factbook.editing import crowded
from factbook.editing.study import STYLE

MEASURES = ("score", "efficacy", "specificity")
TITLES = {
    ("permuted", "one"): "theirs: values permuted, one sentence a fact",
    ("table", "all"): "ours: values of the table, all sentences",
}


def lines(ax: Axes, table: pd.DataFrame, x: str, y: str, methods: Iterable[str] = STYLE) -> None:
    """``y`` against ``x``, one line a method that ``table`` holds."""
    for method in methods:
        grouped = table[table.method == method].groupby(x)[y]
        if len(middle := grouped.median()):
            bars = [middle - grouped.min(), grouped.max() - middle]
            ax.errorbar(middle.index, middle, yerr=bars, capsize=3, **STYLE[method])


def crowds(table: pd.DataFrame, edits: pd.DataFrame) -> Figure:
    """Score against facts per hidden unit, one panel a protocol: the published one first.

    ``edits``: by the second protocol, at 8 facts a unit.
    """
    ours = edits[(edits.share == crowded.SHARE) & edits.method.isin(crowded.METHODS)]
    table = pd.concat([table, ours.assign(per_unit=8, values_of="table", told="all")])
    kinds = [kind for kind in crowded.PROTOCOLS if ((table.values_of == kind[0]) & (table.told == kind[1])).any()]
    figure, axes = plt.subplots(1, len(kinds), figsize=(5 * len(kinds), 4.4), sharey=True, squeeze=False)
    for ax, (values_of, told) in zip(axes.flat, kinds):
        rows = table[(table.values_of == values_of) & (table.told == told)]
        lines(ax, rows, "per_unit", "score")
        ax.set_xticks(sorted(rows.per_unit.unique()))
        ax.set(xlabel="facts per hidden unit", title=TITLES[values_of, told])
    axes[0, 0].set(ylabel="score, a tenth of the facts edited", ylim=(0, 1.03))
    figures.legend_below(figure, axes[0, 0])
    return figure


def shares(table: pd.DataFrame) -> Figure:
    """Score, efficacy, specificity and the change of perplexity against the share of edited facts."""
    table = table.assign(change=100 * (table.perplexity_ratio - 1), percent=100 * table.share)
    figure, axes = plt.subplots(2, 2, figsize=(8.6, 6.4), sharex=True)
    for ax, measure in zip(axes.flat, (*MEASURES, "change")):
        lines(ax, table, "percent", measure)
        ax.set(title=measure, xscale="log", ylim=(0, 1.03))
    spread = max(0.05, 1.1 * float(table.change.abs().max()))
    axes[1, 1].set(title="perplexity, change [%]", ylim=(-spread, spread))
    axes[1, 1].axhline(0, color="0.5", linewidth=0.8, zorder=0)
    ticks = sorted(table.percent.unique())
    axes[1, 1].set_xticks(ticks, [f"{tick:.2g}" for tick in ticks])
    axes[1, 1].minorticks_off()
    for ax in axes[1]:
        ax.set_xlabel("facts edited [%]")
    figures.legend_below(figure, axes[0, 0])
    return figure


def times(table: pd.DataFrame) -> Figure:
    """Processor seconds an edit against the number of facts."""
    figure, ax = plt.subplots()
    lines(ax, table, "n_facts", "cpu_s")
    ax.set(xscale="log", yscale="log", xlabel="facts n, a tenth of them edited", ylabel="processor seconds per edit")
    sizes = sorted(table.n_facts.unique())
    ax.set_xticks(sizes, [str(n) for n in sizes])
    ax.minorticks_off()
    figures.legend_below(figure, ax)
    return figure


def sequences(table: pd.DataFrame) -> Figure:
    """Share of all facts that paraphrases get right against the batches of edits made one after another."""
    looks = [name for name in table.columns if name.startswith("after_")]
    long = table.melt(id_vars=["method", "seed"], value_vars=looks, var_name="batches", value_name="right")
    long["batches"] = long.batches.str.removeprefix("after_").astype(int)
    figure, ax = plt.subplots()
    lines(ax, long, "batches", "right")
    ax.set(xlabel="batches of five edits, one after another", ylabel="facts right in paraphrases", ylim=(0, 1.03))
    figures.legend_below(figure, ax)
    return figure
