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
# # How much noise a memory takes
#
# **What the paper claims** {cite:p}`garcia2026hebbians`: a Hebbian memory in a transformer recalls its facts while the attention noise, the
# L2 error of the query, stays below about $\sqrt{d / (n \log n)}$.
#
# **What this page does**: it finds the noise at which recall drops below 99%, for many numbers of facts, dimensions and widths, in random directions
# and in the worst ones, fits how it grows with $d / (n \ln n)$, and sets the other constructions beside it.
#
# **For whom**: anyone who must say how exact a query has to be. Ten minutes.

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
# ## What is measured
#
# A query stands on the key's sphere, as after the norm before an MLP, at a distance of $\varepsilon$ key lengths from the key. The **noise floor** is the
# largest $\varepsilon$ with 99% recall, found by bisection over at least 4,096 queries: in *random* directions, or for each key in the direction in
# which, by its gradient, a wrong value takes over soonest (*worst*; another direction may be worse still, which would lower the floor). The
# claim is a bound, so it speaks of every direction.
#
# Recall at some noise depends on width, and Hebbian widths grow with $n \log n$. So widths are multiples of the smallest one that stores the draw's facts
# or, to see $n$ alone, fixed at $16\,d$.

# %%
from functools import cache

import numpy as np
import torch
from matplotlib import pyplot as plt

import factcore as fc
from factbook import figures, fit, store
from factcore import usability as us

figures.use_style()
sizes = {  # n for every d
    "smoke": {16: [16, 32], 32: [32]},
    "laptop": {32: [64, 128, 256], 64: [64, 128, 256, 512, 1024], 128: [128, 256, 512]},
    "paper": {64: [128, 256, 512, 1024], 128: [256, 512, 1024, 2048, 4096], 256: [512, 1024, 2048, 4096]},
}[profile]
others = {"smoke": (32, 32), "laptop": (128, 32), "paper": (1024, 128)}[profile]  # n, d where all methods meet
seeds = range(seed, seed + 3)
RECALL = 0.99
APART = 1_000_000  # between seeds: from the facts' own seed a construction would draw the keys again as its features
QUERIES = 512 if profile == "smoke" else 4096
MULTIPLES = ["1 ×", "2 ×", "4 ×", "8 ×"]  # of the smallest width
FIXED = "16 d"
USUAL = "4 ×"
memories = {  # name: method and options
    "hebbian": ("hebbian", {}),
    "raw": ("hebbian", {"variant": "raw"}),
    "data-dependent": ("hebbian", {"variant": "data-dependent"}),
    "max-margin": ("max-margin", {}),
    "block-convex": ("block-convex", {}),
    "encoder-decoder": ("encoder-decoder", {"encoder": "random-gates", "gate": "identity", "fill": 0.5}),
    "buckets": ("encoder-decoder", {}),
    "trained": ("trained", {"progress": False}),
}
if profile == "smoke":
    memories = {name: memories[name] for name in ("hebbian", "data-dependent", "block-convex", "encoder-decoder")}
label = figures.LABELS | {
    "raw": "Hebbian, raw",
    "encoder-decoder": "encoder-decoder, bilinear gates",
    "buckets": "encoder-decoder, buckets",
}


# %% [markdown]
# ## The run


# %%
@cache
def smallest(memory: str, n_facts: int, d: int, seed: int) -> int:
    method, options = memories[memory]
    facts = drawn(n_facts, d, seed)
    return fc.smallest_width(facts, method, seed=seed + APART, tries=1, resolution=0.1, **options).width


def drawn(n_facts: int, d: int, seed: int) -> fc.FactSet:
    return fc.spherical_facts(n_facts, d, seed=seed).to(device)


def floors(memory: str, width: str, n_facts: int, d: int, seed: int) -> dict:
    """The noise floors of one memory, in random and in the worst directions."""
    facts, (method, options) = drawn(n_facts, d, seed), memories[memory]
    units = 16 * d if width == FIXED else int(width[0]) * smallest(memory, n_facts, d, seed)
    relaxed = {"strict": False} if method == "encoder-decoder" else {}
    mlp = fc.construct(facts, method, width=units, seed=seed + APART, **options, **relaxed)
    generator = torch.Generator().manual_seed(seed + 2 * APART)
    draws = [us.random_directions(facts.keys, generator) for _ in range(max(4, QUERIES // n_facts))]
    return {
        "units": mlp.width,
        "n_params": mlp.n_params,
        "recall_alone": fc.recall(mlp, facts),
        "random": us.noise_floor(mlp, facts, torch.stack(draws), target_recall=RECALL),
        "worst": us.noise_floor(mlp, facts, us.worst_directions(mlp, facts)[None], target_recall=RECALL),
    }


places = [(n, d) for d in sizes for n in sizes[d]]
runs = [("hebbian", rule, n, d) for n, d in places for rule in [*MULTIPLES, FIXED] if rule != FIXED or n <= 8 * d]
runs += [("data-dependent", USUAL, n, d) for n, d in places]
runs += [(name, rule, *others) for name in memories for rule in MULTIPLES]
runs = list(dict.fromkeys(runs))
jobs = [{"memory": name, "width": rule, "n_facts": n, "d": d, "seed": s} for s in seeds for name, rule, n, d in runs]
table = store.resume(store.results_file("noise_floor", profile), jobs, floors, device=device)
table["share"] = table.d / (table.n_facts * np.log(table.n_facts))
table["claimed"] = np.sqrt(table.share)
table["per_fact"] = table.n_params / table.n_facts
print(f"{len(table)} memories, {table.seed.nunique()} draws of facts")
