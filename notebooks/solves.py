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
# # From construction to training, one solve at a time
#
# **What is known**: constructions write weights down, training searches for them, and between the two lies a factor of
# ten or more in parameters {cite:p}`dugan2025constructing,garcia2026hebbians`.
#
# **What this page does**: it fills the gap with a *stated number of convex problems*, each with one answer: {term}`block-convex`, which is
# ours, not the papers'.
#
# **For whom**: readers who want to see where a network's capacity comes from. Ten minutes. Before it:
# [parameters against facts](capacity.ipynb).

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
import factcore as fc
from factbook import figures, prose, solves, store

figures.use_style()
prose.findings(solves.findings, "solves", "solves_large")

# %% [markdown]
# ## The idea
#
# The network is $g(x) = D\,(Gx \odot Ax)$, or in the plain form $D\,\mathrm{GELU}(Gx + b)$. Fact $i$ is stored when
# $\langle g(k_i), v_{f(i)} \rangle$ beats every other value. Two observations make a construction of that:
#
# 1. **A start by linear solves.** $g$ is linear in $A$ alone, in $G$ alone and in $D$ alone. Least squares for one after the other,
#    a hundred times round, bring $g(k_i)$ near $v_{f(i)}$, from random $G$ and $A$; where there is room, that alone stores all facts.
# 2. **Convex problems for all matrices at once.** Linearised at the weights $w$ reached so far, the outputs are
#    $F(\theta) = g_w + J\theta$, and the log loss of a step $\theta$ with a price on its length is strongly convex:
#
# $$\begin{aligned} \Phi(\theta) = {} & \sum_i \log \sum_j \exp \langle F_i(\theta), v_j - v_{f(i)} \rangle \\
# & + \tfrac{\kappa}{2} \|\theta\|^2 . \end{aligned}$$
#
# Its minimiser is unique, and $\Phi(\theta) - \min \Phi \le \|\nabla \Phi(\theta)\|^2 / 2\kappa$ certifies how near a solve came. Of
# the step the share is taken that lowers the true loss most; the next solve starts there. Solves end when every fact decodes.

# %%
n, d = solves.SIZES[profile]
facts = fc.spherical_facts(n, d, seed=seed).to(device)
mlp = fc.construct(facts, "block-convex", width=-(-5 * n // (3 * d)), seed=seed, solves=5)
print(f"{n} facts in {mlp.width} units, {mlp.n_params / n:.1f} parameters per fact,")
print(f"recall {fc.recall(mlp, facts):.0%}")
gaps = [f"{s['gap'] / s['objective']:.0%}" for s in mlp.solves]
print("solves and how far each may be from its minimum, in shares of the loss:", *gaps)

# %% [markdown]
# ## Parameters against the number of solves
#
# For each number of solves the smallest width at 100% recall on the same facts, beside the smallest trained width: parameters per fact.

# %% tags=["hide-input"]
table = solves.table(profile, seed, device)
summary = table.groupby("solves").n_params.agg(["min", "median", "max"]) / n
summary["times trained"] = summary["median"] / summary.loc[0, "median"]
summary = summary.rename(index={0: "trained"}).round(2)
summary.rename_axis(index=None, columns="solves, at most")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Parameters per fact against the number of convex solves on a logarithmic axis, one panel for each number of facts and form of the network: falling curves that come close to the dashed line of trained networks within five to twelve solves, in the plain form last."}}
# NBVAL_IGNORE_OUTPUT
large = store.stored("solves_large", "laptop")
shown = table.assign(form="gated") if large is None or profile == "smoke" else large
figure = solves.figure(shown)

# %% [markdown]
# **The first solves save most; five and eight take as many parameters as each other at 256 facts.** Points and the dashed lines are medians over
# three {term}`draws <draw>`; bars and bands reach from the smallest to the largest. The gated form is that of the first formula above, the plain
# form that of the second. The last units are the dearest: linearised steps stall there, in solves that no longer reach their {term}`certificate`
# within their iterations.
#
# ## What each part buys
#
# One constant changed at a time, at $d = 64$, with 24 units for 1,024 facts (1.2 times what training needs) and 48 for 2,048 (1.04 times):
# solves until every fact decodes, 20 at most, medians over three draws; how many draws lost facts; processor seconds. The table is made by
# `python -m factbook.solves`.

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
steps = store.stored("block_convex_steps", "laptop")
"not run yet" if steps is None else solves.changes(steps)

# %% tags=["remove-input"]
# NBVAL_IGNORE_OUTPUT
prose.caption(solves.gaps, "block_convex_steps")

# %% [markdown]
# ## What to remember
#
# - From a start by least squares one convex solve stores the facts like any construction; each further one needs fewer parameters, down
#   to about what training takes.
# - What is gained is a short chain of problems, each with one answer and a bound on how far it is from it, not speed: [joint descent
#   from the same start](build_cost.ipynb) follows the same slopes without stopping to solve, and reaches the last units too.
#
# ## Exercises
#
# **1.** Why does the step have a price on its length, $\kappa$?
#
# :::{dropdown} Solution
# The outputs are linear only near the weights where they were linearised: a long step would lower $\Phi$ and raise the true loss. The price
# also makes $\Phi$ strongly convex, so that it has one minimum, and the length of its gradient tells how far that is.
# :::
#
# **2.** In the code above, allow one solve (`solves=1`) at the same width. What does `construct` say, and which width does it need then?
#
# :::{dropdown} Solution
# It may refuse and say how many facts are lost: by the table one solve needs more parameters. Raise `width` until it stores them all.
# :::
#
# **What next?** [What it costs to build](build_cost.ipynb), in seconds and memory.
