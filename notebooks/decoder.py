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
# # The decoder: how short can a code be?
#
# **What the paper claims** {cite:p}`dugan2025constructing`: where a random projection $D$ turns {term}`codes <code>` into values, codes
# of $m = O(\rho^{-2} \log v)$ numbers are enough for $v$ values; $\rho$, their {term}`decodability`, says how well they can be told apart.
#
# **What this page does**: it measures recall against the code dimension $m$ for the paper's codes and for a sharper
# choice, with the decodability of the projected values beside it.
#
# **For whom**: readers who ask what decides the cost of a fact. Ten minutes. Words: the [glossary](../book/glossary.md).

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
from matplotlib import pyplot as plt

import factcore as fc
from factbook import decoder, figures, prose, store
from factcore.constructions.decoder import projection_basis
from factcore.constructions.projection import short_projection

figures.use_style()
prose.findings(decoder.findings, "decoder", "code_dimension")

# %% [markdown]
# ## Decodability
#
# Value $i$ can be picked by a dot product only if some output $u$ scores $v_i$ above every other $v_j$. The best unit
# vector for it, its **separator** $u_i$, maximises the smallest normalised difference, and that maximum is its
# decodability:
#
# $$\rho_i = \max_{\|u\| \le 1} \min_{j \ne i} \left\langle \frac{v_i - v_j}{\|v_i - v_j\|}, u \right\rangle .$$
#
# The decodability of all values is that of the hardest, $\rho(V) = \min_i \rho_i$.
#
# `decodability` returns the separators with a certificate: a lower bound (the separator's own margin over *all* other
# values) and an upper bound (the norm of a convex combination of the differences). They agree to the tolerance.

# %%
v, d = decoder.SIZES[profile].values()
values = fc.spherical_facts(v, d, seed=seed, dtype=torch.float64).values.to(device)
solved = fc.decodability(values)
print(f"{v:,} values on the sphere, d = {d}: {solved.rho:.4f} ≤ ρ ≤ {solved.rho_upper:.4f}")

# %% [markdown]
# <!-- generated: explore -->
#
# ## Two kinds of code
#
# The decoder is $D \in \mathbb{R}^{d \times m}$, here the first $m$ columns of a random orthonormal basis. A code $c$
# scores value $j$ by $\langle c, w_j \rangle$ with $w_j = D^\top v_j$.
#
# - **projected codes** (the paper's): $c_i = D^\top u_i$. They work once $m$ is large enough for the projection to nearly
#   keep all angles.
# - **separator codes** (ours): $c_i$ is the separator of $w_i$ *among the projected values*, the best code there is for this
#   $D$. They work as soon as every $w_i$ is a vertex of the projected hull.
#
# A value decodes when its code has a positive margin; the recall below is the share that do. It needs no encoder, as the
# encoder meets the codes exactly.

# %%
m = d // 4
basis = projection_basis(d, torch.Generator().manual_seed(seed)).to(values)
projected = values @ basis[:, :m]
for name, codes in (
    ("projected", solved.separators @ basis[:, :m]),
    ("separator", fc.decodability(projected).separators),
):
    right = (codes @ projected.T).argmax(dim=1) == torch.arange(v, device=device)
    share = prose.percent(float(right.double().mean()))
    print(f"{name} codes, m = {m}: {share} of the values decode")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two panels against the code dimension m. Left: share of values decoded, which reaches 100 percent at a smaller m for separator codes than for projected codes, at two sizes. Right: decodability of the projected values, zero for short codes and rising with m."}}
table = decoder.table(profile, seed, device)
paper = store.stored("decoder", "paper") if profile == "laptop" else None
figure = decoder.figure(table, solved.rho, paper)
plt.show()

# %% [markdown]
# **Separator codes decode everything where the projected values' own $\rho$ leaves zero; projected codes need more room.** Points are medians
# over three draws of values, bars reach from the smallest to the largest; dotted, the stored run at paper scale. In numbers, the smallest of
# the three draws, up to the length at which all decode:

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
decoder.written(table)

# %% [markdown]
# *How this was run*: [`factbook/decoder.py`](https://github.com/factcore/factcore/blob/main/factbook/decoder.py).
#
# ## Equal norms
#
# Below the smallest $m$, a random projection hides some values inside the hull. Points of one norm are vertices of their hull, however
# many there are, so `construct` fits $D$ by least squares until the projected values have about one norm: see
# [how long a code must be](code_dimension.ipynb).

# %%
# NBVAL_IGNORE_OUTPUT
even = short_projection(values, torch.arange(v, device=device), basis).shape[1]
print(f"m = {even} with equal norms, {decoder.first_whole(table)['separators']} without")

# %% [markdown]
# ## What to remember
#
# - A code must separate its value from the others *among the projected values*; that is less than to keep all angles, which is what projected
#   codes need.
# - The paper's bound speaks of projected codes, and bounds them. How far it is also the law of their length: [how long must a
#   code be?](code_dimension.ipynb)
# - The code length is about geometry: recall is complete where the decodability of the *projected* values leaves zero.
#
# ## Exercises
#
# **1.** Values of one norm are all vertices of their hull, whatever their number. Why are codes of two numbers, points on a circle, not enough
# for any number of values then?
#
# :::{dropdown} Solution
# In exact arithmetic they are. But $v$ points on a circle leave $\rho$ of order $1/v$, and rounding takes margins that small; and a linear map from
# $d$ dimensions can put only about as many values on a circle as it has unknowns.
# :::
#
# **2.** In the code above, lower $m$ until separator codes lose a value. Can other codes save it, with this $D$?
#
# :::{dropdown} Solution
# No. A separator is the best code there is for its $D$: where even it has no margin, the projected value lies in the hull of the others.
# :::
#
# **What next?** [How long must a code be?](code_dimension.ipynb), or [how decodability is computed and proved](solver.ipynb).
