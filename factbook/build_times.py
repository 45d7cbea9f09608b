"""The figures and numbers of the page on what building costs, from the tables of `factbook.cost`."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from factbook import figures, fit

METHODS: dict[str, tuple[str, dict[str, Any]]] = {  # rung -> method and options
    "encoder-decoder": ("encoder-decoder", {}),
    "data-dependent": ("hebbian", {"variant": "data-dependent"}),
    "max-margin": ("max-margin", {}),
    "block-convex": ("block-convex", {"solves": 5}),
    "trained": ("trained", {}),
}
SIZES = {"smoke": (24, 48), "laptop": (128, 256, 512), "paper": (1024, 2048, 4096, 8192, 16384)}
DIMENSION = {"smoke": 16, "laptop": 64, "paper": 128}


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Per rung medians at the most facts, and the exponent of processor seconds in n with its 95% interval."""
    largest = table[table.n == table.n.max()]
    shown = largest.groupby("rung")[["cpu_s", "build_s", "verify_s", "parameters"]].median()
    shown["added MB"] = (largest.peak_mb - largest.rest_mb).groupby(largest.rung).median()
    shown["parameters per fact"] = shown.pop("parameters") / table.n.max()
    laws = {rung: fit.power_law(rows, "n", "cpu_s") for rung, rows in table.groupby("rung")}
    columns = {"exponent of seconds": "exponent", "95% from": "low", "to": "high"}
    for column, part in columns.items():
        shown[column] = pd.Series({rung: getattr(law, part) for rung, law in laws.items()})
    return shown.loc[[rung for rung in METHODS if rung in shown.index]].round(2)


def figure(table: pd.DataFrame) -> Figure:
    """Left processor seconds, right memory added at the peak, against n: medians, spreads and fitted power laws."""
    table, sizes = table.assign(added_mb=table.peak_mb - table.rest_mb), sorted(table.n.unique())
    drawn, (left, right) = plt.subplots(1, 2, figsize=(10, 5))
    for rung in METHODS:
        rows = table[table.rung == rung]
        law = fit.power_law(rows, "n", "cpu_s")
        figures.plot_spread(left, rows, "n", "cpu_s", rung, linestyle="none")
        left.plot(sizes, law(np.array(sizes)), color=figures.COLOURS[rung], linewidth=1)
        figures.plot_spread(right, rows, "n", "added_mb", rung)
    left.set(ylabel="processor seconds to build and verify", yscale="log")
    right.set(ylabel="memory added at the peak (MB)", ylim=(0, None))
    for ax in (left, right):
        ax.set_xscale("log", base=2)
        ax.set_xticks(sizes, [str(n) for n in sizes])
        ax.set_xlabel(f"facts n (d = {table.d.iloc[0]})")
    figures.legend_below(drawn, right)
    return drawn


def large_rows(*tables: pd.DataFrame) -> pd.DataFrame:
    """The runs of benchmarks/build_large.py, from the smallest n on, with parameters per fact and memory in GB."""
    large = pd.concat(tables).sort_values("n")
    large["per fact"] = (large.parameters / large.n).round(1)
    large["memory (GB)"] = (large.peak_mb / 1000).round(2)
    return large


def large_figure(large: pd.DataFrame) -> Figure:
    """Processor seconds and peak memory of single runs on a CPU against n, with a fitted power law."""
    drawn, axes = plt.subplots(1, 2, figsize=(10, 3.8))
    on_cpu = large[large.gpu_mb == 0]
    labels = {"cpu_s": "processor seconds to build and verify", "memory (GB)": "peak memory (GB)"}
    for ax, (column, label) in zip(axes, labels.items()):
        figures.plot_spread(ax, on_cpu, "n", column, "encoder-decoder", linestyle="none")
        ax.set(xscale="log", xlabel="facts n", ylabel=label)
        ax.set_xticks(on_cpu.n, [f"{n:,}" for n in on_cpu.n])
        ax.minorticks_off()
    axes[0].set_yscale("log")
    axes[1].set_ylim(0, None)
    if on_cpu.n.nunique() > 1:
        law = fit.power_law(on_cpu, "n", "cpu_s")
        axes[0].plot(on_cpu.n, law(on_cpu.n), color="grey", linewidth=1, label=f"n^{law.exponent:.2f}, fitted")
    axes[0].legend()
    return drawn


def findings(table: pd.DataFrame, large: pd.DataFrame) -> list[str]:
    """The page's sentences, from the tables build_cost and build_cost_large."""
    n, shown, row = table.n.max(), summary(table), large_rows(large).iloc[-1]
    times = (shown.cpu_s / shown.cpu_s["trained"]).sort_values()
    each = ", ".join(f"{figures.LABELS[rung]} {share:.2f}" for rung, share in times.items() if rung != "trained")
    fast, slowest = figures.LABELS[times.index[0]], figures.LABELS[times.index[-1]]
    each = ", ".join(f"{figures.LABELS[rung]} {share:.2f}" for rung, share in times.items() if rung != "trained")
    return [
        f"With {n:,} facts and every method at a comfortable width, {fast} is quickest and {slowest} takes longest. "
        f"Processor seconds, times those of training: {each}.",
        f"The largest memory is of {row.n:,} facts, recall {row.recall:.0%}: {row['per fact']} parameters a fact, "
        f"{row.cpu_s:.0f} processor seconds, {row['memory (GB)']} GB at the peak.",
    ]
