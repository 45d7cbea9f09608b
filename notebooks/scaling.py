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
# # On the papers' axis: exponents as facts and dimension grow together
#
# **What the papers claim** {cite:p}`dugan2025constructing,garcia2026hebbians`: the construction needs as many parameters per fact as
# trained MLPs, asymptotically, and fewer than earlier ones; Hebbian memories need $\Theta(n \log n)$ of them.
#
# **What this page does**: it measures parameters at 100% recall for $n = \alpha d^2$ facts with $d$ growing, and shows how the exponents
# change with $\alpha$ and $d$. At one $d$ ([the capacity page](capacity.ipynb)) they are those of ever more crowded embeddings.
#
# **For whom**: readers who want to judge the claims about scaling. Ten minutes.

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
# ## What is measured
#
# Embeddings are drawn on the sphere, and one table of them serves as keys and as values (*tied*, as published); the facts are a random
# permutation of it. For every method, $\alpha$, $d$ and draw: the fewest parameters at which everything is stored, widths bisected to 4%.
# What stores nothing at any width tried (65,536 units, or 6,000 parameters a fact for the NTK memory) is infinitely dear: it has a place in an
# order, none on a line. The runs are those of [`factbook.scaling`](https://github.com/factcore/factcore/blob/main/factbook/scaling.py), up
# to 16,384 facts for what is built; they take hours, so this page reads its table and computes nothing beyond the smoke profile.

# %%
from functools import partial

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt

from factbook import figures, scaling, store
from factbook.claims.judging import share

figures.use_style()
path = store.results_file("scaling", profile)
if profile == "smoke":
    methods = ["paper-codes", "encoder-decoder", "hebbian"]
    jobs = scaling.jobs(methods, seeds=1, dimensions=(8, 12, 16), alphas=(1 / 4, 1 / 2))
    table = store.resume(path, jobs, partial(scaling.cost, device=device), device=device)
else:
    table = store.read_table(path)
present = [name for name in scaling.METHODS_HERE if name in set(table.method)]
bar = "trained" if "trained" in present else None  # what exponents are compared with: None for n log n
against = "those of trained MLPs" if bar else "n log₂ n"
print(f"{len(table)} runs of {len(present)} methods, {int(np.isfinite(table.n_params).sum())} of them store all facts")
print(f"n from {table.n_facts.min()} to {table.n_facts.max()}, d from {table.d.min()} to {table.d.max()}")


# %% [markdown]
# ## The exponents
#
# Left: the exponent in $n$ of a method's parameters over those of the bar, at each $\alpha$; points are least-squares slopes over all $d$ and
# draws, run by run on the same facts, bars their 95% intervals (Student's; cut at ± 1). The grey band is ± 0.1, inside which
# [the rules](../book/rules.md) call exponents equal. Right: parameters per fact against $d$ at one $\alpha$, medians with the range of the draws.


# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: exponent of each method's parameters against alpha, with intervals and a grey band around zero. Right: parameters per fact against the dimension at one alpha, on logarithmic axes, one line per method."}}
def look(name: str) -> dict:
    base = scaling.DRAWN_AS.get(name, name)
    style = {"color": figures.COLOURS[base], "marker": figures.MARKERS[base], "label": figures.LABELS[base]}
    if base != name:
        style |= {"markerfacecolor": "white", "linestyle": ":", "label": {"ntk-relu": "NTK, ReLU gates"}.get(name)}
        style["label"] = style["label"] or "the paper's codes, random gates"
    return style


shown = [name for name in present if name != bar]
slopes = {name: scaling.exponents(table, name, bar) for name in shown}
slopes = {name: rows for name, rows in slopes.items() if len(rows)}
alphas = sorted(table.alpha.unique())
middle = alphas[len(alphas) // 3]
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5))
for shift, (name, rows) in zip(np.linspace(0.93, 1.07, len(slopes)), slopes.items()):
    bars = [rows.exponent - rows.low, rows.high - rows.exponent]
    left.errorbar(rows.alpha * shift, rows.exponent, yerr=bars, capsize=3, **look(name))
left.axhspan(-0.1, 0.1, color="grey", alpha=0.2)
left.axhline(0, color="grey", linewidth=1)
left.set_xscale("log", base=2)
left.set_xticks(alphas, [share(alpha) for alpha in alphas])
left.minorticks_off()
left.set_ylim(-1, 1)
left.set(xlabel="α = n / d²", ylabel="exponent in n", title=f"exponent of parameters over {against}")
tied = table[table.tied.astype(bool) & np.isfinite(table.n_params)]
for name in present:
    rows = tied[(tied.method == name) & (tied.alpha == middle)]
    if len(rows):
        per_fact = (rows.n_params / rows.n_facts).groupby(rows.d)
        bars = [per_fact.median() - per_fact.min(), per_fact.max() - per_fact.median()]
        right.errorbar(per_fact.median().index, per_fact.median(), yerr=bars, capsize=3, **look(name))
right.set(xscale="log", yscale="log", xlabel="dimension d", ylabel="parameters per fact (dense)")
right.set_title(f"α = {share(middle)}")
right.set_xticks(sorted(table.d.unique()), [str(d) for d in sorted(table.d.unique())])
right.set_yticks(ticks := [5, 10, 20, 50, 100, 200, 500, 1000], [str(tick) for tick in ticks])
right.minorticks_off()
figures.legend_below(figure, right)
plt.show()

# %% [markdown]
# ## The numbers behind it
#
# The exponents, and how many runs stored nothing and are left out of them.

# %%
# NBVAL_IGNORE_OUTPUT
numbers = pd.concat([rows.assign(method=name) for name, rows in slopes.items()])
numbers = numbers.assign(alpha=numbers.alpha.map(share)).set_index(["method", "alpha"])
numbers.round(2)

# %% [markdown]
# Does the exponent fall as $d$ grows? The same over the larger half of the dimensions:

# %%
# NBVAL_IGNORE_OUTPUT
half = sorted(table.d.unique())[len(table.d.unique()) // 2 - 1 :]
upper = {name: scaling.exponents(table[table.d.isin(half)], name, bar) for name in slopes}
late = {name: rows.set_index(rows.alpha.map(share)).exponent.round(2) for name, rows in upper.items() if len(rows)}
pd.DataFrame(late).T if late else "fewer than three larger dimensions"

# %% [markdown]
# Parameters per fact, medians over the draws; ∞ where a method stored nothing:

# %%
# NBVAL_IGNORE_OUTPUT
every = table[table.tied.astype(bool)]
every = every.assign(per_fact=every.n_params / every.n_facts, alpha=every.alpha.map(share))
every.pivot_table(index=["alpha", "d"], columns="method", values="per_fact", aggfunc="median")[present].round(1)

# %% [markdown]
# ## Tied or not
#
# Keys and values from two tables, at one $\alpha$: parameters over those of the tied run with the same $d$ and draw, means.

# %%
# NBVAL_IGNORE_OUTPUT
key = ["method", "alpha", "d", "seed"]
is_tied = table.tied.astype(bool)
both = table[~is_tied].merge(table[is_tied], on=key, suffixes=("", "_tied"))
both = both[np.isfinite(both.n_params) & np.isfinite(both.n_params_tied)]
(both.n_params / both.n_params_tied).groupby(both.method).mean().round(2)

# %% [markdown]
# What follows from these numbers for each claim, by rules that were fixed before they were computed:
# [Paper against ours](../book/claims.md).
