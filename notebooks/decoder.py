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
# **What the paper claims** {cite:p}`dugan2025constructing`: with $D$ a random projection and the codes the projected
# separators, $m = O(\rho^{-2} \log v)$ numbers per value are enough, $\rho$ the *decodability* of the values.
#
# **What this page does**: it measures recall against the code dimension $m$ for the paper's codes and for a sharper
# choice, with the decodability of the projected values beside it.
#
# **For whom**: readers who ask what decides the cost of a fact. Ten minutes.

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
# ## Decodability
#
# Value $i$ can be picked by a dot product only if some output $u$ scores $v_i$ above every other $v_j$. The best unit
# vector for it, its **separator** $u_i$, maximises the smallest normalised difference, and that maximum is its
# decodability:
#
# $$\rho_i = \max_{\|u\| \le 1} \min_{j \ne i} \left\langle \frac{v_i - v_j}{\|v_i - v_j\|}, u \right\rangle,
# \qquad \rho(V) = \min_i \rho_i .$$
#
# `decodability` returns the separators with a certificate: a lower bound (the separator's own margin over *all* other
# values) and an upper bound (the norm of a convex combination of the differences). They agree to the tolerance.

# %%
import pandas as pd
import torch
from matplotlib import pyplot as plt

import factcore as fc
from factbook import figures, store
from factcore.constructions.decoder import projected_codes, projection_basis, separator_codes
from factcore.constructions.projection import short_projection
from factcore.scoring import normalised_margins

figures.use_style()
size = {"smoke": {"v": 64, "d": 32}, "laptop": {"v": 1024, "d": 64}, "paper": {"v": 4096, "d": 128}}[profile]
facts = fc.spherical_facts(size["v"], size["d"], seed=seed, dtype=torch.float64).to(device)
solved = fc.decodability(facts.values)
print(f"v = {size['v']} values on the sphere in d = {size['d']}: rho = {solved.rho:.4f}")
print(f"largest gap between the bounds at most 1e-6: {bool((solved.upper - solved.lower).max() <= 1e-6)}")

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


# %% tags=["hide-input"]
def decode_share(codes: str, m: int, v: int, d: int, seed: int) -> dict:
    """Share of values that decode through a random D with m columns, and rho of the projected values."""
    values = fc.spherical_facts(v, d, seed=seed, dtype=torch.float64).values.to(device)
    projection = projection_basis(d, torch.Generator().manual_seed(seed)).to(values)[:, :m]
    if codes == "separators":
        chosen = separator_codes(values, projection)
    else:
        chosen = projected_codes(values, projection, fc.decodability(values, tol=1e-3).separators)
    everything = torch.arange(v, device=values.device)
    share = (normalised_margins(chosen.codes, everything, values @ projection) > 0).double().mean()
    return {"recall": float(share), "smallest_margin": float(chosen.margins.min()), "device": chosen.codes.device}


dimensions = {
    "smoke": [4, 8, 12, 16, 24],
    "laptop": [8, 10, 12, 14, 16, 18, 20, 22, 24, 28, 32, 36, 40, 48, 56],
    "paper": [8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80],
}[profile]
jobs = [
    {"codes": codes, "m": m, **size, "seed": s}
    for codes in ("separators", "projected")
    for m in dimensions
    for s in range(seed, seed + 3)
]
table = store.resume(store.results_file("decoder", profile), jobs, decode_share, device=device)
paper = store.stored("decoder", "paper") if profile == "laptop" else None

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two panels against the code dimension m. Left: share of values decoded, which reaches 100 percent at a much smaller m for separator codes than for projected codes. Right: decodability of the projected values, zero for short codes and rising with m."}}
figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.9))
for kind, rows in table.assign(percent=100 * table.recall).groupby("codes"):
    figures.plot_spread(left, rows, "m", "percent", kind)
if paper is not None:
    for kind, rows in paper.assign(percent=100 * paper.recall).groupby("codes"):
        label = f"{kind}, stored run (v = {paper.v.iloc[0]}, d = {paper.d.iloc[0]})"
        figures.plot_spread(left, rows, "m", "percent", kind, linestyle=":", label=label)
left.set(xlabel="code dimension m", ylabel="values decoded [%]", title=f"v = {size['v']}, d = {size['d']}: recall")
left.legend()
rows = table[table.codes == "separators"]
figures.plot_spread(right, rows, "m", "smallest_margin", "separators", label="ρ of the projected values")
right.axhline(solved.rho, color="grey", linestyle="--", label="ρ of the values in $\\mathbb{R}^d$")
right.set(xlabel="code dimension m", ylabel="decodability ρ (no unit)", title="what the projection leaves")
right.legend(loc="upper left", bbox_to_anchor=(0, 0.92))
plt.show()

# %% [markdown]
# Points are medians over three seeds, bars reach from the smallest to the largest.
#
# ## The numbers behind it

# %%
# NBVAL_IGNORE_OUTPUT
shares = table.pivot_table(index="m", columns="codes", values="recall", aggfunc="median")
shares["rho of the projected values"] = rows.groupby("m").smallest_margin.median()
shares.round(4)


# %%
def first_whole(table: pd.DataFrame) -> dict[str, int]:
    """Per kind of code the smallest m of the grid at which every value decodes, for every seed."""
    worst = table.groupby(["codes", "m"]).recall.min()
    return {kind: int(worst[kind][worst[kind] == 1].index.min()) for kind in ("separators", "projected")}


first = first_whole(table)
print(f"smallest m of the grid with 100% at every seed: {first}")
if paper is not None:
    at = f"v = {paper.v.iloc[0]:,}, d = {paper.d.iloc[0]}"
    print(f"stored run at paper scale, {at}: {first_whole(paper)}")
print(table.pivot_table(index="m", columns="codes", values="recall", aggfunc="median").round(1).to_string())

# %% [markdown]
# ## Equal norms
#
# Below the smallest $m$, a random projection hides some values inside the hull. Points of one norm are vertices of their hull, however
# many there are, so `construct` fits $D$ by least squares until the projected values have about one norm: see
# [how long a code must be](code_dimension.ipynb).

# %%
basis = projection_basis(size["d"], torch.Generator().manual_seed(seed)).to(facts.values)
everything = torch.arange(size["v"], device=facts.values.device)
even = short_projection(facts.values, everything, basis).shape[1]
print(f"no longer than the random projection: {even <= first['separators']}")

# %%
# NBVAL_IGNORE_OUTPUT
print(f"m = {even} with equal norms (seed {seed}), against {first['separators']} without (grid, three seeds)")

# %% [markdown]
# ## What we found

# %%
# NBVAL_IGNORE_OUTPUT
saved = 1 - even / first["projected"]
print(f"Separator codes need m = {first['separators']} where projected codes need {first['projected']}.")
print(f"With equal norms m = {even}: {saved:.0%} fewer parameters than the paper's codes, as the cost is 3 m n.")

# %% [markdown]
# The paper's bound is about the projected codes, and they do behave like it: they need a projection that keeps angles. For
# the values at hand that is more than is needed. The right panel shows why the code length is about geometry: recall reaches
# 100% where the decodability of the *projected* values leaves zero.
