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
# **What the paper claims** {cite:p}`dugan2025constructing`: fact-storing MLPs are modules: exchange one (a {term}`swap`) and the facts are others.
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

# %% [markdown]
# ## What we found

# %% tags=["remove-input"]
# NBVAL_IGNORE_OUTPUT
import torch
from IPython.display import Markdown
from matplotlib import pyplot as plt

from factbook import editing, figures, prose
from factbook.editing import drawing, failures, study, tables, words

figures.use_style()
prose.findings(words.time, "editing_time", "editing_sequential")

# %% [markdown]
# Undoing is exact, bit for bit. And a swap fails for reasons that can be measured beforehand, without sentences: recall of the MLP alone,
# its smallest margin at the keys, and the share of questions that the router sends on.
#
# ## Seconds per edit
#
# A tenth of $n$ facts is edited in an MLP of 24 parameters per fact, $h = n/8$. A swap solves for all $n$ facts, whatever
# the edit. Processor seconds hardly depend on what else the machine does; memory is what the edit added to the process.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Seconds per edit against the number of facts on logarithmic axes, one line per editor. Swapping and fine-tuning on all facts take longest, the four weight updates lie together far below."}}
timed = tables.times(profile, seed, device)
print(f"{len(timed)} edits timed")
figure = drawing.times(timed)
plt.show()

# %% [markdown]
# **Who looks at the whole table pays for it: the swap and fine-tuning on all facts.** Medians of three draws, bars from the smallest to the
# largest. The same in numbers, and the memory added at the most facts:

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
words.costs(timed)

# %% [markdown]
# ## A hundred edits in a row
#
# Five cities at a time, twenty times, each edit made to the model that the last one left. Shown is the share of *all* facts, edited or not, that paraphrases
# get right. The setting of each editor is the best for the first batch.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Share of all facts that are right in paraphrases against the number of edits made one after another. Swapping and fine-tuning on all facts stay level; the other editors decay."}}
sequence = tables.sequences(profile, seed, device)
print(f"{len(sequence)} sequences of edits")
figure = drawing.sequences(sequence)
plt.show()

# %% [markdown]
# **Errors of edits add up, unless each edit starts from the table.** Medians of three models, bars from the smallest to the largest. The same
# in numbers, after so many batches of five:

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
words.kept(sequence)

# %% [markdown]
# ## Undo
#
# An edit returns a new model that shares all but one MLP with the old. Undoing it is putting the old MLP back, or writing the old
# facts again: the same facts and the same seed give the same bits.

# %% tags=["hide-input"]
model = study.base_model("block-convex", tables.WIDTH, seed, device)
corpus, new_facts = model.corpus, editing.draw_edits(model, 26, seed=seed)
row_of = {corpus.words[token]: row for row, token in enumerate(corpus.airports.tolist())}
old_facts = {airport: corpus.words[model.targets["city"][row_of[airport]]] for airport in new_facts}
rows = torch.arange(len(corpus))
tokens = corpus.sentences("city", model.targets["city"], rows, rows % 24)[0]

# %%
edited = editing.edit(model, new_facts, width=tables.WIDTH, seed=seed)
again = editing.edit(edited, old_facts, width=tables.WIDTH, seed=seed)
copied = editing.edit(edited, old_facts, method="no_op")
back = editing.insert(copied, "city", model.facts["city"])
for way, undone in {"written again": again, "put back": back}.items():
    same = torch.equal(undone(tokens), model(tokens))
    print(f"{way}, bit for bit the same logits:", same)

# %% [markdown]
# ## What breaks a swap: an MLP too small
#
# Below a certain width the new facts do not fit, and the construction says so before anything is swapped: it refuses with the number
# of facts that it lost. Here it is made to go on (`strict=False`), to see what they cost. The cure is more units.

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
small = failures.narrow(model, (4, 32) if profile == "smoke" else (4, 6, 8, 12, 16, 32), seed)
failures.read(small)

# %% [markdown]
# ## What breaks a swap: an MLP that cannot be used
#
# An MLP may store every fact at the exact keys and still fail, because attention hands it keys with a little of the other words
# mixed in. The steeper the MLP at its keys, the more it should mind. The slope is the largest norm of its Jacobian at a key (its
# {term}`Lipschitz constant` there), for outputs that are as long as keys on average. A network of step gates is flat between its jumps, so
# the slope 0 of `one-hot` says nothing about how near a jump is (the smallest margin does), and the correlation leaves it out.

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
written = {"hebbian": {"width": 512}} if profile == "smoke" else failures.WRITTEN
usable = failures.steep(model, written, seed)
failures.read(usable[failures.STEEP])

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
Markdown(words.steepness(usable, failures.noise(model)))

# %% [markdown]
# Where the input is off by more than the whole key no memory answers. The cure for the rest is a construction whose outputs vary slowly between keys: longer codes, more units, or larger margins.
#
# ## What breaks a swap: a router that misses
#
# A sentence whose last word the router does not take for a question never reaches the new MLP. Here one number of the router, its
# bias towards the city MLP, is turned down and up, with the same swapped MLP behind it.

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
missed = failures.misrouted(edited, (-16.0, 0.0) if profile == "smoke" else failures.SHIFTS)
failures.read(missed)

# %% [markdown]
# The cure costs one number, the router's bias, and is paid in perplexity: words that follow no question are then taken for facts. The better
# cure is training sentences in which facts stand behind other text, as in half of those that this model saw.
#
# *How this was run:* [`factbook/editing`](https://github.com/factcore/factcore/tree/main/factbook/editing): the tables in `tables.py`, what
# breaks a swap in `failures.py`.
#
# ## What to remember
#
# - A swap costs what building costs, however few facts change. Many edits at once cost it no more than one.
# - It starts from the table each time, so that errors do not add up.
# - Before swapping, look at the recall and the smallest margin of the new MLP alone.
#
# ## Exercises
#
# **1.** Facts arrive one at a time, a thousand a day. Would you swap for each?
#
# :::{dropdown} Solution
# Only if a swap is quicker than they arrive, since each costs as much as all. Collect them, and swap once.
# :::
#
# **2.** After a swap training sentences are right and paraphrases are not. Which of the three causes can it be?
#
# :::{dropdown} Solution
# Not an MLP too small, which loses facts at the keys themselves. Its smallest margin (or slope) and the share that the router sends on tell.
# :::
#
# **What next?** [Your own facts](own_facts.ipynb).
