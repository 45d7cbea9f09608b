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
# # Constructed MLPs inside a transformer
#
# **What the paper claims** {cite:p}`dugan2025constructing`: transformers can use constructed MLPs, at more than 99% recall on a
# synthetic task, once embeddings are tied, the norm before the MLP and the value and output projections are frozen and the
# residuals removed. There is a trade-off between how few parameters an MLP needs and whether attention can use it.
#
# **What this page does**: it inserts MLPs of every kind into one transformer, measures {term}`recall`, and swaps in MLPs that store another
# map. Then {term}`attention is solved for <attention solved for>`, too: no part of the transformer is trained, and its recall is proved.
#
# **For whom**: anyone who wants to place a constructed memory into a network. Ten minutes; the [tour](facts.ipynb) comes before.

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

from factbook import figures, prose, usable, usable_published, usable_shown

figures.use_style()
prose.findings(usable_shown.findings, "usable", "usable_ablation", "usable_training", "solved_junk", "usable_published")

# %% [markdown]
# ## The task and the model
#
# A sequence hides one key in junk and ends in a query token; the answer is the key's value:
#
# ```
# junk … junk  K  junk … junk  Q
#   →  value of K
# ```
#
# One attention head, with RoPE and no residuals, must bring the embedding of K to the MLP. What arrives is a mixture, $x = \sum_t a_t e_t$
# scaled to the norm of a key, so it stands at some angle to K: the *attention noise*. Embeddings, head and MLP are frozen; only the
# query and key projections and the first norm learn. Attention comes in three kinds, once per draw of facts and for all MLPs:
#
# - **trained** with the identity in the MLP's place, to return the key (AdamW; the paper's second schedule);
# - **trained and sharpened** (ours): the learned norm is folded into the projections, and the scores are multiplied by 16, so that the
#   softmax is nearer to a choice ([`factbook.attended.sharpen`](../book/api_modules.md));
# - **solved for** (ours): with the query projection left as drawn, scores are linear in the key projection. Raising the weight on the
#   key, whatever the junk, is one convex problem ([`transformer.solve_attention`](../book/api_transformer.md)); no sequence is drawn.
#
# Then each MLP is inserted and nothing is trained any more. A whole transformer without training:

# %%
import factcore as fc
from factcore import transformer as tf

facts = fc.spherical_facts(64, 64, seed=seed).to(device)
other = fc.FactSet(facts.keys, facts.values, facts.targets.roll(1))  # another map
model = tf.FactTransformer(facts, seed=seed)
tf.solve_attention(model)
for stored in (facts, other):
    tf.insert(model, fc.construct(stored, "block-convex", width=4, seed=seed))
    print(f"right: {tf.transformer_recall(model, stored.targets):.0%} of sequences")
    print(f"proved: {tf.certified_recall(model, stored.targets):.0%} of keys")

# %% [markdown]
# ## Which memories can attention use?

# %% tags=["hide-input"] mystnb={"image": {"alt": "Share of sequences answered wrongly, on a logarithmic axis, one row per memory and three marks: with trained attention from two percent to nearly all, with the same attention sharpened about two percent for every memory, with attention solved for none."}}
table = usable.table(profile, seed, device)
figure = usable_shown.losses(table)

# %% [markdown]
# **Behind trained attention memories differ widely; behind attention that is solved for (16 junk tokens), none loses a sequence of the map
# that it was built for.** Medians of three draws of facts, bars from the smallest to the largest. What the sharpened rows still lose,
# attention itself mistakes. Recall behind each attention (*swapped*: after a swap) and the angle that 95% of the keys take, in medians:

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
display(usable_shown.by_memory(table), prose.caption(usable_shown.worst, "usable"))

# %% [markdown]
# **Hard gates break the bucket encoder**: a key near a cut falls into the wrong bucket after a small turn. Longer codes and emptier buckets
# help, but not as random bilinear gates with room do; block-convex networks nearly do, with a fraction of their parameters.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Sequences answered wrongly with trained attention against the angle that 95 percent of the keys tolerate, on logarithmic axes: one falling curve, for memories of five methods, which levels off where the angle exceeds the attention noise, drawn as a grey band."}}
figure = usable_shown.tolerance(table)

# %% [markdown]
# **The angle that a memory takes foretells what it loses, whatever its kind.** Each mark is one memory behind trained attention, median and
# range of three draws; the grey band is the noise of the sequences, from the median to 95%. How well four numbers sort the usable memories
# (within one percent of the sequences of the best) from the rest:

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
usable_shown.prediction(table)

# %% [markdown]
# ## Attention solved for, and recall proved
#
# The longest sequence that has the best-scoring junk at every place is the worst one for a key, so the smallest weight that attention
# ever puts on the key is known exactly, and with it an angle that the MLP's input never exceeds ([`certified_noise`](../book/api_transformer.md)).
# Where it is smaller than the angle that the MLP is proved to take ([`certified_tolerance`](../book/api_transformer.md)), the transformer answers *every* sequence of the task right: recall is proved,
# not sampled; in exact arithmetic, and for this task's 16 junk tokens. What is not perfect, the MLP asked *alone* and in the transformer:

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
usable_shown.proofs(table)

# %% [markdown]
# The Hebbian memory is too small for the second map of a draw and loses a key of it outside of the transformer as well.
#
# ## Is the training fair?
#
# Sequences that attention lets *through* (the key asked for is, of all keys, nearest to what arrives), in the median and the worst of three
# draws, the angle that 95% stay below, and what a sharpened attention lets through, for other settings of its training. No MLP takes part.

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
display(usable_shown.ways(usable.fairness(profile, seed, device)), usable_published.said(), usable_published.shown())

# %% [markdown]
# **Trained attention, not the MLP, sets the ceiling** at d = 64: one linear map must tell 256 random keys from junk. No training gets there,
# the convex problem does. As published (second table; their rate is 0.0002) smooth gates answer nearly all that gets through, buckets do not;
# through a memory (*insert-first*) less gets through. At d = 128 all does, and only our shortest codes fail. [More facts](block_facts.ipynb).
#
# ## Recall over training steps
#
# Attention as it learns, under the paper's two schedules: first attention alone, then the MLP inserted (*attention-first*), or through the
# inserted MLP from the start (*insert-first*). One begins as a network trained alone and learns *in place*, together with attention.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Recall against training steps for two constructed memories under two schedules and one trained in place, as inserted on the left and after a swap on the right: attention-first lies highest in both panels; the panels hardly differ."}}
figure = usable_shown.learning(usable.curves(profile, seed, device), profile)

# %% [markdown]
# **Attention trained first does better than through the inserted MLP; a swap costs hardly anything.** Medians of three draws, bars from the
# smallest to the largest. In place, two draws are learnt, one of them late, the third not at all; behind block-convex inserted first, none is.
#
# ## Which parts of the recipe matter?
#
# Each piece that the paper removes, freezes or ties put back alone, for 64 facts in 32 dimensions; medians of three draws, in percent:

# %% tags=["hide-input"]
# NBVAL_IGNORE_OUTPUT
usable_shown.parts(usable.ablation(profile, seed, device))

# %% [markdown]
# **With attention trained first, putting any piece back costs recall.** Untied embeddings, trained through the MLP, recall nearly everything
# and next to nothing after a swap: the network has memorised. Learned value and output projections do so in part.
#
# *How this was run*: [`factbook/usable.py`](https://github.com/factcore/factcore/blob/main/factbook/usable.py); figures: `usable_shown.py`.
#
# ## What to remember
#
# - Whether attention can use a memory is a question of two angles: the noise that attention leaves, and the noise that the memory takes.
# - The conflict between capacity and usability is one with noise, and on this task the noise can be removed.
# - Swap the map: a look-up follows it, a network that has memorised does not.
#
# ## Exercises
#
# **1.** Trained attention lets 98% of the sequences through, and 90% are answered right. Which share of what arrives does the memory lose?
#
# :::{dropdown} Solution
# $1 - 0.90 / 0.98 \approx 8\%$.
# :::
#
# **2.** In the code above, store the facts in the fewest units of the encoder-decoder (`fc.construct(stored)`). Is recall still proved?
#
# :::{dropdown} Solution
# Yes: the angle left is so small that the tightest memory takes it. Behind trained attention such a memory loses most sequences.
# :::
#
# **What next?** [What usability costs](frontier.ipynb), and [how many facts a block can hold](block_facts.ipynb).
