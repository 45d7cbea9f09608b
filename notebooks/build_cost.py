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
# training ([what that means for each method](../book/api.md)).
#
# **What this page does**: it measures what that saves. Processor seconds and peak memory to build a network and to verify
# 100% recall over all values, for constructions and for training, from the same facts.
#
# **For whom**: anyone who wants to build a large memory and asks how long it takes. Five minutes to read.

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
import pandas as pd
from IPython.display import display
from matplotlib import pyplot as plt

from factbook import cost, figures, fit, speed, store

figures.use_style()
sizes, d = {"smoke": ((24, 48), 16), "laptop": ((128, 256, 512), 64), "paper": ((1024, 2048, 4096, 8192, 16384), 128)}[
    profile
]
methods = {
    "encoder-decoder": ("encoder-decoder", {}),
    "data-dependent": ("hebbian", {"variant": "data-dependent"}),
    "max-margin": ("max-margin", {}),
    "block-convex": ("block-convex", {"solves": 5}),
    "trained": ("trained", {}),
}
seeds = range(seed, seed + (1 if profile == "smoke" else 3))
print("parameters per fact, p:", cost.COMFORTABLE)

# %% [markdown]
# ## The run


# %%
def build(rung: str, n: int, d: int, seed: int) -> dict:
    """Cost of one network, measured in a fresh process (smoke: in this one)."""
    method, options = methods[rung]
    fresh = profile != "smoke"
    return cost.build_cost(method, n, d, seed, device, fresh=fresh, **options)


jobs = [{"rung": rung, "n": n, "d": d, "seed": s} for n in sizes for rung in methods for s in seeds]
table = store.resume(store.results_file("build_cost", profile), jobs, build, device=device)
print("every run stores every fact:", bool((table.recall == 1).all()))

# %% [markdown]
# ## The figure
#
# Points are medians over three draws of the facts, bars reach from the smallest to the largest; lines are power laws fitted
# to all runs. Memory is what building and verifying added to the process; Python, torch and the facts take about 0.3 GB
# before.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two log-log plots against the number of facts, one line per way to build. Left: processor seconds to build and verify. Right: megabytes of memory that the build added at its peak, tens at the most for these sizes."}}
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 5))
table["added_mb"] = table.peak_mb - table.rest_mb
for rung in methods:
    rows = table[table.rung == rung]
    law = fit.power_law(rows, "n", "cpu_s")
    figures.plot_spread(left, rows, "n", "cpu_s", rung, linestyle="none")
    left.plot(sizes, law(sizes), color=figures.COLOURS[rung], linewidth=1)
    figures.plot_spread(right, rows, "n", "added_mb", rung)
left.set(ylabel="processor seconds to build and verify")
right.set(ylabel="memory added at the peak (MB)", ylim=(0, None))
left.set_yscale("log")
for ax in (left, right):
    ax.set_xscale("log", base=2)
    ax.set_xticks(sizes, [str(n) for n in sizes])
    ax.set_xlabel(f"facts n (d = {d})")
figures.legend_below(figure, right)
plt.show()

# %% [markdown]
# ## The numbers behind it

# %%
# NBVAL_IGNORE_OUTPUT
largest = table[table.n == max(sizes)].groupby("rung")
shown = largest[["cpu_s", "build_s", "verify_s", "added_mb", "parameters"]].median()
laws = {rung: fit.power_law(table[table.rung == rung], "n", "cpu_s") for rung in methods}
shown["parameters per fact"] = shown.pop("parameters") / max(sizes)
shown["exponent of seconds"] = pd.Series({r: law.exponent for r, law in laws.items()})
shown["95% from"] = pd.Series({r: law.low for r, law in laws.items()})
shown["to"] = pd.Series({r: law.high for r, law in laws.items()})
print(f"medians at n = {max(sizes)}")
shown.loc[list(methods)].round(2)

# %%
first = table[(table.n == sizes[0]) & (table.seed == seed)].set_index("rung")
for rung, (method, _) in methods.items():
    width = cost.comfortable_width(method, sizes[0], d)
    print(f"{rung}: the width asked for: {width in (None, first.width[rung])}")
widths = first.width["encoder-decoder"] % -(-sizes[0] // d)
print("encoder-decoder width is a multiple of ceil(n/d):", bool(widths == 0))

# %% [markdown]
# ## One hundred thousand facts
#
# The encoder-decoder fits its projection $D$ to the values. In the committed runs it did so up to 8,192 values; beyond, it took
# random columns and aimed the last ones at the values that were still hidden: longer codes, but few passes over the values.
# Codes are found by `factcore.geometry.many`: a value's own direction $w_i - \bar w$ decodes most values; the rest are told
# apart from their closest rivals only. Each code is checked against all values, in float32 with an allowance for rounding,
# so that a margin found positive is positive. Code search and verification both take $v^2$ products, so the exponent must go to 2.
#
# The table below was made by `python benchmarks/build_large.py`; `build_s` and `verify_s` are seconds by the clock. There is
# one run a size, and the machine did other work at the same time, most of it during the run with 100,000 facts: read the
# exponent as a rough one.

# %%
# NBVAL_IGNORE_OUTPUT
kept = [store.stored("build_cost_large", name) for name in ("laptop", "paper")]
kept = [rows for rows in kept if rows is not None]
large = pd.concat(kept or [table[table.rung == "encoder-decoder"]]).sort_values("n")
large["per fact"] = (large.parameters / large.n).round(1)
large["memory (GB)"] = (large.peak_mb / 1000).round(2)
columns = ["n", "d", "width", "per fact", "recall", "build_s", "verify_s", "cpu_s"]
large[[*columns, "memory (GB)", "device"]]

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two plots for the encoder-decoder against the number of facts, up to one hundred thousand. Left, log-log: processor seconds rise nearly with the square of the number of facts. Right: peak memory stays within about one gigabyte."}}
figure, axes = plt.subplots(1, 2, figsize=(10, 3.8))
on_cpu = large[large.gpu_mb == 0]
law = fit.power_law(on_cpu, "n", "cpu_s") if on_cpu.n.nunique() > 1 else None
for ax, column, unit in zip(
    axes, ("cpu_s", "memory (GB)"), ("processor seconds to build and verify", "peak memory (GB)")
):
    figures.plot_spread(ax, on_cpu, "n", column, "encoder-decoder", linestyle="none")
    ax.set(xscale="log", xlabel="facts n", ylabel=unit)
    ax.set_xticks(on_cpu.n, [f"{n:,}" for n in on_cpu.n])
    ax.minorticks_off()
axes[0].set_yscale("log")
axes[1].set_ylim(0, None)
if law is not None:
    axes[0].plot(on_cpu.n, law(on_cpu.n), color="grey", linewidth=1, label=f"n^{law.exponent:.2f}, fitted")
axes[0].legend()
plt.show()

# %% [markdown]
# Each point is a single run, so there are no bars; the line is a power law fitted to these runs.

# %% [markdown]
# ## Small, or quick
#
# Seconds mean little without size: a network with room is quick to build. Each point is a width of a method, at $d = 64$, built and
# verified on one thread; `python benchmarks/speed.py` makes the table. Training starts from linear least squares where it goes
# by L-BFGS, and from random weights where it goes by Adam.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two log-log panels, for 1,024 and 4,096 facts: processor seconds to build and verify against parameters per fact. A grey front falls from training, the smallest, to Hebbian memories, the quickest."}}
# NBVAL_IGNORE_OUTPUT
kept = store.stored("speed", "laptop")
if kept is not None:
    networks = speed.medians(kept)
    figure = speed.figure(networks)

# %% [markdown]
# Medians over three draws, bars from the smallest to the largest; only networks that store every fact of every draw. The grey line
# joins those than which none is both smaller and quicker. The quickest network of each method, whatever its size:

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
if kept is not None:
    display(speed.ratios(networks).round(2))

# %% [markdown]
# ## What we found

# %%
# NBVAL_IGNORE_OUTPUT
seconds = shown.cpu_s
print(f"processor seconds at n = {max(sizes)}, times those of training:")
print((seconds / seconds["trained"]).round(2).sort_values().to_string())
row = large.iloc[-1]
print(
    f"\nlargest: {row.n:,} facts, recall {row.recall:.0%}, {row['per fact']} parameters "
    f"per fact, {row.cpu_s:.0f} processor seconds, {row['memory (GB)']} GB"
)

# %% [markdown]
# - A construction need not be quicker to build than training: max-margin, solved to a certificate, takes longer. The
#   Hebbian readout, a few linear systems, is the quickest.
# - The exponents of so small a range are no law: fixed costs weigh on the left end. What is known is the order of the
#   work: the scores of all values for all keys are $n v$ products for each check of a network.
# - Memory is no obstacle to the encoder-decoder: nothing of size $n \times v$ is ever held.
