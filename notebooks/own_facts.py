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
# **What this page does**: it stores a CSV file with the command line, asks, inspects and exports. Then it measures how far a
# *question* may be from its key (in other words, misspelt, shortened), and whether the memory can say that it does not know.
#
# **For whom**: anyone with a table of facts. Ten minutes. [The tour](facts.ipynb) says what a memory is, the
# [glossary](../book/glossary.md) every other word.

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
import pandas as pd
from IPython.display import Markdown

from factapp.memory import Memory
from factbook import figures, own_facts, paraphrase

figures.use_style()
pd.set_option("display.max_colwidth", None)
table, refused = own_facts.tables(Memory, profile, seed, device)
Markdown(own_facts.findings(table, refused))

# %% [markdown]
# ## A CSV file, stored and asked
#
# In a shell, with a small sentence encoder (MiniLM, $d = 384$) that embeds the texts:
#
# ```bash
# pip install "factcore[text] @ git+https://github.com/factcore/factcore"
# factcore store airports.csv --key airport --value city --out memory.safetensors
# factcore ask memory.safetensors "Where is Schiphol?"
# ```
#
# One fact per row, a header, UTF-8; many keys may share a value, a key has one ([files of other shapes](../book/api.md)). A memory knows
# one column. Store one for each; asked for the price, the memory of warehouses answers with a warehouse. To change a fact, change the file
# and store it again. This page must run without the encoder, so it hands over the embeddings of 48 airports that travellers know: a row of
# `keys.npy` per row of the file, a row of `values.npy` per distinct value, in the order in which the file first names them (a changed file
# may have another: write both again; [where from](https://github.com/factcore/factcore/blob/main/data/README.md)).

# %%
# NBVAL_IGNORE_OUTPUT
from factapp.cli import main
from factbook import own_facts, shell

factcore = shell.command(main)  # in a new folder, for the files of this page
facts = own_facts.write_example()
print(*open("airports.csv", encoding="utf-8").read().splitlines()[:4], sep="\n")
given = "--embeddings keys.npy values.npy"
factcore(f"store airports.csv --key airport --value city --out memory.safetensors {given}")

# %% [markdown]
# So few facts do not need so many parameters: most are {term}`slack`, room for questions in other words (`--smallest` leaves none). Recall
# counts the exact keys; the {term}`margin` of an answer says how clearly it won. The memory holds the network's weights, the values and
# their names in clear; of each key neither name nor embedding, but a {term}`sketch`, by which it knows what it has never met. Stored from
# texts it holds hashes of them, too: whoever has the file can test whether a text is a key.

# %%
# NBVAL_IGNORE_OUTPUT
asked = "'Where is Schiphol?' JFK fiumicino 'How do I boil an egg?'"
factcore(f"ask memory.safetensors {asked} --embedding query.npy")
factcore("inspect memory.safetensors --pairs 3")

# %% [markdown]
# In Python: `from factapp.memory import Memory`, then `Memory.load("memory.safetensors").ask(queries)`, a torch tensor with a row a
# question; `factapp.encoder.embed` makes one of texts. Exported as a torch state dict, safetensors or an ONNX graph, the network answers
# without this package, as ONNX without torch:

# %%
import json

from safetensors import safe_open

factcore("export memory.safetensors --to network.safetensors")
net = safe_open("network.safetensors", "pt")
w, b, up, down, values = map(net.get_tensor, "gate_weight gate_bias up down values".split())
names = json.loads(net.metadata()["names"])
found = [values @ down @ ((w @ x + b > 0) * (up @ x)) for x in facts.keys]
right = [names[s.argmax()] == facts.value_names[t] for s, t in zip(found, facts.targets)]
print(f"torch alone answers {sum(right)} of {len(right)} keys as stored")
print(shell.onnx_recall(factcore, facts))

# %% [markdown]
# ## How far may a question be from its key?
#
# Eight kinds of rewording, made by rule for 720 airports; angles in degrees. The last is a control: the encoder knows few airport codes.

# %% tags=["hide-input"]
own_facts.kinds()

# %% [markdown]
# Five ways to answer: the **nearest key** keeps all embeddings of the keys ($d$ numbers per fact) and looks through them. The
# {term}`encoder-decoder` is the paper's construction, once the **smallest**, once with the **slack** that `factcore store` gives it (codes
# of length 64, half-filled buckets). {term}`max-margin` and {term}`block-convex` get as many parameters as the keys have numbers.

# %% tags=["hide-input"] mystnb={"image": {"alt": "A panel per number of stored airports. Recall against the angle between question and key. The nearest key stays near 1 up to about 50 degrees; with few facts the encoder-decoder with slack follows it to about 30 degrees, and max-margin to about 20; block-convex follows it farthest; the smallest encoder-decoder drops to nothing within 10 to 20 degrees."}}
figure = own_facts.angle_figure(table)

# %% [markdown]
# **The table of keys answers from farther away than any memory.** All kinds together, in bins of 10 degrees; marks are medians over three
# samples, bars reach from the smallest to the largest. By kind, percent right: whole names in another order or a question are the safest.

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
own_facts.recall_table(table)

# %% [markdown]
# **How many facts?** The more there are, the more buckets, and the more gates that a question can miss. The default memory of many more
# airports, asked about the same ones, in percent (max-margin is [slow to build](build_cost.ipynb) at such sizes and not measured there). A
# guess is what the memory would say if it never refused; beside it, what it says when it may answer "I don't know":

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
paraphrase.many(Memory, {"smoke": 48, "laptop": 5000, "paper": 7007}[profile], seed, device)

# %% [markdown]
# ## "I don't know"
#
# A memory decides by scores, so it can refuse when the winner's margin is small. Here the stored and the other airports are
# asked alike: "Where is NAME?". Every threshold lets through a share of either: high on the left is good, guessing is dashed.

# %% tags=["hide-input"] mystnb={"image": {"alt": "ROC curves, a panel per number of stored airports: share of questions about stored airports that get an answer against the share of questions about other airports that do. The nearest key is close to the upper left corner; block-convex lies on it; encoder-decoder with slack and max-margin come close to it, the first with few facts, the second with many; the smallest encoder-decoder lies near the diagonal."}}
figure = own_facts.roc_figure(table)

# %% [markdown]
# **Margins with slack tell a stored airport from a stranger, those of block-convex as well as the nearest key does; those of the smallest
# memory hardly do.** With 480 facts the default leaves 17% of the stored ones unanswered even where it answers one stranger in 50. Medians
# over three samples, bars from the smallest to the largest.
#
# `factcore ask` wants two things for an answer, set when the facts are stored. One is a **margin** that 5% of random questions reach or, where
# that is less, 0.99 of the smallest margin of a stored key (half of it below 32 facts). The other is a **similarity** to some key that 1% of
# unrelated sentences reach or, with embeddings of your own, that two keys have in the median; 0.6 at most. Percent answered of 510 sentences
# about anything but airports, of airports that are not stored, and of stored ones in other words, medians over three samples:

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
own_facts.refusal_table(refused)

# %% [markdown]
# ## What to remember
#
# - Where questions come in other words and the table of keys may be kept, look keys up in it. A memory pays inside a network, whose input
#   is the key or close to it.
# - The smallest memory is none to ask in other words: its margins are as small as they may be and its buckets full.
# - Slack helps. Up to $d/2$ facts the encoder-decoder with slack is one linear system with the smallest solution; with more, a question
#   may open the gate of the wrong bucket. Max-margin and block-convex have no such gates; of the two block-convex is built sooner.
#
# ## Exercises
#
# **1.** People call Schiphol AMS, too, but the encoder does not know that. How do you make the memory answer it?
#
# :::{dropdown} Solution
# Many keys may share a value: add the row "AMS,Amsterdam". Then it *is* a key.
# :::
#
# **2.** Store the 48 airports with `--smallest` and ask again. Which of the answers above do you expect to lose?
#
# :::{dropdown} Solution
# Those to questions: next to nothing around the keys decodes (first figure). `factcore inspect` says why before you ask: the smallest margin.
# :::
#
# **What next?** [Paper against ours](../book/claims.md). Its runs: [factbook/own_facts.py](https://github.com/factcore/factcore/blob/main/factbook/own_facts.py).
