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
# # Facts and recall: a five-minute tour
#
# **What the paper claims** {cite:p}`dugan2025constructing`: the weights of an MLP that stores facts can be written down
# instead of trained, for almost any key and value embeddings.
#
# **What this page does**: it writes down an MLP that stores the country of every airport, asks it, and sets beside it what can be
# answered without one. You ask it too, and change a fact; then it is made too small, and wrong answers appear.
#
# **For whom**: everyone; no more than the idea of a dot product is needed. Five minutes.

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
from functools import partial

import pandas as pd
import torch
from matplotlib import pyplot as plt

import factcore as fc
from factbook import baselines, figures, prose, store

figures.use_style()
prose.findings(baselines.findings, "baselines")

# %% [markdown]
# ## The facts
#
# A fact is a *key* and its *value*: here the name of an airport and the country it lies in. Both are vectors, embeddings
# made by the sentence encoder MiniLM, of $d$ numbers each. Many airports share a country, and few names give it away.

# %%
n_facts = {"smoke": 300, "laptop": 7007, "paper": 7007}[profile]
facts = fc.airport_facts(n_facts, relation="country").to(device)
print(f"{len(facts):,} airports, {facts.n_values:,} countries, d = {facts.d}")
for row in range(3):
    print(f"  {facts.key_names[row]} → {facts.value_names[facts.targets[row]]}")

# %% [markdown]
# ## The network
#
# `construct` returns an ordinary torch module $g$ from $\mathbb{R}^d$ to $\mathbb{R}^d$. To ask it about a key $k$,
# compute $g(k)$ and take the value with the largest dot product, as a language model's output head would. The network
# {term}`stores <store>` the facts when that value is the right one for every key; {term}`recall` is the share of keys for which it is.

# %%
mlp = fc.construct(facts, seed=seed)
print(f"recall {fc.recall(mlp, facts):.2%}")

# %%
# NBVAL_IGNORE_OUTPUT
floor = torch.tensor(facts.n_values).log2().item() / 2
print(f"{mlp.width} hidden units, {mlp.n_params:,} parameters")
print(f"{mlp.n_params / len(facts):.2f} per fact, the floor {floor:.2f}")

# %% [markdown]
# The {term}`floor` is what trained language models would take. The weights were solved for, one linear system per {term}`bucket` of keys.
# The pages that follow open the box: an [encoder](encoder.ipynb) maps each key to the {term}`code` of its value, a few numbers, exactly,
# and a [decoder](decoder.ipynb) maps the code to an output that picks the right value.
#
# ## Asking

# %%
asked = torch.linspace(0, len(facts) - 1, 8).long().to(device)
answers = fc.decode(mlp, facts.keys[asked], facts.values)
for row, answer in zip(asked.tolist(), answers.tolist()):
    print(f"{facts.key_names[row]} → {facts.value_names[answer]}")

# %% [markdown]
# ## What a network must beat
#
# Four ways to answer without a hidden layer. One gives **always the commonest value**, whatever the question. The **nearest
# embedding** takes the value that lies nearest to the key: it is right where a name gives the answer away. A **linear map** in
# the network's place is found by least squares (ridge regression on one-hot targets, a closed form) or trained by log loss
# (convex, but iterated). Each is asked for every airport's city, country and
# IATA code (`JFK`), beside the network, an {term}`encoder-decoder`. Recall:

# %% tags=["hide-input"]
run = partial(baselines.airports_row, device=device)
beside = store.resume(
    store.results_file("baselines", profile), baselines.airports_jobs(n_facts, seed), run, device=device
)
baselines.by_relation(beside, "recall").map(prose.percent)

# %% [markdown]
# and parameters per fact:

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
baselines.by_relation(beside.assign(per_fact=beside.n_params / n_facts), "per_fact").round(2)

# %% [markdown]
# **Where values are few, codes are short, and the network is smaller than any linear map.** Countries are fewer than dimensions: their
# codes lie on a circle, two numbers each. Cities and IATA codes are many, their codes longer, and a linear map of so many dimensions can
# hold them, too.
#
# <!-- generated: ask -->
#
# ## A code that is too short
#
# A code has $m$ numbers. The builder looked for a short $m$ at which all cities are stored; with fewer, some have no code that tells
# them from all others, and their airports get wrong answers.

# %%
cities = fc.airport_facts(n_facts).to(device)
whole = fc.construct(cities, seed=seed)
shortest = int(torch.linalg.matrix_rank(whole.down.double()))
lengths = sorted({max(1, shortest * k // 4) for k in (1, 2, 3)} - {shortest})
cut = {m: fc.construct(cities, code_dim=m, strict=False, seed=seed) for m in lengths}
built = cut | {shortest: whole}
recalls = pd.Series({m: fc.recall(built[m], cities) for m in built}, name="recall")
recalls.index.name = "code dimension m"

# %% tags=["hide-input"] mystnb={"image": {"alt": "Recall on the airports' cities against the code dimension m. It rises steeply with m and reaches 100 percent at the dimension that the builder chose."}}
figure, ax = plt.subplots()
ax.plot(recalls.index, 100 * recalls, marker="o", color=figures.COLOURS["encoder-decoder"])
ax.axvline(shortest, color="grey", linestyle=":", label=f"chosen by the builder: m = {shortest}")
ax.set(xticks=recalls.index, xlabel="code dimension m", ylabel="recall [%]", title=f"{len(cities):,} airports' cities")
ax.legend(loc="upper left")
plt.show()

# %% [markdown]
# **The shorter the code, the more cities are lost.** One draw. Wrong answers at the longest code that is still too short:

# %%
# NBVAL_IGNORE_OUTPUT
longest = max(m for m in recalls.index if recalls[m] < 1)
answers = fc.decode(cut[longest], cities.keys, cities.values)
wrong = (answers != cities.targets).nonzero().flatten()[:6].tolist()
print(f"m = {longest}: recall {recalls[longest]:.2%}, among the wrong answers")
for row in wrong:
    right, got = (cities.value_names[cities.targets[row]], cities.value_names[answers[row]])
    print(f"  {cities.key_names[row]} → {got} (should be {right})")

# %% [markdown]
# ## What to remember
#
# - A fact is a key, a value and nothing else: the network stores it when the right value has the largest dot product.
# - A recall says little without its baselines: the commonest value, the nearest embedding, the best linear map.
# - Few values are cheap to store, for their codes are short. The builder returns no network that loses a fact, unless told
#   `strict=False`. Your own facts work the same way: `fc.FactSet(keys, values, targets)` takes any embeddings.
#
# ## Exercises
#
# **1.** Every airport moves to the next one's country: `fc.FactSet(facts.keys, facts.values, facts.targets.roll(1))`. What happens to
# the nearest embedding, and what to the network's size?
#
# :::{dropdown} Solution
# `baselines.nearest` falls from 5% to 0.6%, hardly more than one country in 233: names are true no longer. `fc.construct` stores
# the new map with as many parameters: it uses the geometry of keys and of values, and nothing of how one goes with the other.
# Always to say *United States* is as good as before, right for 28%.
# :::
#
# **2.** Two airports get the same embedding as key. When can a network store both?
#
# :::{dropdown} Solution
# When they have the same country. Otherwise one input would need two answers, and `fc.FactSet` refuses, naming both rows.
# :::
