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
# **What this page does**: it times an edit, makes fifty in a row, undoes one, and then breaks swapping on purpose in three ways, with
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
import copy
from functools import partial

import pandas as pd
import torch
from matplotlib import pyplot as plt

import factcore as fc
from factbook import editing, figures, store
from factbook.editing import study as editing_study
from factbook.editing.model import fact_accuracy, fact_mlp, fact_positions, perplexity

figures.use_style()
seeds = range(seed, seed + (1 if profile == "smoke" else 3))
editors = ("swap", "memit") if profile == "smoke" else editing_study.EDITORS
sizes = {"smoke": (32,)}.get(profile, (64, 128, 256, 512))
width = 32
model = editing_study.base_model("block-convex", width, seed, device)

# %% [markdown]
# ## Seconds per edit
#
# A tenth of $n$ facts is edited in an MLP of 24 parameters per fact, $h = n/8$. A swap solves for all $n$ facts, whatever
# the edit. Processor seconds hardly depend on what else the machine does; memory is what the edit added to the process.

# %%
timed = store.resume(
    store.results_file("editing_time", profile),
    [{"method": m, "n_facts": n, "seed": s} for n in sizes for s in seeds for m in editors],
    partial(editing_study.time_row, device=device),
    device=device,
)
print(f"{len(timed)} edits timed, {timed.n_facts.min()} to {timed.n_facts.max()} facts")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Seconds per edit against the number of facts on logarithmic axes, one line per editor. Swapping and fine-tuning on all facts take about ten times as long as the others."}}
figure, ax = plt.subplots()
for method in editors:
    rows = timed[timed.method == method].groupby("n_facts").cpu_s
    middle = rows.median()
    ax.errorbar(
        middle.index, middle, yerr=[middle - rows.min(), rows.max() - middle], capsize=3, **editing_study.STYLE[method]
    )
ax.set(xscale="log", yscale="log", xlabel="facts n, a tenth of them edited", ylabel="processor seconds per edit")
ax.set_xticks(sizes, [str(n) for n in sizes])
ax.minorticks_off()
figures.legend_below(figure, ax)
plt.show()

# %%
# NBVAL_IGNORE_OUTPUT
timed.pivot_table(index="method", columns="n_facts", values=["cpu_s", "peak_mb"], aggfunc="median").loc[
    list(editors)
].round(2)

# %% [markdown]
# ## Fifty edits in a row
#
# Five cities at a time, each edit made to the model that the last one left. Shown is the share of *all* facts, edited or not, that paraphrases
# get right. The setting of each editor is the best for the first batch.

# %%
batches = {"smoke": 2}.get(profile, editing_study.BATCHES)
run = partial(editing_study.sequence_row, batches=batches, tune=profile != "smoke", device=device)
jobs = [{"method": m, "width": width, "seed": s} for s in seeds for m in editors]
sequence = store.resume(store.results_file("editing_sequential", profile), jobs, run, device=device)
looks = [k for k in editing_study.LOOK if k <= batches]
last = sequence.groupby("method")[f"after_{looks[-1]}"].median()
print(f"after {looks[-1]} batches swapping keeps at least 90% of the facts:", bool(last["swap"] >= 0.9))

# %% tags=["hide-input"] mystnb={"image": {"alt": "Share of all facts that are right in paraphrases against the number of edits made one after another. Swapping and fine-tuning on all facts stay level; the other editors decay."}}
figure, ax = plt.subplots()
for method in editors:
    rows = sequence[sequence.method == method][[f"after_{k}" for k in looks]]
    middle = rows.median()
    ax.errorbar(
        looks, middle, yerr=[middle - rows.min(), rows.max() - middle], capsize=3, **editing_study.STYLE[method]
    )
ax.set(xlabel="batches of five edits, one after another", ylabel="facts right in paraphrases", ylim=(0, 1.03))
figures.legend_below(figure, ax)
plt.show()

# %%
# NBVAL_IGNORE_OUTPUT
sequence.groupby("method")[[f"after_{k}" for k in looks]].median().loc[list(editors)].round(3)

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
facts = model.fact_set("city")


def in_the_model(mlp) -> list[float]:
    """Facts right alone, in training templates, and in paraphrases."""
    swapped = editing.insert(editing.edit(model, old_facts, method="no_op"), "city", mlp)
    return [
        fc.recall(mlp, facts),
        *(float(fact_accuracy(swapped, "city", held_out=unseen).mean()) for unseen in (False, True)),
    ]


narrow = {
    h: in_the_model(fact_mlp(facts, "block-convex", width=h, seed=seed, strict=False))
    for h in ((4, 32) if profile == "smoke" else (4, 6, 8, 12, 16, 32))
}
columns = ["the MLP alone", "training templates", "paraphrases"]
small = pd.DataFrame(narrow, index=columns).T
print("32 units store everything, 4 do not:", small.iloc[-1, 0] == 1 and small.iloc[0, 0] < 1)

# %%
# NBVAL_IGNORE_OUTPUT
small.rename_axis("hidden units").round(3)

# %% [markdown]
# ## What breaks a swap: an MLP that cannot be used
#
# An MLP may store every fact at the exact keys and still fail, because attention hands it keys with a little of the other words
# mixed in. The steeper the MLP at its keys (its Lipschitz constant, here relative to the size of its outputs), the more it minds.

# %%
candidates = {
    "encoder-decoder": {},
    "encoder-decoder, m = 24": {"code_dim": 24},
    "block-convex": {"width": 32},
    "hebbian": {"width": 512},
    "trained": {"width": 32},
    "one-hot": {},
}
if profile == "smoke":
    candidates = {"hebbian": {"width": 512}}
usable = {}
for name, options in candidates.items():
    mlp = fact_mlp(facts, name.split(",")[0], seed=seed, strict=False, **options)
    usable[name] = [mlp.width, fc.lipschitz(mlp, facts), *in_the_model(mlp)]
usable = pd.DataFrame(usable, index=["hidden units", "Lipschitz constant", *columns]).T
print("each of them stores every fact at the exact keys:", bool((usable["the MLP alone"] == 1).all()))

# %%
# NBVAL_IGNORE_OUTPUT
usable.round(3)

# %% [markdown]
# The cure is a construction whose outputs vary slowly between keys: longer codes, more units, or one that maximises margins.
#
# ## What breaks a swap: a router that misses
#
# A sentence whose last word the router does not take for a question never reaches the new MLP. Here one number of the router, its
# bias towards the city MLP, is turned down and up, with the same swapped MLP behind it.

# %%
shifts = (-16.0, 0.0) if profile == "smoke" else (-16.0, -12.0, -8.0, 0.0, 8.0, 16.0)
missed = {}
for shift in shifts:
    turned = copy.deepcopy(edited)
    turned.router[-1].bias.data[1] += shift
    turned.seen.clear()  # what the router said before
    routed = float(fact_positions(turned, "city", True).routed.double().mean())
    missed[shift] = [routed, float(fact_accuracy(turned, "city", held_out=True).mean()), perplexity(turned)]
missed = pd.DataFrame(missed, index=["paraphrases routed to the MLP", "facts right", "perplexity"]).T
print("a router turned down misses facts:", bool(missed.loc[-16.0, "facts right"] < missed.loc[0.0, "facts right"]))

# %%
# NBVAL_IGNORE_OUTPUT
missed.rename_axis("bias towards facts").round(3)

# %% [markdown]
# The cure costs one number, the router's bias, and is paid in perplexity: words that follow no question are then taken for facts. The better
# cure is training sentences in which facts stand behind other text, as in half of those that this model saw.
#
# ## What we found
#
# - A swap takes about ten times as long as a weight update, and about as long as fine-tuning on all facts, because it solves for the
#   whole table. At these sizes that is a second or less, whatever the number of edited facts.
# - In a row, the editors that are told the edited facts alone decay: each edit adds an error, and the errors add up. A swap starts from
#   the table, not from the last network, so the fiftieth is as good as the first; fine-tuning on all facts holds too.
# - Undoing is exact.
# - A swap fails for reasons that can be measured beforehand, without sentences: recall of the MLP alone, its Lipschitz constant at
#   the keys, and the share of questions that the router sends on.
