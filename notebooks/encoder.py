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
# $n$ keys in general position to any $n$ codes of $m$ numbers, exactly.
#
# **What this page does**: it draws the layer (buckets, gates, codes), measures that no error accumulates from
# bucket to bucket, and trains an encoder to the same codes.
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
# ## Buckets
#
# A linear map has $d$ free numbers per output coordinate, so it can send $d$ keys to any $d$ codes: one $d \times d$
# system. With more than $d$ keys we sort them along a random direction $g$ and cut them into **buckets** of at most
# $d$. Each bucket $b$ gets its own linear map $S_b$. The cuts lie where neighbouring keys are far apart, so that a
# gate can tell them apart.

# %%
import numpy as np
import pandas as pd
import torch
from matplotlib import pyplot as plt

import factcore as fc
from factbook import figures, store
from factbook.gradient_encoder import gradient_encoder_decoder
from factcore.constructions.encoder import cut_into_buckets, encode_with_buckets

figures.use_style()
d, n = 2, 11
facts = fc.spherical_facts(n, d, seed=seed, dtype=torch.float64)
keys = facts.keys * torch.linspace(0.6, 1.4, n, dtype=torch.float64)[:, None]  # off the circle, to see them better
codes = torch.linspace(-1, 1, n, dtype=torch.float64)[torch.randperm(n, generator=torch.Generator().manual_seed(seed))]
buckets = cut_into_buckets(keys, torch.Generator().manual_seed(seed))
encoder = encode_with_buckets(keys, codes[:, None], torch.Generator().manual_seed(seed))
member = np.repeat(np.arange(len(buckets.starts) - 1), np.diff(buckets.starts))
print(f"{n} keys in d = {d}: {len(buckets.starts) - 1} buckets of {np.diff(buckets.starts).tolist()} keys")

# %% [markdown]
# ## Gates and codes
#
# Unit $b$ of the layer is $1[\langle g, x \rangle > t_b] \cdot \langle a_b, x \rangle$: open for its bucket *and all later
# ones*. With $a_b = S_b - S_{b-1}$ the open units add up to
# $a_1 + \dots + a_b = S_b$. That is the whole trick: the sum telescopes. Each bucket's map is solved from the codes
# themselves, never from what earlier buckets left over, so an error in one of them stays there.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: eleven keys in the plane, coloured by bucket, with parallel lines where the gates switch. Right: along the random direction, every key's code as a cross and the encoder's output as a circle around it."}}
figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 4))
direction, order = buckets.direction.numpy(), buckets.order.numpy()
colours = plt.get_cmap("viridis")(member / member.max())
left.scatter(*keys.numpy()[order].T, c=colours, s=45, zorder=3)
across = np.array([-direction[1], direction[0]])
for low, high in zip(buckets.below, buckets.above):
    middle = direction * float(low + high) / 2
    left.plot(*np.stack([middle - 2 * across, middle + 2 * across]).T, color="grey", linewidth=1)
left.annotate("", xy=1.2 * direction, xytext=(0, 0), arrowprops={"arrowstyle": "->"})
left.text(*(0.6 * direction + 0.12 * np.abs(across)), "g", ha="center", va="center", fontstyle="italic")
left.set(xlim=(-1.6, 1.6), ylim=(-1.6, 1.6), aspect="equal", title="keys, buckets and cuts", xlabel="x₁", ylabel="x₂")

scores = (keys @ buckets.direction).numpy()
gates = (keys @ encoder.gate_weight.T + encoder.gate_bias > 0).double()
outputs = (gates * (keys @ encoder.up.T)).sum(dim=1).numpy()
right.scatter(scores[order], codes.numpy()[order], c=colours, marker="x", s=60, label="code wanted")
right.scatter(scores[order], outputs[order], facecolors="none", edgecolors=colours, s=120, label="encoder's output")
for low, high in zip(buckets.below, buckets.above):
    right.axvline(float(low + high) / 2, color="grey", linewidth=1)
right.set(xlabel="⟨g, key⟩", ylabel="code (m = 1)", title="every key gets its code")
right.legend(loc="upper center", ncols=2, bbox_to_anchor=(0.5, -0.16))
plt.show()

# %%
print(f"largest difference between output and code: below 1e-10: {bool(np.abs(outputs - codes.numpy()).max() < 1e-10)}")
print("units open per key, in order along g:", gates[buckets.order].sum(dim=1).int().tolist())

# %% [markdown]
# ## No error accumulates
#
# If every bucket corrected the errors of those before it, the last one would carry them all. Here is the median
# error in the first and in the last quarter of the buckets, in float64 and after rounding every weight to float32, for a layer with
# many buckets.


# %%
def bucket_errors(n_facts: int, d: int, dtype: str, seed: int) -> dict:
    """Error of the codes, in units of their size, in the first and the last quarter of the buckets."""
    facts = fc.spherical_facts(n_facts, d, seed=seed, dtype=torch.float64).to(device)
    codes = torch.nn.functional.normalize(facts.values[:, :8], dim=1)
    layer = encode_with_buckets(facts.keys, codes, torch.Generator().manual_seed(seed), fill=0.9)
    real = getattr(torch, dtype)
    keys = facts.keys.to(real)
    gates = (keys @ layer.gate_weight.to(real).T + layer.gate_bias.to(real) > 0).to(real)
    hidden = gates * (keys @ layer.up.to(real).T)
    out = torch.zeros(n_facts, 8, dtype=real, device=keys.device).index_add_(1, layer.coordinate, hidden)
    error = (out - codes).norm(dim=1)[gates.sum(dim=1).argsort()]  # along g: few open gates first
    quarter = n_facts // 4
    first, last = float(error[:quarter].median()), float(error[-quarter:].median())
    return {"first_quarter": first, "last_quarter": last, "device": error.device}


sizes = {"smoke": [256, 512], "laptop": [1024, 4096, 16384], "paper": [4096, 16384, 65536]}[profile]
jobs = [
    {"n_facts": n, "d": 64 if profile != "smoke" else 32, "dtype": dtype, "seed": s}
    for n in sizes
    for dtype in ("float64", "float32")
    for s in range(seed, seed + 3)
]
errors = store.resume(store.results_file("encoder", profile), jobs, bucket_errors, device=device)
paper = store.stored("encoder", "paper") if profile == "laptop" else None
if paper is not None:
    errors = pd.concat([errors, paper[paper.n_facts > max(sizes)]])
    print(f"beyond n = {max(sizes):,}: the stored run at paper scale")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Median error of the codes in the first and the last quarter of the buckets, for several numbers of facts. In float64 both stay near 1e-14, in float32 near 1e-5."}}
figure, ax = plt.subplots()
for dtype, colour in (("float64", "#0072B2"), ("float32", "#D55E00")):
    for part, marker in (("first_quarter", "o"), ("last_quarter", "s")):
        grouped = errors[errors.dtype == dtype].groupby("n_facts")[part]
        middle = grouped.median()
        bars = [middle - grouped.min(), grouped.max() - middle]
        label = f"{dtype}, {part.replace('_', ' ')} of the buckets"
        ax.errorbar(middle.index, middle, yerr=bars, marker=marker, color=colour, capsize=3, label=label)
ax.set(xscale="log", yscale="log", xlabel="facts n", ylabel="median error of a code (codes have norm 1)")
ax.set_title(f"d = {jobs[0]['d']}: three seeds, bars from smallest to largest")
ax.legend(fontsize=9)
plt.show()

# %%
# NBVAL_IGNORE_OUTPUT
errors.groupby(["dtype", "n_facts"])[["first_quarter", "last_quarter"]].median().map("{:.1e}".format)

# %%
largest = errors.groupby("dtype")[["first_quarter", "last_quarter"]].max().max(axis=1)
for dtype, bound in (("float32", 1e-3), ("float64", 1e-10)):
    print(f"{dtype}: every median below {bound:g}: {bool(largest[dtype] < bound)}")

# %% [markdown]
# ## The same codes by gradient steps
#
# The paper also has a gradient-based encoder. Here it is bilinear, $\sum_j \langle g_j, x \rangle \langle a_j, x \rangle$ for every coordinate of the code, and
# Adam moves gates $g_j$ and directions $a_j$ to the codes; the decoder stays. A unit then has $2d$ free numbers instead of $d$, so we
# begin with $\lceil n/2d \rceil$ units for a coordinate and add some until every fact is recalled. Both meet the same codes, the shortest ones that
# the closed form stores.


# %%
def both_encoders(n_facts: int, d: int, seed: int) -> dict:
    """Parameters of the closed form and, at the same code length, of a trained encoder, the first of four to store."""
    facts = fc.spherical_facts(n_facts, d, seed=seed).to(device)
    closed = fc.smallest_width(facts, seed=seed, tries=1)
    m = closed.width // -(-n_facts // d)
    found = {"code_dim": m, "closed": closed.n_params, "gradient": float("nan"), "fill": float("nan")}
    found["device"] = facts.keys.device
    for fill in (1.0, 0.8, 0.65, 0.5):
        mlp = gradient_encoder_decoder(facts, m, fill=fill, seed=seed)
        if len(mlp.lost) == 0:
            return found | {"gradient": mlp.n_params, "fill": fill}
    return found


places = {
    "smoke": [(32, 16)],
    "laptop": [(64, 16), (64, 32), (128, 32), (256, 32)],
    "paper": [(256, 64), (512, 64), (1024, 64), (2048, 64)],
}[profile]
jobs_both = [{"n_facts": n, "d": d, "seed": s} for n, d in places for s in range(seed, seed + 3)]
both = store.resume(store.results_file("encoder_gradient", profile), jobs_both, both_encoders, device=device)
both["ratio"] = both.gradient / both.closed
print(f"trained encoder stores every fact: {int(both.gradient.notna().sum())} of {len(both)} runs")

# %%
# NBVAL_IGNORE_OUTPUT
both.assign(closed_per_fact=both.closed / both.n_facts, gradient_per_fact=both.gradient / both.n_facts).groupby(
    ["d", "n_facts"]
)[["code_dim", "closed_per_fact", "gradient_per_fact", "ratio", "fill"]].median().round(2)

# %% [markdown]
# ## What we found
#
# The codes are met to rounding. The last buckets pass through many more open gates than the first, and rounding grows
# a little with that number: it is a sum of more terms. It does not compound. What limits the precision is the
# conditioning of a full bucket: $d$ random keys in $d$ dimensions make a square system, and leaving a tenth of the
# room free (`fill=0.9`, as here) makes it much better behaved. `construct` starts with full buckets and makes room only
# when the check of every fact asks for it.
#
# Gradient steps find an encoder of about half the parameters, as the count of unknowns promises, at almost every size tried; with the
# most keys it needs some room to spare. What is lost is the exactness: at equal unknowns and equations the steps come close to the codes, and the
# margins of the codes absorb the rest.
#
# Two cousins of this layer: `gate="relu"` replaces each step by a ramp, the difference of two ReLUs, which any framework
# can run at twice the units; `encoder="random-gates"` draws all gates at random and solves one large system instead of many
# small ones, at the same width.
