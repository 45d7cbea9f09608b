"""Real facts: what nine ways to store them cost on airports and on a language model's MLP, raw and whitened.

Beside them stand spherical facts of the same n, v and d. A Hebbian memory is given up when 2 × (number of independent
features) = min(d (d + 1), 2 n) hidden units lose facts, the NTK memory at 64 n units: a row with the recall reached
and no cost.
"""

import math
from collections.abc import Iterable
from functools import partial
from typing import Any

import pandas as pd
import torch
from matplotlib import pyplot as plt
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import factcore as fc
from factbook import figures, geometries, store

SIZES = {"smoke": {"n": 24, "d": 8}, "laptop": {"n": 256, "d": 32}, "paper": {"n": 3072, "d": 384}}
WHOLE = {"smoke": SIZES["smoke"], "laptop": {"n": 1024, "d": 384}, "paper": {"n": 4096, "d": 384}}
STEPS = {"smoke": 60, "laptop": 500, "paper": 4000}
AIRPORTS, LAYER = "airports", "MLP layer"
DATA = [AIRPORTS, LAYER]
VALUES = ["sphere", "raw", "whitened"]
SEARCH: dict[str, Any] = {"tries": 1, "resolution": 0.05}  # samples differ more than attempts at a width do
SEPARATORS = "hebbian, separators"
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "one-hot": ("one-hot", {}),
    "ntk": ("ntk", {}),
    "hebbian": ("hebbian", {}),
    SEPARATORS: ("hebbian", {"targets": "separators"}),
    "data-dependent": ("hebbian", {"variant": "data-dependent"}),
    "encoder-decoder": ("encoder-decoder", {}),
    "max-margin": ("max-margin", {}),
    "block-convex": ("block-convex", {}),
    "trained": ("trained", {}),
}
LABELS = figures.LABELS | {SEPARATORS: "Hebbian, separator targets", "hebbian": "Hebbian, ridge regression"}
SMOKE = ("hebbian", SEPARATORS, "encoder-decoder", "trained")
# In all dimensions: not one-hot, which costs at least d + e + 1 a fact whatever the values are, not NTK, which loses
# facts of real samples even when they are cut, and not max-margin, too slow there.
UNCUT = ("hebbian", SEPARATORS, "data-dependent", "encoder-decoder", "block-convex", "trained")


# --- the facts --------------------------------------------------------------------------------------------------------


def airports(n: int, seed: int) -> fc.FactSet:
    """n airports with their cities: the cities in random order, those with several airports first."""
    everything = fc.airport_facts()
    shared = torch.bincount(everything.targets) > 1
    rank = torch.rand(everything.n_values, generator=torch.Generator().manual_seed(seed))
    rank = (rank - shared.float())[everything.targets]
    return everything.subset(rank.argsort(stable=True)[:n])


def whiten_values(facts: fc.FactSet) -> fc.FactSet:
    """The same keys and map, the values whitened: with a ridge where their covariance is singular."""
    try:
        whitened = geometries.whiten(facts.values)[0]
    except ValueError:
        whitened = geometries.whiten(facts.values, ridge=1e-3)[0]
    return fc.FactSet(facts.keys, whitened, facts.targets)


def fact_set(data: str, values: str, n: int, d: int, seed: int) -> fc.FactSet:
    """A sample of n real facts cut to d dimensions, or spherical facts of its size (float32)."""
    real = airports(n, seed) if data == AIRPORTS else geometries.layer_facts(n, seed=seed)
    if values == "sphere":
        return fc.spherical_facts(n, d, n_values=real.n_values, seed=seed)
    real = geometries.cut_to_leading(real, d)
    return whiten_values(real) if values == "whitened" else real


def decode_themselves(facts: fc.FactSet) -> float:
    """Share of facts whose value scores itself above every other value."""
    v = facts.values.double()
    others = (v @ v.T).fill_diagonal_(-math.inf).amax(1)
    return float((v.square().sum(1) > others)[facts.targets].double().mean())


# --- the runs ---------------------------------------------------------------------------------------------------------


def cost(
    method: str, data: str, values: str, n: int, d: int, seed: int, *, profile: str, device: str
) -> dict[str, Any]:
    """Fewest parameters at 100% recall; NaN, and the recall of the widest network tried, where there is none."""
    facts = fact_set(data, values, n, d, seed).to(device)
    name, options = METHODS[method]
    if name == "trained":
        options = {"steps": STEPS[profile]} | ({"descent": "adam"} if profile == "smoke" else {})
    row: dict[str, Any] = {"n_values": facts.n_values, "width": math.nan, "per_fact": math.nan, "recall": math.nan}
    row["device"] = facts.keys.device  # where no network comes out
    most = {"hebbian": min(d * (d + 1), 2 * n), "ntk": 64 * n}.get(name)
    try:
        if most is not None:
            widest = fc.construct(facts, name, width=most, seed=seed, strict=False, **options)
            row |= {"recall": 1 - len(widest.lost) / n, "device": widest.down.device}
            if row["recall"] < 1:
                return row
        found = fc.smallest_width(facts, name, seed=seed, **SEARCH, **options)
    except ValueError:  # no width reaches it, or the method refuses these facts
        return row
    row |= {"width": found.width, "per_fact": found.n_params / n, "recall": found.recall}
    return row | {"device": found.trials[-1]["device"]}


def table(profile: str, seed: int, device: str) -> pd.DataFrame:
    """Every method on both data sets and their spheres, three samples; the missing runs are done first."""
    return _resumed("real", METHODS, DATA, SIZES[profile], profile, seed, device)


def uncut(profile: str, seed: int, device: str) -> pd.DataFrame:
    """The same for the layer in all its dimensions, and for spherical facts of that size."""
    return _resumed("real_full", UNCUT, [LAYER], WHOLE[profile], profile, seed, device)


def _resumed(
    name: str, methods: Iterable[str], of: list[str], size: dict[str, int], profile: str, seed: int, device: str
) -> pd.DataFrame:
    jobs = [
        {"method": method, "data": data, "values": values, **size, "seed": s}
        for s in store.draws(profile, seed)
        for method in (SMOKE if profile == "smoke" else methods)
        for data in of
        for values in VALUES
    ]
    run = partial(cost, profile=profile, device=device)
    return store.resume(store.results_file(name, profile), jobs, run, device=device)


# --- words, tables and figures ----------------------------------------------------------------------------------------


def costs(rows: pd.DataFrame) -> pd.DataFrame:
    """Median parameters per fact, a column per data set and kind of values; NaN where a sample is lost."""
    kinds = rows.groupby(["method", "data", "values"]).per_fact.agg(lambda c: c.median(skipna=False))
    found = kinds.unstack(["data", "values"])
    shown = [method for method in METHODS if method in found.index]
    data = [name for name in DATA if name in set(rows.data)]
    return found.reindex(index=shown, columns=pd.MultiIndex.from_product([data, VALUES]))


def written(rows: pd.DataFrame) -> pd.DataFrame:
    """`costs` as it is read: labels, one decimal, "–" where a sample is lost."""
    found = costs(rows).rename(index=LABELS).map(lambda c: "–" if math.isnan(c) else f"{c:.1f}")
    return found.rename_axis(index=None, columns=["parameters", "per fact"])


def findings(rows: pd.DataFrame, full: pd.DataFrame) -> list[str]:
    """The page's sentences, from the tables real and real_full."""
    raw, cost_of = rows[rows["values"] == "raw"], costs(rows)
    stored = raw.groupby("method").per_fact.agg(lambda c: c.notna().all()).reindex(METHODS)
    fallen = "; ".join(LABELS[method] for method in stored[~stored].index)
    spheres = rows[(rows.method == "ntk") & (rows["values"] == "sphere")].per_fact.isna()
    plain = rows[(rows.method == "hebbian") & (rows.data == LAYER)]
    trained, built = ([cost_of[data].loc[way] for data in DATA] for way in ("trained", "encoder-decoder"))
    white = [f"{cost.whitened / cost.raw:.2f}" for cost in built]
    dearest = dearer(rows, "encoder-decoder", LAYER).max()
    lost = plain[plain["values"] == "whitened"].per_fact.isna().sum()
    whole = costs(full)[LAYER].loc[["block-convex", "trained"]]
    off = " and ".join(f"{way} from {cost.raw:.1f} to {cost.whitened:.1f}" for way, cost in whole.iterrows())
    return [
        f"**{stored.sum()} of {len(stored)} ways store every raw sample.** What loses facts at the widest that was "
        f"tried: {fallen} (the NTK memory on {spheres.sum()} of {len(spheres)} spheres of this size, too).",
        "**Trained networks do not notice; the encoder-decoder pays a little on the layer.** Against a sphere of the "
        f"same size, real values cost trained networks {trained[0].raw / trained[0].sphere:.2f} times as much "
        f"(airports) and {trained[1].raw / trained[1].sphere:.2f} times (the layer); the encoder-decoder "
        f"{built[0].raw / built[0].sphere:.2f} and {built[1].raw / built[1].sphere:.2f} times, {dearest:.2f} times in "
        "the dearest sample of the layer.",
        "**What fails is the target, not the memory.** A plain Hebbian memory regresses the values themselves, and in "
        f"the worst sample of the layer {plain[plain['values'] == 'raw'].recall.min():.0%} of them decode themselves; "
        "with separators as targets the same memory stores everything.",
        f"**Whitening is no cure.** It moves the cost of the encoder-decoder by a factor of {white[0]} and {white[1]}, "
        f"and {lost} of {len(plain) // len(VALUES)} whitened samples of the layer lose facts in a Hebbian memory. In "
        f"all {full.d.iloc[0]} dimensions it makes convex and trained networks smaller, though: {off} parameters per "
        "fact.",
    ]


def dearer(rows: pd.DataFrame, method: str, data: str) -> pd.Series:
    """Per sample the raw cost over that of its sphere."""
    each = rows[(rows.method == method) & (rows.data == data)].pivot(index="seed", columns="values", values="per_fact")
    return each.raw / each.sphere


def drawn(rows: pd.DataFrame) -> Figure:
    """A panel per data set: a row per method, grey dots for the sphere, filled raw, hollow whitened."""
    methods = [m for m in METHODS if (rows.method == m).any()]
    figure, axes = plt.subplots(1, 2, figsize=(9.4, 7.6), sharey=True, sharex=True)
    for ax, data in zip(axes, DATA):
        part = rows[rows.data == data]
        for at, method in enumerate(methods):
            for shift, values in zip((0.24, 0, -0.24), VALUES):
                runs = part[(part.method == method) & (part["values"] == values)]
                _mark(ax, runs, method, values, len(methods) - at + shift)
        ax.axvline(math.log2(part.n_values.median()) / 2, color=figures.COLOURS["floor"], linestyle="--", zorder=0)
        size = f"n = {part.n.iloc[0]}, v = {part.n_values.median():.0f}, d = {part.d.iloc[0]}"
        ax.set(
            xscale="log", xlim=(1.5, 2e4), xlabel="dense parameters per fact at 100% recall", title=f"{data}: {size}"
        )
        ax.set_xticks([2, 5, 10, 30, 100, 1000, 10000])
        ax.xaxis.set_major_formatter(ticker.FuncFormatter(lambda x, _: f"{x:,.0f}"))
        ax.xaxis.set_minor_locator(ticker.NullLocator())
    axes[0].set_yticks(range(len(methods), 0, -1), [LABELS[m] for m in methods])
    for label, marker, fill in (("sphere", ".", "#7F7F7F"), ("raw", "o", "#333333"), ("whitened", "o", "white")):
        edge = "#7F7F7F" if label == "sphere" else "#333333"
        axes[0].plot([], [], marker, color=edge, markerfacecolor=fill, label=label)
    axes[0].plot([], [], "--", color=figures.COLOURS["floor"], label="log₂(v) bits at 2 bits a parameter")
    figures.legend_below(figure, axes[0], columns=4)
    return figure


def _mark(ax: Axes, runs: pd.DataFrame, method: str, values: str, y: float) -> None:
    """Median and range of the samples stored; where some are lost, how many, on the side that has no mark."""
    look = method if method in figures.COLOURS else "hebbian"
    colour = "#7F7F7F" if values == "sphere" else figures.COLOURS[look]
    kept = runs.per_fact.dropna()
    if len(kept):
        marker = "." if values == "sphere" else figures.MARKERS[look]
        style: dict[str, Any] = {
            "marker": marker,
            "markerfacecolor": "white" if values == "whitened" else colour,
            "capsize": 2.5,
        }
        bars = [[kept.median() - kept.min()], [kept.max() - kept.median()]]
        ax.errorbar(kept.median(), y, xerr=bars, color=colour, **style)
    if lost := len(runs) - len(kept):
        left = len(kept) > 0 and kept.max() > 1000  # the mark stands where the words would
        best = runs[runs.per_fact.isna()].recall.max()
        words = f"{values}: {lost} of {len(runs)} lost" + f", {100 * best:.1f}% at best" * math.isfinite(best)
        place: dict[str, Any] = {
            "va": "center",
            "fontsize": 9.5,
            "color": "#000000",
            "transform": ax.get_yaxis_transform(),
        }
        ax.text(0.7 if left else 0.985, y, words, ha="right", bbox={"fc": "white", "ec": "none", "pad": 0.5}, **place)
