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
# # What it costs to build
#
# **What the paper claims** {cite:p}`dugan2025constructing`: a fact-storing MLP can be written down in closed form, without
# training ([what that means for each method](../book/api_methods.md)).
#
# **What this page does**: it measures what that saves. Processor seconds and peak memory to build a network and to verify
# 100% {term}`recall` over all values, for constructions and for training, from the same facts.
#
# **For whom**: anyone who wants to build a large memory and asks how long it takes. Five minutes to read. Words: the
# [glossary](../book/glossary.md).

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
from IPython.display import display
from matplotlib import pyplot as plt

from factbook import build_times, figures, prose, speed, store

figures.use_style()
prose.findings(build_times.findings, "build_cost", "build_cost_large")

# %% [markdown]
# ## What is measured
#
# Every run is a process of its own, so that its peak memory is its own (`factbook.cost`). It draws $n$ random facts with as
# many values, builds the network, and checks every fact against every value, in blocks. *Processor seconds* add up all
# threads over both steps: they hardly depend on what else the machine does at that time.
#
# The encoder-decoder finds its own width. The others get a width at which they store everything with room to spare, as a
# network that is barely wide enough takes longest: $h = \lceil p\,n/3d \rceil$ for $p$ parameters per fact, one and a
# third times to twice the fewest known at $d = 64$ and $n = 1{,}024$.

# %%
table = build_times.table(profile, seed, device)
print(f"{len(table)} networks built, smallest recall {table.recall.min():.0%}")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two log-log plots against the number of facts, one line per way to build. Left: processor seconds to build and verify. Right: megabytes of memory that the build added at its peak, tens at the most for these sizes."}}
build_times.figure(table)
plt.show()

# %% [markdown]
# **A construction need not be quicker to build than training; the Hebbian readout, a few linear systems, is.** Points are medians over
# three draws of the facts, bars reach from the smallest to the largest; lines are power laws fitted
# to all runs. Memory is what building and verifying added to the process; Python, torch and the facts take about 0.3 GB
# before. *How this was run*: [`factbook/build_times.py`](https://github.com/factcore/factcore/blob/main/factbook/build_times.py).

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
build_times.written(table)

# %% [markdown]
# ## A million facts
#
# Codes are found by `factcore.geometry.many`: a value's own direction $w_i - \bar w$ decodes most values; the rest are told
# apart from their closest rivals only. Each code is checked against all values, in float32 with an allowance for rounding,
# so that a margin found positive is positive. Code search and verification both take $v^2$ products, so with as many values
# as facts the exponent must go to 2.
#
# Hundreds of buckets bring a trouble of their own. Keys are cut where their scores along one line have a gap, and among $n$
# keys the smallest of many gaps shrinks with $n$: a gate in float32 no longer tells the neighbours of that cut apart, and a fact
# is lost. So beyond 256 buckets they are filled to 95%, and each cut takes the widest of five gaps.
#
# The table below was made by `python benchmarks/build_large.py`, one run a size; up to 100,000 facts while the machine
# did other work, so that processor seconds count there, not the clock. The million facts share ten thousand values (on the list of
# `make paper`, for a GPU, a hundred thousand); `construct` verifies each of them, and they are not counted a second time.

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
kept = [store.stored("build_cost_large", name) for name in ("laptop", "paper")]
kept = [rows for rows in kept if rows is not None]
large = build_times.large_rows(*(kept or [table[table.rung == "encoder-decoder"]]))
build_times.large_written(large)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two plots for the encoder-decoder against the number of facts, up to a million. Left, log-log: processor seconds, with a line fitted where there are as many values as facts. Right: peak memory in gigabytes."}}
build_times.large_figure(large)
plt.show()

# %% [markdown]
# **With as many values as facts time grows nearly with their square; memory stays near two gigabytes up to 100,000.** The million takes
# 4.4, of which facts and a first network hold 3.1, and 27 minutes by the clock on two cores. Each point is a single run, so there are no bars; the line is a power law.
#
# ## Small, or quick
#
# Seconds mean little without size: a network with room is quick to build. Each point is a width of a method, at $d = 64$, built and
# verified on one thread; `python benchmarks/speed.py` makes the table. Training starts from linear least squares where it goes
# by L-BFGS, and from random weights where it goes by Adam.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Processor seconds to build and verify against parameters per fact, on logarithmic axes, a panel for each number of facts. A grey front falls from training, the smallest, to Hebbian memories or the encoder-decoder, the quickest."}}
# NBVAL_IGNORE_OUTPUT
kept = store.stored("speed", "laptop")
if kept is not None:
    networks = speed.medians(kept)
    figure = speed.figure(networks)

# %% [markdown]
# **The front falls from training, the smallest, to Hebbian memories, the quickest**, and to the encoder-decoder where the facts are more than
# the $d(d+1)/2$ features of a Hebbian memory, as for the larger $n$. Medians over three draws, bars from the smallest to
# the largest; only networks that store every fact of every draw; block-convex ones with 1, 5, 12 and 40 solves. The grey line joins those than
# which none is both smaller and quicker. The quickest network of each method, whatever its size, and how many times as long the quickest
# training takes, by either descent (Adam was not run for 4,096 facts):

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
if kept is not None:
    display(speed.ratios(networks))

# %% [markdown]
# ## What to remember
#
# - Seconds belong beside a size: a comfortable network of any method is quick, one that is barely wide enough is not.
# - The exponents of so small a range are no law: fixed costs weigh on the left end. What is known is the order of the
#   work: the scores of all values for all keys are $n v d$ products for each check of a network, its outputs $n h d$.
# - Memory is no obstacle to the encoder-decoder: nothing of size $n \times v$ is ever held.
#
# ## Exercises
#
# **1.** Verifying takes $n v$ products of $d$ numbers. How many times as long does it take for ten times as many facts, each with its own value?
#
# :::{dropdown} Solution
# A hundred times: both $n$ and $v$ grow tenfold.
# :::
#
# **2.** You have 5,000 facts in 384 dimensions and want an answer within a minute. Which method do you try first?
#
# :::{dropdown} Solution
# *Hebbian, whitened*, the quickest of the last table: 5,000 is far below the $d(d+1)/2 = 73{,}920$ features that it has for $d = 384$. Where
# size counts, go left along the grey front from there. How well such a memory answers *questions* is another matter: [your own facts](own_facts.ipynb).
# :::
#
# **What next?** [Real embeddings](real.ipynb), or [your own facts](own_facts.ipynb).
