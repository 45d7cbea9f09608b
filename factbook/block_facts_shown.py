"""What the page on the facts that a block can store shows: tables, figures and findings of `factbook.block_facts`."""

from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from factbook import figures, fit
from factbook.block_facts import METHODS
from factbook.prose import span, with_ends

WHERE = {"n_params_alone": "alone", "n_params_solved": "attention solved for", "n_params": "attention trained"}
SHOWN = {
    "three constructions": ["encoder-decoder", "max-margin", "block-convex"],
    "Hebbian and trained": ["data-dependent", "trained"],
}
NAMES = {"data-dependent": "data-dependent\nHebbian"}
SHOWN_AS = {method: name.replace("'", "’") for method, name in figures.LABELS.items()}
PAIRS = (("data-dependent", "trained"), ("encoder-decoder", "data-dependent"))


def _wide(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows.d == rows.d.max()]


def findings(rows: pd.DataFrame, published: pd.DataFrame) -> list[str]:
    """The page's sentences, from the tables block_facts and block_published."""
    wide, d = _wide(rows), rows.d.max()
    solved, trained = (_times(rows, column) for column in ("n_params_solved", "n_params"))
    whole = wide.groupby("n_facts").through_solved.min() == 1
    free = solved.drop(index="max-margin")[whole[whole].index].stack()
    last = wide[wide.n_facts == wide.n_facts.max()]
    small = rows[(rows.d == rows.d.min()) & (rows.n_facts == rows[rows.d == rows.d.min()].n_facts.max())]
    beside_training, beside_codes = (ratios(rows, *pair) for pair in PAIRS)
    draws = (wide.n_params_solved / wide.n_params_alone)[wide.n_facts.isin(whole[whole].index)]
    draws = draws[wide.method != "max-margin"]
    theirs = published[published.method == "paper-codes"].dropna(subset="n_params")
    each = (theirs.n_params / theirs.n_facts).groupby(theirs.n_facts).median()
    law = fit.line(theirs, "n_facts", "n_params")
    return [
        "**Behind attention that is solved for, usability costs next to nothing while every sequence gets through**: "
        f"up to {whole[whole].index.max()} facts at d = {d} a memory costs {_range(free)} times what its facts cost "
        f"alone in the median (single draws {_range(draws)}; max-margin more, for its larger ridge).",
        f"**Behind trained attention usability has a price**: {_range(trained.stack())} times the cost alone (median).",
        f"**The paper's codes behind attention trained as published** take {_range(each)} parameters a fact, "
        f"{theirs.n_facts.min()} to {theirs.n_facts.max():,} facts at d = {theirs.d.max()}: their parameters grow with "
        f"exponent {with_ends(*law)}, where 1 is in proportion.",
        f"**Attention has a ceiling of its own**: of {last.n_facts.iloc[0]} facts at d = {d} trained "
        f"attention lets {last.through.median():.1%} of the sequences through, solved-for attention "
        f"{last.through_solved.median():.1%}; of {small.n_facts.iloc[0]} at d = {rows.d.min()} "
        f"{small.through.median():.1%} and {small.through_solved.median():.1%}.",
        f"**The encoder-decoder beside the data-dependent Hebbian memory**: with our short codes and behind trained "
        f"attention, {_facts(beside_codes)}, it takes {_range(beside_codes[WHERE['n_params']])} times the parameters "
        "(published, with the paper's codes: 63).",
        f"**The data-dependent memory beside trained MLPs**, {_facts(beside_training)}: behind trained attention it "
        f"takes {_range(beside_training[WHERE['n_params']])} times the parameters (published: at most 3), and "
        f"{_range(beside_training[WHERE['n_params_solved']])} times where attention is solved for.",
    ]


def _times(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Parameters in ``column`` over those of the same facts alone, at the larger dimension: medians of the draws."""
    wide = _wide(rows)
    times = wide.assign(times=wide[column] / wide.n_params_alone)
    return times.pivot_table(index="method", columns="n_facts", values="times", aggfunc="median")


def _range(column: pd.Series) -> str:
    """From the smallest to the largest, once where both round alike."""
    return span(f"{column.min():.1f}", f"{column.max():.1f}") if column.notna().any() else "–"


def _facts(ratio: pd.DataFrame) -> str:
    sizes = ratio.index.get_level_values("n_facts")
    return f"over {sizes.min()} to {sizes.max()} facts"


def shares_through(rows: pd.DataFrame) -> list[str]:
    """The caption of `ceiling`: what gets through at twice and at eight times as many keys as dimensions."""
    by = rows.groupby(["n_facts", "d"])[["through", "through_solved"]].median()

    def words(times: int, d: int, kinds: tuple[str, str] = ("", "")) -> str:
        share = by.loc[times * d, d]
        return f"{share.through:.0%}{kinds[0]} and {share.through_solved:.0%}{kinds[1]}"

    small, large = rows.d.min(), rows.d.max()
    return [
        "**Attention must tell every key from 16 kinds of junk by one linear map; how many keys it can tell depends on "
        "the dimension.** With twice as many keys as dimensions "
        f"{words(2, small, (' (attention trained)', ' (solved for)'))} of the sequences get through at d = {small}, "
        f"{words(2, large)} at d = {large}, where with eight times as many {words(8, large)} still do."
    ]


def prices(rows: pd.DataFrame) -> pd.DataFrame:
    """Parameters over those of the same facts alone, at the larger dimension: medians of the draws."""
    found = {WHERE[column]: _times(rows, column) for column in ("n_params_solved", "n_params")}
    whole = pd.concat(found, axis=1).loc[[m for m in METHODS if (rows.method == m).any()]]
    whole.columns = whole.columns.map(lambda at: (at[0], f"{at[1]:,}"))
    return (
        whole.rename(index=figures.LABELS)
        .rename_axis(index=None, columns=["", "facts"])
        .map(lambda x: f"{x:.1f}" if x > 0 else "–")
    )


def served(rows: pd.DataFrame) -> pd.DataFrame:
    """At the smaller dimension: draws, of three, in which a usable memory was found within the limit."""
    small = rows[rows.d == rows.d.min()]
    order = [method for method in (*METHODS, "paper-codes") if (small.method == method).any()]
    by = small.groupby(["method", "n_facts"])
    found = pd.concat({WHERE[c]: by[c].count().unstack() for c in ("n_params_solved", "n_params")}, axis=1)
    return found.loc[order].rename(index=SHOWN_AS).rename_axis(index=None, columns=["", "facts"])


def ratios(rows: pd.DataFrame, over: str, under: str) -> pd.DataFrame:
    """Parameters of one method over another's for the same draws, every draw a row."""
    key = ["n_facts", "d", "seed"]
    both = rows[rows.method == over].merge(rows[rows.method == under], on=key).set_index(key)
    return pd.DataFrame({where: both[f"{c}_x"] / both[f"{c}_y"] for c, where in WHERE.items()})


def beside(rows: pd.DataFrame) -> pd.DataFrame:
    """The ratios of `PAIRS` as ranges over the draws."""
    found = {}
    for over, under in PAIRS:
        for n, part in ratios(rows, over, under).groupby("n_facts"):
            found[f"{over} over {under}", n] = part.agg(_range)
    return pd.DataFrame(found).T.rename_axis(["parameters of", "facts"]) if found else pd.DataFrame()


def exponents(rows: pd.DataFrame) -> pd.DataFrame:
    """Exponents of parameters in the number of facts at the larger dimension, with Student's 95% intervals."""
    found: dict[str, dict[str, str]] = {}
    for method, part in _wide(rows).groupby("method", sort=False):
        for column, where in WHERE.items():
            usable = part.dropna(subset=column)
            law = fit.line(usable, "n_facts", column) if usable.n_facts.nunique() > 2 else None
            found.setdefault(SHOWN_AS[str(method)], {})[where] = with_ends(*law) if law else "–"
    return pd.DataFrame(found).T


def costs(rows: pd.DataFrame) -> Figure:
    """Parameters per fact against facts, the larger dimension: alone (dashed), behind trained attention (solid)."""
    wide = _wide(rows)
    figure, panels = plt.subplots(1, 2, figsize=(8.6, 4.6), sharey=True)
    for axes, (title, methods) in zip(panels, SHOWN.items()):
        for method in (m for m in methods if (wide.method == m).any()):
            part = wide[wide.method == method]
            alone = part.assign(each=part.n_params_alone / part.n_facts).groupby("n_facts").each.median()
            look: dict[str, Any] = {"color": figures.COLOURS[method], "marker": figures.MARKERS[method]}
            axes.plot(alone.index, alone, linestyle="--", linewidth=1, fillstyle="none", **look)
            usable = part.dropna(subset="n_params")
            figures.plot_spread(axes, usable.assign(each=usable.n_params / usable.n_facts), "n_facts", "each", method)
        axes.set(xscale="log", yscale="log", xlabel="facts", title=title)
        axes.set_xticks(counts := sorted(wide.n_facts.unique()), labels=list(map(str, counts)))
        axes.set_yticks(ticks := [5, 10, 20, 50, 100, 200], labels=list(map(str, ticks)))
        axes.minorticks_off()
    panels[0].set_ylabel(f"parameters per fact, d = {wide.d.iloc[0]}")
    lines = [panels[0].plot([], [], dash, color="#595959")[0] for dash in ("-", "--")]
    panels[0].legend(lines, ["behind trained attention", "alone"], loc="upper right", fontsize=9)
    for axes, methods in zip(panels, SHOWN.values()):  # once the panels share their final height
        if ends := [end for method in methods if (end := _end(wide, method))]:
            figures.label_ends(axes, ends)
    return figure


def _end(wide: pd.DataFrame, method: str) -> tuple[float, float, str, str] | None:
    """Where the line of a method behind trained attention ends, its name and its colour."""
    usable = wide[wide.method == method].dropna(subset="n_params")
    each = (usable.n_params / usable.n_facts).groupby(usable.n_facts).median()
    name = NAMES.get(method, method)
    return (float(each.index[-1]), float(each.iloc[-1]), name, figures.COLOURS[method]) if len(each) else None


def ceiling(rows: pd.DataFrame) -> Figure:
    """The share of sequences whose key gets through attention, trained and solved for, at both dimensions."""
    figure, axes = plt.subplots(figsize=(7, 4))
    ways = (("through", "trained", "-", "^"), ("through_solved", "solved for", "--", "o"))
    shifts = iter(1.03**k for k in (-1.5, -0.5, 0.5, 1.5))  # bars beside each other
    for (d, part), colour in zip(rows.groupby("d"), ("#7F7F7F", "#000000")):
        for column, where, dash, mark in ways:
            shown = part.assign(percent=100 * part[column], at=part.n_facts * next(shifts))
            look = {"linestyle": dash, "label": f"d = {d}, {where}", "color": colour, "marker": mark}
            figures.plot_spread(axes, shown, "at", "percent", "trained", **look)
    axes.set(xscale="log", xlabel="facts", ylabel="sequences that get through attention [%]")
    axes.set_xticks(counts := sorted(rows.n_facts.unique()), labels=list(map(str, counts)))
    axes.minorticks_off()
    axes.legend(loc="lower right")
    return figure
