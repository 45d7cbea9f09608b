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
# **What this page does**: it writes down an MLP that stores which city each of 7,007 airports serves, asks it, and
# watches the first wrong answers appear when the code inside is too short.
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
# ## The facts
#
# A fact is a *key* and its *value*: here the name of an airport and the city it serves. Both are vectors, embeddings
# made by the sentence encoder MiniLM ($d = 384$). Several airports may serve one city.

# %%
import pandas as pd
import torch
from matplotlib import pyplot as plt

import factcore as fc
from factbook import figures

figures.use_style()
n_facts = {"smoke": 300, "laptop": None, "paper": None}[profile]  # None: all of them
facts = fc.airport_facts(n_facts).to(device)
print(f"{len(facts):,} airports, {facts.n_values:,} cities, d = {facts.d}")
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
floor = len(facts) * torch.tensor(facts.n_values).log2().item() / 2
print(f"{mlp.width} hidden units, {mlp.n_params:,} parameters, {mlp.n_params / len(facts):.0f} per fact")
print(f"n log2(v) bits at two bits a parameter: {floor:,.0f} parameters")

# %% [markdown]
# The weights were solved for, bucket by bucket, and so was the projection inside. The pages that follow open the box: an [encoder](encoder.ipynb) maps each key to a short
# code, exactly, and a [decoder](decoder.ipynb) maps the code to an output that picks the right value.
#
# ## Asking

# %%
asked = torch.linspace(0, len(facts) - 1, 8).long().to(device)
answers = fc.decode(mlp, facts.keys[asked], facts.values)
for row, answer in zip(asked.tolist(), answers.tolist()):
    print(f"{facts.key_names[row]} → {facts.value_names[answer]}")

# %% [markdown]
# Are the embeddings alone enough? Many airports carry their city's name, so the city whose embedding is nearest to the
# airport's is a fair guess. It is the baseline that a network must beat.

# %%
guess = (facts.keys @ facts.values.T).argmax(dim=1)
print(
    f"nearest city, no network: {(guess == facts.targets).float().mean():.0%} right; the network: 100% by construction"
)

# %% [markdown]
# <!-- generated: ask -->
#
# ## A code that is too short
#
# Inside, each city has a code of $m$ numbers. The builder looked for a short $m$ that still stores everything; with
# fewer coordinates some cities have no code that tells them from all others, and their airports get wrong answers.

# %%
shortest = int(torch.linalg.matrix_rank(mlp.down.double()))
cut = {
    m: fc.construct(facts, code_dim=m, strict=False, seed=seed)
    for m in sorted({max(1, shortest * k // 4) for k in (1, 2, 3)} - {shortest})
}
recalls = pd.Series({m: fc.recall(short, facts) for m, short in (cut | {shortest: mlp}).items()}, name="recall")
recalls.index.name = "code dimension m"

# %% tags=["hide-input"] mystnb={"image": {"alt": "Recall on the airports against the code dimension m. It rises steeply with m and reaches 100 percent at the dimension that the builder chose."}}
figure, ax = plt.subplots()
ax.plot(recalls.index, 100 * recalls, marker="o", color=figures.COLOURS["encoder-decoder"], label="recall")
ax.axvline(shortest, color="grey", linestyle=":", label=f"chosen by the builder: m = {shortest}")
ax.set(xticks=recalls.index, xlabel="code dimension m", ylabel="recall [%]", title=f"{len(facts):,} airports")
ax.legend(loc="upper left")
plt.show()

# %%
# NBVAL_IGNORE_OUTPUT
recalls.map("{:.2%}".format).to_frame()

# %%
print(
    f"stored at the chosen dimension: {recalls[shortest]:.0%}; at a quarter of it: {'less' if recalls.iloc[0] < 1 else 'all'}"
)

# %% [markdown]
# The first wrong answers, at the longest code that is still too short:

# %%
# NBVAL_IGNORE_OUTPUT
longest = max(m for m in recalls.index if recalls[m] < 1)
answers = fc.decode(cut[longest], facts.keys, facts.values)
wrong = (answers != facts.targets).nonzero().flatten()[:6].tolist()
print(f"m = {longest}: {(answers != facts.targets).sum()} wrong, among them")
for row in wrong:
    right, got = (facts.value_names[facts.targets[row]], facts.value_names[answers[row]])
    print(f"  {facts.key_names[row]} → {got} (should be {right})")

# %% [markdown]
# ## What we found
#
# The construction stores every one of these real facts, with keys and values that are far from random: MiniLM's
# embeddings share a direction, and three of their coordinates are zero in every row. The short codes fail gradually,
# one city at a time, and the builder refuses to return a network that loses a fact unless told `strict=False`.
#
# Your own facts work the same way: `fc.FactSet(keys, values, targets)` takes any embeddings.
