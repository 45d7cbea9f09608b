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
# # Real embeddings: which constructions survive them?
#
# **What the paper claims** {cite:p}`dugan2025constructing`: the construction works for every set of keys in general position and every set of values
# with positive decodability, not for random embeddings alone. Earlier memories are analysed for uniform keys and values on a sphere.
#
# **What this page does**: it measures the fewest parameters at 100% recall for nine ways to make an MLP, on two real fact sets: airports and their
# cities, and what goes into and comes out of one MLP of a language model. Beside them stand spherical facts of the same $n$, $v$ and $d$, and the
# same real facts with whitened values.
#
# **For whom**: anyone who would store facts over embeddings that they did not choose. Ten minutes. Before it: [parameters against
# facts](capacity.ipynb). Words: the [glossary](../book/glossary.md).

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
from factbook import figures, geometries, prose, real_facts

figures.use_style()
prose.findings(real_facts.findings, "real", "real_full")

# %% [markdown]
# Widths come in whole units, so for the cheapest networks a ratio within a tenth of 1 is one unit and says nothing.
#
# ## The facts
#
# - **airports**: an airport's name $\to$ its city, as a sentence encoder embeds them. Many to one: cities with several airports come first, so a
#   sample has fewer values than keys. A seed is a sample of cities.
# - **MLP layer**: the input of an MLP in the middle of a language model $\to$ its output, one to one. A seed is a sample of positions in sentences.
#   Norms and means are those of the model.
#
# Both have $d = 384$ ([where from](https://github.com/factcore/factcore/blob/main/data/README.md)). The paper profile keeps all of it. The laptop
# profile turns keys and values to their own leading principal directions and cuts to a small $d$, so that $n / d$ is that of a full memory: smaller,
# but as uneven as the sample.

# %%
size = real_facts.SIZES[profile]
for data in real_facts.DATA:
    facts = real_facts.fact_set(data, "raw", **size, seed=seed)
    print(f"{data}: n = {len(facts)} facts, v = {facts.n_values} values, d = {facts.d}")

# %% [markdown]
# ## What whitening means here
#
# A whitened fact set is decoded with whitened values: the output head is changed, $V \leftarrow (V - \text{mean})\,\Sigma^{-1/2}$; the keys stay as
# they are. Or the head may stay, too: $\langle g, \Sigma^{-1/2}(v - \text{mean}) \rangle$ and $\langle \Sigma^{-1/2} g, v \rangle$ differ by a number
# that all values share, so $\Sigma^{-1/2}$ can be multiplied into the down projection afterwards. The two fact sets therefore have the same cost *in
# principle*. Where a method's cost differs between them, the method depends on the coordinates.

# %%
raw = real_facts.fact_set("MLP layer", "raw", **size, seed=seed).to(device, torch.float64)
whitened, back = geometries.whiten(raw.values)
mlp = fc.construct(fc.FactSet(raw.keys, whitened, raw.targets), seed=seed)
print(f"built for whitened values, the original head: recall {fc.recall(mlp, raw):.0%}")
root = back(torch.eye(raw.d).to(raw.keys)) - back(raw.keys.new_zeros(1, raw.d))  # Σ^(1/2)
mlp.down.data = torch.linalg.solve(root, mlp.down)
print(f"with the whitening folded in: recall {fc.recall(mlp, raw):.0%}")

# %% [markdown]
# ## The ladder
#
# Every method gets the same search over its width. *Hebbian* memories regress the values themselves on the features: the one with *ridge regression* is
# *Hebbian, whitened* on the other pages, where the features are what is whitened. *Separator targets* are ours: the same regression, onto each
# value's separator.
#
# *How this was run:* [`factbook/real_facts.py`](https://github.com/factcore/factcore/blob/main/factbook/real_facts.py).

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two panels, airports and MLP layer. One row per method, parameters per fact on a logarithmic axis, one mark each for spherical facts, raw values and whitened values. Trained and block-convex networks are cheapest, one-hot and NTK memories the dearest; a text stands at the right where a method loses facts of some samples at every width."}}
table = real_facts.table(profile, seed, device)
figure = real_facts.drawn(table)
plt.show()

# %% [markdown]
# **Methods that solve for the values at hand cost about what they cost on a sphere; averages lose facts.** Marks are medians over the samples that
# are stored, of three; bars reach from the smallest to the largest. Where samples are lost, the percentage is the best of their recalls in the widest
# network tried. The dashed line is no bound: what lies left of it stores more than two bits a parameter. The numbers behind it (a dash: facts of some sample are
# lost at the widest tried):

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
real_facts.written(table)

# %% [markdown]
# ## Why the plain Hebbian memory fails
#
# With enough features it puts out the values themselves, $g(k_i) \approx v_{f(i)}$, and a value decodes *itself* only if $\|v_i\|^2 > \langle v_i,
# v_j \rangle$ for every other $j$. On a sphere that always holds. Where norms differ, a long value may shadow a short one. Separators decode wherever
# anything does.

# %%
for values in real_facts.VALUES:
    facts = real_facts.fact_set("MLP layer", values, **size, seed=seed)
    share = real_facts.decode_themselves(facts)
    print(f"MLP layer, {values}, seed {seed}: {prose.percent(share)} decode themselves")

# %% [markdown]
# The recall of the widest Hebbian memory of every sample that is lost is this share, to the last fact.
#
# ## The layer at its full dimension
#
# The same layer uncut, $d = 384$: parameters per fact, medians of three samples. Three methods are left out. A one-hot memory takes one or two units a
# fact, so at least $d + e + 1 = 769$ parameters, whatever the values are. An NTK memory loses facts of every real sample at the cut $d$ already. And
# max-margin would take too long: at each width it weighs every fact against every other value in one convex problem.

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
full = real_facts.uncut(profile, seed, device)
print(f"n = {full.n.iloc[0]:,} facts, v = {full.n_values.iloc[0]:,} values, d = {full.d.iloc[0]}")
real_facts.written(full)

# %% [markdown]
# The plain Hebbian memory stores one raw sample of three. Where it loses facts here, it was asked at $2 n$ units, where it puts out the values
# themselves: it then loses those that do not decode themselves. Narrower ones were not searched.
#
# The layer of another model becomes facts by `factcore capture`. At home, with the folder of Qwen3-0.6B at hand and a text of which each line is a
# sequence, its layer 14:
#
# ```bash
# pip install "factcore[capture] @ git+https://github.com/factcore/factcore"
# factcore capture --model Qwen3-0.6B-Base --layer 14 --text text.txt \
#     --out layer.safetensors --most 500000
# ```
#
# and in Python `facts = fc.FactSet.load("layer.safetensors")`. `--most` is how many positions are read, 16,384 unless told. Half a million at
# $d = 1{,}024$ are a file of 4.1 GB; at its peak the command holds them twice, beside the model.
#
# **What limits this page**: the laptop profile cuts the embeddings of the ladder to $d = 32$, which keeps how uneven they are, not their full
# dimension. Whitened airports are whitened by their own sample, whose covariance is noisy. And the facts of the layer are *samples* of a smooth
# function: a memory that stores them is not thereby a copy of the layer.
#
# ## What to remember
#
# - A method that asks what each value needs (its separator, a margin) survives real embeddings; one that averages may not.
# - A value need not decode itself. What to aim at is a direction that it wins.
# - Whitening can be folded into the last matrix: it changes what a method finds, not what can be stored.
#
# ## Exercises
#
# **1.** Two values on a line, $v_1 = 1$ and $v_2 = 3$. Does $v_1$ decode itself? Which output decodes to it?
#
# :::{dropdown} Solution
# No: $\langle v_1, v_1 \rangle = 1 < 3 = \langle v_1, v_2 \rangle$. Any negative output does: the separator of $v_1$ is $-1$.
# :::
#
# **2.** Why can the mean be left out when the whitening is folded into the down projection?
#
# :::{dropdown} Solution
# It adds $-\langle g, \Sigma^{-1/2}\,\text{mean} \rangle$ to the score of every value alike, and a maximum does not see what all share.
# :::
#
# **What next?** [How many bits does a weight need?](precision.ipynb)
