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
# # Editing facts: swap the MLP, or change its weights
#
# **What the paper claims** {cite:p}`dugan2025constructing`: facts can be edited by replacing the whole fact-storing MLP, with
# no retraining, and this scores about twice as high as the best weight update when a tenth of the facts change. The
# successor {cite:p}`garcia2026hebbians` puts it at 0.999 against 0.550.
#
# **What this page does**: it edits 1 to 128 of 256 real facts in a small language model, by swapping and with ROME, MEMIT,
# AlphaEdit {cite:p}`meng2022locating,meng2023mass,fang2025alphaedit` and fine-tuning, every one of them tuned, and asks what
# the gap depends on.
#
# **For whom**: anyone who wants to correct what a model knows. Ten minutes. To try it by hand:
# [edit a fact yourself](edit_yourself.ipynb).

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
# ## The model and the facts
#
# A one-layer language model states in sentences which city each of 256 airports serves and in which country it lies. Names
# are single tokens with fixed random unit vectors; the words, the attention, a router and a small language expert were trained (100 s
# on one core). The router sends the word before a name to the MLP that knows this relation. That MLP did not learn from
# sentences: it was solved for from the table of facts, and it is the only thing that an edit may change.
#
# | measure | facts | sentences |
# |---|---|---|
# | efficacy | edited | 24 training templates |
# | paraphrase | edited | 12 unseen templates |
# | specificity | not edited | 24 training templates |
# | score | | harmonic mean of the three |
# | perplexity ratio | none | unseen filler and the words of paraphrases, after / before |

# %%
from functools import partial

import numpy as np
import pandas as pd
from IPython.display import display
from matplotlib import pyplot as plt
from scipy import stats

from factbook import editing, figures, store
from factbook.editing import crowded
from factbook.editing import study as editing_study
from factbook.editing.model import fact_accuracy, perplexity

figures.use_style()
seeds = range(seed, seed + (1 if profile == "smoke" else 3))
width = 32  # 24 parameters per fact, as in the published study (16,384 facts, d = 256, h = 512)
shares = {"smoke": (0.1,)}.get(profile, (1 / 256, 0.01, 0.05, 0.1, 0.25, 0.5))
model = editing_study.base_model("block-convex", width, seed, device)
corpus = model.corpus
print(
    f"{len(corpus)} airports, {len(corpus.values['city'])} cities, {len(corpus.values['country'])} countries, {len(corpus.number)} words"
)
for row in range(3):
    airport = corpus.words[corpus.airports[row]]
    print(f"  the road from {airport} leads to {editing.complete(model, 'the road from @ leads to', airport)}")

# %%
# NBVAL_IGNORE_OUTPUT
known = {
    r: [float(fact_accuracy(model, r, held_out=unseen).mean()) for unseen in (False, True)] for r in ("city", "country")
}
print(f"perplexity {perplexity(model):.1f}")
pd.DataFrame(known, index=["training templates", "paraphrases"]).round(4)

# %% [markdown]
# ## Edit, at every editor's best
#
# *Swap* writes a new MLP for the whole table, `block-convex` with the same 32 hidden units. The weight editors change the down
# projection of the old one: ROME by one rank-one update per fact, MEMIT by one least squares problem, AlphaEdit in the null space
# of what must stay. Each is tried at dozens of settings (steps, learning rate, clipping, λ, tolerance), *on the very edit that is
# reported*, and the best score counts: that favours the baselines. Fine-tuning comes twice: told the edited facts only, like
# the others, and told all facts, like swapping.

# %%
run = partial(editing_study.edit_row, tune=profile != "smoke", device=device)
path = store.results_file("editing", profile)
reference = store.resume(
    path, editing_study.edit_jobs(("no_op", "chance"), [width], [0.1], seeds, "block-convex"), run, device=device
)
table = store.resume(
    path, editing_study.edit_jobs(editing_study.EDITORS, [width], shares, seeds, "block-convex"), run, device=device
)
tenth = table[table.share == 0.1].set_index(["method", "seed"])
swapped = tenth.loc["swap"]
print(f"{len(table)} edits; a tenth of the facts: {swapped.edited.iloc[0]}")
print("swap scores at least 0.97 in every run:", bool((swapped.score >= 0.97).all()))
print(
    "no swap changes the perplexity by more than 2%:",
    bool((table[table.method == "swap"].perplexity_ratio - 1).abs().max() <= 0.02),
)
print("doing nothing and answering at random score at most 0.1:", bool((reference.score <= 0.1).all()))

# %% tags=["hide-input"] mystnb={"image": {"alt": "Five panels against the share of edited facts on a logarithmic axis, one line per editor: score, efficacy, paraphrase, specificity and perplexity ratio. Swapping stays near 1 throughout; the scores of weight editors fall as more facts are edited."}}
panels = ["score", "efficacy", "paraphrase", "specificity", "perplexity_ratio"]
figure, axes = plt.subplots(2, 3, figsize=(11, 6.4), sharex=True)
for ax, panel in zip(axes.flat, panels):
    for method, look in editing_study.STYLE.items():
        rows = table[table.method == method].groupby("share")[panel]
        middle = rows.median()
        ax.errorbar(100 * middle.index, middle, yerr=[middle - rows.min(), rows.max() - middle], capsize=3, **look)
    ax.set(title=panel.replace("_", " "), xscale="log", ylim=(0, 1.05))
    ax.set_xticks([100 * share for share in shares], [f"{100 * share:.2g}" for share in shares])
    ax.minorticks_off()
axes[1, 1].set_ylim(0.97, 1.03)
for ax in axes.flat[2:5]:
    ax.set_xlabel("facts edited [%]")
    ax.tick_params(labelbottom=True)
handles, labels = axes[0, 0].get_legend_handles_labels()
axes[1, 2].axis("off")
axes[1, 2].legend(handles, labels, loc="center")
plt.show()

# %% [markdown]
# Lines are medians over three models and draws of edits, bars reach from the smallest to the largest. At the left end one
# fact is edited.
#
# ## The numbers behind it

# %%
# NBVAL_IGNORE_OUTPUT
measures = panels
middle = pd.concat([tenth.reset_index(), reference]).groupby("method")[measures].median()
print("medians, a tenth of the facts edited")
middle.loc[[*editing_study.EDITORS, "no_op", "chance"]].round(3)

# %%
# NBVAL_IGNORE_OUTPUT
print("the settings that were best, a tenth of the facts edited")
tenth.reset_index().loc[lambda t: t.method != "swap", ["method", "seed", "score", "setting", "tried"]].round(3)

# %% [markdown]
# ## Twice the best weight update?
#
# Per model, the score of swapping over the best score of all weight updates; the interval is Student's over the models, on the
# logarithm.


# %%
# NBVAL_IGNORE_OUTPUT
def interval(against: tuple) -> str:
    best = tenth.reset_index().query("method in @against").groupby("seed").score.max()
    logs = np.log(swapped.score / best)
    half = stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / len(logs) ** 0.5 if len(logs) > 1 else np.nan
    low, middle, high = np.exp([logs.mean() - half, logs.mean(), logs.mean() + half])
    return f"{middle:.2f} times (95%: {low:.2f} to {high:.2f})"


print("against MEMIT, AlphaEdit and ROME, the published three:", interval(("memit", "alphaedit", "rome")))
print("and against fine-tuning on the edited facts too:       ", interval(editing_study.WEIGHT_EDITORS))
print(
    "and against fine-tuning on all facts too:              ",
    interval((*editing_study.WEIGHT_EDITORS, "finetune with replay")),
)

# %% [markdown]
# ## What the gap depends on: room in the MLP
#
# A weight editor finds each fact by its hidden units, and must move some facts while others stay. With $h$ hidden units there are
# $h$ directions: 256 facts in 32 units leave no null space at all. The same edit in wider MLPs, where there is room:

# %%
widths = {"smoke": (width,)}.get(profile, (128, 512))
wide = store.resume(
    store.results_file("editing_width", profile),
    editing_study.edit_jobs(editing_study.EDITORS, widths, [0.1], seeds, "block-convex"),
    run,
    device=device,
)
both = pd.concat([table[table.share == 0.1], wide]).drop_duplicates(["method", "width", "seed"])
print(f"{len(wide)} edits in MLPs of {', '.join(map(str, widths))} hidden units")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Score of each editor with a tenth of the facts edited against the number of hidden units of the fact MLP. Swapping and fine-tuning on all facts are near 1 at every width; the other editors rise as the MLP gets wider."}}
figure, ax = plt.subplots()
for method, look in editing_study.STYLE.items():
    rows = both[both.method == method].groupby("width").score
    middle = rows.median()
    ax.errorbar(middle.index, middle, yerr=[middle - rows.min(), rows.max() - middle], capsize=3, **look)
ax.set(
    xscale="log",
    xlabel="hidden units h of the fact MLP (and its parameters a fact)",
    ylabel="score, a tenth of the facts edited",
    ylim=(0, 1.03),
)
ticks = sorted(both.width.unique())
ax.set_xticks(ticks, [f"{h}\n({3 * model.d * h // len(corpus)} a fact)" for h in ticks])
ax.minorticks_off()
figures.legend_below(figure, ax)
plt.show()

# %%
# NBVAL_IGNORE_OUTPUT
by_width = both.pivot_table(index="method", columns="width", values="score", aggfunc="median")
display(by_width.loc[list(editing_study.EDITORS)].round(3))
large = store.stored("editing_large", "paper")  # the published 16,384 facts: make paper DEVICE=cuda
display("16,384 facts: not run yet" if large is None else large.round(4))

# %% [markdown]
# ## How crowded the memory is, and whose protocol
#
# The published study edits memories of 32 facts per hidden unit; the figures above have 8 and fewer. Below, where its table is there, the
# same edit of 256 facts in fewer and fewer units. Theirs and ours, line by line:

# %%
crowded.PROTOCOL.head(20)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two panels, score of each editor against facts per hidden unit from 8 to 32, with values permuted among the edited facts and one sentence told on the left, values from the whole table and six sentences told on the right."}}
# NBVAL_IGNORE_OUTPUT
packed = store.stored("editing_crowded", profile) if profile != "smoke" else None
if packed is None:
    print("no table editing_crowded.csv in this profile: python -m factbook.editing.crowded")
else:
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.4), sharey=True)
    for ax, protocol in zip(axes, crowded.PROTOCOLS):
        crowded.draw(ax, packed, *protocol)
    figures.legend_below(figure, axes[0])
    plt.show()

# %% [markdown]
# ## What we found
#
# - **One fact**: every editor comes close to 1. Single edits do not tell editors apart.
# - **A tenth of the facts, at the published 24 parameters per fact**: swapping wins clearly over MEMIT, AlphaEdit and ROME, in every
#   model. The factor is above; with 256 facts it is smaller than the two that the paper states, and against fine-tuning on the
#   edited facts, with a small learning rate the best of the weight updates, smaller still. Efficacy and specificity show how they lose: 230 preserved facts fill all 32 directions, so what is written for new facts is read by old ones.
# - **The gap is a matter of room**, not of gradients. The wider the MLP, the closer the weight editors come, as the second figure
#   shows. The published study is at the narrow end: 16,384 facts in 512 hidden units are 32 facts per unit, ours are 8.
# - **Who knows the table wins.** Swapping is told all facts. Fine-tuning told all facts ties with it; told the edited
#   ones only it does not. What swapping buys is the absence of settings and a network that depends on the table alone,
#   not on the edits that led to it; the time is much the same ([next page](editing_time.ipynb)).
# - **Perplexity** hardly moves with any editor: the router sends ordinary words elsewhere.
#
# What is missing to a score of 1 is the same for all: in some paraphrases the attention output is not that of the airport, and no MLP
# can mend that.
# Limits: names are single tokens; the last word before a name says what is asked; one layer. In 32 units AlphaEdit did best at the
# largest tolerances, 0.4 and 0.8, where next to nothing is left of its null space and the ridge alone spares the other facts.
