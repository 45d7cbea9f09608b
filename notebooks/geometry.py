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
# # Does decodability predict the cost of facts?
#
# **What the paper claims** {cite:p}`dugan2025constructing`: one number of the value embeddings, their *decodability* $\rho$, characterises how many
# facts a parameter can store, in constructed *and* in trained MLPs. For the construction it gives a form: cost per fact $\propto \rho^{-2} \log v$.
#
# **What this page does**: it varies nothing but the geometry of the values, from uniform on the sphere to real embeddings, measures what both kinds
# of MLP cost, and asks how well $\rho$ foretells it, next to five plainer numbers.
#
# **For whom**: anyone who wants to know whether $\rho$ is worth computing. Fifteen minutes. Before it: [decodability, certified](solver.ipynb).
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

# %% tags=["remove-input"] mystnb={"markdown_format": "myst"}
# NBVAL_IGNORE_OUTPUT
import pandas as pd
from matplotlib import pyplot as plt

from factbook import figures, geometry_cost, geometry_shown, prose
from factbook.predictors import predictors
from factbook.shapes import embed

figures.use_style()
prose.findings(geometry_cost.findings, "geometry", "geometry_optimised")

# %% [markdown]
# Percentages are $R^2$ of a straight line through the logarithms; brackets are 95% intervals.
#
# ## The geometries
#
# Keys are uniform on the sphere and the map is a random permutation, always. The values come from ten families (some swept over a strength), three of
# them real: city names as a sentence encoder sees them, the token table of a language model, and what an MLP inside that model puts out ([where
# from](https://github.com/factcore/factcore/blob/main/data/README.md)), each cut to its own $d$ leading principal directions. Every set is measured
# as it comes (*raw*) and *whitened*, $(V - \text{mean})\,\Sigma^{-1/2}$. Here is one of them, spiked: its values share a direction.

# %%
spiked = {k: embed("spiked 4", k, 128, 32, seed).to(device) for k in ("raw", "whitened")}
found = {k: predictors(values) for k, values in spiked.items()}
shown = pd.DataFrame(found).loc[["rho", "median_rho", "effective_rank"]]
shown.rename(index=geometry_cost.PREDICTORS).map("{:.3g}".format)

# %% [markdown]
# Whitening evens its directions out (the effective rank comes to $d$), yet lowers $\rho$. The six numbers that might predict a cost:
#
# | predictor | what it is |
# |---|---|
# | decodability $\rho$ | the paper's: margin of the value that is hardest to pick, with a certificate |
# | median $\rho_i$ | the same margin for the typical value |
# | 1 − coherence | one minus the largest cosine between two values (mean removed) |
# | condition number | largest over smallest eigenvalue of the covariance (zeros left out) |
# | effective rank | $(\operatorname{tr} \Sigma)^2 / \operatorname{tr} \Sigma^2$: how many directions share the variance |
# | nearest neighbour | smallest distance between two values over the root mean square distance |
#
# And two costs, both in dense parameters at 100% recall: the *encoder-decoder* with a random decoder $D$, as in the paper (in the committed table, a
# few last columns aimed at values that it hid), and the smallest *trained* MLP: bisection over the width, one training a width, the same number of
# Adam steps for all.
#
# *How this was run:* [`factbook/geometry_cost.py`](https://github.com/factcore/factcore/blob/main/factbook/geometry_cost.py); each family's formula:
# [`factbook/geometries.py`](https://github.com/factcore/factcore/blob/main/factbook/geometries.py).
#
# ## Cost against decodability

# %%
table = geometry_cost.table(profile, seed, device)
stored = table[table.outcome == "stored"]
print(f"{len(table)} runs, {(table.rho == 0).sum()} of them with ρ = 0 and no cost")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two scatter plots, cost against decodability on logarithmic axes, a point for each geometry. In both panels cost falls as decodability rises, far less steeply than the dashed line of slope minus two; values near a subspace lie below the other points for the encoder-decoder."}}
figure = geometry_shown.drawn_costs(table)
plt.show()

# %% [markdown]
# **Cost falls as $\rho$ rises, much less steeply than the paper's form.** A point is a geometry, filled raw, hollow whitened, at the median of three
# draws; bars reach from the cheapest draw to the dearest. *Spiked* includes power-law values, *even* the sphere and Gaussian values. The dashed line
# has slope $-2$ and passes through the raw sphere. Values near a subspace cost the encoder-decoder less than their $\rho$ tells, because a code needs
# no more numbers than the values have directions. The trained widths are small integers: one unit is a tenth of the cost.
#
# ## Which number predicts best

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two panels with one row per predictor, R squared with its interval. For the encoder-decoder decodability is far ahead of the five others. For trained networks decodability and the median margin are close, and the other four are near zero."}}
power = geometry_cost.powers(stored)
figure = geometry_shown.drawn_powers(power)
plt.show()

# %% [markdown]
# **Decodability leads for the construction, though not beyond the noise; for training the typical value does about as well as the hardest.** All
# draws with a cost, raw and whitened, the effect of $n$ taken out. Bars are 95% bootstrap intervals that draw whole *geometries*, as seeds of one
# are no independent evidence about others. The spiked values span the widest range of $\rho$, and a straight line listens to its ends. Without them:

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
geometry_cost.comparison(geometry_cost.powers(stored[stored.family != "spiked"]))

# %% [markdown]
# The construction's fit weakens, and the effective rank (more directions, longer codes) tells its cost at least as well as $\rho$ does. For training
# $\rho$ stays first by $R^2$.
#
# ## If the decoder is chosen, not drawn
#
# The paper's form speaks of a random $D$. `construct` can also optimise $D$ for the values at hand, which makes codes much shorter. Does $\rho$ still
# tell what they cost? Raw values at the smallest $n$; *encoder-decoder* is the random $D$:

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
geometry_cost.by_decoder(table, profile, device)

# %% [markdown]
# Less than the typical value does: freed from the random $D$, the construction behaves more like training.
#
# ## What whitening does
#
# Whitening is said to raise $\rho$ of uneven values. Ratios, whitened over raw, of medians at the largest $n$, where $\rho$ moves by over a tenth:

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
geometry_cost.moved(table)

# %% [markdown]
# Values of equal norm are safe by their norm alone: every point of a sphere is a vertex of the hull. Whitening an uneven set moves its values off the
# sphere, and those left inside are hard to pick. Tight clusters, and values of low rank with noise, move the other way: there $\rho$ and a cost rise
# or fall together, against the claim. One number is not enough.
#
# ## The paper's form, and its own codes
#
# $m = O(\rho^{-2} \log v)$ bounds the code length from above, and the cost per fact is $3m$. Taken as a prediction it leaves one constant to fit.
# The construction above has separator codes, which are ours: shorter, and never longer than $d$. The form is claimed for the paper's, projected
# separators through a random $D$; here they are, on the same geometries at $d = 64$ and 128, the effects of $n$ and $d$ taken out:

# %%
# NBVAL_IGNORE_OUTPUT
geometry_cost.own_codes()

# %% [markdown]
# By these numbers [the claims](../book/claims.md) are judged; exponent and form are of the draws whose code $d$ does not cap
# ([`factbook.shapes`](https://github.com/factcore/factcore/blob/main/factbook/shapes.py)). $\rho$ foretells these costs better than ours, and still
# not with the exponent $-2$: the form's $R^2$ is negative, it describes the costs worse than their mean does.
#
# **What limits this page**: one $d$ and two $n$ in the laptop profile; more training steps would lower the trained costs; the spiked family carries
# much of the evidence. `make figure FIG=geometry PROFILE=paper DEVICE=cuda` asks the same at $d = 64$.
#
# ## What to remember
#
# - $\rho$ decides *whether* values can be stored, exactly, and orders what a random decoder costs.
# - What training costs is told as well by the typical value; coherence and condition number tell next to nothing.
# - $\rho^{-2} \log v$ is an upper bound, no price list: costs grow far more slowly as $\rho$ falls.
# - Whitening can hide values that were safe on a sphere: measure $\rho$ before and after.
#
# ## Exercises
#
# **1.** Three values: $(1, 0)$, $(-1, 0)$ and $(0, \varepsilon)$. Where does $\rho$ go as $\varepsilon \to 0$?
#
# :::{dropdown} Solution
# The three are the corners of a triangle for every $\varepsilon \ne 0$, so $\rho > 0$. The unit differences of the third to the others tend to $(-1,
# 0)$ and $(1, 0)$, whose hull holds 0: its margin is $\rho_3 = \varepsilon / \sqrt{1 + \varepsilon^2} \to 0$. At $\varepsilon = 0$ the third lies
# between the others, and nothing can store it.
# :::
#
# **2.** Multiply all values by 10 and add the same vector to each. What happens to $\rho$, to the condition number and to the costs?
#
# :::{dropdown} Solution
# Nothing: all depend on differences of values, up to a factor, and so do decisions: $\langle g, v_j - v_l \rangle > 0$.
# :::
#
# **What next?** [Parameters against facts](capacity.ipynb): what every way to store facts costs on one geometry, the sphere.
