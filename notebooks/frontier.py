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
# # Capacity against usability: can both be had?
#
# **What the paper claims** {cite:p}`dugan2025constructing`: capacity and usability trade off. Whitening and tight codes save
# parameters, raise the {term}`Lipschitz constant` of the MLP around its keys, and make it harder for attention to use.
#
# **What this page does**: it turns every knob of the constructions (code length, bucket fill, gates, whitening of the values), plots
# parameters per fact against the sequences that a transformer keeps, and then moves the frontier twice: with constructions made for
# usability (block-convex networks, noisy copies of the keys, a larger ridge), and with attention that is solved for.
#
# **For whom**: anyone who chooses a memory to place behind attention. Ten minutes; [MLPs in a transformer](usable.ipynb) comes before. Words: the
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
from factbook import figures, frontier, prose

figures.use_style()
prose.findings(frontier.findings, "frontier", "usable")

# %% [markdown]
# ## Set-up
#
# Attention is that of [the page before](usable.ipynb), once per draw of facts: trained with the identity in the MLP's place, the same
# *sharpened* afterwards (its norm folded into the projections, its scores multiplied by 16), or solved for. A sequence
# *gets through* when, of all keys, the one asked for is nearest to what attention hands on: the rest is lost for any memory that answers for
# the nearest key. A memory *keeps* a sequence that got through when it decodes it to the right value. Usable means here: it keeps at least 99%.
#
# The knobs are code length, bucket fill, gates, and for the other constructions width, ridge and noisy copies of the keys. Longer codes cost
# parameters and buy the angle by which a key may turn:

# %%
import factcore as fc
from factbook import noise

facts = fc.spherical_facts(128, 64, seed=seed).to(device)
roomy = {"encoder": "random-gates", "gate": "identity", "fill": 0.5}
for m in (4, 5, 6):
    mlp = fc.construct(facts, code_dim=m, seed=seed, **roomy)
    angle = noise.noise_tolerance(mlp, facts).quantile(0.05)
    per_fact = mlp.n_params / len(facts)
    print(f"codes of {m}: {per_fact:.0f} parameters a fact, 95% of keys take {angle:.0f}°")

# %% [markdown]
# ## Behind trained attention

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two panels of what six kinds of memory lose with trained attention. Left, against parameters per fact: block-convex networks lie far to the left of the encoder-decoders. Right, against the angle that 95 percent of the keys tolerate: all but step buckets fall along one curve."}}
table = frontier.table(profile, seed, device)
figure = frontier.losses(table)

# %% [markdown]
# **The angle taken, more than the kind of memory, tells what is kept; block-convex networks have it for the fewest parameters.** Medians of
# three draws of facts, bars from the smallest to the largest; losses below 0.2% and angles below 0.1° are drawn there. Within each kind of
# random gates, what saves parameters shrinks the angle. Step buckets lose keys near their cuts, which the angle of most keys does not see.
#
# ## The frontier moved
#
# The encoder-decoder is taken at its best: the cheapest setting, of all its gates, fills and code lengths, that is usable for a draw of
# facts. It meets the cheapest usable setting of each other kind for the same draw: shares of its parameters, from the smallest to the
# largest of three draws.

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
frontier.shares(table)

# %% [markdown]
# **Block-convex networks need the smallest share behind trained attention**, and noisy copies of the keys make it smaller.
# A larger ridge hardly moves max-margin there.
#
# **Behind attention that is solved for a memory keeps what it stores alone**, and sharpening trained attention does nearly the same for what
# gets through: with junk of 16 tokens next to no noise is left, so there is nothing to draw. Does that hold with more junk, and for embeddings that nobody
# chose? The same facts with 64 and 256 junk tokens, and with keys of airports; a tight memory (full buckets, shortest codes) and a roomy one
# (bilinear gates, half full), medians of the draws; the noise is the largest that any sequence can leave, – where the proof says nothing:

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
frontier.more_junk()

# %% [markdown]
# Where attention finds no map that sets all keys apart from the junk, noise is back, and what the memory takes counts again.
#
# ## Does whitening cost usability?
#
# To whiten to degree $t$: spiked values $v$ (one direction holds most of the variance) become $(1 - t)\,v + t\,w$, normalised, with
# $w$ the whitened values. The encoder-decoder then takes the shortest code that stores everything. Medians of three draws, trained attention:

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
frontier.ladder(table)

# %% [markdown]
# **This is no test of the paper's trade-off**: our codes read spiked values as they are, and whitening has little to save. Its own codes, the
# projected separators, do get shorter by whitening, on clustered values (16 centres on the sphere, a value at a distance of about 0.1 or 0.25 from
# its own): the network for the whitened values, followed by $\Sigma^{-1/2}$, serves the values as they are. Medians of the draws, 256 facts,
# $d = 128$; attention trained for 1,500 steps of 512 sequences, and as published for 16,000 of 1,280:

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
frontier.whitened()

# %% [markdown]
# Behind attention trained as long as published each memory keeps more than 98% in every draw, raw or whitened, and the bilinear ones nearly
# all: there is little left to lose. What follows for the claim is decided [with the others](../book/claims.md).
#
# *How this was run*: [`factbook/frontier.py`](https://github.com/factcore/factcore/blob/main/factbook/frontier.py) has every setting,
# [`factbook/whitened.py`](https://github.com/factcore/factcore/blob/main/factbook/whitened.py) the paper's codes.
#
# ## What to remember
#
# - Choose a memory by the angle it takes and what that angle costs, not by its construction.
# - Capacity and usability are in conflict as far as attention is noisy. Repair attention first: it is the cheaper repair.
# - Behind attention that stays noisy, take block-convex networks, built with noisy copies of the keys.
#
# ## Exercises
#
# **1.** From the left panel: which memory of at most ten parameters per fact loses less than 1% of what gets through?
#
# :::{dropdown} Solution
# A block-convex network built with noisy copies of the keys, in 7.5 to 9 parameters per fact. Without copies the best in that range
# loses just above 1%.
# :::
#
# **2.** In the code above, try codes of 2. What does `construct` say, and what does `strict=False` give you?
#
# :::{dropdown} Solution
# With `strict=True` it returns a network only if every fact decodes, and says how many are lost otherwise. `strict=False` returns the
# network as it is, with the lost rows in `mlp.lost`: their angle is zero.
# :::
#
# **What next?** [How many facts a block can hold](block_facts.ipynb), and [how much noise a memory takes](noise_floor.ipynb).
