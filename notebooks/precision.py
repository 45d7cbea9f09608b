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
# # How many bits does a weight need?
#
# **What the paper claims** {cite:p}`dugan2025constructing`: storing $n$ facts among $v$ values takes $n \log_2 v$ bits
# (the {term}`floor`) whatever the network, and the construction's weights need only $O(\log n)$ bits of precision each. Costs are then
# counted in parameters.
#
# **What this page does**: it counts bits. Each network is built at its smallest width, or with room to spare, and its
# weights are rounded to fewer and fewer bits until facts are lost.
#
# **For whom**: anyone who compares memories by their parameters, or wants to store one in few bytes. Ten minutes;
# [what a network costs](capacity.ipynb) comes before. Words: the [glossary](../book/glossary.md).

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
from factbook import figures, precision, prose

figures.use_style()
prose.findings(precision.findings, "precision")

# %% [markdown]
# ## Rounding
#
# `factbook.precision.quantise` rounds all weights and keeps the arithmetic in float32. The formats `bf16` and `fp16`
# are casts. `int2` to `int8` and `fp8` (e4m3) give each row of a weight matrix its own scale: whole multiples of
# $s = \max|w| / (2^{b-1} - 1)$. A scale is a float32 number and is counted; so are biases, which stay float32.

# %%
import factcore as fc

facts = fc.spherical_facts(64, 16, seed=seed).to(device)
for method, width in (("hebbian", 128), ("encoder-decoder", None)):
    mlp = fc.construct(facts, method, width=width, seed=seed)
    for scheme in ("fp32", "int8", "int4", "int2"):
        rounded = precision.quantise(mlp, scheme)
        bits, share = rounded.bits / len(facts), fc.recall(rounded.mlp, facts)
        print(f"{method}, {scheme}: {bits:.0f} bits per fact, recall {share:.0%}")

# %% [markdown]
# ## How coarse may weights be?
#
# Per method and draw one search for the smallest width $h$ at 100% recall in float32; then networks of $h$, $1.25\,h$ and $2\,h$ units,
# each rounded to every format.

# %% tags=["hide-input"] mystnb={"image": {"alt": "A row for each method and a column for each format of the weights, from int2 to int8 and from fp8 to fp32: the share of the facts lost at the smallest width, darker where it is larger, empty where nothing is lost. One-hot and Hebbian rows empty first, convex ones at int8, trained ones and full buckets only in 16-bit floats."}}
table = precision.table(profile, seed, device)
figure = precision.losses(table)

# %% [markdown]
# **How coarse the weights may be goes with the slack a network has.** Facts lost at the smallest width, medians of three draws; a cell is
# empty where no draw loses a fact, and says 0% where only one draw does. One-hot and Hebbian memories, with tens of parameters per fact, stand coarse whole numbers; trained and
# convex networks near their smallest width need finer ones. Eight bits are better spent on whole multiples than on `fp8`, whose steps are
# coarse where weights are large.
#
# The encoder-decoder solves a $d \times d$ system of keys in each full bucket, and the condition number of such a system is paid in bits: it
# needs a 16-bit float where memories with tens of parameters per fact do with small integers.
#
# ## Bits per fact
#
# The fewest bits a network can do with: the smallest format that keeps 100% of its facts, times the weights, with scales and
# biases. The floor is $\log_2 v$. *0.8 full* is the encoder-decoder with buckets that hold at most $0.8\,d$ keys: more parameters, better
# conditioned systems. One-hot memories have one width only.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Bits per fact on a logarithmic axis, one row per method and a mark for each of three widths, with the formats beside each mark, and the floor of log2 v bits as a dashed line on the left. Trained and block-convex networks lie nearest to the floor, the encoder-decoders and Hebbian memories farthest."}}
figure = precision.bits(table)

# %% [markdown]
# **Trained and block-convex networks lie nearest to the floor; more units seldom save bits.** Medians of three draws, bars
# from the smallest to the largest, the formats of the draws beside them. Bits and parameters per fact at the width that is best for
# each method:

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
precision.fewest(table)

# %% [markdown]
# **The order by bits is not the order by parameters.** Buckets that are only 0.8 full recall more in coarse formats, but what is left to lose
# asks for 16 bits in most draws, so that they save bits in a draw and not in the median. Room helps where it buys margin, as in max-margin
# networks. Training here stops as soon as every fact decodes, by however little, so a wider trained network need not be a more robust one.
#
# Rounding here is plain: to the nearest, after the fact. Weights that are chosen *knowing* that they will be rounded can do with less. The
# bits are what these networks need as they are, not the least that a network of their shape could do with.
#
# *How this was run*: [`factbook/precision.py`](https://github.com/factcore/factcore/blob/main/factbook/precision.py).
#
# ## What to remember
#
# - Bits are parameters times precision: a method that saves the one may waste the other.
# - A full bucket is exact and badly conditioned: it needs floats. Slack is what makes coarse weights possible.
# - To store a memory in few bytes, take a small network at `int6` or `int8`, not a large one at `int3`.
#
# ## Exercises
#
# **1.** 256 values, one-hot memory, 65 parameters per fact at `int3`. Its 260 bits per fact are more than $3 \cdot 65$. Where is the rest?
#
# :::{dropdown} Solution
# The 64 weights of a fact's unit take 192 bits. Its bias and the scale of its row are float32 numbers, 64 bits, and the scales of the 32
# output rows, shared by 256 facts, are another 4.
# :::
#
# **2.** In the code above, which format is the smallest that keeps all facts of each network?
#
# :::{dropdown} Solution
# Try `int3` to `int7`: the Hebbian memory stands `int3` (seed 0), the encoder-decoder of so few dimensions `int8`. At $d = 32$ the larger
# systems of its buckets ask for a 16-bit float.
# :::
#
# **What next?** [How long must a code be?](code_dimension.ipynb), the other way to spend fewer bits.
