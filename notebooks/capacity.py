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
# # Parameters against facts
#
# **What the paper claims** {cite:p}`dugan2025constructing`: the encoder-decoder construction needs asymptotically as many parameters per fact as a
# trained MLP, fewer than earlier constructions, and trained MLPs keep a lower absolute cost.
#
# **What this page does**: it measures the {term}`fact-storage cost`, the fewest parameters at 100% recall, of every way to store facts that this book has,
# on the same facts, over a range of sizes and three draws of the facts.
#
# **For whom**: anyone who wants the headline in one figure. Ten minutes. Before it: [the encoder](encoder.ipynb) and [the decoder](decoder.ipynb).
# Words: the [glossary](../book/glossary.md).

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
from matplotlib import pyplot as plt

import factcore as fc
from factbook import figures, ladder, prose

figures.use_style()
prose.findings(ladder.findings, "capacity")

# %% [markdown]
# ## The ladder
#
# A fact set has $n$ keys and $n$ values, all uniform on the unit sphere of $\mathbb{R}^d$, and a random permutation between them. All memories but
# the one-hot one, which has no $A$, are the same network, $g(x) = D\,(\sigma(Gx + b) \odot Ax)$: gates $G$, up projection $A$, down projection $D$.
# They differ in which matrices are drawn and which computed. *NTK* (neural tangent kernel) draws $G$ and $D$ and averages over the facts for $A$, with
# the Hermite polynomial of degree 1. In *Hebbian* memories the hidden units' outputs are a key's features, and $D$ is a regression on them; $G$ and
# $A$ are drawn, and refitted where it is *data-dependent*. The encoder-decoder's $G$ cuts the keys into buckets along a drawn direction; it solves
# for $A$, with our codes for $D$, too. From the naive way to training:
#
# | rung | what is solved | source |
# |---|---|---|
# | one-hot | nothing: units that open at one key each | the naive memory |
# | NTK | one average | {cite:t}`nichani2024understanding` |
# | Hebbian, whitened; data-dependent | one ridge regression; three | {cite:t}`garcia2026hebbians` |
# | encoder-decoder, the paper's codes | a $d \times d$ system per bucket of keys | {cite:t}`dugan2025constructing` |
# | encoder-decoder | the same, with shorter codes: [separators through a fitted projection](code_dimension.ipynb) | ours |
# | max-margin | one convex problem: $A$ | ours |
# | {term}`block-convex` | a [stated number of convex problems](solves.ipynb): $G$, $A$ and $D$ | ours |
# | trained | descent on all three to 100% recall | the bar |

# %%
facts = fc.spherical_facts(64, 32, seed=seed).to(device)
for method in ("ntk", "hebbian", "encoder-decoder"):
    found = fc.smallest_width(facts, method, seed=seed, tries=1, resolution=0.04)
    per_fact = found.n_params / len(facts)
    print(f"{method}: {found.width} units, {per_fact:.1f} parameters per fact")

# %% [markdown]
# *How this was run:* [`factbook.ladder`](https://github.com/factcore/factcore/blob/main/factbook/ladder.py): sizes, what is left out as too slow, search.
#
# ## The figure

# %%
table = ladder.table(profile, seed, device)
live = ladder.fixed_d(table, profile)
print(f"{len(table)} runs")

# %% tags=["headline", "hide-input"] mystnb={"image": {"alt": "Log-log plot of dense parameters at 100 percent recall against the number of facts, six lines named at their ends: the NTK memory highest, then Hebbian memories and the paper's codes, our shorter codes, block-convex, and trained networks lowest, near the dashed floor of two bits a parameter."}}
figure = ladder.drawn(live, profile)
plt.show()

# %% [markdown]
# **The order is the paper's: training is cheapest (from 128 facts on), its construction takes more, the NTK memory most; a few convex solves close
# nearly all of the gap.** Points are medians over three draws of the facts, bars reach from the smallest to the largest, lines are power laws fitted to all runs.
# The dashed {term}`floor` is what to expect: $n \log_2 v$ bits must be stored, and trained language models are known to hold about two bits a parameter.
# Trained networks may dip under it. All methods, to switch on and off:
#
# <!-- generated: scaling -->
#
# ## The numbers behind it

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
ladder.costs(live)

# %% [markdown]
# A dash: no width that was tried stores the facts, or the rung was left out at that size.
#
# ## Do they scale alike?
#
# That is a question about exponents. Below, those of each one's parameters over those of training on the same facts, with [Student's](../book/rules.md)
# 95% intervals, over all sizes and over the larger ones, where widths are no handful of units; and the multiples of training there.

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
ladder.scales(live, profile)

# %% [markdown]
# Two things bend a short range. The code dimension of the encoder-decoder grows with the number of values, and its buckets come whole, which reads as
# an exponent above one. Trained widths are small integers, and at the smallest sizes a network that is wide enough to reach every value has room for
# more facts than it is given, which reads as an exponent below one. Facts and dimension grow together [on the papers' axis](scaling.ipynb).
#
# ## Facts in proportion to d²
#
# A fixed $d$ asks a network to hold more facts in the same space. The other way to grow is $n = \alpha d^2$. Parameters per fact, a row for each α and d:

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
ladder.in_proportion(table, profile)

# %% [markdown]
# Bilinear networks end at some $\alpha$. Each of their $d$ outputs is a quadratic form of the key, whatever the width: $d^2(d+1)/2$ numbers in all.
# At $d = 16$ the floor $n \log_2(v)/2$ passes that number at $\alpha = 2$, at larger $d$ later, so beyond it a dash is final. Hebbian readouts end
# sooner, as they regress the values on $d(d+1)/2$ features. SiLU gates have no such end; they are the bar there (run at $d = 16$, up to 512 facts).
#
# ## The NTK memory with two gates
#
# The NTK memory of the ladder opens its units by the identity, in the sum and in the network. The published code of {cite:t}`garcia2026hebbians` has
# the same sum, but puts a ReLU into the network. Half of a ReLU is the identity; its other half, $|z| / 2$, adds noise and no signal.

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
ladder.gate_table(ladder.ntk_gates(profile, seed, device))

# %% [markdown]
# So the identity is the stronger opponent: what the pages say of the cost of NTK memories holds with more to spare against the ReLU.
#
# ## Is the bar fair?
#
# Training descends on all matrices jointly from least squares (L-BFGS), and by Adam from random weights where that stalls, as it does here. Adam's
# settings come from a grid (`benchmarks/training_grid.py`); at 1,024 facts and $d = 64$, near the fewest units that store them, each changes one thing:

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
ladder.settings()

# %% [markdown]
# *Chosen* has 2,000 steps of Adam at rate 0.2, as *Adam alone* has; more help where the width is too small.
#
# ## Dense and solved parameters
#
# The counts are *dense*: all matrices and biases. What follows from a seed (random gates and projections) knows no fact; the rest is *solved*.

# %%
few = fc.spherical_facts(8, 32, seed=seed).to(device)  # sizes alone are counted
for method in ("ntk", "hebbian", "block-convex", "trained"):
    mlp = fc.construct(few, method, width=96, seed=seed, strict=False)
    print(f"{method}: {mlp.n_params:,} dense, {mlp.n_solved:,} solved")

# %% [markdown]
# ## What to remember
#
# - Compare memories at 100% recall, on the same facts, by their dense parameters.
# - Between what is written down and what is trained lies a ladder: rungs that solve more need less, with few exceptions.
# - The paper's construction needs far less than the NTK memory; with shorter codes far less again, and still several times what training needs.
#
# ## Exercises
#
# **1.** How many parameters does a one-hot memory need for $n$ facts, a unit each with a gate, its bias and a down projection?
#
# :::{dropdown} Solution
# $(2d + 1)\,n$: with $d = 64$, 129 per fact, whatever $n$: every fact has its own unit.
# :::
#
# **2.** A trained network takes 4 parameters per fact for 1,024 facts. How many bits does each hold? Which $n$ makes it two?
#
# :::{dropdown} Solution
# A fact is $\log_2 1024 = 10$ bits, so each parameter holds 2.5. At 4 per fact it is two for $\log_2 n = 8$, $n = 256$.
# :::
#
# **What next?** [On the papers' axis](scaling.ipynb), or [from construction to training](solves.ipynb).
