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
# # Edit a fact yourself
#
# **What the paper claims** {cite:p}`dugan2025constructing`: a fact in a language model can be edited by replacing one MLP: a {term}`swap`.
#
# **What this page does**: you change a city in a table, run the cells, and read the sentences that the model now completes. Then
# you undo it.
#
# **For whom**: everyone. Start it with the rocket button above (Binder), or `make figure FIG=edit_yourself`. One minute. The
# box of [the tour](facts.ipynb) changes a fact of a memory without starting anything.

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

# %% tags=["hide-input"]
import torch
from IPython.display import Markdown

from factbook import baselines, editing, prose
from factbook.editing import words

width = 32
model = editing.load_language_model(seed, width=width, device=device)
corpus = model.corpus
airports = [corpus.words[token] for token in corpus.airports.tolist()]
cities = sorted(corpus.words[token] for token in corpus.values["city"].tolist())
print(f"the model knows {len(airports)} airports and {len(cities)} cities, for instance {', '.join(cities[:250:50])}")

# %% [markdown]
# ## The table: change what you like
#
# On the left an airport, on the right the city that it should serve from now on. Any airport and any city that the model knows
# will do; some are listed at the end of the page.

# %%
new_facts = {"El Nido Airport": "Las Vegas", "Stockholm-Bromma Airport": "Barcelona"}

# %% [markdown]
# ## Run

# %%
edited = editing.edit(model, new_facts, width=width)

sentences = [
    "the road from @ leads to",
    "land at @ when you visit",
    "the old guide shows @ near",
    "people know that @ is in",
]
for airport in new_facts:
    for sentence in sentences:
        before, after = (editing.complete(m, sentence, airport) for m in (model, edited))
        print(f"{sentence.replace('@', airport)} … {before} → {after}")

# %% [markdown]
# The last sentence of each asks for the country. It lies in another MLP and has not moved.
#
# ## What happened
#
# `edit` took the whole table of facts, put the new city in, and solved for a new MLP of 32 hidden units: by least squares and, where these
# lose a fact, by convex problems with a certificate each; no gradient went through the model. Nothing else of the model changed. How well did
# it go, over all sentences?

# %%
# NBVAL_IGNORE_OUTPUT
report = editing.evaluate_edit(model, new_facts, width=width)
words.reported(report)

# %% [markdown]
# ## Does a name give its city away?
#
# To a reader, often: many an airport carries its city's name. To the model, never: its tokens have drawn embeddings, so that no
# answer above comes from a likeness of names. Beside the MLP, what a map without a hidden layer makes of the same facts:

# %% tags=["hide-input"]
city = dict(zip(corpus.airports.tolist(), corpus.targets["city"].tolist()))
told = [corpus.words[value] in corpus.words[airport] for airport, value in city.items()]
print(f"{sum(told)} of {len(told)} airports carry their city's name")
facts = model.fact_set("city").subset(torch.arange(len(told), device=model.device))  # cities alone as answers
beside = baselines.beside(facts, **{"the MLP": model.facts["city"]})
near = prose.percent(beside.recall[baselines.NEAREST])
print(f"the city whose embedding is nearest to the airport's is right for {near}")

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
names = {"recall": "right", "n_params": "parameters", "per_fact": "per fact"}
spelled = {"recall": beside.recall.map(prose.percent), "n_params": beside.n_params.map("{:,}".format)}
beside.assign(**spelled).rename(columns=names).rename_axis(None).round(1)

# %% [markdown]
# 256 facts are few for 64 dimensions: the linear map of least log loss is as right as the MLP, with a third fewer parameters. What the
# study needs of a memory is that one fact changes and no other does; [Editing facts](editing.ipynb) asks how well swaps and editors do that.
#
# The old MLP is still there. Put it back, and every score of every word is what it was, to the last bit:

# %%
tokens = corpus.held_out_filler
restored = editing.insert(edited, "city", model.facts["city"])
print("restored bit for bit:", torch.equal(restored(tokens), model(tokens)))

# %% [markdown]
# A name that the model does not know is refused before anything is done:

# %%
try:
    editing.edit(model, {airports[0]: "Atlantis"})
except ValueError as error:
    print(str(error).split(";")[0])

# %% [markdown]
# ## Airports and cities to choose from

# %% tags=["hide-input"]
lists = {"airports": sorted(airports), "cities": cities}
Markdown(
    "\n\n".join(
        f"**{kind.title()}** ({len(names)} in all, in the list `{kind}`): {'; '.join(names[:64])}; …"
        for kind, names in lists.items()
    )
)

# %% [markdown]
# ## What to remember
#
# - An edit here is a new MLP, solved for from the whole table of facts; nothing else of the model changes.
# - What lies in another MLP does not move, and the old MLP undoes the edit exactly.
#
# ## Exercises
#
# **1.** Give two airports each other's cities. Does either of them need more than one line of the table?
#
# :::{dropdown} Solution
# No: a line each. Both are edited at once, in the same solve.
# :::
#
# **2.** Change one fact, then fifty. What happens to the seconds, and why?
#
# :::{dropdown} Solution
# They hardly change: the MLP is solved for from all facts, edited or not.
# :::
#
# **What next?** [Editing facts](editing.ipynb): the swap against editors of weights.
