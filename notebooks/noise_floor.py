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
# **What the paper claims** {cite:p}`garcia2026hebbians`: a {term}`Hebbian memory` in a transformer recalls its facts while the attention noise, the
# L2 error of the query, stays below about $\sqrt{d / (n \log n)}$.
#
# **What this page does**: it finds the noise at which recall drops below 99%, for many numbers of facts, dimensions and widths, in random
# directions and in the worst ones, fits how it grows with $d / (n \ln n)$, and sets the other constructions beside it.
#
# **For whom**: anyone who must say how exact a query has to be. Ten minutes; [MLPs in a transformer](usable.ipynb) comes before.

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
from factbook import figures, noise_floor, prose

figures.use_style()
prose.findings(noise_floor.findings, "noise_floor", "noise_junk")

# %% [markdown]
# ## What is measured
#
# A query stands on the key's sphere, as after the norm before an MLP, at a distance of $\varepsilon$ key lengths from the key. The **noise
# floor** is the largest $\varepsilon$ with 99% recall, found by bisection: over 4,096 queries in *random* directions, or for each key in
# the direction in which, by its gradient, a wrong value takes over soonest (*worst*; another may be worse still, which would lower the
# floor). The claim is a bound, so it speaks of every direction.

# %%
import torch

import factcore as fc
from factbook import noise
from factcore.support.streams import stream

facts = fc.spherical_facts(128, 32, seed=seed, dtype=torch.float64).to(device)
mlp = fc.construct(facts, "hebbian", width=512, seed=seed)
draws = [noise.random_directions(facts.keys, stream(k, "noise")) for k in range(8)]
worst = noise.worst_directions(mlp, facts)[None]
for name, directions in (("random", torch.stack(draws)), ("worst", worst)):
    floor = noise.noise_floor(mlp, facts, directions)
    print(f"noise floor in {name} directions: {floor:.2f} key lengths")
print(f"claimed: {(32 / (128 * torch.tensor(128.0).log())) ** 0.5:.2f}")

# %% [markdown]
# ## The form, as a bound and as a law
#
# Recall at some noise depends on width, and Hebbian widths grow with $n \log n$. So widths are multiples of the smallest one that stores
# the draw's facts or, to see $n$ alone, fixed at $16\,d$.

# %% tags=["hide-input"] mystnb={"image": {"alt": "The noise floor of whitened Hebbian memories against d over n log n, for three dimensions. Left, four times as wide as the smallest: level lines, in random directions above the claimed line, in the worst directions crossing it. Right, at a fixed width of 16 d: both rise with it, more slowly than the claimed line and above it."}}
table = noise_floor.table(profile, seed, device)
figure = noise_floor.by_form(table)

# %% [markdown]
# **At a fixed width the floor stays above the claimed form; with widths that grow as storing needs it hardly depends on the number of
# facts.** Whitened Hebbian memories, medians of three draws, bars from the smallest to the largest. The exponents in $d / (n \ln n)$ with
# their 95% bootstrap intervals (the form has 0.5), and the floors as multiples of the form:

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
noise_floor.exponents(table)

# %% [markdown]
# At $16\,d$ units the floor falls with $n$ more slowly than the form, so large memories take several times the claimed noise in random directions.
# At 4 times the smallest width fact sets that are small beside $d$ lose recall below the form in their worst directions, at the smallest all do.
#
# ## Other memories

# %% tags=["hide-input"] mystnb={"image": {"alt": "Noise floors against parameters per fact for six kinds of memory at one, two, four and eight times their smallest widths, random directions left and worst ones right. All rise with parameters; block-convex and trained networks lie farthest left, then max-margin, bilinear gates and Hebbian memories; hard buckets lie lowest."}}
figure = noise_floor.by_parameters(table)

# %% tags=["remove-input"]
# NBVAL_IGNORE_OUTPUT
prose.caption(noise_floor.prices, "noise_floor")

# %% [markdown]
# Every memory at 1, 2, 4 and 8 times its smallest width, medians and ranges of three draws; floors below 0.001 are drawn
# there. The medians in random directions, with two more Hebbian memories:

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
noise_floor.by_width(table)

# %% [markdown]
# Whitened Hebbian memories end high because they are large: max-margin networks take more noise for as many parameters. The data-dependent
# memory stalls up to 4 times its smallest width: where the ridge solve has about as many features as facts, the solution that meets all
# facts is at its largest. Hard buckets and MLPs trained until they store were not built with noise in mind
# ([noisy copies](frontier.ipynb) are one cure), and block-convex networks stop at the first solve that stores.
#
# ## What width does
#
# A raw memory of $h$ random features is $g(x) = \sum_l v_l\, K(k_l, x)$ with
#
# $$K(y, x) = \frac1h \sum_j \langle a_j, y \rangle \langle a_j, x \rangle \langle b_j, y \rangle \langle b_j, x \rangle .$$
#
# Its signal is about 1. Turn the query at a key: per unit of noise the gap to a wrong value falls, in the worst direction, by the length $s$ of its
# gradient. For random unit keys and values the means are Gaussian moments, and
#
# $$s^2 \approx \frac{4n + 8d}{h} + \frac{8n}{d^2} .$$
#
# The second part is the kernel's own, $\langle y, x \rangle^2$ for infinite width; the first is what finite width adds. In a random
# direction the fall is smaller by $\sqrt d$. A floor near $1/s$ (less what the facts disturb one another already) falls as $n^{-1/2}$ where
# the width is fixed, as in the form. But widths that are multiples of the smallest grow with $n$, and then $n$ cancels: only $d$ and the
# multiple remain, until $h$ comes near $d^2$. Measured slopes lie within 15% of the formula (a test holds them there).
#
# ## What attention leaves, against the length of the junk
#
# The other half of the claim: how noisy is the query that attention hands on? {cite:t}`garcia2026hebbians` train attention alone, with runs
# of junk of 2 to 128 tokens around the key. Here, at their three sizes and for the same lengths, attention is [solved for](usable.ipynb), and trained
# (500 steps of 256 sequences, with the identity in the MLP's place); each is asked with the length that it was made for.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Error of the query against the length of the junk, on logarithmic axes, three sizes. Left, trained attention: a few hundredths of a key length on average, at the smallest size more for longer junk, at the largest not, and more than one in most of the worst sequences. Right, attention that is solved for: less than a ten-thousandth in the worst sequences, level at every length and size."}}
figure = noise_floor.by_junk(noise_floor.junk(profile, seed, device))

# %% [markdown]
# **Solved-for attention stays exact however long the junk is; briefly trained attention leaves hundredths of a key length, and in its worst
# sequences returns another key.** On average the noise of the trained one rises with the length of the junk at 512 facts, less at 1,012 and not at
# 2,048; the worst sequences are as bad at any length but the shortest. Mean and worst of 4,096 sequences: medians of three draws, bars from the
# smallest to the largest.
#
# *How this was run*: [`factbook/noise_floor.py`](https://github.com/factcore/factcore/blob/main/factbook/noise_floor.py).
#
# ## What to remember
#
# - A noise floor belongs to a memory *of some width*: say how wide, and in which directions, before comparing it with a law.
# - The published form is a bound that wide memories keep; it is not how the floor of memories of useful size grows.
# - Worst directions cost a factor of about two or more, most where a memory is narrow; attention that is solved for never goes there.
#
# ## Exercises
#
# **1.** A memory of 1,000 facts in 64 dimensions is $16\,d$ wide. What noise does the form promise, and is it what you should expect?
#
# :::{dropdown} Solution
# $\sqrt{64 / (1000 \ln 1000)} \approx 0.10$ key lengths, about 6 degrees. At this width the floors measured lie above the form, in random
# directions by a factor of about four at $n = 512$: expect to do better.
# :::
#
# **2.** Double the width in the code above. Which of the two floors gains more, and does the formula for $s$ say why?
#
# :::{dropdown} Solution
# Both rise, the worst one by the larger factor. Of $s^2$ the part $(4n + 8d)/h$ halves, which is what stood between the worst direction and
# the kernel's own limit $8n/d^2$; random directions are nearer to the right angle already.
# :::
#
# **What next?** [What usability costs](frontier.ipynb), and [margins](margins.ipynb), the other way to say how much noise a memory takes.
