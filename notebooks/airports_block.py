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
# # Airports in a transformer, every weight drawn or solved for
#
# **What the paper claims** {cite:p}`dugan2025constructing`: transformers can use constructed MLPs, once attention has been trained to bring
# them the right key. It shows this on synthetic embeddings.
#
# **What this page does**: the key vocabulary is 7,007 names of airports, the values are their countries, both as sentence embeddings. The
# memory comes from linear systems, attention from a certified convex problem ([which is which](../book/api_methods.md)): every weight
# is drawn at random, solved for exactly, or solved for with a {term}`certificate`. A bound tells for which keys the answer to *every*
# sequence of the task is proved right.
#
# **For whom**: anyone who wonders whether the [synthetic result](usable.ipynb) survives real text. Five minutes. Words: the
# [glossary](../book/glossary.md).

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
import textwrap
from functools import partial

import torch
from matplotlib import pyplot as plt

from factbook import airports, figures, prose, store

figures.use_style()
prose.findings(airports.findings, "airports_block", "airports_training", "baselines")

# %% [markdown]
# ## Solved for
#
# Attention that reads only directions wants keys of one norm, so the embeddings are normalised. Three calls make the transformer:

# %%
import factcore as fc
from factbook import airports, baselines
from factcore import transformer as tf

facts = airports.unit_facts(64 if profile == "smoke" else 512, "country", device)
model = tf.FactTransformer(facts, seed=seed)
solve = tf.solve_attention(model)
mlp = fc.construct(facts, seed=seed)
tf.insert(model, mlp)
print(f"one convex problem in {model.key.numel():,} unknowns, converged: {solve.converged}")
print(f"recall on sampled sequences: {tf.transformer_recall(model, facts.targets):.1%}")
proved = round(tf.certified_recall(model, facts.targets) * len(facts))
print(f"keys proved to be answered right in every sequence: {proved:,} of {len(facts):,}")

# %% [markdown]
# Three sequences, and what the transformer says:

# %% tags=["hide-input"]
tokens = tf.recall_batch(len(facts), 3, torch.Generator().manual_seed(seed), device)
word = lambda token: facts.key_names[token] if token < len(facts) else f"j{token - len(facts)}"  # noqa: E731
for row, answer in zip(tokens.tolist(), model(tokens).argmax(dim=1).tolist()):
    words = [word(token) for token in row[:-1] if token != len(facts) + tf.JUNK + 1]
    print(textwrap.fill(" ".join(words) + " ?", 72), "\n   →", facts.value_names[answer])

# %% [markdown]
# ## What the memory adds
#
# The same attention hands its key to another map in the memory's place: the identity, whose answer is the nearest embedding. What
# linear maps make of these facts stands in [the tour](facts.ipynb).

# %%
print(f"nearest country right: {baselines.nearest(facts):.0%} of {len(facts)} airports")

# %% [markdown]
# **Of 7,007 airports neither likeness nor a linear map answers for all; the constructed memory does, with fewer parameters than a linear map.**
#
# ## The run
#
# For growing numbers of airports: recall as built, after a swap to a memory of another map (every airport moved to the next one's country),
# and the share of keys for which recall is proved. Three draws of junk, of the query projection and of the construction.

# %% tags=["hide-input"]
samples = 256 if profile == "smoke" else 2048
run = partial(airports.placed, samples=samples, device=device)
rows = store.results_file("airports_block", profile)
table = store.resume(rows, airports.jobs(profile, seed), run, device=device)
print(f"{len(table)} transformers of up to {table.n_facts.max():,} airports")

# %% [markdown]
# Beside it, at the smallest size, attention trained by gradient steps to return the key, at several learning rates, before two memories
# of the airports' cities: the shortest codes in buckets, and a larger encoder-decoder (bilinear gates, half full). A short
# training; then the same attention [sharpened](usable.ipynb).

# %% tags=["hide-input"]
run = partial(airports.trained, profile=profile, samples=samples, device=device)
rows = store.results_file("airports_training", profile)
training = store.resume(rows, airports.training_jobs(profile, seed), run, device=device)
print(f"{len(training)} runs of {airports.TRAINING[profile]['steps']} steps")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left, recall against the angle that attention leaves on a key: attention solved for lies far to the left at one hundred percent, trained attention lies at several degrees, where both memories lose sequences; the same attention sharpened is at one hundred percent again. Right, the share of keys whose proved tolerance is above an angle, falling, with the largest angle that attention leaves far to its left."}}
airports.figure(table, training, model, mlp, facts)
plt.show()

# %% [markdown]
# **Attention that is solved for leaves far less noise than the memory takes; a short training leaves more.** Left: each mark is one
# transformer; solved for: the largest angle that any sequence can leave, trained: the median over sequences
# (three draws at each learning rate; all sharpened runs are on one spot). Right: for the transformer above, the share of keys that are
# proved to decode up to an angle, and the largest angle that attention leaves in any sequence; recall is proved for all keys to the right
# of the line.
#
# ## The numbers behind it
#
# Solved for, the worst of three draws (seconds: medians); and trained, medians of three draws:

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
airports.proved(table)

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
airports.by_rate(training)

# %% [markdown]
# *How this was run:* [`factbook/airports.py`](https://github.com/factcore/factcore/blob/main/factbook/airports.py).
#
# ## What to remember
#
# - Real embeddings are easy for attention that is solved for: in 384 dimensions one linear map sets all keys apart from the junk, so that
#   what arrives is the key, to within less than the memory with the shortest codes takes.
# - A short training to return the key leaves every key nearest to itself, but at an angle at which memories lose sequences, with room in them
#   or without. Sharpened, without further training, the same attention loses nothing: the damage was done by its temperature and its norm.
# - The proof is for exact arithmetic and for this task's junk; the sampled recall is what float32 gives.
#
# ## Exercises
#
# **1.** In the right panel, where would the dotted line have to lie for the proof to fail for half of the airports?
#
# :::{dropdown} Solution
# At the angle where the curve crosses one half: keys that take less than attention leaves at most are not proved.
# :::
#
# **2.** The memory is swapped for one in which every airport has the next one's country. Why need attention not be solved again?
#
# :::{dropdown} Solution
# Its problem holds keys and junk only: it hands on the key that is asked for, whatever the memory makes of it.
# :::
#
# **What next?** [Edit a fact yourself](edit_yourself.ipynb).
