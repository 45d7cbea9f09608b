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
# # How many bits does a weight need?
#
# **What the paper claims** {cite:p}`dugan2025constructing`: storing $n$ facts among $v$ values takes $n \log_2 v$ bits
# whatever the network, and the construction's weights need only $O(\log n)$ bits of precision each. Costs are then
# counted in parameters.
#
# **What this page does**: it counts bits. Each network is built at its smallest width, or with room to spare, and its
# weights are rounded to fewer and fewer bits until facts are lost.
#
# **For whom**: anyone who compares memories by their parameters, or wants to store one in few bytes. Ten minutes.

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
# ## Rounding
#
# `factbook.precision.quantise` rounds all weights and keeps the arithmetic in float32. The formats `bf16` and `fp16`
# are casts. `int2` to `int8` and `fp8` (e4m3) give each row of a weight matrix its own scale: whole multiples of
# $s = \max|w| / (2^{b-1} - 1)$. A scale is a float32 number and is counted; so are biases, which stay float32.

# %%
import functools
import math

from matplotlib import pyplot as plt

import factcore as fc
from factbook import figures, precision, store

figures.use_style()
size = {"smoke": {"n": 32, "d": 12}, "laptop": {"n": 256, "d": 32}, "paper": {"n": 4096, "d": 128}}[profile]
facts = fc.spherical_facts(size["n"], size["d"], seed=seed)
mlp = fc.construct(facts, "hebbian", width=2 * size["n"], seed=seed)
rounded = precision.quantise(mlp, "int4")
step = mlp.up.abs().amax(dim=1, keepdim=True) / 7
worst = ((rounded.mlp.up - mlp.up).abs() / step).max()
print(f"int4: no weight moves by more than half a step: {bool(worst <= 0.5001)}")
h, d = mlp.width, facts.d
print(
    f"bits with the scales: {rounded.bits} = 4 * 3dh + 32 (2h + d): {rounded.bits == 4 * 3 * d * h + 32 * (2 * h + d)}"
)

# %% [markdown]
# ## The run
#
# Per method and seed one search for the smallest width $h$ at 100% recall in float32; then networks of $h$, $1.25\,h$
# and $2\,h$ units, each rounded to every format. *0.8 full* is the encoder-decoder with buckets that hold at most
# $0.8\,d$ keys: more parameters, better conditioned systems. One-hot memories have one width only.

# %%
FULL, LOOSE = "encoder-decoder", "encoder-decoder, 0.8 full"
METHODS = {
    "one-hot": ("one-hot", {}),
    "hebbian": ("hebbian", {}),
    "data-dependent": ("hebbian", {"variant": "data-dependent"}),
    FULL: (FULL, {}),
    LOOSE: (FULL, {"fill": 0.8}),
    "max-margin": ("max-margin", {}),
    "block-convex": ("block-convex", {}),
    "trained": ("trained", {"steps": {"smoke": 100, "laptop": 500, "paper": 4000}[profile]}),
}
if profile == "smoke":
    METHODS = {m: METHODS[m] for m in ("one-hot", "hebbian", FULL, "trained")}
SCHEMES = precision.SCHEMES[::-1]  # int2 first


@functools.cache
def smallest(method: str, n: int, d: int, seed: int) -> int:
    """Fewest hidden units at 100% recall on spherical facts, one attempt per width."""
    name, options = METHODS[method]
    facts = fc.spherical_facts(n, d, seed=seed).to(device)
    return fc.smallest_width(facts, name, seed=seed, tries=1, resolution=0.05, **options).width


def rounded_recall(method: str, room: float, n: int, d: int, seed: int) -> dict[str, float]:
    """Recall and bits per fact in every format, for a network of ``room`` times the smallest width."""
    name, options = METHODS[method]
    facts = fc.spherical_facts(n, d, seed=seed).to(device)
    width = math.ceil(room * smallest(method, n, d, seed))
    mlp = fc.construct(facts, name, width=width, seed=seed, strict=False, **options)  # losing facts is a result here
    row = {"width": mlp.width, "per_fact": mlp.n_params / n, "device": mlp.down.device}
    for result in precision.precision_rows(mlp, facts, SCHEMES):
        row[f"recall_{result['scheme']}"] = result["recall"]
        row[f"bits_{result['scheme']}"] = result["bits_per_fact"]
    return row


jobs = [
    {"method": m, "room": room, **size, "seed": s}
    for s in range(seed, seed + 3)
    for m in METHODS
    for room in ((1,) if m == "one-hot" else (1, 1.25, 2))
]
table = store.resume(store.results_file("precision", profile), jobs, rounded_recall, device=device)
paper = store.stored("precision", "paper") if profile == "laptop" else None
long = table.melt(
    id_vars=["method", "room", "seed"],
    value_vars=[f"recall_{s}" for s in SCHEMES],
    var_name="scheme",
    value_name="recall",
)
long["at"] = [SCHEMES.index(s.removeprefix("recall_")) for s in long.scheme]


# %% tags=["hide-input"] mystnb={"image": {"alt": "Three panels, one per width: recall in percent against the format of the weights, from int2 to fp32. One-hot and Hebbian memories keep 100 percent down to three to six bits, trained and convex networks to about int8; the encoder-decoder with full buckets needs a 16-bit float."}}
def look(method: str) -> dict:
    base = method.split(",")[0]
    style = {"color": figures.COLOURS[base], "marker": figures.MARKERS[base]}
    if method in (LOOSE, "data-dependent"):
        style |= {"markerfacecolor": "white", "linestyle": "--"}
    label = figures.LABELS[base] + (", 0.8 full" if method == LOOSE else "")
    return style | {"label": label.replace(" (constructed)", "")}


figure, axes = plt.subplots(1, 3, figsize=(10.5, 4.4), sharey=True)
for ax, room in zip(axes, (1, 1.25, 2)):
    for method in METHODS:
        rows = long[(long.method == method) & (long.room == room)]
        rows = rows.assign(percent=100 * rows.recall)
        if len(rows):
            figures.plot_spread(ax, rows, "at", "percent", method.split(",")[0], **look(method))
    ax.set_xticks(range(len(SCHEMES)), SCHEMES, rotation=60)
    ax.set(xlabel="format of the weights", title=f"{room:g} × the smallest width")
axes[0].set_ylabel("recall [%]")
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
plt.show()

# %% [markdown]
# Points are medians over three seeds, bars reach from the smallest to the largest. Gaps are formats that cannot hold
# the numbers.
#
# ## Bits per fact
#
# The fewest bits a network can do with: the smallest format that keeps 100% of its facts, times the weights, with scales and
# biases. The floor is $\log_2 v$.


# %% tags=["hide-input"] mystnb={"image": {"alt": "Bits per fact on a logarithmic axis, one row per method and three marks for the three widths, with the format beside each mark, and the floor of log2 v bits as a dashed line on the left."}}
def fewest_bits(row) -> tuple[float, str]:
    """Bits per fact and the format that gives the fewest, among those with 100% recall."""
    kept = [(row[f"bits_{s}"], s) for s in SCHEMES if row[f"recall_{s}"] == 1]
    return min(kept) if kept else (math.nan, "none")


table[["bits", "scheme"]] = [fewest_bits(row) for _, row in table.iterrows()]
table["bits"] = table.bits.astype(float)
figure, ax = plt.subplots(figsize=(8.4, 4.8))
for at, method in enumerate(METHODS):
    for shift, room in zip((0.26, 0, -0.26), (1, 1.25, 2)):
        shift = 0 if method == "one-hot" else shift
        rows = table[(table.method == method) & (table.room == room)]
        bits = rows.bits.dropna()
        if bits.empty:
            continue
        style = look(method) | {"label": None, "linestyle": "none"}
        y, middle = len(METHODS) - at + shift, bits.median()
        ax.errorbar(middle, y, xerr=[[middle - bits.min()], [bits.max() - middle]], capsize=3, **style)
        names = "/".join(s for s in SCHEMES if (rows.scheme == s).any())
        lost = f", {len(rows) - len(bits)} lose facts" * (len(bits) < len(rows))
        ax.annotate(
            f"{room:g} ×: {names}{lost}",
            (bits.max(), y),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
floor = math.log2(size["n"])
ax.axvline(floor, color=figures.COLOURS["floor"], linestyle="--")
ax.text(
    floor * 1.05,
    0.5,
    "floor: log₂ v",
    rotation=90,
    va="center",
    color=figures.COLOURS["floor"],
    transform=ax.get_xaxis_transform(),
)
ax.set_yticks(range(len(METHODS), 0, -1), [look(m)["label"] for m in METHODS])
ax.set(
    xscale="log",
    xlim=(floor * 0.85, 4 * table.bits.max()),
    xlabel="bits per fact at 100% recall",
    title=f"n = v = {size['n']}, d = {size['d']}",
)
plt.show()

# %% [markdown]
# ## The numbers behind it

# %%
# NBVAL_IGNORE_OUTPUT
shown = table.groupby(["method", "room"], sort=False).agg(
    parameters=("per_fact", "median"),
    bits=("bits", "median"),
    fewest=("bits", "min"),
    most=("bits", "max"),
    formats=("scheme", lambda c: "/".join(s for s in (*SCHEMES, "none") if (c == s).any())),
)
shown["times the floor"] = shown.bits / floor
shown.round(1)

# %%
# NBVAL_IGNORE_OUTPUT
columns = [f"recall_{s}" for s in SCHEMES]
table[table.room == 1].groupby("method", sort=False)[columns].median().rename(
    columns=lambda c: c.removeprefix("recall_")
).round(3)

# %%
# NBVAL_IGNORE_OUTPUT
if paper is not None:
    at_scale = paper.assign(bits=[fewest_bits(row)[0] for _, row in paper.iterrows()])
    print(f"stored run, n = v = {paper.n.iloc[0]}, d = {paper.d.iloc[0]}:")
    print(at_scale.groupby(["method", "room"], sort=False).bits.median().round(1))

# %% [markdown]
# ## What we found

# %%
print(f"the floor: {floor:.0f} bits per fact")
print("no network is below the floor:", bool((table.bits.dropna() >= floor).all()))

# %%
# NBVAL_IGNORE_OUTPUT
best = shown.bits.dropna().groupby("method").idxmin()
ranked = shown.loc[best].droplevel("room").sort_values("bits")
room = dict(best)
print("Fewest bits per fact, with the width that gives them:")
for method, row in ranked.iterrows():
    print(
        f"  {method}: {row.bits:.0f} bits ({row['times the floor']:.1f} times the floor), "
        f"{room[method][1]:g} × width, {row.formats}, {row.parameters:.1f} parameters"
    )
by_parameters = shown.xs(1, level="room").parameters.sort_values().index
print("by parameters:", " < ".join(by_parameters))
print("by bits:      ", " < ".join(ranked.index))
wider = [m for m in ranked.index if room[m][1] > 1]
print("take fewer bits with more units:", ", ".join(wider) or "none")

# %% [markdown]
# Fewest parameters is not fewest bits: the two orders above differ. The encoder-decoder solves a $d \times d$ system of
# keys in each full bucket, and the condition number of such a system is paid in bits: it needs a 16-bit float where others
# do with small integers. Buckets that are only 0.8 full have better conditioned systems and recall more in every coarse format; but
# what is left to lose asks for 16 bits in most draws, so that they save bits in a draw and not in the median.
#
# How coarse the weights may be goes with the slack a network has. One-hot and Hebbian memories, with tens of
# parameters per fact, stand three to six bits a weight; networks near their smallest width need eight. Room helps where it buys margin, as in
# the convex constructions. Training here stops as soon as every fact decodes, by however little, so a wider trained network
# need not be a more robust one.
#
# Rounding here is plain: to the nearest, after the fact. Weights that are chosen *knowing* that they will be rounded
# can do with less. The bits are therefore what these networks need as they are, not the least that a network of
# their shape could do with.
