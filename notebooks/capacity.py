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
# # Parameters against facts
#
# **What the paper claims** {cite:p}`dugan2025constructing`: the encoder-decoder construction needs asymptotically as
# many parameters per fact as a trained MLP, fewer than earlier constructions, and trained MLPs keep a lower absolute
# cost.
#
# **What this page does**: it measures the *fact-storage cost*, the fewest parameters at 100% recall, of every way to
# store facts that this book has, on the same facts, over a range of sizes and three draws of the facts.
#
# **For whom**: anyone who wants the headline in one figure. Ten minutes to read.

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
# ## The ladder
#
# A fact set has $n$ keys and $n$ values, all uniform on the unit sphere of $\mathbb{R}^d$, and a random permutation
# between them. From the naive way to training:
#
# | rung | what is solved | source |
# |---|---|---|
# | one-hot | nothing: units that open at one key each | the naive memory |
# | NTK | one average | {cite:t}`nichani2024understanding` |
# | Hebbian, whitened; data-dependent | one ridge regression; three | {cite:t}`garcia2026hebbians` |
# | encoder-decoder, the paper's codes | a $d \times d$ system per bucket of keys | {cite:t}`dugan2025constructing` |
# | encoder-decoder, shorter codes | the same, with [separators through a fitted projection](code_dimension.ipynb) | ours |
# | max-margin | one convex problem: $A$ | ours |
# | block-convex | a [stated number of convex problems](solves.ipynb): $G$, $A$ and $D$ | ours |
# | trained | gradient descent on all three to 100% recall | the bar |

# %%
import numpy as np
import pandas as pd
from IPython.display import display
from matplotlib import pyplot as plt

import factcore as fc
from factbook import figures, fit, store

figures.use_style()
sizes = {
    "smoke": [(n, 32) for n in (32, 64)],
    "laptop": [(n, 64) for n in (64, 128, 256, 512, 1024, 2048)],
    "paper": [(n, 128) for n in (2**k for k in range(6, 15))],
}[profile]
proportional = {  # n = α d², α from 1/4 to 4
    "smoke": [(64, 16)],
    "laptop": [
        (int(a * d * d), d)
        for d in (16, 32, 64)
        for a in (0.25, 0.5, 1, 2, 4)
        if a * d * d <= 1024 or (a, d) == (0.5, 64)
    ],
    "paper": [(int(a * d * d), d) for d in (32, 64, 128, 256) for a in (0.25, 1, 4) if a * d * d <= 2**14],
}[profile]
steps = {"smoke": 200, "laptop": 2000, "paper": 4000}[profile]
methods = {
    "one-hot": ("one-hot", {}),
    "ntk": ("ntk", {"tries": 2}),
    "hebbian": ("hebbian", {}),
    "data-dependent": ("hebbian", {"variant": "data-dependent"}),
    "paper-codes": ("encoder-decoder", {"codes": "projected"}),
    "encoder-decoder": ("encoder-decoder", {}),
    "max-margin": ("max-margin", {"ridge": 1.0} if profile == "smoke" else {}),
    "block-convex-2": ("block-convex", {"solves": 2}),
    "block-convex": ("block-convex", {"solves": 5}),
    "trained": ("trained", {"steps": steps}),
    "block-convex, SiLU": ("block-convex", {"solves": 5, "gate": "silu"}),
    "trained, SiLU": ("trained", {"steps": steps, "gate": "silu"}),
}
seeds = range(seed, seed + 3)

# %% [markdown]
# ## The run
#
# One run finds the smallest width for one rung, size and seed: the width grows or shrinks until it straddles 100% recall;
# then bisection cuts the interval to 4%. A width counts as too small after one failed
# try (NTK: two draws). The encoder-decoder finds its own shortest code and needs no search. Each run is one row in
# `results/`, written as the run ends: a second call of this page does only what is missing. The laptop profile leaves
# max-margin out at its largest size: certified solves at many widths would take an hour.


# %%
def cost(rung: str, n_facts: int, d: int, seed: int) -> dict:
    """Fewest parameters at which this rung stores these facts; nan where no width that was tried does."""
    method, options = methods[rung]
    facts = fc.spherical_facts(n_facts, d, seed=seed).to(device)
    try:
        if method == "encoder-decoder":
            found = fc.construct(facts, seed=seed, **options)
            share = fc.recall(found, facts)
        else:
            options = {"tries": 1, "resolution": 0.04} | options
            found = fc.smallest_width(facts, method, seed=seed, **options)
            share = found.recall
    except ValueError:
        return {"width": 0, "n_params": np.nan, "recall": np.nan}
    return {"width": found.width, "n_params": found.n_params, "recall": share}


def left_out(rung: str, n: int, d: int) -> bool:
    """What is not run: too slow here, of use in the second study alone, or without hope (see there)."""
    fixed_d = (n, d) in sizes
    if rung == "max-margin" and profile == "laptop":
        return n > (1024 if fixed_d else 256)
    if rung.endswith("SiLU") and profile == "laptop" and (n > 512 or d > 16):
        return True
    if rung == "data-dependent" and profile == "laptop" and not fixed_d and n > 512:
        return True
    if rung in ("trained", "data-dependent"):
        return not fixed_d and n > 2 * d * d
    if rung in ("block-convex", "block-convex-2"):
        return not fixed_d and n > d * d
    return rung.endswith("SiLU") if fixed_d else rung in ("one-hot", "ntk")


jobs = [
    {"rung": rung, "n_facts": n, "d": d, "seed": s}
    for n, d in dict.fromkeys(sizes + proportional)
    for rung in methods
    for s in seeds
    if not left_out(rung, n, d)
]
table = store.resume(store.results_file("capacity", profile), jobs, cost, device=device)
live = table.merge(pd.DataFrame(sizes, columns=["n_facts", "d"]))
stores = table.dropna()
print(f"{len(table)} runs; recall of those that store: {stores.recall.min():.0%}")

# %% [markdown]
# ## The figure
#
# The grey line is the floor to expect: $n \log_2 v$ bits must be stored, and trained language models are known to hold
# about two bits a parameter, which makes $n \log_2(v)/2$ parameters. The bits are a law, the rate is experience. Points are
# medians over the seeds, bars reach from the smallest to the largest; lines are power laws fitted to all runs. On the
# right, where a stored table of [the solves](solves.ipynb) exists, the way from construction to training.


# %%
def floor(n: np.ndarray) -> np.ndarray:
    return n * np.log2(n) / 2


def draw(ax: plt.Axes, rows: pd.DataFrame, title: str) -> None:
    n = np.geomspace(rows.n_facts.min(), rows.n_facts.max(), 50)
    for rung in methods:
        of_rung = rows[rows.rung == rung].dropna()
        if of_rung.n_facts.nunique() < 2:
            continue
        law = fit.power_law(of_rung, "n_facts", "n_params")
        figures.plot_spread(ax, of_rung, "n_facts", "n_params", rung, linestyle="none")
        within = n[n <= of_rung.n_facts.max() * 1.001]
        ax.plot(within, law(within), color=figures.COLOURS[rung], linewidth=1)
    ax.plot(n, floor(n), color="grey", linestyle="--", label=figures.LABELS["floor"])
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set(xlabel="facts n", ylabel="parameters at 100% recall (dense)", title=title)


paper = store.stored("capacity", "paper") if profile != "smoke" else None
solves = store.stored("solves", profile) if profile != "smoke" else None

# %% tags=["headline", "hide-input"] mystnb={"image": {"alt": "Left: log-log plot of dense parameters at 100 percent recall against the number of facts, one line for each way to store them; NTK and raw one-hot memories lie highest, then Hebbian memories and the encoder-decoder, then max-margin and block-convex, and trained networks lowest, near the line of two bits a parameter. Right, where shown: parameters per fact against the number of convex solves, falling towards the trained line."}}
panels = [(live, f"{profile} profile, d = {live.d.iloc[0]}")]
if paper is not None and profile != "paper":
    panels.append((paper, f"paper profile, d = {paper.d.iloc[0]}"))
n_axes = len(panels) + (solves is not None)
figure, axes = plt.subplots(1, n_axes, figsize=(6.4 * n_axes**0.75, 5.4), squeeze=False)
for ax, (rows, title) in zip(axes[0], panels):
    draw(ax, rows, title)
if solves is not None:
    figures.plot_solves(axes[0][-1], solves)
figures.legend_below(figure, axes[0][0])
plt.show()

# %% [markdown]
# <!-- generated: scaling -->
#
# ## The numbers behind it
#
# Parameters per fact, median over the seeds.

# %%
# NBVAL_IGNORE_OUTPUT
per_fact = live.assign(per_fact=live.n_params / live.n_facts).pivot_table(
    index="n_facts", columns="rung", values="per_fact", aggfunc="median"
)
per_fact = per_fact[[rung for rung in methods if rung in per_fact]]
per_fact.assign(floor=floor(per_fact.index.to_numpy()) / per_fact.index).round(1)

# %% [markdown]
# An empty entry: no width that was tried stores the facts, or the rung was left out at that size. How many times as many
# parameters as a trained network, size by size:

# %%
# NBVAL_IGNORE_OUTPUT
(per_fact.T / per_fact["trained"]).round(2)

# %% [markdown]
# And how many times *fewer* than the NTK memory:

# %%
# NBVAL_IGNORE_OUTPUT
(1 / (per_fact.T / per_fact["ntk"])).round(1)

# %% [markdown]
# Exponents of the power laws, with 95% bootstrap intervals (runs resampled within each size). The last columns test the
# claim that a construction *scales* as training does: the difference of its exponent and the trained one over the same
# sizes. Once for all sizes, once for the larger ones alone, where widths are no longer a handful of units.


# %%
# NBVAL_IGNORE_OUTPUT
def exponents(live: pd.DataFrame) -> pd.DataFrame:
    trained = live[live.rung == "trained"].dropna()
    laws = {}
    for rung in methods:
        rows = live[live.rung == rung].dropna()
        if rows.n_facts.nunique() < 2:
            continue
        law = fit.power_law(rows, "n_facts", "n_params")
        bar = trained[trained.n_facts.isin(rows.n_facts)]
        apart = fit.exponent_difference(rows, bar, "n_facts", "n_params")
        laws[rung] = {
            "up to n": rows.n_facts.max(),
            "exponent": law.exponent,
            "95% from": law.low,
            "to": law.high,
            "minus trained": apart.value,
            "95%, from": apart.low,
            "to ": apart.high,
        }
    return pd.DataFrame(laws).T


laws = exponents(live)
laws.round(2)

# %%
# NBVAL_IGNORE_OUTPUT
larger = {"smoke": 32, "laptop": 256, "paper": 512}[profile]
laws_of_larger = exponents(live[live.n_facts >= larger])
print(f"from n = {larger} on")
laws_of_larger.round(2)

# %%
lost = live[live.n_params.isna()]
print("rungs that store at no width somewhere:", sorted({f"{r.rung} at n = {r.n_facts}" for r in lost.itertuples()}))


def always_fewer(one: str, other: str) -> bool:
    both = per_fact[[one, other]].dropna()
    return bool((both[one] < both[other]).all())


print(
    "block-convex needs fewer parameters than max-margin, that fewer than NTK:",
    always_fewer("block-convex", "max-margin"),
    always_fewer("max-margin", "ntk"),
)
hot = live[live.rung == "one-hot"]
units = (hot.n_params / (2 * hot.d + 1) / hot.n_facts).round(2)
print("one-hot units per fact, between 1 and 2:", bool(units.between(1, 2).all()))

# %% [markdown]
# ## Facts in proportion to d²
#
# A fixed $d$ asks a network to hold more facts in the same space. The other way to grow is $n = \alpha d^2$.
#
# Bilinear networks end at some $\alpha$. Each of their $d$ outputs is a quadratic form of the key, whatever the width:
# $d^2(d+1)/2$ numbers in all. At $d = 16$ the grey line above, $n \log_2(v)/2$, passes that number at $\alpha = 2$, at larger $d$
# later. Once the width reaches all of these numbers, training is convex in them, so what does not fit then fits at no
# width: an empty entry. Hebbian readouts end sooner, as they regress the values on $d(d+1)/2$ features. (Beyond, bilinear
# rungs are left out; so are data-dependent, max-margin and SiLU rungs where they take a laptop too long.) SiLU gates have no
# such end; they are the bar there.

# %%
# NBVAL_IGNORE_OUTPUT
wide = table.merge(pd.DataFrame(proportional, columns=["n_facts", "d"]))
wide = wide.assign(alpha=wide.n_facts / wide.d**2, per_fact=wide.n_params / wide.n_facts)
wide = wide.pivot_table(index=["alpha", "d"], columns="rung", values="per_fact", aggfunc="median")
wide[[rung for rung in methods if rung in wide and rung not in ("one-hot", "ntk")]].round(1)

# %% [markdown]
# ## Is the bar fair?
#
# The trained networks are bilinear with large steps, the setting that a grid of settings chose
# (`benchmarks/training_grid.py`), there by the smallest width at 256 facts. More facts at one width tell settings apart by
# what is recalled:

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
grid = store.stored("training_grid_width", "laptop")
if grid is None:
    print("no stored table: python benchmarks/training_grid.py --width makes it")
else:
    for (n, d, width), rows in grid.groupby(["n_facts", "d", "width"]):
        reached = rows.groupby("setting", sort=False).recall.agg(["mean", "min", "max"])
        print(f"n = {n:,}, d = {d}, {width} units: recall of {rows.seed.nunique()} draws")
        display((100 * reached).sort_values("mean", ascending=False).round(2).add_suffix(" [%]"))

# %% [markdown]
# ("chosen" is the bar with its 2,000 steps; every other row changes one thing.) Another common setting, SiLU gates and small
# steps, is the last rung of the table above; at the smallest size of the figure:

# %%
# NBVAL_IGNORE_OUTPUT
n, d = sizes[0]
soft = methods["trained, SiLU"][1]
for s in seeds:
    few = fc.spherical_facts(n, d, seed=s).to(device)
    found = fc.smallest_width(few, "trained", seed=s, tries=1, **soft)
    bar = live[(live.rung == "trained") & (live.n_facts == n) & (live.seed == s)]
    print(f"n = {n}, d = {d}, seed {s}: SiLU, small steps {found.width} units; the bar {bar.width.item()}")

# %% [markdown]
# ## Dense and solved parameters
#
# The counts are *dense*: gates, up and down projections, and biases, as a network that is shipped has them. Some of these
# numbers follow from a seed (random gates, random projections), and only the rest, the *solved* ones, depend on the facts.
# Nobody who stores a network can use the difference without regenerating the random part; it tells where the information
# is.

# %%
small = fc.spherical_facts(128, 32, seed=seed)
counts = {}
for rung in ("ntk", "hebbian", "max-margin", "block-convex", "trained"):
    method, options = methods[rung]
    kept = {k: v for k, v in options.items() if k not in ("tries", "steps")}
    mlp = fc.construct(small, method, width=96, seed=seed, strict=False, **kept)  # only counted
    counts[rung] = {"dense": mlp.n_params, "solved": mlp.n_solved}
print(pd.DataFrame(counts).T.to_string())

# %% [markdown]
# ## What we found

# %%
# NBVAL_IGNORE_OUTPUT
largest = per_fact.index.max()
at = per_fact.loc[largest]
print(f"At n = {largest}, d = {live.d.iloc[0]}, parameters per fact:")
ntk = per_fact["ntk"].dropna()
print(f"  {ntk.iloc[-1]:.0f} NTK (n = {ntk.index[-1]}, the largest that it stores),")
print(f"  {at['paper-codes']:.0f} encoder-decoder with the paper's codes, {at['encoder-decoder']:.0f} with ours,")
margin = per_fact["max-margin"].dropna()
print(f"  {margin.iloc[-1]:.1f} max-margin (n = {margin.index[-1]}),")
print(
    f"  {at['block-convex-2']:.1f} and {at['block-convex']:.1f} block-convex with 2 and 5 solves, {at['trained']:.2f} trained."
)
for least, fits in ((live.n_facts.min(), laws), (larger, laws_of_larger)):
    print(f"exponent minus that of training, from n = {least} on:")
    for rung in ("paper-codes", "encoder-decoder", "block-convex-2", "block-convex"):
        difference, low, high = fits.loc[rung, ["minus trained", "95%, from", "to "]]
        verdict = "covers" if low <= 0 <= high else "does not cover"
        print(f"  {figures.LABELS[rung]}: {difference:+.2f} [{low:+.2f}, {high:+.2f}], which {verdict} 0")
print(f"times as many parameters as trained, from n = {larger} on, smallest to largest:")
times = (per_fact.T / per_fact["trained"]).T.loc[larger:]
for rung in ("paper-codes", "encoder-decoder", "block-convex-2", "block-convex"):
    print(f"  {figures.LABELS[rung]}: {times[rung].min():.2f} to {times[rung].max():.2f}")

# %% [markdown]
# The order of the paper's three curves is the paper's from 128 facts on: trained networks are cheapest, the construction follows,
# the NTK memory is far behind. The ladder between construction and training is new: a few convex solves close most of the gap.
#
# Whether construction and training *scale* alike is a question about exponents, and the lines above answer it for this range
# only. From all sizes to the larger ones every difference shrinks. block-convex then needs nearly the same multiple of the
# trained parameters at each size, though its interval may still leave out 0; the encoder-decoder with our shorter codes, cheap
# where facts are few, falls back as they grow. Two things bend a short range. The code dimension of the encoder-decoder grows with the number of values, and its
# buckets come whole, which reads as an exponent above one. Trained widths are small integers, and at the smallest sizes a network
# that is wide enough to reach every value has room for more facts than it is given, which reads as an exponent below one. A
# wider range needs the paper profile.
#
# Where few facts meet a large $d$, the bar is not the lowest that training can reach, as the comparison above shows; at larger sizes
# it is the lowest we know. Trained networks may dip under the grey line: it is drawn for two bits a parameter, and they can
# hold more. (A permutation of $n$ values also has a little less than $n \log_2 n$ bits.)
#
# Where a stored run at paper scale exists, it has its own panel; `make figure FIG=capacity PROFILE=paper DEVICE=cuda`
# adds to it, one row at a time.
