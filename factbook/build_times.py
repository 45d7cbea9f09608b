"""The figures and numbers of the page on what building costs, from the tables of `factbook.cost`."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from factbook import cost, figures, fit, store

METHODS: dict[str, tuple[str, dict[str, Any]]] = {  # rung -> method and options
    "encoder-decoder": ("encoder-decoder", {}),
    "data-dependent": ("hebbian", {"variant": "data-dependent"}),
    "max-margin": ("max-margin", {}),
    "block-convex": ("block-convex", {"solves": 5}),
    "trained": ("trained", {}),
}
SIZES = {"smoke": (24, 48), "laptop": (128, 256, 512), "paper": (1024, 2048, 4096, 8192, 16384)}
DIMENSION = {"smoke": 16, "laptop": 64, "paper": 128}


def built(rung: str, n: int, d: int, seed: int, *, fresh: bool, device: str) -> dict[str, Any]:
    """Cost of one network (`factbook.cost`), in a process of its own where ``fresh``."""
    method, options = METHODS[rung]
    return cost.build_cost(method, n, d, seed, device, fresh=fresh, **options)


def table(profile: str, seed: int, device: str) -> pd.DataFrame:
    """Every rung at every size, three draws of facts, in the smoke profile one."""
    jobs = [
        {"rung": rung, "n": n, "d": DIMENSION[profile], "seed": s}
        for n in SIZES[profile]
        for rung in METHODS
        for s in store.draws(profile, seed)
    ]
    run = partial(built, fresh=profile != "smoke", device=device)
    return store.resume(store.results_file("build_cost", profile), jobs, run, device=device)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Per rung medians at the most facts, and the exponent of processor seconds in n with its 95% interval."""
    largest = table[table.n == table.n.max()]
    shown = largest.groupby("rung")[["cpu_s", "parameters"]].median()
    shown["added MB"] = (largest.peak_mb - largest.rest_mb).groupby(largest.rung).median()
    shown["parameters per fact"] = shown.pop("parameters") / table.n.max()
    laws = {rung: fit.power_law(rows, "n", "cpu_s") for rung, rows in table.groupby("rung")}
    for part in ("exponent", "low", "high"):
        shown[part] = pd.Series({rung: getattr(law, part) for rung, law in laws.items()})
    return shown.loc[[rung for rung in METHODS if rung in shown.index]].round(2)


def written(table: pd.DataFrame) -> pd.DataFrame:
    """`summary` as it is read."""
    found = summary(table).rename(index=figures.LABELS)
    columns = {
        "processor [s]": found.cpu_s.map("{:.2f}".format),
        "exponent in n": [f"{a:.2f} [{b:.2f}, {c:.2f}]" for a, b, c in zip(found.exponent, found.low, found.high)],
        "memory [MB]": found["added MB"].map("{:.0f}".format),
        "parameters per fact": found["parameters per fact"].map("{:.0f}".format),
    }
    return pd.DataFrame(columns).rename_axis(index=None, columns=f"n = {table.n.max():,}")


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


def large_written(large: pd.DataFrame) -> pd.DataFrame:
    """`large_rows` as they are read."""
    columns = {
        "values": large.n_values.map("{:,}".format) if "n_values" in large else "as many",
        "d": large.d,
        "parameters per fact": large["per fact"],
        "recall": large.recall.map("{:.0%}".format),
        "build [s]": large.build_s.map("{:,.0f}".format),
        "verify [s]": large.verify_s.map(lambda s: f"{s:,.0f}" if s else "–"),
        "processor [s]": large.cpu_s.map("{:,.0f}".format),
        "memory [GB]": large["memory (GB)"],
    }
    return pd.DataFrame(columns).set_axis(large.n.map("{:,}".format)).rename_axis(index=None, columns="facts n")


def large_figure(large: pd.DataFrame) -> Figure:
    """Processor seconds and peak memory of single runs on a CPU against n; a power law where there are n values."""
    drawn, axes = plt.subplots(1, 2, figsize=(10, 3.8))
    on_cpu = large[large.gpu_mb == 0]
    fitted = on_cpu[on_cpu.n_values == on_cpu.n] if "n_values" in on_cpu else on_cpu
    blue = figures.COLOURS["encoder-decoder"]
    labels = {"cpu_s": "processor seconds to build and verify", "memory (GB)": "peak memory (GB)"}
    for ax, (column, label) in zip(axes, labels.items()):
        ax.plot(on_cpu.n, on_cpu[column], marker="o", linestyle="none", color=blue, label="encoder-decoder, one run")
        ax.set(xscale="log", xlabel="facts n", ylabel=label)
        ax.set_xticks(on_cpu.n, [f"{n:,}" for n in on_cpu.n])
        ax.minorticks_off()
    axes[0].set_yscale("log")
    axes[1].set_ylim(0, None)
    if fitted.n.nunique() > 1:
        law = fit.power_law(fitted, "n", "cpu_s")
        axes[0].plot(fitted.n, law(fitted.n), color="grey", linewidth=1, label=f"$n^{{{law.exponent:.2f}}}$, $v = n$")
    axes[0].legend()
    return drawn


def findings(table: pd.DataFrame, large: pd.DataFrame) -> list[str]:
    """The page's sentences, from the tables build_cost and build_cost_large."""
    n, shown, row = table.n.max(), summary(table), large_rows(large).iloc[-1]
    times = (shown.cpu_s / shown.cpu_s["trained"]).sort_values()
    each = "; ".join(f"{figures.LABELS[rung]} {share:.2f}" for rung, share in times.items() if rung != "trained")
    fast, slowest = (figures.LABELS[times.index[end]] for end in (0, -1))
    return [
        f"**Constructed need not mean quick.** With {n:,} facts and every method at a comfortable width, "
        f"{fast} is quickest and {slowest} takes longest. Processor seconds, times those of training: {each}.",
        f"**Large memories can be built.** The largest is of {row.n:,} facts with {row.n_values:,} values, recall "
        f"{row.recall:.0%}: {row['per fact']} parameters a fact, {row.cpu_s:,.0f} processor seconds, "
        f"{row['memory (GB)']} GB at the peak.",
    ]
