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
# # Decodability, certified
#
# **What the paper claims** {cite:p}`dugan2025constructing`: one number of the value embeddings, their *decodability* $\rho$,
# tells how many parameters a fact costs. To get it, one small convex problem must be solved *per value*, against all other
# values. The published code of the successor {cite:p}`garcia2026hebbians` does so by 300 iterations of ADMM, a general
# method, on the normalised differences of all pairs, formed 256 values at a time; it reports the margin it ended with.
#
# **What this page does**: it explains how `decodability` proves its answer, measures the time it takes, and sets it beside
# two other solvers. Our claim: a certified answer for a thousand values in a fraction of a second on two CPU cores, and for
# sixteen thousand values without ever holding the differences in memory.
#
# **For whom**: readers who want to trust a value of $\rho$, or to compute one for their own embeddings. Ten minutes.

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
# ## Two bounds that meet
#
# For value $i$ let $z_j = (v_i - v_j) / \|v_i - v_j\|$ for all $j \ne i$. Then
#
# $$\rho_i = \max_{\|u\| \le 1} \min_{j \ne i} \langle z_j, u \rangle
# = \min_{p \in \operatorname{conv}\{z_j\}} \|p\| .$$
#
# The left side asks for the best direction, the right side for the point of a hull that is nearest to 0. The two are dual, so
#
# - **any** unit vector $u$ proves $\rho_i \ge \min_j \langle z_j, u \rangle$,
# - **any** convex combination $p$ of the $z_j$ proves $\rho_i \le \|p\|$.
#
# Where they meet, nothing is left to doubt. Four values in the plane show it; $i$ is the corner at (3, 3).

# %%
import pandas as pd
import torch
from IPython.display import display
from matplotlib import pyplot as plt
from matplotlib import ticker

import factcore as fc
from factapp.confusable import most_confusable
from factbook import figures, fit, geometries, store

figures.use_style()
corners = torch.tensor([[0.0, 0], [4, 0], [0, 3], [3, 3]], dtype=torch.float64)
solved = fc.decodability(corners)
i, u = 3, solved.separators[3]
z = corners[i] - corners[:i]
z = z / z.norm(dim=1, keepdim=True)
centre = (corners[i] - corners.mean(0)) / (corners[i] - corners.mean(0)).norm()
half = (z[1] + z[2]) / 2  # z_1 and z_2 are the two that bind
bounds = {
    "lower, u away from the mean": (z @ centre).min(),
    "lower, u the separator": (z @ u).min(),
    "upper, p half of z_1 and of z_2": half.norm(),
    "upper, p the mean of the z_j": z.mean(0).norm(),
}
for name, bound in bounds.items():
    print(f"{name:32s} {bound:.6f}")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two panels. Left: four points in the plane and an arrow, the separator of the upper right corner, which points away from the other three. Right: the three unit differences of that corner on the unit circle with their hull; the point of the hull nearest to zero lies on the chord between two of them, and the separator points to it."}}
figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.9))
arrow = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.008}
left.plot(*corners.T, "o", color="grey")
for j, (x, y) in enumerate(corners.tolist()):
    left.annotate(f"$v_{j}$", (x, y), xytext=(6, -14), textcoords="offset points")
blue, orange = figures.COLOURS["separators"], figures.COLOURS["ntk"]
left.quiver(*corners[i], *u, color=blue, **arrow)
left.plot([], color=blue, label="separator $u$ of $v_3$")
left.set(
    xlabel="first coordinate (no unit)",
    ylabel="second coordinate (no unit)",
    title="values",
    xlim=(-0.5, 5),
    ylim=(-0.8, 5),
    aspect="equal",
)
left.legend(loc="upper left")
right.add_patch(plt.Circle((0, 0), 1, fill=False, color="lightgrey"))
right.fill(*z[[0, 1, 2]].T, color=orange, alpha=0.3, label="hull of the $z_j$")
right.plot(*z.T, "o", color="grey")
for j, (x, y) in enumerate(z.tolist()):
    right.annotate(f"$z_{j}$", (x, y), xytext=(5, 4), textcoords="offset points")
right.quiver(0, 0, *u, color=blue, **arrow)
right.plot([], color=blue, label="separator $u$")
right.plot(*half, "*", color=figures.COLOURS["trained"], ms=12)
right.plot(
    [0, half[0]],
    [0, half[1]],
    color=figures.COLOURS["trained"],
    linewidth=3,
    label="nearest point $p$, $\\|p\\| = \\rho_3$",
)
right.set(
    xlabel="first coordinate (no unit)",
    ylabel="second coordinate (no unit)",
    title="unit differences of $v_3$",
    xlim=(-0.6, 1.3),
    ylim=(-0.7, 1.2),
    aspect="equal",
)
right.legend(loc="lower left", fontsize=9)
plt.show()

# %% [markdown]
# The inner two bounds agree: $\rho_3$ is found *and proved*. In the plane there is a closed form to check against: $\rho_i$
# is the cosine of half the hull's interior angle at corner $i$.

# %%
order = [0, 1, 3, 2]  # round the hull
sides = torch.stack([corners[order].roll(s, 0) - corners[order] for s in (1, -1)])
cosine = torch.nn.functional.cosine_similarity(*sides)
closed_form = torch.empty(4, dtype=torch.float64)
closed_form[order] = ((1 + cosine) / 2).sqrt()  # cosine of half the angle
print("rho_i      ", [f"{x:.6f}" for x in solved.lower.tolist()])
print("closed form", [f"{x:.6f}" for x in closed_form.tolist()])

# %% [markdown]
# ## A thousand values
#
# Unit vectors, drawn as float64 normals from the torch generator with seed 0, rows normalised.


# %%
def unit_vectors(v: int, d: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(v, d, generator=generator, dtype=torch.float64)
    return (x / x.norm(dim=1, keepdim=True)).to(device)


v, d = {"smoke": (128, 16), "laptop": (1024, 64), "paper": (2048, 128)}[profile]
values = unit_vectors(v, d)
strict = fc.decodability(values, tol=1e-9)
print(f"v = {v}, d = {d}")
print(f"rho, lower bound {strict.rho:.10f}")
print(f"rho, upper bound {strict.rho_upper:.10f}")
default = fc.decodability(values)
print(f"all {v} gaps at most 1e-9: {strict.gap <= 1e-9}")
print(f"all {v} gaps at most 1e-6 at the default tolerance: {default.gap <= 1e-6}")

# %% [markdown]
# A lower bound is easy to check without the solver. All $\langle z_j, u_i \rangle$ come from one matrix product and the
# distances: two tables of $v \times v$ numbers, and no differences.

# %%
scores = values @ strict.separators.T  # (v, v): entry j, i is <v_j, u_i>
inner = (scores.diagonal() - scores) / torch.cdist(values, values, compute_mode="donot_use_mm_for_euclid_dist")
inner.fill_diagonal_(torch.inf)
checked = inner.amin(0)
print(f"lower bounds as stated: {bool((checked - strict.lower).abs().max() < 1e-12)}")
print(f"most others that bind within 1e-6: at most d = {d}: ", end="")
print(bool(((inner - checked) < 1e-6).sum(0).max() <= d))

# %% [markdown]
# The last line is why the solver is fast: of the $v - 1$ differences of a value, about $d$ matter at the optimum. It keeps a
# short list of them for every value, solves for the nearest point of their hull (many values at once), checks the direction
# found against all values, and adds the differences that it violates most. Values that this leaves open go to
# Wolfe's algorithm {cite:p}`wolfe1976finding`, which always ends.
#
# ## The figure: how time grows
#
# Wall time of `decodability` at its default tolerance, three draws of the values for every size. Lines are power laws fitted
# to these runs. The grey points are from a stored benchmark, one run each (more of it below).

# %%
import time

sizes = {
    "smoke": {"v": [48, 96, 192], "d": [8, 16, 32], "at": {"v": 96, "d": 16}},
    "laptop": {"v": [256, 512, 1024, 2048], "d": [32, 64, 128, 256], "at": {"v": 1024, "d": 64}},
    "paper": {"v": [1024, 2048, 4096, 8192, 16384], "d": [32, 64, 128, 256, 512], "at": {"v": 4096, "d": 128}},
}[profile]


def solve_time(v: int, d: int, seed: int) -> dict:
    """Seconds of one solution (read back, so that a GPU has finished) and its largest gap."""
    values = unit_vectors(v, d, seed)
    begun = time.perf_counter()
    result = fc.decodability(values)
    rho = result.rho
    seconds = round(time.perf_counter() - begun, 5)
    return {"rho": rho, "gap": result.gap, "solve": seconds, "device": result.separators.device}


grid = {(v, sizes["at"]["d"]) for v in sizes["v"]}
grid |= {(sizes["at"]["v"], d) for d in sizes["d"]}
jobs = [{"v": v, "d": d, "seed": s} for v, d in sorted(grid) for s in range(seed, seed + 3)]
solve_time(64, 8, seed)  # the first call loads libraries
table = store.resume(store.results_file("solver", profile), jobs, solve_time, device=device)
print(f"{len(table)} runs; every gap at most 1e-6: {bool((table.gap <= 1e-6).all())}")
growth = {axis: table[table[other] == sizes["at"][other]] for axis, other in (("v", "d"), ("d", "v"))}
laws = {axis: fit.power_law(rows, axis, "solve") for axis, rows in growth.items()}
benchmark = store.stored("decodability_benchmark", "laptop")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two panels on logarithmic axes: seconds against the number of values v, and against the dimension d. In both the time of the runs of this page rises along a fitted straight line, and so do the grey points of the stored benchmark."}}
figure, axes = plt.subplots(1, 2, figsize=(8.6, 3.9))
for ax, (axis, other) in zip(axes, (("v", "d"), ("d", "v"))):
    rows, law = growth[axis], laws[axis]
    figures.plot_spread(ax, rows, axis, "solve", "separators", linestyle="none", label="this page")
    ends = [rows[axis].min(), rows[axis].max()]
    ax.plot(
        ends,
        law(ends),
        color=figures.COLOURS["separators"],
        linewidth=1,
        label=f"${axis}^{{{law.exponent:.2f}}}$ ({law.low:.2f} to {law.high:.2f})",
    )
    smallest, largest = ends
    if benchmark is not None:
        old = benchmark[benchmark.part == f"growth in {axis}"]
        smallest, largest = (min(smallest, old[axis].min()), max(largest, old[axis].max()))
        at = f"{other} = {old[other].iloc[0]:,}"
        ax.plot(old[axis], old.seconds, "D", color="grey", label=f"stored, {at}")
    ax.set(
        xscale="log",
        yscale="log",
        xlim=(0.8 * smallest, 1.25 * largest),
        xlabel={"v": "number of values v", "d": "dimension d"}[axis],
        ylabel="wall time [s]",
        title=f"{other} = {sizes['at'][other]:,}",
    )
    ax.xaxis.set_major_locator(ticker.FixedLocator([2**k for k in range(3, 20) if axis == "d" or k % 2]))
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.xaxis.set_minor_locator(ticker.NullLocator())
    ax.legend(loc="upper left")
plt.show()

# %% [markdown]
# Points are medians over three seeds, bars reach from the smallest to the largest run. Intervals are 95% bootstrap intervals.
#
# ## The numbers behind it

# %%
# NBVAL_IGNORE_OUTPUT
print(f"measured on {', '.join(table.device.unique())}")
for axis, law in laws.items():
    reach = f"{axis} = {growth[axis][axis].min()} to {growth[axis][axis].max()}"
    print(f"time grows as {axis}^{law.exponent:.2f} ({law.low:.2f} to {law.high:.2f}) over {reach}")
    if benchmark is not None:
        old = fit.power_law(benchmark[benchmark.part == f"growth in {axis}"], axis, "seconds")
        print(f"    stored benchmark, one run a size: {axis}^{old.exponent:.2f}")
table.groupby(["v", "d"]).solve.agg(["min", "median", "max"]).round(4)

# %% [markdown]
# The exponents hold for these sizes. One check of all pairs costs $v^2 d$ multiplications, whatever else is done, so that for
# large $v$ the exponent in $v$ must come to 2.
#
# ## Beside two other solvers
#
# `python benchmarks/decodability.py --parts large peers growth` measured the table below in one go, on one machine. The peers
# solve the same problem:
#
# - **admm**: our own ADMM, 300 iterations, on the differences of all pairs held at once, its penalty tuned on unit
#   vectors. It is not the published code: that uses another splitting and batches of 256 values.
# - **clarabel**: an interior-point solver for quadratic programs, called once per value. It is timed on 32 of the values and
#   scaled up to all; it needs `pip install clarabel`.
#
# `largest_gap` is the largest difference of the upper and the lower bound over all values solved; bounds of the peers are
# computed from their own solutions by the same two formulas.

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
if benchmark is None:
    shown = pd.DataFrame(["no stored benchmark beside this notebook"])
else:
    shown = benchmark.drop(columns=["device", "torch", "commit", "peak_gb"])
    print(benchmark[["device", "torch", "commit"]].drop_duplicates().to_string())
    shown["rho"] = shown.rho.map(lambda x: "" if pd.isna(x) else f"{x:.10f}")
    shown["largest_gap"] = shown.largest_gap.map("{:.1e}".format)
shown.reset_index(drop=True)

# %%
# NBVAL_IGNORE_OUTPUT
if benchmark is not None:
    peers = benchmark[benchmark.part == "peers"].set_index("solver")
    ours = peers.loc[["factcore tol=1e-06", "factcore tol=1e-09"]]
    for name in peers.index[~peers.index.str.startswith("factcore")]:
        for mine, row in ours.iterrows():
            times = peers.seconds[name] / row.seconds
            gap = peers.largest_gap[name] / row.largest_gap
            print(f"{name}: {times:.0f} times the time of {mine}, {gap:.2g} times its gap")

# %% [markdown]
# `only_min` is for those who want $\rho$ alone: values that cannot be the worst are left with loose bounds, which is why
# its largest gap is large while its $\rho$ is the same.
#
# ## Memory
#
# The differences of all pairs are $v \times v \times d$ numbers; a batch of 256 values holds $256 \times v \times d$. The
# solver keeps, for a block of values, their inner products with all values: the block is chosen so that this takes about 16 MB.

# %%
for count, dim in ((1024, 64), (16384, 128), (65536, 128)):
    everything, batch = (rows * count * dim * 8 / 2**30 for rows in (count, min(count, 256)))
    print(f"v = {count:6,}, d = {dim:3}: {everything:8,.1f} GiB for all pairs, {batch:5.2f} GiB for a batch of 256")

# %%
# NBVAL_IGNORE_OUTPUT
paper = store.stored("solver", "paper")  # up to 65,536 values: make paper DEVICE=cuda
if paper is not None:
    display(paper[["v", "d", "seed", "rho", "gap", "solve", "device"]].sort_values("v"))
if benchmark is not None:
    large = benchmark[benchmark.part == "large"].iloc[0]
    needed = large.v**2 * large.d * 8 / 2**30
    print(
        f"v = {large.v:,}, d = {large.d}: {large.seconds:.1f} s with every gap at most {large.largest_gap:.0e},"
        f" on {large.device}"
    )
    print(
        f"peak memory {large.peak_gb} GiB for the whole process with Python and torch;"
        f" all differences: {needed:.0f} GiB, {needed / large.peak_gb:.0f} times as much"
    )

# %% [markdown]
# ## On your own embeddings
#
# Any floating tensor of rows will do. Here are city names, embedded by the sentence encoder MiniLM. `most_confusable`
# names the pairs that hold $\rho$ down: each value of small $\rho_i$ with the one most in its way.

# %%
airports = fc.airport_facts()
count = {"smoke": 100}.get(profile, 600)
cities, names = airports.values[:count], airports.value_names[:count]
own = fc.decodability(cities.to(device))
print(f"{count} cities, d = {cities.shape[1]}: rho = {own.rho:.4f}")
for pair in most_confusable(cities, 6, result=own, names=names):
    print(f"  {pair.margin:.4f}  {pair.names[0]} / {pair.names[1]}")

# %% [markdown]
# Names that are spelt alike lie close. *Whitening* removes the mean and evens out the directions. The covariance of these
# rows is singular, so that it needs a ridge (a share of the mean variance). The typical value gains; the worst one may gain or
# lose, depending on the ridge: compare before you use it.

# %%
print(f"ridge none   rho = {own.rho:.4f}, median rho_i = {own.lower.median():.4f}")
for ridge in (1e-1, 1e-2, 1e-3):
    whitened, back = geometries.whiten(cities, ridge=ridge)
    after = fc.decodability(whitened.to(device))
    print(f"ridge {ridge:<6g} rho = {after.rho:.4f}, median rho_i = {after.lower.median():.4f}")
print(f"the map back returns the cities: {bool((back(whitened) - cities).abs().max() < 1e-5)}")

# %% [markdown]
# ## When values cannot be told apart
#
# A value that coincides with another, or that lies inside the hull of the others, has no separator: $\rho_i = 0$, and no MLP
# can store a fact about it. The result says which rows they are. A square, its centre, and its first corner once more:

# %%
square = torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 1], [0.5, 0.5], [0, 0]])
found = fc.decodability(square)
print(f"rho_i      {[round(x, 4) for x in found.lower.tolist()]}")
print(f"inside     {found.inside.tolist()}  (rows with no separator)")
print(f"duplicates {found.duplicates}  (groups of equal rows)")
kept = square[:4]
print(f"without them rho = {fc.decodability(kept).rho:.4f}")

# %% [markdown]
# ## What we found

# %%
# NBVAL_IGNORE_OUTPUT
typical = table[(table.v == sizes["at"]["v"]) & (table.d == sizes["at"]["d"])]
print(
    f"This page: {sizes['at']['v']:,} values in d = {sizes['at']['d']} took {typical.solve.median():.2f} s"
    f" (median of three), every gap at most {typical.gap.max():.0e}."
)
if benchmark is not None:
    mine = peers.loc["factcore tol=1e-06"]
    for name in peers.index[~peers.index.str.startswith("factcore")]:
        error = peers.largest_gap[name]
        print(
            f"Stored: {name} took {peers.seconds[name] / mine.seconds:.0f} times as long; its gaps reach {error:.0e}."
        )
    print(f"Stored: {large.v:,} values in d = {large.d} took {large.seconds:.0f} s and {large.peak_gb} GiB.")

# %% [markdown]
# The speed comes from two facts about the problem, not from the machine: few differences bind, and a direction is checked
# against all values by one matrix product. The certificate comes from duality and costs nothing extra, so that every $\rho$
# that `decodability` returns is bracketed rather than estimated. The comparison with other solvers is on unit vectors of one
# size only; other geometries bind differently, and a peer tuned for one of them may do better there than here.
