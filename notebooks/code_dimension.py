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
# **What the paper claims** {cite:p}`dugan2025constructing`: codes of $m = O(\rho^{-2} \log v)$ numbers are enough to pick one
# of $v$ values of decodability $\rho$ through a random projection $D$. The whole MLP costs $3mn$ parameters, so this is the law
# of its cost.
#
# **What this page does**: it finds the smallest $m$ for the paper's codes and for three sharper decoders, over sizes,
# dimensions and geometries of the values, and asks of each whether the law describes it, and with which constant.
#
# **For whom**: readers who want the cheapest decoder, and what is left of the bound once one has it. Fifteen minutes.

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

# %%
import numpy as np
import pandas as pd
import torch
from matplotlib import pyplot as plt

import factcore as fc
from factbook import figures, store
from factbook.geometries import value_geometry
from factcore.constructions.decoder import choose_codes, projection_basis
from factcore.constructions.projection import short_projection
from factcore.support.streams import stream

figures.use_style()
KINDS = ["projected", "random", "equal-norms", "optimised"]
sphere = {  # pairs v, d of values on the sphere
    "smoke": [(64, 48), (128, 48)],
    "laptop": [(v, d) for d in (32, 64, 128) for v in (128, 256, 512)] + [(1024, 64)],
    "paper": [(v, d) for d in (64, 128, 256) for v in (256, 512, 1024, 2048, 4096)],
}[profile]
v, d = {"smoke": (64, 48), "laptop": (256, 128), "paper": (1024, 256)}[profile]
others = ["spiked 2", "tokens"]
if profile != "smoke":
    others += ["spiked 1", "spiked 4", "spiked 8", "clusters 0.5", "clusters 0.25"]
    others += ["power-law 1", "airports", "mlp-outputs"]
sets = [("sphere", *pair) for pair in sphere] + [(name, v, d) for name in others]

# %% [markdown]
# ## The run
#
# One run takes one set of values and finds the smallest $m$ of each kind. The columns are nested for the first two kinds; for
# the last two the length is the shortest that a deterministic search found, so a shorter one may exist.


# %%
def lengths(geometry: str, v: int, d: int, seed: int) -> dict:
    """Decodability of the values and the smallest code dimension of each kind."""
    name, *strength = geometry.split()
    values = value_geometry(name, v, d, seed=seed, strength=float(strength[0]) if strength else None).to(device)
    everything = torch.arange(v, device=values.device)
    basis = projection_basis(d, stream(seed, "projection")).to(values)  # else its columns would be the first values
    facts = fc.FactSet(values, values, everything)
    projected = choose_codes(facts, "projected", None, seed)
    found = {kind: short_projection(values, everything, basis, kind) for kind in KINDS[1:]}
    rho_left = fc.decodability(values @ found["optimised"], tol=1e-3).rho
    return {
        "rho": fc.decodability(values, tol=1e-4).rho,
        "projected": projected.codes.shape[1],
        **{kind: projection.shape[1] for kind, projection in found.items()},
        "rho_optimised": rho_left,
        "device": values.device,
    }


jobs = [{"geometry": geometry, "v": v, "d": d, "seed": s} for geometry, v, d in sets for s in range(seed, seed + 3)]
table = store.resume(store.results_file("code_dimension", profile), jobs, lengths, device=device)
paper = store.stored("code_dimension", "paper") if profile == "laptop" else None
print(f"{len(table)} sets of values, all decodable: {bool((table.rho > 0).all())}")


# %% tags=["hide-input"] mystnb={"image": {"alt": "Two panels. Left: smallest code dimension against the bound's argument, log v over rho squared, on logarithmic axes, with one line of slope one per kind of decoder; the paper's projected codes lie highest, the optimised decoder lowest and flattest. Right: code dimension against the number of values, sphere, where the optimised decoder needs the fewest."}}
def bound(rows: pd.DataFrame) -> pd.Series:
    """The argument of the bound, ln(v) / rho²."""
    return np.log(rows.v) / rows.rho**2


def split(rows: pd.DataFrame, kind: str) -> tuple[pd.Series, pd.Series]:
    """Sets whose codes of this kind are short against d, and the others: near m = d nothing is projected away."""
    short = rows[kind] <= rows.d / 2
    return short, ~short


def draw(left: plt.Axes, right: plt.Axes, table: pd.DataFrame, title: str) -> None:
    on_sphere = table[table.geometry == "sphere"]
    middle = int(on_sphere.d.median())
    rows = on_sphere[on_sphere.d == middle]
    for kind in KINDS:
        short, long = (table[at] for at in split(table, kind))
        look = {"marker": figures.MARKERS[kind], "color": figures.COLOURS[kind], "linestyle": "none"}
        left.plot(bound(short), short[kind], alpha=0.55, markersize=5, **look)
        look["markerfacecolor"] = "none"
        left.plot(bound(long), long[kind], markersize=5, **look)
        x = np.array([bound(table).min(), bound(table).max()])
        constant = np.exp(np.log(short[kind] / bound(short)).mean())
        left.plot(x, constant * x, color=figures.COLOURS[kind], linewidth=1)
        figures.plot_spread(right, rows, "v", kind, kind)
    left.set(
        xscale="log",
        yscale="log",
        ylim=(2, 1.4 * table[KINDS].max().max()),
        xlabel="ln(v) / ρ² (no unit)",
        ylabel="smallest code dimension m",
        title=title,
    )
    right.set(xlabel="values v", ylabel="smallest code dimension m", ylim=(0, None))
    right.set_title(f"sphere, d = {middle}")
    right.set_xscale("log", base=2)


panels = [(table, f"all sets, {profile} profile")]
if paper is not None:
    panels.append((paper, "all sets, stored run at paper scale"))
figure, axes = plt.subplots(len(panels), 2, figsize=(9, 4.1 * len(panels)), squeeze=False)
for (left, right), (rows, title) in zip(axes, panels):
    draw(left, right, rows, title)
figure.legend(*axes[0][1].get_legend_handles_labels(), loc="outside lower center", ncols=2)
plt.show()

# %% [markdown]
# Left: every set of values is one point per kind. Lines are the law $m = c\,\rho^{-2} \ln v$ with one constant per kind, slope
# one by definition. Hollow points are sets that need $m > d/2$: a law for projections cannot speak for those that project next
# to nothing away, so they are left out of the fits. Right: medians over three seeds, bars from the smallest to the largest.
#
# ## The numbers behind it

# %%
# NBVAL_IGNORE_OUTPUT
summary = table.groupby(["geometry", "d", "v"], sort=False)[["rho", *KINDS, "rho_optimised"]].median()
summary.round(3)

# %%
print("sets of values at which one kind needs no more columns than the one before:")
for longer, shorter in zip(KINDS, KINDS[1:]):
    print(f"  {shorter} <= {longer}: {(table[shorter] <= table[longer]).mean():.0%}")
print(f"every optimised code clears the least margin: {bool((table.rho_optimised > 2e-3).all())}")
largest = table[(table.geometry == "sphere") & (table.v == max(sphere)[0])]
print(
    f"sphere, v = {max(sphere)[0]}: equal norms at most 60% of random:",
    bool((largest["equal-norms"] <= 0.6 * largest.random).all()),
)
print(f"smallest rho there: {largest.rho.min():.2f}")

# %% [markdown]
# ## Does the law hold?
#
# Two fits per kind, both to $\ln m$ by least squares. The *law*: $m = c\,\rho^{-2} \ln v$, one free constant. The *free fit*:
# $m = c' \rho^{-a} (\ln v)^b$, where the law says $a = 2$, $b = 1$. The intervals are 95% bootstrap intervals; what is drawn is
# whole cells (one geometry, $v$ and $d$ with all its seeds), as runs of one cell are no independent evidence. $R^2$ is the
# share of the variance of $\ln m$ that is explained; below zero a constant $m$ would do better.


# %%
def fits(rows: pd.DataFrame, kind: str, draws: int = 1000) -> dict:
    """Constant and R² of the law, exponents and R² of the free fit, with bootstrap intervals."""
    rows = rows[split(rows, kind)[0]]
    y = np.log(rows[kind].to_numpy(dtype=float))
    terms = np.stack([np.ones(len(rows)), -np.log(rows.rho), np.log(np.log(rows.v))], axis=1)
    cells = [
        at.to_numpy()
        for at in rows.reset_index()
        .groupby(["geometry", "v", "d"])
        .apply(lambda cell: cell.index, include_groups=False)
    ]
    rng = np.random.default_rng(0)
    drawn = [np.arange(len(rows))] + [
        np.concatenate([cells[i] for i in rng.integers(len(cells), size=len(cells))]) for _ in range(draws)
    ]
    shift = y - terms @ [0, 2, 1]
    constants = np.exp([shift[at].mean() for at in drawn])
    free = np.array([np.linalg.lstsq(terms[at], y[at])[0] for at in drawn])
    spread = ((y - y.mean()) ** 2).sum()
    explained = lambda error: 1 - (error**2).sum() / spread  # noqa: E731
    interval = lambda x: tuple(np.quantile(x, [0.025, 0.975]))  # noqa: E731
    return {
        "sets": len(rows),
        "c": constants[0],
        "c_95": interval(constants),
        "law_r2": explained(shift - shift.mean()),
        "a": free[0, 1],
        "a_95": interval(free[:, 1]),
        "b": free[0, 2],
        "b_95": interval(free[:, 2]),
        "free_r2": explained(y - terms @ free[0]),
    }


# %%
# NBVAL_IGNORE_OUTPUT
laws = {kind: fits(table, kind) for kind in KINDS if split(table, kind)[0].any()}
pd.DataFrame(laws).T.map(lambda x: f"{x[0]:.2f} to {x[1]:.2f}" if isinstance(x, tuple) else f"{x:.4g}")

# %%
# NBVAL_IGNORE_OUTPUT
if paper is not None:
    print("the same for the stored run at paper scale:")
    for kind in KINDS:
        law = fits(paper, kind)
        print(f"  {kind}: c = {law['c']:.2f}, R² {law['law_r2']:.2f}; free a = {law['a']:.2f}, b = {law['b']:.2f}")

# %% [markdown]
# ## What we found

# %%
# NBVAL_IGNORE_OUTPUT
for kind, law in laws.items():
    holds = {"a = 2": law["a_95"][0] <= 2 <= law["a_95"][1], "b = 1": law["b_95"][0] <= 1 <= law["b_95"][1]}
    words = [f"{name} {'lies inside' if ok else 'lies outside'} its interval" for name, ok in holds.items()]
    verdict = "describes" if law["law_r2"] > 0.5 else "does not describe"
    print(
        f"{kind}: m ≈ {law['c']:.2f} ρ⁻² ln v {verdict} the lengths (R² {law['law_r2']:.2f}). "
        f"Free fit: a = {law['a']:.2f}, b = {law['b']:.2f} (R² {law['free_r2']:.2f}); {', '.join(words)}."
    )
most = (table.projected / bound(table)).max()
print(f"As an upper bound: no set needs projected codes longer than {most:.1f} ρ⁻² ln v.")
ratio = (table.projected / table.optimised).groupby(table.geometry).median()
print(
    f"The paper's codes are {ratio.min():.1f} to {ratio.max():.1f} times as long as optimised ones (median per geometry)."
)

# %% [markdown]
# The paper's statement is an upper bound, $m = O(\rho^{-2} \log v)$; the last line but one says what it amounts to here. Whether
# it is also the *law* of the length is what the fits answer, and it is asked most fairly of the projected codes, the only ones
# that need the projection to keep angles. Separator codes ask for less: every projected value must be a vertex of the
# projected hull, however flat. A $D$ that knows the values asks for less still, because it can place them where few hide
# behind others. It has $dm$ entries to do so, which is why more dimensions $d$ make its codes shorter (first table).
#
# Limits of what this page shows. The optimised length is what a short search found: an upper bound on what is possible,
# without a matching lower bound. Leaving out the sets with $m > d/2$ leaves out long codes, which flattens a fit a little. And
# $\rho$ and $\ln v$ vary together on the sphere, so their exponents come mostly from the
# contrast with the other geometries.
#
# Shorter codes have smaller margins (the last column of the first table). `construct` keeps a floor under them, and verifies
# in the dtype of the facts that everything decodes; a memory that must withstand noisy keys may prefer longer codes
# (`projection="random"` or `code_dim=`).
