# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Real embeddings: which constructions survive them?
#
# **What the paper claims** {cite:p}`dugan2025constructing`: the construction works for every set of keys in general
# position and every set of values with positive decodability, not for random embeddings alone. Earlier memories are
# analysed for uniform keys and values on a sphere.
#
# **What this page does**: it measures the fewest parameters at 100% recall for nine ways to make an MLP, on two real
# fact sets: airports and their cities, and what goes into and comes out of one MLP of a language model. Beside them
# stand spherical facts of the same $n$, $v$ and $d$, and the same real facts with whitened values.
#
# **For whom**: anyone who would store facts over embeddings that they did not choose. Ten minutes.

# %% tags=["remove-cell"]
import importlib.util
import subprocess
import sys
from pathlib import Path

found = importlib.util.find_spec("factcore")  # any folder of that name is found; the package's has a facts.py
if not (found and found.origin and Path(found.origin).with_name("facts.py").is_file()):
    # on Colab: fetch the package, its data and its stored results
    source, version = "https://github.com/factcore/factcore", "v0.2.0"
    checkout = str(Path("factcore-checkout").resolve())
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", "--branch", version, source, checkout], check=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "-e", checkout], check=True)
    sys.path.insert(0, checkout)

# %% tags=["parameters"]
profile = "laptop"  # smoke, laptop or paper
device = "cpu"
seed = 0

# %% [markdown]
# ## The facts
#
# - **airports**: an airport's name $\to$ its city, as a sentence encoder embeds them. Many to one: cities with several
#   airports come first, so a sample has fewer values than keys. A seed is a sample of cities.
# - **MLP layer**: the input of an MLP in the middle of a language model $\to$ its output, one to one. A seed is a sample
#   of positions in sentences. Norms and means are those of the model.
#
# Both have $d = 384$ ([where from](https://github.com/factcore/factcore/blob/main/data/README.md)). The paper profile
# keeps all of it. The laptop profile turns keys and values to their own leading principal directions and cuts to a
# small $d$, so that $n / d$ is that of a full memory: smaller, but as uneven as the sample.

# %%
import math

import pandas as pd
import torch
from matplotlib import pyplot as plt
from matplotlib import ticker

import factcore as fc
from factbook import figures, geometries, store

figures.use_style()
size = {"smoke": {"n": 32, "d": 12}, "laptop": {"n": 256, "d": 32}, "paper": {"n": 3072, "d": 384}}[profile]
DATA = ["airports", "MLP layer"]
VALUES = ["sphere", "raw", "whitened"]


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
    real = airports(n, seed) if data == "airports" else geometries.layer_facts(n, seed=seed)
    if values == "sphere":
        return fc.spherical_facts(n, d, n_values=real.n_values, seed=seed)
    real = geometries.cut_to_leading(real, d)
    return whiten_values(real) if values == "whitened" else real


for data in DATA:
    facts = fact_set(data, "raw", **size, seed=seed)
    print(f"{data}: n = {len(facts)} facts, v = {facts.n_values} values, d = {facts.d}")

# %% [markdown]
# ## What whitening means here
#
# A whitened fact set is decoded with whitened values: the output head is changed, $V \leftarrow (V - \text{mean})\,
# \Sigma^{-1/2}$; the keys stay as they are. Or the head may stay, too: $\langle g, \Sigma^{-1/2}(v - \text{mean})
# \rangle$ and $\langle \Sigma^{-1/2} g, v \rangle$ differ by a number that all values share, so $\Sigma^{-1/2}$ can be
# multiplied into the down projection afterwards. The two fact sets therefore have the same cost *in principle*. Where a
# method's cost differs between them, the method depends on the coordinates.

# %%
raw = fact_set("MLP layer", "raw", **size, seed=seed).to(dtype=torch.float64)
whitened, back = geometries.whiten(raw.values)
mlp = fc.construct(fc.FactSet(raw.keys, whitened, raw.targets), seed=seed)
root = back(torch.eye(raw.d).double()) - back(torch.zeros(1, raw.d).double())  # Σ^(1/2)
folded = fc.GatedMLP(
    mlp.gate_weight, mlp.up, torch.linalg.solve(root, mlp.down), gate=mlp.gate, gate_bias=mlp.gate_bias
)
print("built for the whitened values, with the original head:")
print(f"  as it is, it loses facts: {fc.recall(mlp, raw) < 1}")
print(f"  with the whitening folded in, recall {fc.recall(folded, raw):.2f}")

# %% [markdown]
# ## The ladder
#
# Every method gets the same search over its width. A Hebbian memory is given up when 2 × (number of independent
# features) $= d (d + 1)$ hidden units lose facts, the NTK memory at $64\,n$ units; such a failure is a row of the table
# with the recall reached there and no cost. *Hebbian* memories regress the values themselves on the features. The variant
# with *separator targets* is ours: the same regression, onto each value's separator.

# %%
HEBBIAN_SEPARATORS = "hebbian, separators"
METHODS = {
    "one-hot": ("one-hot", {}),
    "ntk": ("ntk", {}),
    "hebbian": ("hebbian", {}),
    HEBBIAN_SEPARATORS: ("hebbian", {"targets": "separators"}),
    "data-dependent": ("hebbian", {"variant": "data-dependent"}),
    "encoder-decoder": ("encoder-decoder", {}),
    "max-margin": ("max-margin", {}),
    "block-convex": ("block-convex", {}),
    "trained": ("trained", {"steps": {"smoke": 100, "laptop": 500, "paper": 4000}[profile]}),
}
search = {"tries": 1, "resolution": 0.05}  # one attempt per width, as samples differ more than attempts


def cost(method: str, data: str, values: str, n: int, d: int, seed: int) -> dict[str, float]:
    """Fewest parameters at 100% recall; NaN, and the recall of the widest network tried, where there is none."""
    facts = fact_set(data, values, n, d, seed).to(device)
    name, options = METHODS[method]
    row = {"n_values": facts.n_values, "width": math.nan, "per_fact": math.nan, "recall": math.nan}
    row["device"] = facts.keys.device
    most = {"hebbian": d * (d + 1), "ntk": 64 * n}.get(name)
    try:
        if most is not None:
            widest = fc.construct(facts, name, width=most, seed=seed, strict=False, **options)
            row["recall"] = 1 - len(widest.lost) / n
            if row["recall"] < 1:
                return row
        found = fc.smallest_width(facts, name, seed=seed, **search, **options)
    except ValueError:  # no width reaches it, or the method refuses these facts
        return row
    return row | {"width": found.width, "per_fact": found.n_params / n, "recall": found.recall}


SHOWN = [m for m in METHODS if profile != "smoke" or m in ("hebbian", HEBBIAN_SEPARATORS, "encoder-decoder", "trained")]
jobs = [
    {"method": m, "data": data, "values": values, **size, "seed": s}
    for s in range(seed, seed + 3)
    for m in SHOWN
    for data in DATA
    for values in VALUES
]
table = store.resume(store.results_file("real", profile), jobs, cost, device=device)
paper = store.stored("real", "paper") if profile == "laptop" else None


# %% tags=["hide-input"] mystnb={"image": {"alt": "Two panels, airports and MLP layer. One row per method, parameters per fact on a logarithmic axis, one mark each for spherical facts, raw values and whitened values. Trained and block-convex networks are cheapest, one-hot and NTK memories the dearest; a text stands where a method stores the facts at no width."}}
def show(table: pd.DataFrame) -> None:
    """A panel per data set: a row per method, grey dots for the sphere, filled raw, hollow whitened."""
    methods = [m for m in METHODS if (table.method == m).any()]
    figure, axes = plt.subplots(1, 2, figsize=(9.4, 6.4), sharey=True, sharex=True)
    for ax, data in zip(axes, DATA):
        part = table[table.data == data]
        for (at, method), (shift, values) in (
            (row, kind) for row in enumerate(methods) for kind in zip((0.24, 0, -0.24), VALUES)
        ):
            rows = part[(part.method == method) & (part["values"] == values)]
            look = method if method in figures.COLOURS else "hebbian"
            colour = "#7F7F7F" if values == "sphere" else figures.COLOURS[look]
            hollow = values == "whitened"
            costs = rows.per_fact.dropna()
            y = len(methods) - at + shift
            if len(costs):
                middle = costs.median()
                ax.errorbar(
                    middle,
                    y,
                    xerr=[[middle - costs.min()], [costs.max() - middle]],
                    color=colour,
                    marker="." if values == "sphere" else figures.MARKERS[look],
                    markerfacecolor="white" if hollow else colour,
                    capsize=2.5,
                )
            if len(costs) < len(rows):
                lost = rows[rows.per_fact.isna()]
                best = lost.recall.max()
                text = f"{values}: {len(lost)} of {len(rows)} fail"
                text += f", ≤ {100 * best:.1f}%" * math.isfinite(best)
                ax.text(
                    0.5 if len(costs) and costs.max() > 300 else 0.985,  # beside the mark of a run that did store
                    y,
                    text,
                    ha="right",
                    va="center",
                    fontsize=9,
                    color="#222222",
                    transform=ax.get_yaxis_transform(),
                )
        v = part.n_values.median()
        ax.axvline(math.log2(v) / 2, color=figures.COLOURS["floor"], linestyle="--", zorder=0)
        ax.set(
            xscale="log",
            xlim=(1.5, 5e6),
            xlabel="dense parameters per fact at 100% recall",
            title=f"{data}: n = {part.n.iloc[0]}, v = {v:.0f}, d = {part.d.iloc[0]}",
        )
        ax.set_xticks([2, 5, 10, 30, 100, 1000, 10000])
        ax.xaxis.set_major_formatter(ticker.ScalarFormatter())
        ax.xaxis.set_minor_locator(ticker.NullLocator())
    names = [figures.LABELS.get(m, "Hebbian, separator targets") for m in methods]
    axes[0].set_yticks(range(len(methods), 0, -1), names)
    kinds = [("sphere", ".", "#7F7F7F"), ("raw", "o", "#333333")]
    for label, marker, fill in kinds + [("whitened", "o", "white")]:
        axes[0].plot(
            [], [], marker, color="#7F7F7F" if label == "sphere" else "#333333", markerfacecolor=fill, label=label
        )
    axes[0].plot([], [], "--", color=figures.COLOURS["floor"], label="floor, log₂(v) bits at 2 bits a parameter")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)


show(table)
plt.show()

# %% [markdown]
# Marks are medians over the samples (three) that are stored, bars reach from the smallest to the largest. Where samples
# fail, the percentage is the best recall of the widest network tried.

# %% tags=["hide-input"] mystnb={"image": {"alt": "The same two panels from a stored run at the paper's scale, where there is one."}}
if paper is not None:
    show(paper)
    plt.show()

# %% [markdown]
# ## The numbers behind it

# %%
# NBVAL_IGNORE_OUTPUT
costs = (
    table.groupby(["method", "data", "values"])
    .per_fact.agg(lambda c: c.median(skipna=False))  # missing if a sample is lost
    .unstack(["data", "values"])
)
costs = costs.reindex(index=SHOWN, columns=pd.MultiIndex.from_product([DATA, VALUES]))
costs.round(1)

# %% [markdown]
# Why the plain Hebbian memory can fail at every width: with enough features it puts out the values themselves, $g(k_i)
# \approx v_{f(i)}$, and a value decodes *itself* only if $\|v_i\|^2 > \langle v_i, v_j \rangle$ for every other $j$. On
# a sphere that always holds. Where norms differ, a long value may shadow a short one. Separators decode wherever anything does.


# %%
def decode_themselves(facts: fc.FactSet) -> float:
    """Share of facts whose value scores itself above every other value."""
    v = facts.values.double()
    others = (v @ v.T).fill_diagonal_(-math.inf).amax(1)
    return float((v.square().sum(1) > others)[facts.targets].double().mean())


for data in DATA:
    for values in VALUES:
        share = decode_themselves(fact_set(data, values, **size, seed=seed))
        print(f"{data}, {values}: {share:.2f} of the values decode themselves")

# %%
# NBVAL_IGNORE_OUTPUT
for row in table[(table.method == "hebbian") & table.per_fact.isna()].to_dict("records"):
    where = {k: row[k] for k in ("data", "values", "n", "d", "seed")}
    print(
        f"{row['data']}, {row['values']}, sample {row['seed']}: recall of the widest Hebbian memory "
        f"{row['recall']:.4f}, values that decode themselves {decode_themselves(fact_set(**where)):.4f}"
    )

# %% [markdown]
# ## The layer at its full dimension
#
# The same layer uncut, $d = 384$, for the one method whose search takes seconds there: the encoder-decoder, parameters per fact.
# The layer of another model becomes facts by `factcore capture`, such as layer 14 of Qwen3-0.6B from a folder on your disk:
# `factcore capture --model Qwen3-0.6B-Base --layer 14 --text text.txt --out layer.safetensors` (each line of the text a sequence), and then
# `fc.FactSet.load("layer.safetensors")` in place of `layer_facts()`.


# %%
def uncut(values: str, n: int, d: int, seed: int) -> dict[str, float]:
    """What the encoder-decoder takes for the layer in all its dimensions, or for spherical facts of that size."""
    facts = fact_set("MLP layer", values, n, d, seed).to(device)
    mlp = fc.construct(facts, seed=seed, strict=False)
    return {"width": mlp.width, "per_fact": mlp.n_params / n, "recall": 1 - len(mlp.lost) / n}


whole = {"smoke": size, "laptop": {"n": 1024, "d": 384}, "paper": {"n": 4096, "d": 384}}[profile]
jobs = [{"values": values, **whole, "seed": s} for s in range(seed, seed + 3) for values in VALUES]
full = store.resume(store.results_file("real_full", profile), jobs, uncut, device=device)

# %%
# NBVAL_IGNORE_OUTPUT
print(f"n = {whole['n']:,}, d = {whole['d']}, {full.seed.nunique()} samples; smallest recall {full.recall.min():.4f}")
full.groupby("values", sort=False).per_fact.agg(["median", "min", "max"]).round(1)

# %% [markdown]
# ## What we found

# %%
# NBVAL_IGNORE_OUTPUT
stored_all = (
    table[table["values"] == "raw"]
    .groupby(["method", "data"])
    .per_fact.agg(lambda c: c.notna().all())
    .unstack()
    .reindex(SHOWN)
)
survive = stored_all.all(axis=1)
print("stores every raw sample:", "; ".join(survive[survive].index))
for method, row in stored_all[~survive].iterrows():
    print(f"does not: {method} (on {', '.join(row[~row.astype(bool)].index)})")

# %%
# NBVAL_IGNORE_OUTPUT
found = pd.DataFrame(
    {
        (data, what): number
        for data in DATA
        for what, number in {
            "raw / trained": costs[data]["raw"] / costs[data]["raw"]["trained"],
            "raw / sphere": costs[data]["raw"] / costs[data]["sphere"],
            "whitened / raw": costs[data]["whitened"] / costs[data]["raw"],
        }.items()
    }
)
found.round(2)

# %%
# NBVAL_IGNORE_OUTPUT
for data in DATA:
    ratio = found[data]["whitened / raw"].dropna()
    less, more = ratio[ratio < 0.97].index, ratio[ratio > 1.03].index
    print(f"{data}: whitening makes cheaper: {'; '.join(less) or 'none'} | dearer: {'; '.join(more) or 'none'}")
    dearer = found[data]["raw / sphere"].drop("trained")
    print(
        f"{data}: real values cost trained networks {found[data]['raw / sphere']['trained']:.2f} times what the "
        f"sphere does, constructions {dearer.min():.2f} to {dearer.max():.2f} times"
    )

# %% [markdown]
# Ratios are of medians; a missing number means that facts of some sample are lost at every width. Widths come in whole units, so for the cheapest
# networks a ratio within a tenth of 1 is one unit and says nothing.
#
# Three limits. The laptop profile cuts the embeddings of the ladder to $d = 32$: it keeps how uneven they are, not their full
# dimension. Twice the $d$ and $n$ would take a laptop too long, as the lines below estimate: the time of this table, and
# how much longer the same searches took on [spherical facts](capacity.ipynb) of twice the $d$ and $n$. Whitened airports
# are whitened by their own sample, whose covariance is noisy. And the facts of the layer are *samples* of a smooth
# function: a memory that stores them is not thereby a copy of the layer.

# %%
# NBVAL_IGNORE_OUTPUT
print(f"all runs of this table, one after another: {table.seconds.sum() / 3600:.2f} hours")
ladder = store.stored("capacity", "laptop")
if ladder is not None:
    taken = ladder.groupby(["rung", "n_facts", "d"]).seconds.median()
    for rung in ("max-margin", "block-convex", "trained"):
        longer = taken[rung, 512, 64] / taken[rung, 256, 32]
        print(f"{rung}: a search at n = 512, d = 64 took {longer:.1f} times as long as one at n = 256, d = 32")
