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
# # Airports in a transformer that nobody trained
#
# **What the paper claims** {cite:p}`dugan2025constructing`: transformers can use constructed MLPs, once attention has been trained to bring
# them the right key. It shows this on synthetic embeddings.
#
# **What this page does**: the key vocabulary is 7,007 names of airports, the values are their cities, both as sentence embeddings. The
# memory is constructed, attention is solved for, no weight is trained, and the answers to *all* sequences of the task are proved right.
#
# **For whom**: anyone who wonders whether the [synthetic result](usable.ipynb) survives real text. Five minutes.

# %% tags=["remove-cell"]
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("factcore") is None:  # on Colab: fetch the package, its data and its stored results
    source, checkout = "https://github.com/factcore/factcore", "factcore-checkout"
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", source, checkout], check=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "-e", checkout], check=True)
    sys.path.insert(0, checkout)

# %% tags=["parameters"]
profile = "laptop"  # smoke, laptop or paper
device = "cpu"
seed = 0

# %% [markdown]
# ## Written down
#
# Attention that reads only directions wants keys of one norm, so the embeddings are normalised. Three calls make the transformer:

# %%
import time

import torch
from matplotlib import pyplot as plt
from torch.nn.functional import normalize

import factcore as fc
from factbook import figures, store
from factcore import attention as at
from factcore import transformer as tf
from factcore import usability as us

figures.use_style()


def airports(n_facts: int) -> fc.FactSet:
    facts = fc.airport_facts(n_facts).to(device)
    return fc.FactSet(normalize(facts.keys, dim=1), facts.values, facts.targets)


shown = {"smoke": 64, "laptop": 512, "paper": 512}[profile]
facts, named = airports(shown), fc.airport_facts(shown)
model = tf.FactTransformer(facts, seed=seed)
solve = at.solve_attention(model)
mlp = fc.construct(facts, seed=seed)
tf.insert(model, mlp)
print(f"attention: one convex problem in {model.key.numel():,} unknowns, solved: {solve.gap <= 0.01 * solve.objective}")
print(f"recall on sampled sequences: {tf.transformer_recall(model, facts.targets):.1%}")
print(f"keys proved to be answered right in every sequence: {us.certified_recall(model, facts):.1%}")

# %% [markdown]
# Three sequences, and what the transformer says:

# %%
tokens = tf.recall_batch(len(facts), 3, torch.Generator().manual_seed(seed))
word = lambda token: named.key_names[token] if token < len(facts) else f"j{token - len(facts)}"  # noqa: E731
for row, answer in zip(tokens.tolist(), model(tokens).argmax(dim=1).tolist()):
    words = [word(token) for token in row[:-1] if token != len(facts) + tf.JUNK + 1]
    print(" ".join(words), "?\n   →", named.value_names[answer])

# %% [markdown]
# ## The run
#
# For growing numbers of airports: recall as built, after a swap to a memory of another map (every airport moved to the next one's city),
# and the share of keys for which recall is proved. Beside it, where it is affordable, attention trained by gradient steps to return the key.
# Three draws of junk, of the query projection and of the construction.

# %%
sizes = {"smoke": [64], "laptop": [256, 1024, 7007], "paper": [256, 1024, 7007]}[profile]
training = {
    "smoke": {"steps": 30, "batch": 32},
    "laptop": {"steps": 500, "batch": 256},
    "paper": {"steps": 8000, "batch": 1280, "lr": 3e-3},
}[profile]
TRAINED = 1024  # facts up to which attention is trained too, on a CPU


def placed(n_facts: int, seed: int) -> dict:
    """One transformer of airports: what it recalls and what is proved, and the seconds that its parts took."""
    facts = airports(n_facts)
    other = fc.FactSet(facts.keys, facts.values, facts.targets.roll(1))
    begin = time.perf_counter()
    mlp, swapped = fc.construct(facts, seed=seed), fc.construct(other, seed=seed)
    built = time.perf_counter()
    model = tf.FactTransformer(facts, seed=seed)
    at.solve_attention(model)
    solved = time.perf_counter()
    tf.insert(model, mlp)
    row = {
        "n_params": mlp.n_params,
        "recall": tf.transformer_recall(model, facts.targets),
        "adaptive_recall": tf.adaptive_recall(model, swapped, other.targets),
        "certified": us.certified_recall(model, facts),
        "noise_largest": float(at.certified_noise(model).max()),
        "tolerance_smallest": float(us.certified_tolerance(mlp, facts).min()),
        "seconds_mlp": (built - begin) / 2,
        "seconds_attention": solved - built,
    }
    if n_facts <= TRAINED or device != "cpu":
        begin, model = time.perf_counter(), tf.insert(tf.FactTransformer(facts, seed=seed), mlp)
        row["trained_recall"] = tf.train_recall(model, facts.targets, seed=seed, **training).recall
        row["seconds_training"] = time.perf_counter() - begin
    else:
        row |= {"trained_recall": float("nan"), "seconds_training": float("nan")}
    return row


jobs = [{"n_facts": n, "seed": s} for n in sizes for s in range(seed, seed + 3)]
table = store.resume(store.results_file("airports_block", profile), jobs, placed, device=device)
print(f"{len(table)} transformers of up to {table.n_facts.max():,} airports")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left, recall against number of airports: one hundred percent as built and after a swap with attention solved for, lower with attention trained. Right, the share of keys whose proved tolerance is above an angle, falling, with the largest angle that attention leaves far to its left."}}
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4))
for column, colour, marker, name in (
    ("recall", "block-convex", "P", "attention solved for"),
    ("adaptive_recall", "encoder-decoder", "o", "the same, after a swap"),
    ("trained_recall", "trained", "^", "attention trained"),
):
    part = table.dropna(subset=column).groupby("n_facts")[column].agg(["min", "median", "max"])
    error = [part["median"] - part["min"], part["max"] - part["median"]]
    left.errorbar(part.index, part["median"], yerr=error, marker=marker, color=figures.COLOURS[colour], label=name)
left.set(xscale="log", xlabel="airports", ylabel="recall (share of sequences)", ylim=(-0.03, 1.05))
left.set_xticks(sizes, labels=[f"{n:,}" for n in sizes])
left.minorticks_off()
left.legend()
angles = us.certified_tolerance(mlp, facts).sort().values
right.plot(
    angles,
    1 - torch.arange(len(angles)) / len(angles),
    color=figures.COLOURS["encoder-decoder"],
    label="the memory takes",
)
right.axvline(float(at.certified_noise(model).max()), color="black", linestyle=":", label="attention leaves at most")
right.set(xscale="log", xlabel="angle, proved [degrees]", ylabel="share of keys", title=f"{shown} airports, one draw")
right.legend()
plt.show()

# %% [markdown]
# Left: medians and range of three draws. Right: for the transformer above, the share of keys that are proved to decode up to an angle, and the
# largest angle that attention leaves in any sequence; recall is proved for all keys that lie to the right of the line.
#
# ## The numbers behind it

# %%
# NBVAL_IGNORE_OUTPUT
table.groupby("n_facts").median(numeric_only=True).drop(columns=["seed", "seconds"]).transpose()

# %% [markdown]
# ## What we found

# %%
# NBVAL_IGNORE_OUTPUT
for n, part in table.groupby("n_facts"):
    print(
        f"{n:,} airports: smallest recall {part.recall.min():.2%}, after a swap {part.adaptive_recall.min():.2%}, "
        f"proved for {part.certified.min():.2%} of the keys; attention leaves at most {part.noise_largest.max():.0e} degrees, "
        f"the memory takes at least {part.tolerance_smallest.min():.0e}"
    )
trained = table.dropna(subset="trained_recall")
if len(trained):
    print(
        f"attention trained, up to {trained.n_facts.max():,} airports: recall {trained.trained_recall.min():.1%} to "
        f"{trained.trained_recall.max():.1%} after {training['steps']} steps"
    )

# %% [markdown]
# - Real embeddings are easier for attention than random ones: 384 dimensions and a common direction set keys apart from junk with a wide margin.
# - They are harder for a memory behind trained attention, since airports with similar names stand at small angles. With attention
#   solved for that does not matter: what arrives is the key, to within far less than the memory takes.
# - The proof is for exact arithmetic and for this task's junk; the sampled recall is what float32 gives.
