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
# # Time, many edits in a row, and what breaks a swap
#
# **What the paper claims** {cite:p}`dugan2025constructing`: fact-storing MLPs are modules: exchange one and the facts are others.
#
# **What this page does**: it times an edit, makes a hundred in a row, undoes one, and then breaks swapping on purpose in three ways, with
# the cure for each.
#
# **For whom**: those who would use it. Read [the comparison of editors](editing.ipynb) first. Ten minutes.

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

# %%
import torch
from IPython.display import Markdown
from matplotlib import pyplot as plt

from factbook import editing, figures
from factbook.editing import drawing, failures, tables, words
from factbook.editing import study as editing_study

figures.use_style()
width = tables.WIDTH
timed = tables.times(profile, seed, device)
sequence = tables.sequences(profile, seed, device)
model = editing_study.base_model("block-convex", width, seed, device)

# %% [markdown]
# ## What we found

# %% tags=["hide-input"]
Markdown(words.time())  # every number from the tables of the laptop profile

# %% [markdown]
# - Undoing is exact, bit for bit.
# - A swap fails for reasons that can be measured beforehand, without sentences: recall of the MLP alone, its smallest margin at
#   the keys, and the share of questions that the router sends on. Its slope there goes with the recall too, but costs little
#   where attention returns the keys themselves, as it does in most sentences of this model.
#
# ## Seconds per edit
#
# A tenth of $n$ facts is edited in an MLP of 24 parameters per fact, $h = n/8$. A swap solves for all $n$ facts, whatever
# the edit. Processor seconds hardly depend on what else the machine does; memory is what the edit added to the process.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Seconds per edit against the number of facts on logarithmic axes, one line per editor. Swapping and fine-tuning on all facts take about ten times as long as the others."}}
figure = drawing.times(timed)
plt.show()

# %%
# NBVAL_IGNORE_OUTPUT
timed.pivot_table(index="method", columns="n_facts", values=["cpu_s", "peak_mb"], aggfunc="median").round(2)

# %% [markdown]
# ## A hundred edits in a row
#
# Five cities at a time, twenty times, each edit made to the model that the last one left. Shown is the share of *all* facts, edited or not, that paraphrases
# get right. The setting of each editor is the best for the first batch.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Share of all facts that are right in paraphrases against the number of edits made one after another. Swapping and fine-tuning on all facts stay level; the other editors decay."}}
figure = drawing.sequences(sequence)
plt.show()

# %%
# NBVAL_IGNORE_OUTPUT
looks = [name for name in sequence.columns if name.startswith("after_")]
sequence.groupby("method")[looks].median().round(3)

# %% [markdown]
# ## Undo
#
# An edit returns a new model that shares all but one MLP with the old. Undoing it is putting the old MLP back, or writing the old
# facts again: the same facts and the same seed give the same bits.

# %%
corpus, new_facts = model.corpus, editing.draw_edits(model, 26, seed=seed)
row_of = {corpus.words[token]: row for row, token in enumerate(corpus.airports.tolist())}
old_facts = {airport: corpus.words[model.targets["city"][row_of[airport]]] for airport in new_facts}
rows = torch.arange(len(corpus))
tokens = corpus.sentences("city", model.targets["city"], rows, rows % 24)[0]
edited = editing.edit(model, new_facts, width=width, seed=seed)
again = editing.edit(edited, old_facts, width=width, seed=seed)
print("written again, bit for bit the same logits:", torch.equal(again(tokens), model(tokens)))
back = editing.insert(editing.edit(edited, old_facts, method="no_op"), "city", model.facts["city"])
print("put back, bit for bit the same logits:     ", torch.equal(back(tokens), model(tokens)))

# %% [markdown]
# ## What breaks a swap: an MLP too small
#
# Below a certain width the new facts do not fit, and the construction says so before anything is swapped: it refuses with the number
# of facts that it lost. Here it is made to go on (`strict=False`), to see what they cost. The cure is more units.

# %%
small = failures.narrow(model, (4, 32) if profile == "smoke" else (4, 6, 8, 12, 16, 32), seed)
print("32 units store everything, 4 do not:", small.iloc[-1, 0] == 1 and small.iloc[0, 0] < 1)

# %%
# NBVAL_IGNORE_OUTPUT
small.round(3)

# %% [markdown]
# ## What breaks a swap: an MLP that cannot be used
#
# An MLP may store every fact at the exact keys and still fail, because attention hands it keys with a little of the other words
# mixed in. The steeper the MLP at its keys, the more it should mind. The slope is the largest norm of its Jacobian at a key (its Lipschitz
# constant there), for outputs that are as long as keys on average. A network of step gates is flat between its jumps, so
# the slope 0 of `one-hot` says nothing about how near a jump is; the smallest margin does.

# %%
written = {"hebbian": {"width": 512}} if profile == "smoke" else failures.WRITTEN
usable = failures.steep(model, written, seed)
print("each of them stores every fact at the exact keys:", bool((usable["the MLP alone"] == 1).all()))

# %%
# NBVAL_IGNORE_OUTPUT
print(
    "paraphrases right against",
    usable[["slope", "smallest margin"]].corrwith(usable.paraphrases, method="spearman").round(2).to_dict(),
)
print("how far off the key the input of the MLP is, as a share of the key:", failures.noise(model).round(4).to_dict())
usable.round(3)

# %% [markdown]
# Steeper memories do get fewer paraphrases right, in nearly the same order, but a slope fifty times as large costs a few percent only:
# in nine of ten paraphrases the input is off its key by a hundredth of it or less, and where it is off by more than the whole key no
# memory answers. The cure is a construction whose outputs vary slowly between keys: longer codes, more units, or larger margins.
#
# ## What breaks a swap: a router that misses
#
# A sentence whose last word the router does not take for a question never reaches the new MLP. Here one number of the router, its
# bias towards the city MLP, is turned down and up, with the same swapped MLP behind it.

# %%
missed = failures.misrouted(edited, (-16.0, 0.0) if profile == "smoke" else failures.SHIFTS)
print("a router turned down misses facts:", bool(missed.loc[-16.0, "facts right"] < missed.loc[0.0, "facts right"]))

# %%
# NBVAL_IGNORE_OUTPUT
missed.round(3)

# %% [markdown]
# The cure costs one number, the router's bias, and is paid in perplexity: words that follow no question are then taken for facts. The better
# cure is training sentences in which facts stand behind other text, as in half of those that this model saw.
