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
# # How long must a code be?
#
# **What the paper claims** {cite:p}`dugan2025constructing`: {term}`codes <code>` of $m = O(\rho^{-2} \log v)$ numbers are enough to pick one
# of $v$ values of {term}`decodability` $\rho$ through a random projection $D$. The whole MLP costs $3mn$ parameters, so this is the law
# of its cost.
#
# **What this page does**: it finds the smallest $m$ for the paper's codes and for three sharper decoders, over sizes,
# dimensions and geometries of the values, and asks of each whether the law describes it, and with which constant.
#
# **For whom**: readers who want the cheapest decoder, and what is left of the bound once one has it. Fifteen minutes; the
# [decoder](decoder.ipynb) comes before.

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
import torch

import factcore as fc
from factbook import code_dimension, figures, prose
from factbook.geometries import value_geometry
from factcore.constructions.decoder import projection_basis
from factcore.constructions.projection import short_projection
from factcore.support.streams import stream

figures.use_style()
prose.findings(code_dimension.findings, "code_dimension")

# %% [markdown]
# ## Four decoders
#
# A code $c$ picks value $i$ when $\langle c, w_i - w_j \rangle > 0$ for every $j \ne i$, with $w_j = D^\top v_j \in
# \mathbb{R}^m$. The four differ in $D$ and in the codes:
#
# | | projection $D$ | codes |
# |---|---|---|
# | projected | random | $D^\top u_i$, $u_i$ the separator of $v_i$ in $\mathbb{R}^d$ (the paper's) |
# | random | random | the separator of $w_i$ among the projected values |
# | equal norms | random, then fitted so that the projected values have about one norm | the same |
# | optimised | the same, then fitted to these values by gradient steps | the same |
#
# *Equal norms* come from one fact: points on a sphere are vertices of their hull, however many there are. $D$ is fitted by least
# squares to the points of norm 1 nearest to the projected values, 200 times in turn. Up to $d + 1$ values, if they are affinely
# independent, need no fit: `construct` places them on a circle or a sphere, at $m$ = 2 or 3.
#
# To *optimise* $D$ is to train a tiny linear model once per set of values: $D$ and a code per value are moved together by
# 100 steps of Adam on the cross-entropy of decoding,
#
# $$\min_{D,\,C} \; \sum_i \log \sum_j \exp \langle c_i, D^\top (v_j - v_i) \rangle ,$$
#
# then the codes are thrown away and the separators for this $D$ are taken. No key and no fact enters, and what came out is
# certified like every other $D$: each $w_i$ has a clear margin, by `decodability`. While that succeeds, the column along which
# the projected values vary least is taken away and the fit goes on from there.
#
# The whole way of the last row, on a small set: shorten $D$, take the separators of what it leaves, decode.

# %%
values = value_geometry("sphere", 128, 48, seed=seed).to(device)
everything = torch.arange(128, device=device)
start = projection_basis(48, stream(seed, "projection")).to(values)
projected = values @ short_projection(values, everything, start, "optimised")
codes = fc.decodability(projected).separators
picked = (codes @ projected.T).argmax(dim=1)
right = int((picked == everything).sum())
print(f"codes of {codes.shape[1]} numbers pick {right} of 128 values")

# %% [markdown]
# ## How long codes get
#
# For each set of values the smallest $m$ of each kind. The columns are nested for the first two kinds; for the last two the length is the
# shortest that a deterministic search found, so a shorter one may exist.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two panels. Left: smallest code dimension against the bound's argument, log v over rho squared, on logarithmic axes, with one line of slope one per kind of decoder: points of all kinds rise less steeply than the lines. Right: code dimension against the number of values, sphere, where the paper's codes are longest and optimised ones shortest."}}
table = code_dimension.table(profile, seed, device)
figure = code_dimension.figure(table)

# %% [markdown]
# **Lengths rise far less steeply than the law, and a sharper decoder does more than an easier set of values.** Left: every set of values is
# one mark per kind; lines are the law $m = c\,\rho^{-2} \ln v$ with one constant per kind, slope one by definition. Hollow marks are sets
# with draws that need $m > d/2$: a law for projections cannot speak for those that project next to nothing away, so these draws are left
# out of the fits. Medians of three draws, bars from the smallest to the largest; kinds stand a little side by side. Some of the
# sets (*spiked 8*: random directions plus one that all share, some 8 times as long, scaled back to norm 1):

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
code_dimension.examples(table)

# %% [markdown]
# A $D$ that knows the values has $dm$ entries to place them where few hide behind others, which is why more dimensions $d$ make its codes
# *shorter*, while projected ones get longer. The shortest codes have the smallest margins (last row).
#
# ## Does the law hold?
#
# Two fits per kind, both to $\ln m$ by least squares. The *law*: $m = c\,\rho^{-2} \ln v$, one free constant. The *free fit*:
# $m = c' \rho^{-a} (\ln v)^b$, where the law says $a = 2$, $b = 1$. The intervals are 95% bootstrap intervals; what is drawn is
# whole cells (one geometry, $v$ and $d$ with all its seeds), as runs of one cell are no independent evidence. $R^2$ is the
# share of the variance of $\ln m$ that is explained; below zero a constant $m$ would do better.

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
code_dimension.laws(table)

# %% [markdown]
# **$\rho$ matters, with about half of the law's exponent or less.** The paper's statement is an upper bound, $m = O(\rho^{-2} \log v)$, and
# as one it stands. Whether it is also the law of the length is asked most fairly of the projected codes, the only ones that need the
# projection to keep angles. Separator codes ask for less: every projected value must be a vertex of the projected hull, however flat.
#
# Limits. The optimised length is what a short search found, without a matching lower bound. Leaving out the draws with $m > d/2$ leaves
# out the longest codes (all draws of *spiked 8*) and matters: with them the law explains a little of the projected codes' lengths, a
# fifth, and nothing without them. And $\rho$ and $\ln v$ vary together on the sphere, so their exponents come mostly from the
# contrast with the other geometries.
#
# *How this was run*: [`factbook/code_dimension.py`](https://github.com/factcore/factcore/blob/main/factbook/code_dimension.py).
#
# ## What to remember
#
# - The whole MLP costs $3mn$ parameters: every number that a code can do without saves three weights per fact.
# - A bound that holds with a small constant need not be the law. Ask for both, and look at $R^2$.
# - Short codes are paid for in margin. `construct` keeps a floor under it and verifies that everything decodes; a memory that must withstand
#   noisy keys may prefer longer codes (`projection="random"` or `code_dim=`).
#
# ## Exercises
#
# **1.** Two sets of 256 values have $\rho = 0.6$ and $\rho = 0.3$. By which factor do projected codes grow, by the law and by the free fit?
#
# :::{dropdown} Solution
# By the law $2^2 = 4$. By the free fit $2^{a}$, about 2: halving $\rho$ doubles the code.
# :::
#
# **2.** In the code above, ask for `"random"` and `"equal-norms"` in place of `"optimised"`. Which step saves more?
#
# :::{dropdown} Solution
# Equal norms do: points on a sphere are vertices of their hull, however many there are. Fitting $D$ to these values then saves little more.
# :::
#
# **What next?** [What a network costs](capacity.ipynb), where codes become parameters.
