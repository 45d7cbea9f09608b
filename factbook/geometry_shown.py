"""The figures of the page on geometries: both costs against decodability, and what each predictor explains of them."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib import ticker
from matplotlib.figure import Figure

from factbook import figures
from factbook.geometry_cost import COSTS, PREDICTORS

GROUPS = {  # what is drawn as one series, and the family that lends it its look
    "even": ("sphere", ["sphere", "gaussian"]),
    "spiked": ("spiked", ["spiked", "power-law"]),
    "clusters": ("clusters", ["clusters"]),
    "near a subspace": ("low-rank", ["low-rank"]),
    "unequal norms": ("norms", ["norms"]),
    "real": ("airports", ["airports", "tokens", "mlp-outputs"]),
}


def drawn_costs(rows: pd.DataFrame) -> Figure:
    """Cost per fact against ρ at the largest n: a point a geometry, raw filled, whitened hollow; the slope −2."""
    rows = rows[(rows.n == rows.n.max()) & (rows.outcome == "stored")]
    figure, axes = plt.subplots(1, 2, figsize=(9.4, 4.9), sharex=True)
    for ax, (cost, title) in zip(axes, COSTS.items()):
        for label, (look, families) in GROUPS.items():
            for kind in ("raw", "whitened"):
                part = rows[rows.family.isin(families) & (rows["values"] == kind)].groupby("geometry")
                if not len(part):
                    continue
                y, colour = part[cost].agg(["min", "median", "max"]) / rows.n.iloc[0], figures.GEOMETRY_COLOURS[look]
                marks = {"marker": figures.GEOMETRY_MARKERS[look], "color": colour, "linestyle": "none", "capsize": 2}
                marks |= {"markerfacecolor": colour if kind == "raw" else "white"}
                bars = [y["median"] - y["min"], y["max"] - y["median"]]
                ax.errorbar(part.rho.median(), y["median"], bars, label=label if kind == "raw" else None, **marks)
        sphere = rows[(rows.geometry == "sphere") & (rows["values"] == "raw")]
        at, top = sphere.rho.median(), 1.15 * rows[cost].max() / rows.n.iloc[0]
        ends = [at, at * (sphere[cost].median() / rows.n.iloc[0] / top) ** 0.5]
        ax.plot(ends, [sphere[cost].median() / rows.n.iloc[0], top], color="grey", linestyle="--", zorder=0)
        ax.annotate(
            "slope −2,\nthe paper's form", (ends[1], top), (-6, -2), textcoords="offset points", ha="right", va="top"
        )
        ax.set(xscale="log", yscale="log", xlabel="decodability ρ (no unit)", ylabel="parameters per fact (dense)")
        ax.set(title=f"{title}, n = v = {rows.n.iloc[0]}, d = {rows.d.iloc[0]}", ylim=(None, 1.02 * top))
        for axis, marks_at in ((ax.xaxis, (1, 2, 5)), (ax.yaxis, (1, 2, 3, 4, 5, 7))):
            axis.set_major_locator(ticker.LogLocator(subs=marks_at))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter(ticker.NullFormatter())
    figures.legend_below(figure, axes[0], columns=6)
    return figure


def drawn_powers(power: pd.DataFrame) -> Figure:
    """R² of each predictor of `powers`, a panel a cost, with 95% intervals over whole geometries."""
    figure, axes = plt.subplots(1, 2, figsize=(9.4, 3.2), sharey=True, sharex=True)
    for ax, (cost, title) in zip(axes, COSTS.items()):
        part, colour = power.loc[cost].loc[list(PREDICTORS)], figures.COLOURS[cost.replace("_", "-")]
        bars = [(part.r2 - part.r2_low).clip(lower=0), (part.r2_high - part.r2).clip(lower=0)]
        ax.errorbar(part.r2, range(len(part)), xerr=bars, marker="o", color=colour, linestyle="none", capsize=3)
        ax.set(xlabel="R² of log cost on log predictor", title=title, xlim=(-0.03, 1))
        ax.set_yticks(range(len(part)), list(PREDICTORS.values()))
    axes[0].set_ylim(len(PREDICTORS) - 0.5, -0.5)
    return figure
