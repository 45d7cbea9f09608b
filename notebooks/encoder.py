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
# # The encoder: one gadget per bucket of keys
#
# **What the paper claims** {cite:p}`dugan2025constructing`: a gated hidden layer with $h = m \lceil n/d \rceil$ units maps
# $n$ keys in {term}`general position` to any $n$ codes of $m$ numbers, exactly.
#
# **What this page does**: it draws the layer (buckets, gates, {term}`codes <code>`), measures whether errors add up from bucket to
# bucket, and trains an encoder to the same codes.
#
# **For whom**: readers who want to see why the construction works. Ten minutes.

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
from functools import partial

import numpy as np
import pandas as pd
import torch
from matplotlib import pyplot as plt

from factbook import buckets, figures, prose, store
from factcore.constructions.encoder import cut_into_buckets, encode_with_buckets

figures.use_style()
prose.findings(buckets.findings, "encoder", "encoder_gradient")

# %% [markdown]
# ## Buckets
#
# A linear map has $d$ free numbers per output coordinate, so it can send $d$ keys to any $d$ codes: one $d \times d$
# system. With more than $d$ keys we sort them along a random direction $r$ and cut them into **buckets** of at most
# $d$. Each bucket $b$ gets its own linear map $S_b$, with a row for every number of the code. The cuts lie where
# neighbouring keys are far apart, so that a gate can tell them apart.

# %%
d, n = 2, 11
keys, codes = buckets.example(n, d, seed)  # points of the plane, and a number for each
cut = cut_into_buckets(keys, torch.Generator().manual_seed(seed))
encoder = encode_with_buckets(keys, codes[:, None], torch.Generator().manual_seed(seed))
sizes = np.diff(cut.starts).tolist()
print(f"{n} keys in d = {d}: {len(sizes)} buckets of {sizes} keys")

# %% [markdown]
# ## Gates and codes
#
# Codes of one number first: $S_b$ is a single row. Unit $b$ of the layer is $1[\langle r, x \rangle > t_b] \cdot \langle a_b, x
# \rangle$: open for its bucket *and all later ones*. With $a_b = S_b - S_{b-1}$, where $S_0 = 0$, the open units add up to
# $a_1 + \dots + a_b = S_b$. That is the whole trick: the sum telescopes. Longer codes take a unit for every row. Each bucket's map is solved from the codes
# themselves, never from what earlier buckets left over, so an error in one of them stays there.

# %%
gates = (keys @ encoder.gate_weight.T + encoder.gate_bias > 0).double()
outputs = (gates * (keys @ encoder.up.T)).sum(dim=1).numpy()

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: eleven keys in the plane, coloured by bucket, with parallel lines where the gates switch. Right: along the random direction, every key's code as a cross and the encoder's output as a circle around it."}}
buckets.picture(keys, codes, cut, encoder, outputs)
plt.show()

# %% [markdown]
# **Every key gets its code.** Left, keys and the lines at which gates open, a colour a bucket; right, the codes along $r$. Open units
# per key, in that order:

# %%
print(gates[cut.order].sum(dim=1).int().tolist())

# %% [markdown]
# ## Do errors add up?
#
# If every bucket corrected the errors of those before it, the last one would carry them all. Here is the median
# error in the first and in the last quarter of the buckets, in float64 and after rounding every weight to float32.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Median error of the codes in the first and the last quarter of the buckets, for several numbers of facts. In float64 both stay near 1e-14, in float32 near 1e-5."}}
run = partial(buckets.errors, device=device)
errors = store.resume(store.results_file("encoder", profile), buckets.error_jobs(profile, seed), run, device=device)
paper = store.stored("encoder", "paper") if profile == "laptop" else None
if paper is not None:  # its larger sizes
    errors = pd.concat([errors, paper[paper.n_facts > errors.n_facts.max()]])
buckets.error_figure(errors)
plt.show()

# %% [markdown]
# **The last buckets are a few times as far off as the first, however many lie between, in either precision.** A later bucket has more
# open units, so its code is a sum of more terms, each with its rounding; none of them is an earlier bucket's error. Points are medians
# over three {term}`draws <draw>`, bars reach from the smallest to the largest (they are smaller than the marks); the largest size
# is from the stored run at paper scale.
#
# Here the buckets are nine tenths full (`fill=0.9`): a full one is a square system of random keys, and its conditioning costs digits
# ([how many bits](precision.ipynb)). `construct` starts with full buckets and makes room only when the check of every fact asks for it.
#
# ## The same codes by gradient steps
#
# The paper also has a gradient-based encoder. Here it is bilinear, $\sum_j \langle g_j, x \rangle \langle a_j, x \rangle$ for every
# coordinate of the code, and Adam moves gates $g_j$ and directions $a_j$ to the codes; the decoder stays. A unit then has $2d$ free
# numbers instead of $d$, so we begin with $\lceil n/2d \rceil$ units for a coordinate, as many unknowns as equations, and add
# some until every fact is recalled. *Unknowns used* is equations over unknowns there. Both meet the same codes, the shortest ones that the closed form stores; medians:

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
run = partial(buckets.both, device=device)
rows = store.results_file("encoder_gradient", profile)
both = store.resume(rows, buckets.both_jobs(profile, seed), run, device=device)
buckets.compared(both)

# %% [markdown]
# **Gradient steps need fewer parameters, at best half, as the count of unknowns promises.** What is lost is the exactness: at equal
# unknowns and equations the steps come close to the codes, and the margins of the codes absorb the rest.
#
# Two cousins of this layer: `gate="relu"` replaces each step by a ramp, the difference of two ReLUs, which any framework
# can run at twice the units; `encoder="random-gates"` draws all gates at random and solves one large system instead of many
# small ones, at the same width.
#
# ## What to remember
#
# - $d$ keys, $d$ unknowns: a bucket is as many keys as one linear map can serve, and gates that open one after another choose the map.
# - Differences $S_b - S_{b-1}$ telescope, so that no bucket inherits another's error.
# - Each of the $m \lceil n/d \rceil$ units costs $3d + 1$ parameters: $d$ of its gate and a threshold, $d$ of its direction $a_b$
#   and $d$ of the decoder's column behind it. That is about $3m$ a fact.
#
# ## Exercises
#
# **1.** How many parameters a fact does the layer need for 7,007 keys in 384 dimensions and codes of two numbers, full buckets?
#
# :::{dropdown} Solution
# $\lceil 7007/384 \rceil = 19$ buckets, so $2 \cdot 19 = 38$ units of $3 \cdot 384$ parameters and a threshold: $38 \cdot 1153 / 7007 = 6.25$ a fact,
# what [the tour](facts.ipynb) counts.
# :::
#
# **2.** What goes wrong when two keys have the same score $\langle r, k \rangle$, and what when a bucket's keys are linearly dependent?
#
# :::{dropdown} Solution
# No threshold can part the two; they must share a bucket, and a random $r$ makes such ties unlikely. Dependent keys make the bucket's
# system singular: their codes must obey the same dependence, which codes of free choice do not. Cutting more buckets, of fewer keys each, helps.
# :::
