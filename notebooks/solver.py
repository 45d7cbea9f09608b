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
# **What the paper claims** {cite:p}`dugan2025constructing`: one number of the value embeddings, their *decodability* $\rho$, tells how many
# parameters a fact costs. To get it, one small convex problem must be solved *per value*, against all other values. The published code of the
# successor {cite:p}`garcia2026hebbians` does so by 300 iterations of ADMM, a general method, on the normalised differences of all pairs, formed 256
# values at a time; it reports the margin it ended with.
#
# **What this page does**: it explains how `decodability` proves its answer, measures the time it takes, and sets it beside two other solvers.
#
# **For whom**: readers who want to trust a value of $\rho$, or to compute one for their own embeddings. Ten minutes. Before it: [the
# decoder](decoder.ipynb). Words: the [glossary](../book/glossary.md).

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

# %% tags=["remove-input"] mystnb={"markdown_format": "myst"}
# NBVAL_IGNORE_OUTPUT
import torch
from matplotlib import pyplot as plt

import factcore as fc
from factapp.confusable import most_confusable
from factbook import figures, geometries, prose, solver_time

figures.use_style()
prose.findings(solver_time.findings, "solver", "decodability_benchmark")

# %% [markdown]
# ## Two bounds that meet
#
# For value $i$ let $z_j = (v_i - v_j) / \|v_i - v_j\|$ for all $j \ne i$. Then
#
# $$\rho_i = \max_{\|u\| \le 1} \min_{j \ne i} \langle z_j, u \rangle
# = \min_{p \in \operatorname{conv}\{z_j\}} \|p\| .$$
#
# The left side asks for the best direction, the right side for the point of a hull that is nearest to 0. For any mixture $p$ of the $z_j$ and any
# unit $u$: the smallest $\langle z_j, u \rangle$ is at most their average $\langle p, u \rangle$, and that is at most $\|p\|$. So
#
# - **any** unit vector $u$ proves $\rho_i \ge \min_j \langle z_j, u \rangle$,
# - **any** convex combination $p$ of the $z_j$ proves $\rho_i \le \|p\|$.
#
# No $u$ does better than any $\|p\|$; where the two meet, nothing is left to doubt. Four values in the plane show it; $i$ is the corner at $(3, 3)$.

# %%
corners = torch.tensor([[0.0, 0], [4, 0], [0, 3], [3, 3]], dtype=torch.float64)
u = fc.decodability(corners).separators[3]
z = torch.nn.functional.normalize(corners[3] - corners[:3], dim=1)
away = torch.nn.functional.normalize(corners[3] - corners.mean(0), dim=0)
low, high = [(z @ away).min(), (z @ u).min()], [(z[1] + z[2]).norm() / 2, z.mean(0).norm()]
print(f"lower bounds: u away from the mean {low[0]:.6f}, u the separator {low[1]:.6f}")
print(f"upper bounds: p half of z₁ and of z₂ {high[0]:.6f}, p the mean {high[1]:.6f}")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two panels. Left: four points in the plane and an arrow, the separator of the upper right corner, which points away from the other three. Right: the three unit differences of that corner on the unit circle with their hull; the point of the hull nearest to zero lies on the chord between two of them, and the separator points to it."}}
figure = solver_time.drawn_bounds(corners, u)
plt.show()

# %% [markdown]
# **The inner two bounds agree: $\rho_3$ is found *and proved*.** The best direction points to the nearest point $p$ of the hull, whose length is the
# margin. (In the plane $\rho_i$ is the cosine of half the hull's interior angle at the corner: a test checks all four.)
#
# ## A thousand values
#
# Unit vectors: float64 normals from the torch generator with seed 0, rows normalised.

# %%
v, d = {"smoke": (128, 16), "laptop": (1024, 64), "paper": (2048, 128)}[profile]
values = solver_time.unit_vectors(v, d).to(device)
strict = fc.decodability(values, tol=1e-9)
print(f"v = {v:,}, d = {d}: {strict.rho:.9f} ≤ ρ ≤ {strict.rho_upper:.9f}")

# %% [markdown]
# A lower bound is easy to check without the solver: all $\langle z_j, u_i \rangle$ come from one matrix product and the distances, no differences.

# %%
scores = values @ strict.separators.T  # (v, v): entry j, i is <v_j, u_i>
distances = torch.cdist(values, values, compute_mode="donot_use_mm_for_euclid_dist")
inner = (scores.diagonal() - scores) / distances
checked = inner.fill_diagonal_(torch.inf).amin(0)
print(f"smallest bound, checked: {checked.min():.9f}")
print(f"most others within 10⁻⁶: {((inner - checked) < 1e-6).sum(0).max()} of {v - 1:,}")

# %% [markdown]
# The last line is why the solver is fast: of the $v - 1$ differences of a value, at most $d$ matter at the optimum. It keeps a short list of them for
# every value, solves for the nearest point of their hull (many values at once), checks the direction found against all values, and adds the
# differences that it violates most. Values that this leaves open go to Wolfe's algorithm {cite:p}`wolfe1976finding`, which always ends.
#
# *How this was run:* [`factbook/solver_time.py`](https://github.com/factcore/factcore/blob/main/factbook/solver_time.py).
#
# ## How time grows

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two panels on logarithmic axes: seconds against the number of values v, and against the dimension d. In both the time rises along a fitted straight line."}}
# NBVAL_IGNORE_OUTPUT
table = solver_time.table(profile, seed, device)
figure = solver_time.drawn_growth(table, profile)
plt.show()
solver_time.larger()

# %% [markdown]
# **Time grows with a power of $v$ between one and two, and nearly in proportion to $d$.** Points are medians over three draws of the values, bars
# reach from the quickest to the slowest; lines are power laws fitted to all runs. One check of all pairs costs $v^2 d$ multiplications, whatever else
# is done, so that for large $v$ the exponent in $v$ must come to 2.
#
# ## Beside two other solvers
#
# The same 1,024 unit vectors in $d = 64$, measured in one go on one machine. The peers solve the same problem:
#
# - **ADMM**: our own, on the differences of all pairs held at once, its penalty tuned on unit vectors. It is not the published code: that uses
#   another splitting and batches of 256 values.
# - **interior point**: Clarabel, a solver for quadratic programs, called once per value; timed on 32 of the values and scaled up.

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
solver_time.peers()

# %% [markdown]
# The gap is the largest difference of the upper and the lower bound over all values; bounds of the peers are computed from their own solutions by
# the same two formulas. *ρ alone* leaves loose bounds on values that cannot be the worst, which is why its gap is large; its $\rho$ is the same.
# Other geometries bind differently, and a peer tuned for one of them may do better there than here. In memory, the differences of all pairs are $v
# \times v \times d$ numbers; a batch of 256 values holds $256 \times v \times d$. The solver keeps, for a block of values, their inner products
# with all values: the block is chosen so that this takes about 16 MB.
#
# ## On your own embeddings
#
# City names, as the sentence encoder MiniLM embeds them. `most_confusable` names the pairs that hold $\rho$ down: each with what is most in its way.

# %%
airports = fc.airport_facts()
count = {"smoke": 100}.get(profile, 600)
cities, names = airports.values[:count].to(device), airports.value_names[:count]
own = fc.decodability(cities)
for pair in most_confusable(cities, 4, result=own, names=names):
    print(f"{pair.margin:.4f}  {pair.names[0]} / {pair.names[1]}")

# %% [markdown]
# Names that are spelt alike lie close. *Whitening* removes the mean and evens out the directions. The covariance of these rows is singular, so that
# it needs a ridge (a share of the mean variance). The typical value gains; the worst one may gain or lose, depending on the ridge: compare first.

# %%
print(f"no whitening: ρ = {own.rho:.4f}, median ρ_i = {own.lower.median():.4f}")
for ridge in (1e-1, 1e-2, 1e-3):
    after = fc.decodability(geometries.whiten(cities, ridge=ridge)[0])
    print(f"ridge {ridge:<6g} ρ = {after.rho:.4f}, median ρ_i = {after.lower.median():.4f}")

# %% [markdown]
# ## What to remember
#
# - $\rho_i$ has two sides, a direction and a point of a hull; each bounds it from one side, and where they meet it is proved.
# - Few differences bind, and a direction is checked against all values by one matrix product: that is the speed. The certificate is free.
# - $\rho_i = 0$ exactly when a value lies inside the hull of the others or coincides with one: no MLP can store a fact about it.
#
# ## Exercises
#
# **1.** A square, its centre, and its first corner once more. Which rows have no separator? What does `decodability` say of them?
#
# :::{dropdown} Solution
# The centre lies inside the hull, the two equal corners coincide. `fc.decodability(rows)` returns $\rho = 0$; `inside` is true for these three, and
# `duplicates` lists the two. Without centre and copy every corner has the cosine of 45 degrees, 0.7071.
# :::
#
# **2.** Someone gives you a direction $u$ for every value and claims $\rho \ge 0.5$. What do you compute to believe it?
#
# :::{dropdown} Solution
# Per value the smallest $\langle v_i - v_j, u \rangle / \|v_i - v_j\|$, with $\|u\| = 1$: one matrix product and the distances, as above.
# :::
#
# **What next?** [Does decodability predict the cost of facts?](geometry.ipynb)
