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
# **For whom**: readers who want to judge the claims about scaling. Ten minutes. Words: the [glossary](../book/glossary.md).

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
# ## What we found

# %% tags=["remove-input"]
# NBVAL_IGNORE_OUTPUT
from factbook import figures, prose, scaling, scaling_shown

figures.use_style()
prose.findings(scaling_shown.findings, "scaling")

# %% [markdown]
# Intervals are 95% (Student's). What follows for each claim, by rules that were fixed before the tables and whose later changes are
# [listed](../book/rules.md): [Paper against ours](../book/claims.md).
#
# ## What is measured
#
# Embeddings are drawn on the sphere, and one table of them serves as keys and as values (*tied*, as published); the facts are a random
# permutation of it. For each method, $\alpha$, $d$ and draw, as far as the table goes: the fewest parameters at which everything is stored,
# widths bisected to 4% or one unit, whichever is coarser. What stores nothing at any width tried (6,000 parameters a fact or 65,536 units, whichever
# is less, for the NTK memory, $d(d+1)$ units for Hebbian ones from $\alpha = 1/2$ on) is infinitely dear: it has a place in an order, none on a line.
# Three runs:

# %%
d, alpha = 32, 1 / 16
for method in ("paper-codes", "encoder-decoder", "hebbian"):
    run = scaling.cost(method, alpha, d, tied=True, seed=seed, device=device)
    each = run["n_params"] / run["n_facts"]
    name = scaling_shown.NAMES[method]
    print(f"{name}: {run['n_facts']} facts, {each:.0f} parameters per fact")

# %% [markdown]
# All runs take hours: beyond the smoke profile this page reads their table and computes nothing else. *How this was run*:
# [`factbook/scaling.py`](https://github.com/factcore/factcore/blob/main/factbook/scaling.py). How many facts each method was run to, how
# many a complete table has, and the runs that this one lacks, which `python -m factbook.scaling` makes. Block-convex and max-margin networks take hundreds
# of iterations over all facts, as training does, and are asked for as many as training. From $\alpha = 1/2$ on, where $d(d+1)/2$ features hardly span the
# facts, whitened Hebbian memories are asked for 4,096 facts and data-dependent ones for 2,048:

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
table = scaling_shown.table(profile, seed, device)
scaling_shown.reached(table)

# %% [markdown]
# ## The exponents

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: exponent of six methods' parameters over those of trained networks against alpha, with intervals and a grey band around zero. Right: parameters per fact against the dimension at one alpha, on logarithmic axes, one line for each of six methods: trained and block-convex networks lowest, NTK memories highest."}}
figure = scaling_shown.figure(table)

# %% [markdown]
# **At the $\alpha$ of the right panel trained and block-convex networks are cheapest at every dimension that they were run to.** Six of the ten
# methods are drawn; the tables have all. Left: the exponent in $n$ of a method's
# parameters over those of training, at each $\alpha$ with three dimensions or more; marks are least-squares slopes, fitted to one mean of the draws
# per $d$, bars their 95% intervals (cut at ± 1; an exponent beyond is left out). The grey band is ± 0.1, inside which [the rules](../book/rules.md)
# call exponents equal. Right: parameters per fact at one $\alpha$, medians with the range of the draws. The names are for both panels.
#
# The exponents with half their intervals, at four $\alpha$ at most, and how many runs at any $\alpha$ stored nothing and are left out of them:

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
scaling_shown.exponents(table)

# %% [markdown]
# From $d = 64$ on; where these intervals overlap those above at the same $\alpha$, the table cannot tell whether exponents fall as $d$ grows:

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
scaling_shown.exponents(scaling_shown.later(table))

# %% [markdown]
# Parameters per fact, medians over the draws; ∞ where a method stored nothing, – where it was not run:

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
scaling_shown.costs(table)

# %% [markdown]
# Trained and block-convex networks of given widths, where a whole search takes too long for a computer:

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
scaling_shown.given_widths()

# %% [markdown]
# ## Tied or not
#
# Keys and values from two tables, at one $\alpha$: parameters over those of the tied run with the same $d$ and draw, means.

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
scaling_shown.tied_or_not(table)

# %% [markdown]
# ## What to remember
#
# - At the smallest $\alpha$ the bar itself bends: a network of a few units holds more facts than it is given, so that training's parameters grow
#   more slowly than the facts, and whatever grows in proportion to them has an exponent above 0.
# - An exponent belongs to a path: at one $d$ embeddings crowd as facts are added, on the papers' axis they do not crowd as fast.
# - Over so few dimensions intervals are wide; where one lies only partly in the band, growth is open, and the cost at the sizes measured is not.
#
# ## Exercises
#
# **1.** Along $n = \alpha d^2$, how does the width $h$ of a network with $c$ parameters per fact grow with $d$?
#
# :::{dropdown} Solution
# $3 d h = c n = c\,\alpha d^2$, so $h = c\,\alpha d / 3$: in proportion to $d$ where $c$ is constant.
# :::
#
# **2.** A method needs $3m$ parameters per fact with codes of $m = \rho^{-2} \log v$ numbers, and $\rho$ tends to a constant. Which exponent over $n$ does a
# fit between $n = 64$ and $n = 4{,}096$ find?
#
# :::{dropdown} Solution
# $n \log n$ over $n$ is $\log n$, which doubles from 64 to 4,096 facts: an exponent of $\ln 2 / \ln 64 \approx 0.17$, and less for larger $n$.
# :::
#
# **What next?** [How many bits does a weight need?](precision.ipynb)
